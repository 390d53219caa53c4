"""Further processes of a project."""

from pathlib import Path

import pytest
from support.project_tree import launched

from shipwheel.settings.settings import Settings, settings_from

FILES = {"app.py": "from flask import Flask\napp = Flask('x')\n", "jobs.py": "", "manage.py": ""}


def test_a_procfile_names_them(tmp_path: Path) -> None:
    procfile = "web: gunicorn -b :$PORT app:app\nworker: celery -A jobs worker\nclock: python clock.py\nrelease: python manage.py migrate\n"
    launch = launched(tmp_path, {**FILES, "Procfile": procfile}, "gunicorn celery flask")
    assert dict(launch.processes) == {
        "web": ("gunicorn", "-b", ":8000", "app:app"),
        "worker": ("celery", "-A", "jobs", "worker"),
        "release": ("python", "manage.py", "migrate"),
    }
    assert launch.before_start == (("python", "manage.py", "migrate"),)
    assert "Procfile, line 3: the process clock cannot run in the image" in "\n".join(launch.notes)


@pytest.mark.parametrize(("other", "says"), [("", True), ("clock: celery -A jobs beat\n", False)])
def test_what_a_worker_starts_in_the_background_is_a_process_or_said(tmp_path: Path, other: str, says: bool) -> None:
    procfile = f"web: gunicorn app:app\n{other}worker: celery -A jobs worker & celery -A jobs beat & wait -n\n"
    launch = launched(tmp_path, {**FILES, "Procfile": procfile}, "gunicorn celery flask")
    assert dict(launch.processes)["worker"] == ("celery", "-A", "jobs", "worker")
    assert ("`celery -A jobs beat`, which worker starts beside its own command, is not started" in "\n".join(launch.notes)) == says


def test_a_module_of_a_dependency_is_in_the_image(tmp_path: Path) -> None:
    procfile = "web: gunicorn app:app\nbeat: celery -A jobs beat --scheduler django_celery_beat.schedulers:DatabaseScheduler\n"
    launch = launched(tmp_path, {**FILES, "Procfile": procfile}, "gunicorn celery django-celery-beat")
    assert "beat" in dict(launch.processes)
    launch = launched(tmp_path, {**FILES, "Procfile": procfile}, "gunicorn celery")
    assert "the project has no module django_celery_beat.schedulers" in "\n".join(launch.notes)


def test_a_program_of_a_dependency_may_have_the_suffix_of_a_script(tmp_path: Path) -> None:
    procfile = "web: gunicorn app:app\nworker: huey_consumer.py jobs.huey -w 4\n"
    launch = launched(tmp_path, {**FILES, "Procfile": procfile}, "gunicorn huey")
    assert dict(launch.processes)["worker"] == ("huey_consumer.py", "jobs.huey", "-w", "4")


def test_a_program_may_be_of_what_a_dependency_requires_as_the_lock_says(tmp_path: Path) -> None:
    files = {**FILES, "Procfile": "web: gunicorn app:app\nrelease: python -m alembic upgrade head\n", "alembic.ini": ""}
    lock = {"uv.lock": 'version = 1\n\n[[package]]\nname = "alembic"\nversion = "1.16.0"\n'}
    assert "release" not in dict(launched(tmp_path / "a", files, "gunicorn alembic-enum").processes)
    launch = launched(tmp_path / "b", {**files, **lock}, "gunicorn alembic-enum")
    assert launch.before_start == (("python", "-m", "alembic", "upgrade", "head"),)


def test_what_a_person_starts_once_is_no_step_of_every_start(tmp_path: Path) -> None:
    procfile = "web: gunicorn -b :$PORT app:app\ninit: python manage.py recreate_db && python manage.py add_fake_data\n"
    launch = launched(tmp_path, {**FILES, "Procfile": procfile}, "gunicorn flask")
    assert launch.before_start == ()


