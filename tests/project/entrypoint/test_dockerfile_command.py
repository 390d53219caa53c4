"""The command in a Dockerfile, if our image can run it."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from support.project_tree import launched

from shipwheel.project.deployment.process import DeploymentFile
from shipwheel.project.entrypoint.declared import own_command_finder
from shipwheel.project.entrypoint.evidence import Evidence
from shipwheel.project.entrypoint.find import find_launch
from shipwheel.project.entrypoint.launch import Launch
from shipwheel.project.entrypoint.scan import Scanner
from shipwheel.settings.settings import Settings


def _evidence(root: Path, dockerfile: str, dependencies: str = "gunicorn uvicorn", **more: object) -> Evidence:
    for name, text in {"Dockerfile": dockerfile, "bot/__init__.py": "", "bot/core.py": "", "run_it.py": ""}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return Evidence(root, "demo", "app", dependencies=frozenset(dependencies.split()), **more)  # type: ignore[arg-type]


def _command(evidence: Evidence) -> Launch | None:
    return own_command_finder(DeploymentFile.DOCKERFILE)(evidence, Scanner(evidence.root).scan_project())


TAKEN = {
    'CMD ["python", "-m", "bot.core"]': ("python", "-m", "bot.core"),
    'CMD ["python3.11", "-u", "run_it.py", "--fast"]': ("python", "-u", "run_it.py", "--fast"),
    "CMD python run_it.py": ("python", "run_it.py"),
    'ENTRYPOINT ["python"]\nCMD ["run_it.py"]': ("python", "run_it.py"),
    'CMD ["run_it.py"]\nENTRYPOINT ["python"]': ("python", "run_it.py"),
    'ENV ZONE=UTC\nCMD ["python", "run_it.py", "--zone", "${ZONE}", "--at=$ZONE/$OTHER"]': (
        *("python", "run_it.py", "--zone", "UTC", "--at=UTC/$OTHER"),
    ),
    'CMD ["sh", "-c", "exec gunicorn -b 0.0.0.0:$PORT bot.core:make"]': ("gunicorn", "-b", "0.0.0.0:8080", "bot.core:make"),
    "ENV WORKERS=3\nCMD gunicorn -b :8080 \\\n  # how many\n  -w ${WORKERS} bot.core:x": (
        *("gunicorn", "-b", ":8080", "-w", "3", "bot.core:x"),
    ),
    'ENTRYPOINT ["tini", "--"]\nCMD ["uv", "run", "uvicorn", "--host=::", "--port=8080", "bot.core:app"]': (
        *("uvicorn", "--host=::", "--port=8080", "bot.core:app"),
    ),
    "CMD uvicorn bot.core:app --reload --host :: --reload-dir bot --port 8080": (
        *("uvicorn", "bot.core:app", "--host", "::", "--port", "8080"),
    ),
    "CMD python -um uvicorn --reload --host :: --port=8080 bot.core:app": (
        *("python", "-um", "uvicorn", "--host", "::", "--port=8080", "bot.core:app"),
    ),
    "CMD gunicorn -c python:bot.core -b :8080 'bot.core:make()'": ("gunicorn", "-c", "python:bot.core", "-b", ":8080", "bot.core:make()"),
    "CMD gunicorn -b :8080 --access-logfile /log/a --error-logfile=logs/e.log --log-file /dev/stdout bot.core:x": (
        *("gunicorn", "-b", ":8080", "--access-logfile", "-", "--error-logfile=-", "--log-file", "/dev/stdout", "bot.core:x"),
    ),
    'CMD [".venv/bin/uvicorn", "bot.core:app", "--host=::", "--port=8080"]': ("uvicorn", "bot.core:app", "--host=::", "--port=8080"),
    "CMD ./env/bin/python3 run_it.py": ("python", "run_it.py"),
    "CMD python run_it.py --debug true": ("python", "run_it.py"),
    "ARG WORD=x\nCMD python run_it.py $WORD": ("python", "run_it.py"),
    "CMD python missing.py && python run_it.py": ("python", "run_it.py"),
    'CMD ["poetry", "run", "python", "run_it.py"]': ("python", "run_it.py"),
    'CMD ["nothing"]\nFROM x\nEXPOSE 8080/tcp\nENTRYPOINT python -m bot.core': ("python", "-m", "bot.core"),
    'CMD ["demo-start", "--all"]': ("demo-start", "--all"),
}


@pytest.mark.parametrize(
    "command",
    [
        "cd bot && python core.py serve --all",
        "python bot/core.py serve --all",
        "python -m bot.core serve --all",
        "/venv/bin/python /venv/bin/bot serve --all",
    ],
)
def test_runs_a_file_of_an_installed_package_as_its_console_script(tmp_path: Path, command: str) -> None:
    evidence = _evidence(tmp_path, f"FROM python:3.11\nWORKDIR /app\nCOPY . .\nCMD {command}\n", scripts={"bot": "bot.core:main"})
    launch = find_launch(replace(evidence, kind="package", packaged=frozenset({"bot"})))
    assert (launch.command, launch.directory) == (("bot", "serve", "--all"), "")


@pytest.mark.parametrize(
    ("script", "command"),
    [
        ("gunicorn -b :9000 bot.core:app &\npython run_it.py &\nwait -n\nexit $?\n", ("gunicorn", "-b", ":9000", "bot.core:app")),
        ("mkdir -p /x\npython run_it.py &\ngunicorn -b :9000 bot.core:app &\nwait\n", ("gunicorn", "-b", ":9000", "bot.core:app")),
        ("python run_it.py 1\npython run_it.py 2 &\npython run_it.py 3 &\nwait\n", ("python", "run_it.py", "3")),
        ("python run_it.py &\ngunicorn -b :9000 bot.core:app\n", ("gunicorn", "-b", ":9000", "bot.core:app")),
        ("gunicorn -b :9000 bot.core:app\npython run_it.py &\n", ("gunicorn", "-b", ":9000", "bot.core:app")),
    ],
)
def test_a_script_that_waits_for_its_programs_starts_its_server(tmp_path: Path, script: str, command: tuple[str, ...]) -> None:
    evidence = _evidence(tmp_path, 'FROM python:3.11\nWORKDIR /app\nCOPY . .\nCMD ["sh", "start.sh"]\n')
    (tmp_path / "start.sh").write_text(script)
    launch = _command(evidence)
    assert launch is not None and launch.command == command
    assert any("python run_it.py" in note and "beside" in note for note in launch.notes)


def test_names_the_program_beside_a_server_that_comes_first(tmp_path: Path) -> None:
    evidence = _evidence(tmp_path, 'FROM python:3.11\nWORKDIR /app\nCOPY . .\nCMD ["sh", "start.sh"]\n', "flask gunicorn")
    (tmp_path / "app.py").write_text("from flask import Flask\napp = Flask(__name__)\n")
    (tmp_path / "start.sh").write_text("gunicorn app:app & python run_it.py\n")
    launch = find_launch(evidence)
    assert launch.command[0] == "gunicorn"
    assert [note for note in launch.notes if "python run_it.py" in note and "[tool.shipwheel.processes]" in note]


@pytest.mark.parametrize("lines", TAKEN)
def test_takes_a_command_that_the_image_has(tmp_path: Path, lines: str) -> None:
    evidence = _evidence(tmp_path, f"FROM python:3.11\nEXPOSE 8080\n{lines}\n", scripts={"demo-start": "demo:start"})
    launch = find_launch(evidence) if "demo-start" not in lines else _command(evidence)
    assert launch is not None
    assert (launch.command, launch.ports) == (TAKEN[lines], ("8080/tcp",))


@pytest.mark.parametrize(
    "lines",
    [
        "",
        'ENTRYPOINT ["./boot.sh"]',
        'CMD ["sh", "-c", "a; b"]',
        "CMD python manage.py runserver 0.0.0.0:8000",
        "CMD flask run",
        'CMD ["python", "-m", "flask", "run"]',
        'CMD ["uvicorn", "other.module:app"]',
        'CMD ["python", "missing.py"]',
        'CMD ["nginx"]',
        'CMD ["celery", "worker"]',
        "CMD python $UNSET",
        "CMD [broken",
        'CMD ["python"]',
        'CMD ["python", 1]',
        "CMD " + "[" * 100_000,
        "CMD python -m .",
        'CMD ["python", "-m", ""]',
        "CMD python -m bot",
        'CMD ["gunicorn", "..:app"]',
        f'CMD ["python", "{"x" * 300}.py"]',
        f'CMD ["python", "-m", "{"x" * 300}"]',
        'CMD ["python", "run_it.py", "\\u0000"]',
        'CMD ["python", "run_it.py", "\\ud800"]',
        'CMD ["", "run_it.py"]',
        f'CMD ["python", "{__file__}"]',
        'COPY . /code\nWORKDIR /elsewhere\nCMD ["python", "run_it.py"]',
        "COPY . /code\nWORKDIR /code/bot\nCMD python -m bot.core",
        "WORKDIR /app\nCMD python /elsewhere/run_it.py",
        f"CMD python run_it.py {'x' * 10_000}",
    ],
)
def test_ignores_a_command_that_the_image_cannot_run(tmp_path: Path, lines: str) -> None:
    assert _command(_evidence(tmp_path, f"FROM python\n{lines}\n")) is None


@pytest.mark.parametrize(
    "lines",
    [
        "ENV TOKEN=hidden\nCMD python run_it.py --token $TOKEN",
        "ENV TOKEN=hidden\nENV OTHER=x$TOKEN\nCMD python run_it.py $OTHER",
        "ENV URL=redis://user:hidden@host\nCMD python run_it.py $URL",
        "CMD python run_it.py ${API_KEY:-hidden}",
        "CMD API_KEY=hidden python run_it.py",
        "CMD URL=redis://user:hidden@host python run_it.py",
        'CMD ["python", "run_it.py", "redis://:hidden@host"]',
    ],
)
def test_ignores_a_command_with_a_secret(tmp_path: Path, lines: str) -> None:
    assert _command(_evidence(tmp_path, f"FROM python\n{lines}\n")) is None


OWN_SERVERS = {
    "import waitress\nfrom app import app\nwaitress.serve(app)\n": True,
    "print('a job')\n": True,
    "from app import app\nfrom engine import Engine\nEngine(app).start()\n": True,
    "from app import app\napp.run()\n": False,
    "from app import app\n": False,
    "if __name__ == '__main__':\n    from app import app\n    app.run()\n": False,
    "from flask_socketio import SocketIO\nfrom app import app\nSocketIO(app).run(app)\n": False,
}


@pytest.mark.parametrize("text", OWN_SERVERS)
def test_prefers_a_file_only_if_it_serves_by_itself(tmp_path: Path, text: str) -> None:
    evidence = _evidence(tmp_path, 'FROM python\nCMD ["python", "run_it.py"]\n', "flask flask-socketio")
    (tmp_path / "app.py").write_text("from flask import Flask\napp = Flask('x')\n")
    (tmp_path / "run_it.py").write_text(text)
    assert (find_launch(evidence).command == ("python", "run_it.py")) is OWN_SERVERS[text]


def test_prefers_a_packages_web_application_to_a_command_that_runs_its_file(tmp_path: Path) -> None:
    evidence = _evidence(tmp_path, 'FROM python\nENTRYPOINT ["python", "app.py"]\n', "flask")
    (tmp_path / "app.py").write_text("from flask import Flask\napp = Flask('x')\n")
    assert find_launch(replace(evidence, kind="package")).command == ("gunicorn", "--bind", "0.0.0.0:8000", "--threads", "8", "app:app")


def test_takes_the_port_from_the_file_that_the_command_runs(tmp_path: Path) -> None:
    evidence = _evidence(tmp_path, 'FROM python\nENTRYPOINT ["python", "serve_it.py"]\n', "")
    (tmp_path / "serve_it.py").write_text("from http.server import HTTPServer, X\nHTTPServer(('', 8001), X)\n")
    launch = find_launch(evidence)
    assert (launch.command, launch.ports, launch.is_program) == (("python", "serve_it.py"), ("8001/tcp",), False)


READ = {
    "CMD python run_it.py\r\nHEALTHCHECK --interval=5s \\\r\n  CMD python -m bot.core\r\n": ("python", "run_it.py"),
    "CMD gunicorn \\\r\n -b :8080 bot.core:x\r\n": ("gunicorn", "-b", ":8080", "bot.core:x"),
    "RUN python - <<EOF\nFROM x\nCMD nothing\nEOF\nCMD python run_it.py": ("python", "run_it.py"),
    "CMD python run_it.py\nCOPY <<-'END' /x\nCMD python -m bot.core\n\tEND\n": ("python", "run_it.py"),
    "WORKDIR /app\nCOPY . .\nCMD python /app/run_it.py": ("python", "run_it.py"),
    'COPY . /srv/code\nCMD ["python", "/srv/code/bot/core.py", "--data", "/data"]': ("python", "bot/core.py", "--data", "/data"),
    'ENTRYPOINT ["other"]\nENTRYPOINT []\nCMD ["python", "run_it.py"]': ("python", "run_it.py"),
    'WORKDIR /\nCMD ["uvicorn", "bot.core:app", "--host=::", "--root-path", "/"]': (
        *("uvicorn", "bot.core:app", "--host=::", "--root-path", "/"),
    ),
    "ENV HERE=/app\nWORKDIR $HERE\nCMD gunicorn -b :8080 --chdir $HERE bot.core:app": (
        *("gunicorn", "-b", ":8080", "--chdir", ".", "bot.core:app"),
    ),
    'CMD ["python", \\\n  # "-u", \\\n\n  # quickly\n  "run_it.py"]\nEXPOSE 80\n': ("python", "run_it.py"),
    'CMD [ \\\r\n  # it\r\n  "python", "run_it.py"]\r\n': ("python", "run_it.py"),
    "ENV A=1\nENV B=$A\nCMD python run_it.py $B": ("python", "run_it.py", "1"),
    "ENV A=1\nCMD python run_it.py $A $OWN": ("python", "run_it.py", "1", "mine"),
}


@pytest.mark.parametrize("lines", READ)
def test_reads_instructions_as_docker_does(tmp_path: Path, lines: str) -> None:
    evidence = _evidence(tmp_path, "", settings=Settings(env={"OWN": "mine"}))
    (tmp_path / "Dockerfile").write_bytes(b"# caf\xe9\nFROM python\n" + lines.encode())
    launch = _command(evidence)
    assert launch is not None
    assert (launch.command, launch.is_program) == (READ[lines], False)


def test_an_empty_list_is_no_command_line(tmp_path: Path) -> None:
    launch = _command(_evidence(tmp_path, 'FROM x\nENTRYPOINT ["python", "run_it.py"]\nCMD [ ]\n'))
    assert launch is not None and (launch.command, launch.arguments) == (("python", "run_it.py"), ())


def test_arguments_after_an_entrypoint_are_replaceable(tmp_path: Path) -> None:
    launch = _command(_evidence(tmp_path, 'FROM x\nENTRYPOINT ["tini", "--", "python", "run_it.py"]\nCMD ["--help"]\n'))
    assert launch is not None
    assert (launch.command, launch.is_program, launch.arguments) == (("python", "run_it.py"), True, ("--help",))


def test_starts_in_the_working_directory_of_the_dockerfile(tmp_path: Path) -> None:
    launch = _command(_evidence(tmp_path, "FROM x\nARG DIR=/code\nCOPY . $DIR/\nWORKDIR ${DIR}/bot\nCMD python core.py\n"))
    assert launch is not None
    assert (launch.command, launch.directory) == (("python", "core.py"), "bot")


def test_a_server_is_not_a_command_line_program(tmp_path: Path) -> None:
    launch = _command(_evidence(tmp_path, 'FROM x\nENTRYPOINT ["gunicorn", "-b", "0.0.0.0:8001", "bot.core:a"]\n'))
    assert launch is not None
    assert (launch.is_program, launch.ports) == (False, ("8001/tcp",))


def test_keeps_the_environment_without_secrets_and_paths(tmp_path: Path) -> None:
    lines = (
        "FROM x\nENV PATH=/x PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 MODE=fast SITE=http://h/p DB=sqlite:////data/x DIR=/data\n"
        "ENV API_TOKEN=hidden\nENV TOKENIZERS_PARALLELISM false\nARG WHAT=1\nCMD python run_it.py\n"
    )
    launch = find_launch(_evidence(tmp_path, lines))
    assert launch.env == {"MODE": "fast", "SITE": "http://h/p", "TOKENIZERS_PARALLELISM": "false"}
    assert "API_TOKEN" in launch.notes[0] and "hidden" not in repr(launch)


def test_reads_a_long_line_quickly(tmp_path: Path) -> None:
    for line in ("ENV " + "a" * 500_000, "CMD " + '"' * 500_000, "ENV A=$B\n" * 10_000, "RUN " + "<<A " * 100_000):
        assert _command(_evidence(tmp_path, f"FROM x\n{line}\n")) is None


_WORDS = st.sampled_from(
    "FROM CMD ENTRYPOINT ENV ARG COPY WORKDIR EXPOSE RUN # escape=` python -m -u . .. / /app run_it.py bot.core gunicorn bot.core:a -b"
    " $A ${A:-b} A=1 A= \\ \n \r\n <<EOF EOF [ ] \" ' , \0 \ud800 \u0668 99999 x".replace("\n", "\v")
    .replace("\r", "\f")
    .split(" ")
)
_TEXTS = st.text() | st.lists(_WORDS, max_size=30).map(lambda it: "FROM x\n" + " ".join(it).replace("\v", "\n").replace("\f", "\r"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_TEXTS.map(lambda it: it.encode("utf-8", "surrogatepass")) | st.binary())
def test_any_file_can_be_parsed(tmp_path: Path, data: bytes) -> None:
    evidence = _evidence(tmp_path, "")
    (tmp_path / "Dockerfile").write_bytes(data)
    _command(evidence)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entry=st.lists(st.text() | _WORDS, max_size=6), command=st.lists(st.text() | _WORDS, max_size=6))
def test_any_words_can_be_a_command(tmp_path: Path, entry: list[str], command: list[str]) -> None:
    _command(_evidence(tmp_path, f"FROM x\nWORKDIR /app\nENTRYPOINT {json.dumps(entry)}\nCMD {json.dumps(command)}\n"))


@pytest.mark.parametrize(
    "lines",
    [
        'COPY docker/start.sh /usr/local/bin/start-app\nENTRYPOINT ["start-app", "gunicorn", "app:app"]',
        'ENV PATH /code/docker:$PATH\nENTRYPOINT ["start.sh"]\nCMD ["gunicorn", "app:app"]',
        'ENV PATH="/venv/bin:${PATH}"\nCOPY docker/start.sh /bin/start\nCMD start gunicorn app:app',
    ],
)
def test_a_script_is_found_by_the_search_path(tmp_path: Path, lines: str) -> None:
    files = {
        "Dockerfile": f"FROM python\nCOPY . /code\nWORKDIR /code\n{lines}\n",
        "docker/start.sh": '#!/bin/sh\nflask db upgrade\nexec "$@"\n',
        "migrations/env.py": "",
        "app.py": "from flask import Flask\napp = Flask(__name__)\n",
    }
    launch = launched(tmp_path, files, "flask gunicorn")
    assert launch.before_start == (("flask", "db", "upgrade"),)
    assert launch.declared_at
    assert "PATH" not in launch.env


def test_what_empties_the_database_is_no_start_step(tmp_path: Path) -> None:
    files = {
        "Dockerfile": 'FROM python\nCOPY . /code\nWORKDIR /code\nENTRYPOINT ["/code/start.sh"]\nCMD ["gunicorn", "app:app"]\n',
        "start.sh": '#!/bin/sh\nflask drop-db\npython manage.py flush --no-input\nflask cache clear\nflask db upgrade\nexec "$@"\n',
        "migrations/env.py": "",
        "manage.py": "",
        "app.py": "from flask import Flask\napp = Flask(__name__)\n",
    }
    launch = launched(tmp_path, files, "flask gunicorn")
    assert launch.before_start == (("flask", "cache", "clear"), ("flask", "db", "upgrade"))
    assert "`python manage.py flush --no-input` is not a start step: it empties the database." in " ".join(launch.notes)


@pytest.mark.parametrize(
    ("own", "command", "named"),
    [
        ("requirements.txt", "", True),
        ("pyproject.toml", "", True),
        ("notes.txt", "", False),
        ("requirements.txt", 'CMD ["uvicorn", "main:app"]\n', False),
    ],
)
def test_names_the_directory_that_a_dockerfile_is_for(tmp_path: Path, own: str, command: str, named: bool) -> None:
    files = {
        "compose.yaml": "services:\n  web:\n    build: ./backend\n    command: flask run\n",
        "backend/main.py": "from fastapi import FastAPI\napp = FastAPI()\n",
        f"backend/{own}": "",
        "backend/Dockerfile": f"FROM python:3.13\nWORKDIR /code\nCOPY . .\n{command}",
    }
    notes = launched(tmp_path, files, "fastapi uvicorn").notes
    assert any(note.endswith("build that directory: `shipwheel build backend`.") for note in notes) == named


@pytest.mark.parametrize(
    ("source", "command", "directory"),
    [
        ("from flask import Flask\napp = Flask(__name__)\nopen('data.txt')\n", "app:app", "site"),
        ("from flask import Flask\nimport models\napp = Flask(__name__)\n", "app:app", "site"),
        ("import streamlit\n", "app.py", "site"),
    ],
)
def test_starts_in_the_directory_that_the_image_works_in(tmp_path: Path, source: str, command: str, directory: str) -> None:
    docker = "FROM python:3.13\nCOPY . /code\nWORKDIR /code/site\nCMD flask run --host 0.0.0.0\n"
    files = {"Dockerfile": docker, "site/app.py": source, "site/models.py": "", "site/data.txt": ""}
    launch = launched(tmp_path, files, "flask gunicorn streamlit")
    assert command in launch.command
    assert (launch.directory, launch.python_path) == (directory, ())


@pytest.mark.parametrize(
    ("command", "path"),
    [
        ("gunicorn -b :8080 shop.web:app", ("src",)),
        ("python -m shop.web", ("src",)),
        ("gunicorn -b :8080 top:app", ()),
    ],
)
def test_an_installed_project_has_its_modules_in_src(tmp_path: Path, command: str, path: tuple[str, ...]) -> None:
    docker = f"FROM python:3.13\nWORKDIR /code\nCOPY . .\nRUN pip install --editable .\nCMD {command}\n"
    files = {"Dockerfile": docker, "setup.py": "", "top.py": "", "src/shop/__init__.py": "", "src/shop/web.py": "app = make()\n"}
    launch = launched(tmp_path, files, "gunicorn")
    assert (" ".join(launch.command), launch.python_path) == (command, path)
    assert launch.declared_at == "Dockerfile, line 5"


def test_a_package_may_have_the_name_of_the_directory_that_the_image_works_in(tmp_path: Path) -> None:
    docker = 'FROM python:3.13\nCOPY . /code\nWORKDIR /code/site\nENTRYPOINT ["/tini", "--"]\n'
    settings = "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site.settings')\n"
    files = {
        "Dockerfile": docker,
        "site/manage.py": f"import os\n{settings}from django.core.management import execute_from_command_line\n",
        "site/site/__init__.py": "",
        "site/site/settings.py": "WSGI_APPLICATION = 'site.wsgi.application'\n",
        "site/site/wsgi.py": f"import os\n{settings}from django.core import wsgi\napplication = wsgi.get_wsgi_application()\n",
    }
    launch = launched(tmp_path, files, "django gunicorn whitenoise")
    assert "site.wsgi:application" in launch.command
    assert (launch.directory, launch.python_path) == ("site", ())


@pytest.mark.parametrize(
    ("command", "directory"),
    [
        (("gunicorn", "--bind", "0.0.0.0:8000", "app:app"), "site"),
        (("python", "app.py"), "site"),
        (("gunicorn", "site.app:app"), ""),
        (("python", "top.py"), ""),
        (("gunicorn", "elsewhere:app"), ""),
        (("gunicorn", "--chdir", "site", "app:app"), ""),
        (("gunicorn", "--chdir=site", "app:app"), ""),
    ],
)
def test_a_command_of_the_settings_starts_where_it_finds_what_it_names(tmp_path: Path, command: tuple[str, ...], directory: str) -> None:
    docker = "FROM python:3.13\nCOPY . /code\nWORKDIR /code/site\nCMD flask run --host 0.0.0.0\n"
    files = {"Dockerfile": docker, "site/app.py": "", "site/__init__.py": "", "top.py": ""}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    launch = find_launch(Evidence(tmp_path, "demo", "app", Settings(command=command), dependencies=frozenset({"gunicorn"})))
    assert (launch.command, launch.directory) == (command, directory)


def test_a_part_of_the_context_keeps_its_place_in_the_project(tmp_path: Path) -> None:
    files = {
        "compose.yaml": "services:\n  backend: {build: {context: ./backend}, ports: ['8000:8000']}\n",
        "backend/Dockerfile": 'FROM python:3.13\nWORKDIR /srv\nCOPY app/ app/\nCMD ["uvicorn", "app.main:app", "--host", "0.0.0.0"]\n',
        "backend/app/__init__.py": "",
        "backend/app/main.py": "import fastapi\napp = fastapi.FastAPI()\n",
        "helpers.py": "",
    }
    launch = launched(tmp_path, files, "fastapi uvicorn")
    assert (launch.command[:2], launch.directory) == (("uvicorn", "app.main:app"), "backend")
    broken = files["backend/Dockerfile"].replace("COPY", "COPY requirements.txt .\nCOPY", 1)
    launch = launched(tmp_path, {**files, "backend/Dockerfile": broken}, "fastapi uvicorn")
    assert (launch.command[-1], launch.directory) == ("backend.app.main:app", "")


def test_a_directory_that_is_copied_without_those_above_it_keeps_its_name(tmp_path: Path) -> None:
    files = {
        "Dockerfile": 'FROM python:3.13\nWORKDIR /code\nCOPY src/app /code/app\nCMD ["uvicorn", "app.main:app", "--host", "0.0.0.0"]\n',
        "src/app/__init__.py": "",
        "src/app/main.py": "import fastapi\napp = fastapi.FastAPI()\n",
        "src/setup.cfg": "",
    }
    launch = launched(tmp_path, files, "fastapi uvicorn")
    assert (launch.command[:2], launch.directory) == (("uvicorn", "app.main:app"), "src")


def test_moves_a_port_that_only_root_may_open(tmp_path: Path) -> None:
    docker = "FROM python:3.13\nEXPOSE 80\nCMD uvicorn app:app --host 0.0.0.0 --port 80\n"
    launch = launched(tmp_path, {"Dockerfile": docker, "app.py": ""}, "uvicorn")
    assert (launch.command[-1], launch.ports) == ("8080", ("8080/tcp",))
    assert [note.partition(", which")[0] for note in launch.notes] == ["Dockerfile, line 3: the command listens on port 8080 instead of 80"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("CMD uwsgi --ini uwsgi.ini", {"UWSGI_DIE_ON_TERM": "true"}),
        ("ENV UWSGI_DIE_ON_TERM=false\nCMD uwsgi --ini uwsgi.ini", {}),
        ("CMD gunicorn bot.core:x", {}),
    ],
)
def test_uwsgi_ends_on_the_signal_that_stops_a_container(tmp_path: Path, given: str, expected: dict[str, str]) -> None:
    (tmp_path / "uwsgi.ini").write_text("[uwsgi]\nhttp-socket = :8080\nmaster = true\nmodule = bot.core\n")
    launch = _command(_evidence(tmp_path, f"FROM python\n{given}\n", "gunicorn uwsgi"))
    assert launch is not None
    assert launch.env == expected


def test_a_module_that_the_projects_own_package_lacks_is_not_served(tmp_path: Path) -> None:
    dockerfile = "FROM python:3.11\nCMD uvicorn bot.main:app\n"
    (tmp_path / "bot/web").mkdir(parents=True)
    (tmp_path / "bot/web/main.py").write_text("from fastapi import FastAPI\napp = FastAPI()\n")
    evidence = replace(_evidence(tmp_path, dockerfile, "fastapi uvicorn"), kind="package", packaged=frozenset({"bot", "elsewhere"}))
    launch = find_launch(evidence)
    assert launch is not None
    assert launch.command[-1] == "bot.web.main:app"
    assert "the project has no module bot.main" in "\n".join(launch.notes)
    (tmp_path / "Dockerfile").write_text(dockerfile.replace("bot", "elsewhere"))
    launch = find_launch(evidence)
    assert launch is not None
    assert launch.command[-1] == "elsewhere.main:app"


@pytest.mark.parametrize("folder", ["src", "backend"])
def test_a_module_of_the_projects_own_package_is_served_wherever_the_wheel_takes_it_from(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder / "shop").mkdir(parents=True)
    (tmp_path / folder / "shop/main.py").write_text("from fastapi import FastAPI\napp = FastAPI()\n")
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/index.html").write_text("")
    evidence = _evidence(tmp_path, "FROM python:3.11\nCMD uvicorn shop.main:app\n", "fastapi uvicorn")
    assert find_launch(replace(evidence, kind="package", packaged=frozenset({"shop"}))).command[-1] == "shop.main:app"


_BOT = """\
import asyncio, uvicorn
from bot.core import app

