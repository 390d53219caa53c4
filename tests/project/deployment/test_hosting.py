"""Files of hosting platforms, and systemd units."""

from pathlib import Path

import pytest
from support.project_tree import launched, written

from shipwheel.project.deployment.platform_files import read_hosting
from shipwheel.project.deployment.read import Deployment, read_deployment
from shipwheel.project.read import read_project
from shipwheel.user.files import UserFiles


def _read(root: Path, files: dict[str, str]) -> Deployment:
    return read_deployment(written(root, {"app.py": "", **files}), UserFiles())


def test_reads_fly_toml(tmp_path: Path) -> None:
    text = """
[build]
dockerfile = "ops/fly.txt"
[deploy]
release_command = "alembic upgrade head"
[env]
PORT = "8081"
API_KEY = "hidden"
[processes]
app = "gunicorn -b 0.0.0.0:$PORT app:app"
worker = "celery -A app worker"
[http_service]
internal_port = 8081
[[http_service.checks]]
path = "/up"
[mounts]
source = "data"
destination = "/data"
"""
    found = _read(tmp_path, {"fly.toml": text, "ops/fly.txt": "FROM python\nCOPY . /app\n"})
    assert [(process.name, process.place) for process in found.processes] == [
        ("web", "fly.toml, line 10"),
        ("worker", "fly.toml, line 11"),
        ("release", "fly.toml, line 5"),
    ]
    settings = found.settings[-1]
    assert (settings.variables, settings.withheld, settings.volumes, settings.ports) == (
        {"PORT": "8081"},
        ("API_KEY",),
        ("/data",),
        ("8081",),
    )
    assert (found.health, found.port) == ("/up", "8081")
    assert found.dockerfile is not None and found.dockerfile.name == "ops/fly.txt"


def test_reads_heroku_yml(tmp_path: Path) -> None:
    text = """
build: {docker: {web: ops/web.txt, worker: ops/worker.txt}, config: {SECRET_KEY: hidden}}
release:
  command:
    - flask db upgrade
    - flask seed
  image: web
run:
  web: gunicorn -b 0.0.0.0:$PORT app:app
  worker: {command: [celery, -A, app, worker], image: web}
  clock: {command: [bash, -c, python tick.py], image: web}
"""
    found = _read(tmp_path, {"heroku.yml": text, "ops/web.txt": "FROM python\nCOPY . /app\n"})
    assert [(process.name, process.shown, process.line) for process in found.processes] == [
        ("web", "gunicorn -b 0.0.0.0:$PORT app:app", 9),
        ("worker", "celery -A app worker", 10),
        ("clock", "bash -c 'python tick.py'", 11),
        ("release", "flask db upgrade && flask seed", 4),
    ]
    assert found.dockerfile is not None and found.dockerfile.name == "ops/web.txt"


def test_a_release_of_heroku_yml_is_a_start_step(tmp_path: Path) -> None:
    files = {
        "heroku.yml": "release: {image: web, command: [flask db upgrade]}\n",
        "Dockerfile": "FROM python\nCOPY . .\nCMD gunicorn app:app\n",
        "migrations/env.py": "",
    }
    launch = launched(tmp_path, {"app.py": "from flask import Flask\napp = Flask('x')\n", **files}, "flask gunicorn")
    assert (launch.command[0], launch.before_start) == ("gunicorn", (("flask", "db", "upgrade"),))


RAILWAY = """
[build]
builder = "DOCKERFILE"
dockerfilePath = "./ops/rail.txt"
[deploy]
startCommand = "gunicorn -b 0.0.0.0:$PORT app:app"
preDeployCommand = ["alembic upgrade head", "python seed.py"]
healthcheckPath = "/up"
"""
RAILWAY_JSON = """{
  "build": {"dockerfilePath": "ops/rail.txt"},
  "deploy": {

    "healthcheckPath": "/up",
    "startCommand": "gunicorn -b 0.0.0.0:$PORT app:app",
    "preDeployCommand": "alembic upgrade head && python seed.py"
  }
}"""


@pytest.mark.parametrize(("name", "text"), [("railway.toml", RAILWAY), ("railway.json", RAILWAY_JSON)])
def test_reads_railway_files(tmp_path: Path, name: str, text: str) -> None:
    found = _read(tmp_path, {name: text, "ops/rail.txt": "FROM python\nCOPY . /app\n"})
    assert [(process.name, process.text, process.line) for process in found.processes] == [
        ("web", "gunicorn -b 0.0.0.0:$PORT app:app", 6),
        ("release", "alembic upgrade head && python seed.py", 7),
    ]
    assert found.health == "/up"
    assert found.dockerfile is not None and found.dockerfile.name == "ops/rail.txt"