def test_services_of_a_compose_file_are_processes_of_one_image(tmp_path: Path) -> None:
    compose = """
services:
  api: {build: ., ports: ["8000:8000"], command: "gunicorn -b 0.0.0.0:8000 app:app"}
  worker: {build: ., command: celery -A jobs worker}
"""
    files = {**FILES, "compose.yaml": compose, "Dockerfile": "FROM python\nCOPY . /code\nWORKDIR /code\n"}
    launch = launched(tmp_path, files, "gunicorn celery flask")
    assert dict(launch.processes) == {
        "web": ("gunicorn", "-b", "0.0.0.0:8000", "app:app"),
        "worker": ("celery", "-A", "jobs", "worker"),
    }


@pytest.mark.parametrize(
    ("waits", "migrate"),
    [
        ("depends_on: {migrate: {condition: service_completed_successfully}}, ", "python prepare.py"),
        ("", "alembic upgrade head"),
        ("", "sh -c 'sleep 3; alembic upgrade head'"),
    ],
)
def test_a_service_that_others_wait_for_to_end_runs_before_the_start(tmp_path: Path, waits: str, migrate: str) -> None:
    compose = f"""
services:
  migrate: {{build: ., command: {migrate}}}
  api: {{build: ., {waits}ports: ["8000:8000"], command: "gunicorn -b 0.0.0.0:8000 app:app"}}
  seed: {{build: ., command: python prepare.py all, restart: 'no', profiles: [tools]}}
"""
    dockerfile = "FROM python\nCOPY . /code\nWORKDIR /code\n"
    files = {**FILES, "compose.yaml": compose, "alembic.ini": "", "prepare.py": "", "Dockerfile": dockerfile}
    launch = launched(tmp_path, files, "gunicorn alembic flask")
    step = ("python", "prepare.py") if "prepare" in migrate else ("alembic", "upgrade", "head")
    assert launch.before_start == (step,)
    assert dict(launch.processes)["release"] == step
    assert dict(launch.processes).keys() - {"seed"} == {"web", "release"}


def test_a_service_that_runs_once_is_no_server_and_its_step_runs_once(tmp_path: Path) -> None:
    compose = """
services:
  migration: {build: ., image: app, command: ./manage.py migrate}
  web: {image: app, ports: ["8000:8000"], command: "./manage.py runserver 0.0.0.0:8000", depends_on: [migration, db]}
  db: {image: postgres}
"""
    procfile = "web: python manage.py migrate --noinput && gunicorn -b :$PORT app:app\n"
    dockerfile = "FROM python\nWORKDIR /code\nCOPY . .\n"
    files = {**FILES, "compose.yaml": compose, "Procfile": procfile, "Dockerfile": dockerfile, "manage.py": "#!/usr/bin/env python\n"}
    launch = launched(tmp_path, files, "gunicorn django flask")
    assert launch.before_start == (("python", "manage.py", "migrate", "--noinput"),)
    assert launch.companions == ("db (postgres)",)


@pytest.mark.parametrize(
    "command", ["pytest -q", "python manage.py shell", "./manage.py createsuperuser --noinput", "flask db migrate", "python prepare.py"]
)
def test_what_nothing_waits_for_does_not_hold_up_the_start(tmp_path: Path, command: str) -> None:
    compose = f"""
services:
  api: {{build: ., restart: always, ports: ["8000:8000"], command: "gunicorn -b 0.0.0.0:8000 app:app"}}
  once: {{build: ., restart: 'no', command: {command}}}
"""
    files = {
        **FILES,
        "compose.yaml": compose,
        "manage.py": "",
        "prepare.py": "",
        "Dockerfile": "FROM python\nCOPY . /code\nWORKDIR /code\n",
    }
    assert launched(tmp_path, files, "gunicorn django flask pytest").before_start == ()


def test_what_several_services_do_once_is_done_in_their_order(tmp_path: Path) -> None:
    once = "condition: service_completed_successfully"
    compose = f"""
services:
  api: {{build: ., depends_on: {{seed: {{{once}}}}}, ports: ["8000:8000"], command: "gunicorn -b 0.0.0.0:8000 app:app"}}
  migrate: {{build: ., command: alembic upgrade head}}
  seed: {{build: ., depends_on: {{migrate: {{{once}}}}}, command: python seed.py}}
"""
    files = {**FILES, "compose.yaml": compose, "alembic.ini": "", "seed.py": "", "Dockerfile": "FROM python\nCOPY . /code\nWORKDIR /code\n"}
    assert launched(tmp_path, files, "gunicorn alembic flask").before_start == (("alembic", "upgrade", "head"), ("python", "seed.py"))