async def main():
    await asyncio.gather(uvicorn.Server(uvicorn.Config(app, HOST port=8080)).serve(), poll())

if __name__ == "__main__":
    asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("host", "dockerfile", "expected"),
    [
        ("host='0.0.0.0',", "CMD python run_it.py", "python run_it.py"),
        ("host='0.0.0.0',", "CMD python -m run_it", "python -m run_it"),
        ("host='127.0.0.1',", "CMD python run_it.py", "uvicorn --host 0.0.0.0 --port 8080 run_it:app"),
        ("", "CMD python run_it.py", "uvicorn --host 0.0.0.0 --port 8080 run_it:app"),
        ("host='0.0.0.0',", "CMD python bot/core.py", "uvicorn --host 0.0.0.0 --port 8080 run_it:app"),
    ],
)
def test_a_program_with_a_server_in_its_event_loop_is_more_than_its_application(
    tmp_path: Path, host: str, dockerfile: str, expected: str
) -> None:
    evidence = _evidence(tmp_path, f"FROM python:3\nWORKDIR /app\nCOPY . .\nEXPOSE 8080\n{dockerfile}\n", "fastapi uvicorn")
    (tmp_path / "bot" / "core.py").write_text("from fastapi import FastAPI\napp = FastAPI()\n")
    (tmp_path / "run_it.py").write_text(_BOT.replace("HOST", host))
    assert find_launch(evidence).command == tuple(expected.split())


