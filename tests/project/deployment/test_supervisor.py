"""What supervisord starts in a container: the app, and what production has elsewhere or in processes of its own."""

from pathlib import Path

import pytest
from support.project_tree import launched

FLASK = "from flask import Flask\napp = Flask(__name__)\n"
GUNICORN = "command=gunicorn --workers %(ENV_WORKERS)s --bind unix:/run/app.sock shop:app\n"
CONF = (
    "[supervisord]\nnodaemon=true\n[program:nginx]\ncommand=/usr/sbin/nginx -g 'daemon off;'\n"
    f'[program:app]\n{GUNICORN}directory=/srv ; the code\nenvironment=MODE="fast,er",WORKERS=2\n'
    "[program:jobs]\ncommand=celery -A shop worker\ndirectory=/srv\n[program:old]\ncommand=gone\nautostart=false\n"
)
DOCKERFILE = 'FROM python:3.13\nWORKDIR /srv\nCOPY . /srv\nEXPOSE 8000\nENTRYPOINT ["/srv/start.sh"]\n'
START = "#!/bin/sh\nflask db upgrade\nexec supervisord -n -c /srv/deploy/supervisord.conf\n"
FILES = {"shop.py": FLASK, "Dockerfile": DOCKERFILE, "start.sh": START, "deploy/supervisord.conf": CONF}


def test_starts_the_server_and_knows_the_worker(tmp_path: Path) -> None:
    launch = launched(tmp_path, {**FILES, "migrations/env.py": ""}, "flask gunicorn celery")
    assert launch.command == ("gunicorn", "--workers", "2", "--bind", "0.0.0.0:8000", "shop:app")
    assert (launch.ports, launch.before_start) == (("8000/tcp",), (("flask", "db", "upgrade"),))
    assert dict(launch.env)["MODE"] == "fast,er"
    assert dict(launch.processes)["jobs"] == ("celery", "-A", "shop", "worker")
    assert any("the process nginx cannot run in the image: nginx is not in the image" in note for note in launch.notes)


@pytest.mark.parametrize("target", ["/etc/supervisor/conf.d/", "/etc/supervisord.d/app.ini"])
def test_reads_the_directory_that_usual_configurations_include(tmp_path: Path, target: str) -> None:
    dockerfile = f'FROM python:3.13\nWORKDIR /srv\nCOPY . /srv\nCOPY deploy/app.conf {target}\nEXPOSE 8000\nCMD ["/usr/bin/supervisord"]\n'
    conf = f"[program:app]\n{GUNICORN}environment=WORKERS=2\ndirectory=/srv  #the project\n"
    files = {"shop.py": FLASK, "Dockerfile": dockerfile, "deploy/app.conf": conf}
    assert launched(tmp_path, files, "flask gunicorn").command == ("gunicorn", "--workers", "2", "--bind", "0.0.0.0:8000", "shop:app")


def test_takes_the_application_if_the_configuration_is_not_there_or_broken(tmp_path: Path) -> None:
    for number, conf in enumerate(("", "no section\n", "[program:x]\nautostart=true\n", "[program:nginx]\ncommand=nginx\n")):
        launch = launched(tmp_path / str(number), {**FILES, "deploy/supervisord.conf": conf}, "flask gunicorn")
        assert launch.command[0] == "gunicorn"
        assert "app:app" not in launch.command


def test_what_a_supervisor_runs_beside_the_server_is_no_step_before_it(tmp_path: Path) -> None:
    files = {
        "web.py": "from flask import Flask\napp = Flask(__name__)\n",
        "work.py": "",
        "tasks.conf": "[program:work]\ncommand=python work.py\n",
        "start.sh": '#!/bin/sh\npython prepare.py\nif [ "$TASKS" != off ]; then\n  supervisord -c tasks.conf\nfi\nexec gunicorn web:app\n',
        "prepare.py": "",
        "Dockerfile": 'FROM python:3.13\nWORKDIR /srv\nCOPY . .\nCMD ["./start.sh"]\n',
    }
    launch = launched(tmp_path, files, "flask gunicorn")
    assert launch.command[:1] == ("gunicorn",)
    assert launch.before_start == (("python", "prepare.py"),)


def test_the_script_of_the_server_has_its_own_steps(tmp_path: Path) -> None:
    conf = "[supervisord]\nnodaemon=true\n[program:app]\ncommand=/srv/run.sh\n[program:jobs]\ncommand=/srv/jobs.sh\n"
    scripts = {
        "run.sh": "#!/bin/sh\npython first.py\ngunicorn -b :8000 shop:app\n",
        "jobs.sh": "#!/bin/sh\npython other.py\ncelery -A shop worker\n",
    }
    files = {**FILES, **scripts, "deploy/supervisord.conf": conf, "migrations/env.py": "", "first.py": "", "other.py": ""}
    launch = launched(tmp_path, files, "flask gunicorn celery")
    assert launch.before_start == (("flask", "db", "upgrade"), ("python", "first.py"))
    assert dict(launch.processes)["jobs"] == ("celery", "-A", "shop", "worker")


def test_a_configuration_that_only_developers_mount_starts_nothing(tmp_path: Path) -> None:
    start = START.replace("/srv/deploy/", "/etc/supervisor/")
    launch = launched(tmp_path, {**FILES, "start.sh": start}, "flask gunicorn supervisor")
    assert launch.command[0] == "gunicorn"