def test_a_service_with_the_image_s_own_command_is_a_process_beside_the_web_server(tmp_path: Path) -> None:
    compose = """
services:
  bot: {build: ., volumes: [".:/code"]}
  api: {build: ., ports: ["8000:8000"], command: "gunicorn -b 0.0.0.0:8000 app:app"}
"""
    files = {**FILES, "compose.yaml": compose, "Dockerfile": "FROM python\nCOPY . /code\nWORKDIR /code\nCMD python jobs.py\n"}
    launch = launched(tmp_path, files, "gunicorn flask")
    assert dict(launch.processes) == {"web": ("gunicorn", "-b", "0.0.0.0:8000", "app:app"), "bot": ("python", "jobs.py")}


def test_what_works_beside_a_web_server_for_developing_is_not_the_web_server(tmp_path: Path) -> None:
    compose = """
services:
  web: {build: ., ports: ["8000:8000"], command: flask run --reload, volumes: [".:/code"]}
  dashboard: {build: ., ports: ["5556:5555"], command: celery -A jobs flower}
"""
    files = {**FILES, "compose.yaml": compose, "Dockerfile": "FROM python\nCOPY . /code\nWORKDIR /code\n"}
    launch = launched(tmp_path, files, "gunicorn celery flask")
    assert launch.command[-1] == "app:app"
    assert dict(launch.processes)["dashboard"] == ("celery", "-A", "jobs", "flower")


@pytest.mark.parametrize(
    ("service", "taken"),
    [
        ("jobs: {build: ., command: python shop/worker.py, volumes: ['.:/code']}", ("python", "shop/worker.py")),
        ("jobs: {build: ., command: python -m shop.mail_worker, volumes: ['.:/code']}", ("python", "-m", "shop.mail_worker")),
        ("mail-worker: {build: ., command: python -m shop.mail, volumes: ['.:/code']}", ("python", "-m", "shop.mail")),
        ("mail: {build: ., command: python -m shop.mail, volumes: ['.:/code']}", None),
        ("worker: {build: ., command: python -m shop.mail --reload, volumes: ['.:/code']}", None),
    ],
)
def test_a_worker_beside_a_server_for_developing_is_known_by_its_name_or_its_script(
    tmp_path: Path, service: str, taken: tuple[str, ...] | None
) -> None:
    compose = f"services:\n  web: {{build: ., ports: ['80:80'], command: flask run --reload, volumes: ['.:/code']}}\n  {service}\n"
    dockerfile = "FROM python\nCOPY . /code\nWORKDIR /code\nCMD gunicorn -b :8000 app:app\n"
    modules = dict.fromkeys(("shop/__init__.py", "shop/worker.py", "shop/mail_worker.py", "shop/mail.py"), "print()\n")
    launch = launched(tmp_path, {**FILES, **modules, "compose.yaml": compose, "Dockerfile": dockerfile}, "gunicorn flask")
    assert dict(launch.processes).get(service.partition(":")[0]) == taken


def test_a_directory_without_code_that_is_mounted_is_no_sign_of_developing(tmp_path: Path) -> None:
    compose = 'services: {bot: {build: ., command: python bot/bot.py, volumes: ["./config:/code/config"]}}\n'
    files = {"bot/__init__.py": "", "bot/bot.py": "import store\nstore.run()\n", "bot/store.py": "", "config/bot.yml": ""}
    files |= {"compose.yaml": compose, "Dockerfile": "FROM python\nCOPY . /code\nWORKDIR /code\nCMD bash\n"}
    launch = launched(tmp_path, files)
    assert (launch.command, launch.declared_at) == (("python", "bot/bot.py"), "compose.yaml, line 1")