def test_serves_what_nixpacks_toml_starts(tmp_path: Path) -> None:
    text = '[phases.setup]\nnixPkgs = ["python311"]\n[variables]\nMODE = "x"\n[start]\ncmd = "gunicorn -b 0.0.0.0:$PORT shop:app"\n'
    web = "import flask\n{} = flask.Flask('a')\n"
    files = {"nixpacks.toml": text, "requirements.txt": "flask\ngunicorn\n", "app.py": web.format("app"), "shop.py": web.format("app")}
    launch = launched(tmp_path, files)
    assert "shop:app" in launch.command and launch.declared_at == "nixpacks.toml, line 6"


def test_the_variables_of_nixpacks_toml_are_those_of_the_container(tmp_path: Path) -> None:
    text = '[variables]\nNIXPACKS_PYTHON_VERSION = "3.12"\nDEBUG = false\nMODE = "x"\n'
    (found,) = read_hosting(written(tmp_path, {"nixpacks.toml": text}), UserFiles())
    assert (found.python, found.settings[0].variables) == ("3.12", {"DEBUG": "false", "MODE": "x"})


def test_reads_render_yaml(tmp_path: Path) -> None:
    text = """
services:
  - {type: keyvalue, name: cache}
  - type: web
    runtime: python
    preDeployCommand: python manage.py migrate
    startCommand: gunicorn app:app
    healthCheckPath: /health
    envVars:
      - {key: PYTHON_VERSION, value: 3.9.1}
      - {key: MODE, value: x}
      - {key: SECRET_KEY, generateValue: true}
      - {key: DB, fromDatabase: {name: a}}
    disk: {mountPath: /var/data}
  - {type: worker, name: jobs, runtime: python, startCommand: celery -A app worker}
"""
    found = _read(tmp_path, {"render.yaml": text})
    assert [(process.name, process.text) for process in found.processes] == [
        ("web", "gunicorn app:app"),
        ("release", "python manage.py migrate"),
        ("jobs", "celery -A app worker"),
    ]
    assert (found.installs.python, found.health, found.settings[0].volumes) == ("3.9", "/health", ("/var/data",))
    assert found.settings[0].withheld == ("SECRET_KEY", "DB")


def test_reads_app_yaml_of_both_platforms(tmp_path: Path) -> None:
    found = _read(tmp_path, {"app.yaml": "runtime: python39\nentrypoint: gunicorn -b :$PORT app:app\nenv_variables: {A: 'b'}\n"})
    assert (found.processes[0].text, found.installs.python, found.settings[0].variables) == (
        "gunicorn -b :$PORT app:app",
        "3.9",
        {"A": "b"},
    )
    service = "name: web, run_command: gunicorn app:app, http_port: 8080"
    text = f"services: [{{{service}, envs: [{{key: K, value: v, type: SECRET}}, {{key: M, value: w}}]}}]"
    found = _read(tmp_path / "other", {".do/app.yaml": text})
    assert (found.processes[0].text, found.port, found.settings[0].variables) == ("gunicorn app:app", "8080", {"M": "w"})
    assert _read(tmp_path / "third", {"app.yaml": "apiVersion: v1\nkind: Deployment\n"}).processes == ()


@pytest.mark.parametrize("name", ["fly.toml", "render.yaml", "app.yaml", ".do/app.yaml"])
def test_a_malformed_file_says_nothing(tmp_path: Path, name: str) -> None:
    for text in ("[", "services: 5", "- a", "services: [[]]\nprocesses = 3", "\0", "runtime: python\nentrypoint: [a]"):
        assert _read(tmp_path, {name: text}).processes == ()


def test_a_platforms_command_starts_the_image(tmp_path: Path) -> None:
    command = "uvicorn app:api --host 0.0.0.0 --port $PORT"
    files = {
        "render.yaml": f"services: [{{type: web, runtime: python, startCommand: {command}}}]",
        "app.py": "api = 1\n",
    }
    launch = launched(tmp_path, files, "uvicorn")
    assert (launch.command, launch.ports) == (("uvicorn", "app:api", "--host", "0.0.0.0", "--port", "8000"), ("8000/tcp",))
    assert launch.reason == "render.yaml names it (line 1)."