SCRIPT = "#!/bin/sh\nset -e\npython run_it.py\nexec gunicorn -b 0.0.0.0:8000 bot.core:app\n"


@pytest.mark.parametrize(
    "lines",
    [
        f"COPY <<EOF /start.sh\n{SCRIPT}EOF",
        f"COPY --chmod=755 <<'start.sh' /\n{SCRIPT}start.sh",
        f"RUN cat <<'EOF' > /start.sh\n{SCRIPT}EOF",
        f"RUN cat > /start.sh <<EOF && chmod +x /start.sh\n{SCRIPT}EOF",
        f"RUN printf '%s\\n' {' '.join(map(repr, SCRIPT.splitlines()))} > /start.sh && chmod +x /start.sh",
        (
            "WORKDIR /\nRUN echo '#!/bin/sh\\n\\\nset -e\\n\\\npython run_it.py\\n\\\nexec \"$@\"' > start.sh\n"
            'CMD ["gunicorn", "-b", "0.0.0.0:8000", "bot.core:app"]'
        ),
        (
            'RUN echo "#!/bin/bash" > /start.sh && \\\n  echo "python run_it.py" >> /start.sh && \\\n'
            '  echo "exec gunicorn -b 0.0.0.0:\\$NUMBER bot.core:app" >> /start.sh\nENV NUMBER=8000'
        ),
        'RUN { echo "#!/bin/sh"; echo "python run_it.py"; echo "gunicorn -b 0.0.0.0:8000 bot.core:app"; } > /start.sh',
    ],
)
def test_follows_a_script_that_the_dockerfile_has_in_itself(tmp_path: Path, lines: str) -> None:
    found = _command(_evidence(tmp_path, f'FROM python\nWORKDIR /app\nCOPY . /app\n{lines}\nWORKDIR /app\nENTRYPOINT ["/start.sh"]\n'))
    assert found is not None
    assert (found.command, found.before_start) == (("gunicorn", "-b", "0.0.0.0:8000", "bot.core:app"), (("python", "run_it.py"),))