def test_settings_come_first(tmp_path: Path) -> None:
    settings = settings_from({"processes": {"worker": "rq worker 'a b'", "web": ["gunicorn", "app:app"]}}, "x")
    launch = launched(tmp_path, {**FILES, "Procfile": "worker: celery -A jobs worker\n"}, "gunicorn celery", settings)
    assert dict(launch.processes) == {"web": ("gunicorn", "app:app"), "worker": ("rq", "worker", "a b")}
    assert launch.command == ("gunicorn", "app:app")


def test_an_image_with_one_command_has_none(tmp_path: Path) -> None:
    assert launched(tmp_path, FILES, "gunicorn flask", Settings()).processes == ()


def test_a_server_that_the_project_does_not_require_is_no_process(tmp_path: Path) -> None:
    unit = "[Service]\nExecStart=/srv/venv/bin/gunicorn -b 0.0.0.0:8000 app:app\n"
    procfile = "web: waitress-serve --listen=*:$PORT app:app\nother: daphne app:app\n"
    launch = launched(tmp_path, {**FILES, "Procfile": procfile, "shop.service": unit}, "waitress flask")
    assert launch.processes == ()
    assert "the process other cannot run in the image: the project does not require daphne" in "\n".join(launch.notes)


def test_what_an_entry_script_makes_of_the_containers_variables_is_to_be_given(tmp_path: Path) -> None:
    dockerfile = 'FROM python\nWORKDIR /app\nCOPY . .\nCOPY entry.sh start.sh work.sh /\nENTRYPOINT ["/entry.sh"]\n'
    entry = '#!/bin/bash\nexport DATABASE_URL="postgres://$DB_USER:$DB_PASSWORD@$DB_HOST/x"\npython << END\nimport x\nEND\nexec "$@"\n'
    services = "services: {web: {build: ., command: /start.sh, ports: [80]}, work: {build: ., command: /work.sh}}"
    files = {"Dockerfile": dockerfile, "entry.sh": entry, "production.yml": services, "app.py": ""}
    scripts = {"start.sh": "#!/bin/sh\nexec gunicorn -b 0.0.0.0:8000 app:app\n", "work.sh": "#!/bin/sh\ncelery -A app worker\n"}
    launch = launched(tmp_path, {**files, **scripts}, "gunicorn celery flask")
    assert launch.command == ("gunicorn", "-b", "0.0.0.0:8000", "app:app")
    assert ("DATABASE_URL" in launch.env, dict(launch.processes)["work"]) == (False, ("celery", "-A", "app", "worker"))
    assert [note.partition(":")[0] for note in launch.notes if "DATABASE_URL" in note] == ["production.yml, line 1"]


OWN_IMAGES = """
services:
  web: {build: ., ports: ["8000:8000"]}
  poller: {build: {context: ., dockerfile: poll.Dockerfile}}
  sender: {build: {context: ., dockerfile: poll.Dockerfile}, command: celery -A app worker}
  notebook: {build: {context: ., dockerfile: notebook.Dockerfile}}
  try-test: {build: {context: ., dockerfile: poll.Dockerfile}}
"""


def test_a_process_may_have_a_dockerfile_of_its_own(tmp_path: Path) -> None:
    image = "FROM python\nWORKDIR /app\nCOPY . .\nCMD "
    files = {
        "Dockerfile": f"{image}gunicorn -b :8000 app:app\n",
        "poll.Dockerfile": f'{image}["python", "-m", "poll"]\n',
        "notebook.Dockerfile": f"{image}jupyter notebook\n",
        "docker/beat/Dockerfile": f"{image}celery -A app beat\n",
        "Dockerfile.dev": f"{image}celery -A app worker\n",
        "docker/local/worker/Dockerfile": f"{image}celery -A app worker\n",
        "app.py": "",
        "poll.py": "",
    }
    launch = launched(tmp_path, {**files, "compose.yaml": OWN_IMAGES}, "gunicorn celery")
    assert {name: " ".join(words) for name, words in launch.processes} == {
        "poller": "python -m poll",
        "sender": "celery -A app worker",
        "web": "gunicorn -b :8000 app:app",
    }
    assert [note for note in launch.notes if "notebook cannot run in the image: jupyter is not in the image" in note]
    (tmp_path / "compose.yaml").unlink()
    assert dict(launched(tmp_path, files, "gunicorn celery").processes).keys() == {"beat", "web"}