@pytest.mark.parametrize("name", ["render.yaml", "railway.toml"])
def test_what_a_platform_runs_where_it_builds_makes_steps(tmp_path: Path, name: str) -> None:
    texts = {
        "render.yaml": "services: [{type: web, runtime: python, buildCommand: ./build.sh, startCommand: gunicorn app:app}]",
        "railway.toml": "[build]\nbuildCommand = './build.sh'\n[deploy]\nstartCommand = 'gunicorn app:app'\n",
    }
    script = "#!/bin/bash\nset -o errexit\npip install -r requirements.txt\nnpm ci\npython manage.py collectstatic --no-input\n"
    files = {name: texts[name], "build.sh": f"{script}python manage.py migrate\n", "app.py": "app = 1\n", "manage.py": "import django\n"}
    launch = launched(tmp_path, files, "gunicorn django")
    assert (launch.command[0], launch.before_start) == ("gunicorn", (("python", "manage.py", "migrate"),))
    assert [step.run for step in launch.steps] == [("python", "manage.py", "collectstatic", "--no-input")]
    assert launch.processes == ()


def test_of_several_web_services_the_first_starts_the_image(tmp_path: Path) -> None:
    services = ("worker, startCommand: celery -A tasks worker", "web, startCommand: gunicorn app:app", "web, startCommand: celery flower")
    lines = "\n".join(f"  - {{runtime: python, type: {service}}}" for service in services)
    files = {"render.yaml": f"services:\n{lines}\n", "app.py": "app = 1\n", "tasks.py": ""}
    assert launched(tmp_path, files, "gunicorn celery").command[0] == "gunicorn"


def test_a_platform_names_the_python(tmp_path: Path) -> None:
    written(tmp_path, {"app.yaml": "runtime: python311\nentrypoint: gunicorn app:app\n", "app.py": "", "requirements.txt": "gunicorn\n"})
    project = read_project(tmp_path)
    assert (project.python, project.python_reason) == ("3.11", "app.yaml, line 1, names it")


def test_reads_systemd_units(tmp_path: Path) -> None:
    unit = """
[Unit]
Description=x
[Service]
# ExecStart=/bin/false
WorkingDirectory=/opt/shop
Environment="MODE=fast" TOKEN=hidden
ExecStartPre=/opt/shop/venv/bin/python manage.py migrate
ExecStart=/opt/shop/venv/bin/gunicorn \\
    --pid /run/shop.pid --config /opt/shop/conf/g.py \\
    --bind 127.0.0.1:8001 app:app
[Install]
WantedBy=x
"""
    launch = launched(tmp_path, {"contrib/shop.service": unit, "app.py": "", "manage.py": "", "conf/g.py": ""}, "gunicorn")
    assert launch.command == ("gunicorn", "--pid", "/run/shop.pid", "--config", "conf/g.py", "--bind", "0.0.0.0:8001", "app:app")
    assert (launch.before_start, launch.ports) == ((("python", "manage.py", "migrate"),), ("8001/tcp",))
    assert launch.reason == "contrib/shop.service names it (line 9)."


def test_a_unit_of_another_machine_is_no_command(tmp_path: Path) -> None:
    unit = "[Service]\nExecStart=/usr/bin/gunicorn --config /etc/shop/gunicorn.py app:app\n"
    launch = launched(tmp_path, {"shop.service": unit, "app.py": "from flask import Flask\napp = Flask('x')\n"}, "gunicorn flask")
    assert launch.command == ("gunicorn", "--bind", "0.0.0.0:8000", "--threads", "8", "app:app")


BEANSTALK = "aws:elasticbeanstalk:application:environment"


@pytest.mark.parametrize(
    "options",
    [
        f"""
  {BEANSTALK}:
    DJANGO_SETTINGS_MODULE: shop.settings.aws
    SECRET_KEY: hidden
    PYTHONPATH: /opt/python/current/app:$PYTHONPATH
  aws:elasticbeanstalk:container:python:
    WSGIPath: shop/wsgi.py
""",
        f"""
  - option_name: DJANGO_SETTINGS_MODULE
    value: shop.settings.aws
  - namespace: {BEANSTALK}
    option_name: SECRET_KEY
    value: hidden
  - namespace: aws:elasticbeanstalk:container:python
    option_name: WSGIPath
    value: shop/wsgi.py
""",
    ],
)
def test_reads_the_environment_of_elastic_beanstalk(tmp_path: Path, options: str) -> None:
    files = {".ebextensions/01-packages.config": "packages: {yum: {git: []}}\n", ".ebextensions/02.config": f"option_settings:{options}"}
    (settings,) = (each for each in _read(tmp_path, files).settings if each.variables)
    assert (settings.variables, settings.withheld) == ({"DJANGO_SETTINGS_MODULE": "shop.settings.aws"}, ("SECRET_KEY",))
    assert settings.place == ".ebextensions/02.config, line 1"