@pytest.mark.parametrize("form", ["{} > /start.sh", "{{ {}; }} > /start.sh"])
def test_a_dockerfile_may_write_very_many_lines(tmp_path: Path, form: str) -> None:
    lines = " && ".join(["echo :"] * 1500 + ["echo gunicorn bot.core:app"])
    run = f"RUN {form.format(lines)}"
    found = _command(_evidence(tmp_path, f'FROM python\nWORKDIR /app\nCOPY . /app\n{run}\nENTRYPOINT ["/start.sh"]\n'))
    assert found is not None
    assert found.command[0] == "gunicorn"


@pytest.mark.parametrize(("text", "is_followed"), [("exec", True), ("$(which exec)", False)])
def test_a_script_with_unknown_parts_is_not_followed(tmp_path: Path, text: str, is_followed: bool) -> None:
    lines = f'RUN echo "{text} gunicorn bot.core:app" > /start.sh'
    found = _command(_evidence(tmp_path, f'FROM python\nWORKDIR /app\nCOPY . /app\n{lines}\nENTRYPOINT ["/start.sh"]\n'))
    assert (found is not None) == is_followed


def test_what_is_behind_a_server_never_runs(tmp_path: Path) -> None:
    script = '#!/bin/sh\npython ${PWD}/run_it.py\ngunicorn -b 0.0.0.0:8000 bot.core:app\nexec "$@"\n'
    (tmp_path / "start.sh").write_text(script)
    found = _command(_evidence(tmp_path, 'FROM python\nWORKDIR /code\nCOPY . .\nCMD ["./start.sh", "--production"]\n'))
    assert found is not None
    assert (found.command, found.before_start) == (("gunicorn", "-b", "0.0.0.0:8000", "bot.core:app"), (("python", "run_it.py"),))