def test_a_base_image_runs_the_projects_script_before_the_start(tmp_path: Path) -> None:
    files = {
        "Dockerfile": "FROM tiangolo/uvicorn-gunicorn-fastapi:python3.9\nCOPY . /app\n",
        "prestart.sh": "#! /usr/bin/env bash\nsleep 10\nalembic upgrade head\n",
        "alembic.ini": "",
        "app/main.py": "from fastapi import FastAPI\napp = FastAPI()\n",
    }
    launch = launched(tmp_path, files, "fastapi uvicorn alembic")
    assert (launch.command[-1], launch.before_start) == ("app.main:app", (("alembic", "upgrade", "head"),))


def test_a_proxy_after_the_server_is_not_the_command(tmp_path: Path) -> None:
    files = {
        "Dockerfile": "FROM python\nCOPY . /app\nWORKDIR /app\nCMD export PATH=/v PYTHONPATH=/l; uvicorn app:app & exec nginx\n",
        "app.py": "",
    }
    launch = launched(tmp_path, files, "uvicorn")
    assert (launch.command[0], launch.env) == ("uvicorn", {"PYTHONPATH": "/l"})


def test_a_script_that_listens_nowhere_runs_beside_a_server_for_developing(tmp_path: Path) -> None:
    queue = "queue: {build: ., command: sh /queue.sh, volumes: ['.:/app']}"
    services = f"services: {{web: {{build: ., command: flask run --reload, ports: [80]}}, {queue}}}"
    dockerfile = "FROM python\nWORKDIR /app\nCOPY . .\nCOPY queue.sh /\nCMD gunicorn -b :8000 app:app\n"
    files = {"Dockerfile": dockerfile, "queue.sh": "celery -A app worker\n", "compose.yaml": services, "app.py": ""}
    assert dict(launched(tmp_path, files, "gunicorn celery").processes)["queue"] == ("celery", "-A", "app", "worker")


@pytest.mark.parametrize(
    ("command", "script"),
    [
        ("sh /demo.sh", "flask seed\nflask shell\n"),
        ("sh /demo.sh", "gunicorn -b :8000 app:app\n"),
        ("./wait-for-it.sh db:1 -- ./manage.py import_demo", ""),
    ],
)
def test_a_script_for_developing_that_no_worker_runs_gives_the_image_nothing(tmp_path: Path, command: str, script: str) -> None:
    other = f"demo: {{build: ., command: {command}, volumes: ['.:/app']}}"
    services = f"services: {{web: {{build: ., command: flask run --reload, ports: [80]}}, {other}}}"
    dockerfile = "FROM python\nWORKDIR /app\nCOPY . .\nCOPY demo.sh /\nCMD gunicorn -b :8000 app:app\n"
    files = {"Dockerfile": dockerfile, "demo.sh": script, "compose.yaml": services, "app.py": "", "manage.py": ""}
    launch = launched(tmp_path, files, "flask gunicorn")
    assert ([*launch.processes], launch.before_start) == ([], ())


def test_a_page_about_workers_that_a_script_starts_is_not_the_web_server(tmp_path: Path) -> None:
    compose = """
services:
  shop.api: {build: ., command: ./serve.sh, ports: ["8000:8000"], volumes: [".:/code"]}
  shop.pages: {build: ., command: ./pages.sh, ports: ["5555:5555"]}
"""
    scripts = {"serve.sh": "alembic upgrade head\ngunicorn -b :8000 app:app\n", "pages.sh": "celery -A jobs flower --port=5555\n"}
    dockerfile = 'FROM python\nWORKDIR /code\nCOPY . .\nCMD ["./serve.sh"]\n'
    files = {**FILES, **scripts, "compose.yaml": compose, "Dockerfile": dockerfile, "alembic.ini": ""}
    launch = launched(tmp_path, files, "gunicorn alembic celery flower")
    assert (launch.command, launch.before_start) == (("gunicorn", "-b", ":8000", "app:app"), (("alembic", "upgrade", "head"),))
    assert dict(launch.processes)["shop.pages"] == ("celery", "-A", "jobs", "flower", "--port=5555")


@pytest.mark.parametrize("step", ["alembic revision --autogenerate", "flask db migrate", "flask db init"])
def test_what_writes_migrations_is_no_start_step(tmp_path: Path, step: str) -> None:
    dockerfile = f"FROM python\nWORKDIR /code\nCOPY . .\nCMD {step} && alembic upgrade head && gunicorn -b :8000 app:app\n"
    files = {**FILES, "Dockerfile": dockerfile, "alembic.ini": ""}
    assert launched(tmp_path, files, "gunicorn alembic flask").before_start == (("alembic", "upgrade", "head"),)


@pytest.mark.parametrize(
    ("line", "steps"),
    [
        ("ASK='import shop; exit(shop.has_users())'\npython -c \"$ASK\" && python first.py", ()),
        ("python -c 'import sys; sys.exit(0)' && python first.py", ()),
        ("if python ask.py; then python first.py; fi", ()),
        ("if ! python manage.py migrate; then exit 1; fi", (("python", "manage.py", "migrate"),)),
        ("if ! python first.py; then echo no; exit 1; fi", (("python", "first.py"),)),
        ("python ask.py && python first.py", (("python", "ask.py"), ("python", "first.py"))),
        ("until python ask.py; do sleep 1; done", (("python", "ask.py"),)),
    ],
)
def test_what_only_asks_is_no_start_step(tmp_path: Path, line: str, steps: tuple[tuple[str, ...], ...]) -> None:
    script = f"#!/bin/sh\n{line}\nexec gunicorn -b :8000 app:app\n"
    dockerfile = 'FROM python\nWORKDIR /code\nCOPY . .\nCMD ["./start.sh"]\n'
    files = {**FILES, "Dockerfile": dockerfile, "start.sh": script, "ask.py": "", "first.py": "", "manage.py": ""}
    assert launched(tmp_path, files, "gunicorn").before_start == steps


@pytest.mark.parametrize("end", ["", "\n# the end"])
def test_a_script_that_ends_with_its_server_starts_that_whatever_it_asks_before(tmp_path: Path, end: str) -> None:
    line = f"python -c 'import socket, sys; sys.exit(0)' && gunicorn -b :8000 -w 3 app:app{end}\n"
    files = {**FILES, "Dockerfile": 'FROM python\nWORKDIR /code\nCOPY . .\nCMD ["./start.sh"]\n', "start.sh": f"#!/bin/sh\n{line}"}
    launch = launched(tmp_path, files, "gunicorn")
    assert (launch.command, launch.before_start) == (("gunicorn", "-b", ":8000", "-w", "3", "app:app"), ())


@pytest.mark.parametrize(("dependencies", "is_process"), [("fastapi uvicorn", False), ("fastapi uvicorn streamlit", True)])
def test_a_page_whose_own_image_has_its_server_is_no_process_without_that(tmp_path: Path, dependencies: str, is_process: bool) -> None:
    compose = "services:\n  api: {build: ., ports: ['8000:8000'], command: uvicorn main:app}\n"
    compose += "  page: {build: {context: ., dockerfile: page/Dockerfile}, ports: ['8501:8501']}\n"
    files = {
        "main.py": "from fastapi import FastAPI\napp = FastAPI()\n",
        "page/run.py": 'if __name__ == "__main__":\n    import streamlit.web.cli\n    streamlit.web.cli.main()\n',
        "Dockerfile": "FROM python\nWORKDIR /app\nCOPY . .\nCMD uvicorn main:app\n",
        "page/Dockerfile": "FROM python\nWORKDIR /app\nRUN pip install streamlit\nCOPY . .\nCMD python page/run.py\n",
        "compose.yaml": compose,
    }
    launch = launched(tmp_path, files, dependencies)
    assert ("page" in dict(launch.processes)) is is_process
    assert ("it imports streamlit, which the project does not require" in "".join(launch.notes)) is not is_process