@pytest.mark.parametrize(
    "once", ["gunicorn --check-config bot.core:app", "celery -A bot purge -f", "litestar database upgrade", "mlflow db upgrade sqlite:///x"]
)
@pytest.mark.parametrize("lasting", ["uvicorn --host 0.0.0.0 bot.core:app", "python run_it.py", "celery -A bot worker"])
def test_what_a_server_s_program_does_once_runs_before_the_command(tmp_path: Path, once: str, lasting: str) -> None:
    dockerfile = f"FROM python\nWORKDIR /code\nCOPY . .\nCMD {once} && {lasting}\n"
    found = _command(_evidence(tmp_path, dockerfile, "gunicorn uvicorn celery litestar mlflow"))
    assert found is not None
    assert (found.command, found.before_start) == (tuple(lasting.split()), (tuple(once.split()),))


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("gunicorn --daemon -b 0.0.0.0:8000 bot.core:app && tail -f /dev/null", "gunicorn -b 0.0.0.0:8000 bot.core:app"),
        ("/usr/local/bin/gunicorn -D bot.core:app && uvicorn --host 0.0.0.0 bot.core:app", "uvicorn --host 0.0.0.0 bot.core:app"),
        ("uwsgi --daemonize /tmp/log --http :8000 --module bot.core:app", "uwsgi --http :8000 --module bot.core:app"),
        ("uwsgi --daemonize=/tmp/log --http :8000 --module bot.core:app", "uwsgi --http :8000 --module bot.core:app"),
    ],
)
def test_a_server_stays_in_the_foreground(tmp_path: Path, line: str, command: str) -> None:
    found = _command(_evidence(tmp_path, f"FROM python\nWORKDIR /code\nCOPY . .\nCMD {line}\n", "gunicorn uvicorn uwsgi"))
    assert found is not None
    assert (found.command, found.before_start) == (tuple(command.split()), ())


@pytest.mark.parametrize(
    ("settings", "is_taken"),
    [
        (Settings(), False),
        (Settings(volumes=("/etc/own",)), True),
        (Settings(copy={"/etc/own/server.py": "bot/core.py"}), True),
        (Settings(base="base.example/own:1"), True),
    ],
)
def test_a_server_has_settings_that_our_settings_bring(tmp_path: Path, settings: Settings, is_taken: bool) -> None:
    dockerfile = "FROM python\nWORKDIR /code\nCOPY . .\nCMD gunicorn -c /etc/own/server.py bot.core:app\n"
    evidence = replace(_evidence(tmp_path, dockerfile), settings=settings)
    assert (_command(evidence) is not None) == is_taken


@pytest.mark.parametrize("option", ["--ini /opt/uwsgi.ini", "--ini=/opt/uwsgi.ini"])
def test_a_server_whose_settings_are_made_at_the_start_is_not_the_command(tmp_path: Path, option: str) -> None:
    script = f"#!/bin/sh\nenvsubst < /opt/uwsgi.template > /opt/uwsgi.ini\nexec uwsgi {option}\n"
    (tmp_path / "start.sh").write_text(script)
    (tmp_path / "other.ini").write_text("")
    dockerfile = "FROM python\nWORKDIR /code\nCOPY . .\nCOPY uwsgi.template /opt/\nCMD ./start.sh\n"
    assert _command(_evidence(tmp_path, dockerfile, "uwsgi")) is None
    (tmp_path / "start.sh").write_text(script.replace("/opt/uwsgi.ini", "/code/other.ini"))
    found = _command(_evidence(tmp_path, dockerfile, "uwsgi"))
    assert found is not None
    assert "other.ini" in found.command[-1]


def test_a_script_that_ends_with_a_step_is_no_command(tmp_path: Path) -> None:
    evidence = _evidence(tmp_path, 'FROM python:3.11\nWORKDIR /app\nCOPY . .\nENTRYPOINT ["sh", "start.sh"]\n')
    files = {"manage.py": "", "app.py": "def app(environ, start_response): ...\n"}
    for name, text in {**files, "start.sh": 'python manage.py migrate\npython manage.py collectstatic\nexec "$@"\n'}.items():
        (tmp_path / name).write_text(text)
    launch = find_launch(evidence)
    assert launch.command[0] == "gunicorn"
    assert launch.before_start == (("python", "manage.py", "migrate"),)
    assert [note for note in launch.notes if "ends with a step" in note]


def test_a_server_whose_port_is_a_variable_listens_where_the_dockerfile_says(tmp_path: Path) -> None:
    main = "import os\nfrom aiohttp import web\nweb.run_app(web.Application(), port=int(os.environ['WEB_PORT']))\n"
    files = {"requirements.txt": "aiohttp", "main.py": main, "Dockerfile": 'FROM python\nENV WEB_PORT=8081\nEXPOSE 8081\nCMD ["other"]\n'}
    assert launched(tmp_path, files).ports == ("8081/tcp",)
