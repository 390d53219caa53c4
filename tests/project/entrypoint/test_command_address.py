"""The address that a command listens on."""

from pathlib import Path

import pytest
from support.project_tree import written

from shipwheel.project.entrypoint.command_address import find_address, tool_of, unprivileged
from shipwheel.project.entrypoint.evidence import Evidence
from shipwheel.project.entrypoint.scan import Scanner

ANYWHERE = {
    "gunicorn -b 0.0.0.0:5000 a:b": "5000",
    "gunicorn --bind=:5000 a:b": "5000",
    "gunicorn -b:5000 a:b": "5000",
    "gunicorn --bind [::]:5000 a:b": "5000",
    "uvicorn --host 0.0.0.0 a:b": "8000",
    "uvicorn a:b --host :: --port=1": "1",
    "python -m uvicorn --host 0.0.0.0 --port 3 a:b": "3",
    "python -um gunicorn -b :4 a:b": "4",
    "hypercorn --bind 0.0.0.0:7 a:b": "7",
    "daphne -b 0.0.0.0 -p 9 a:b": "9",
    "daphne -e tcp:port=9:interface=0.0.0.0 a:b": "9",
    "granian --host 0.0.0.0 --port 2 a:b": "2",
    "waitress-serve a:b": "8080",
    "waitress-serve --listen=*:99 a:b": "99",
    "streamlit run a.py": "8501",
    "streamlit run a.py --server.port=80": "80",
    "fastapi run a.py": "8000",
    "uwsgi --http :9090 --module a:b": "9090",
    "uwsgi --socket 0.0.0.0:3031 -w a": "3031",
    "uwsgi etc/uwsgi.ini": "8123",
    "gunicorn -c conf/gunicorn.conf.py a:b": "8124",
    "sanic server:app --host=0.0.0.0 --port=1234": "1234",
    "shop --listen 0.0.0.0:81": "81",
    "python serve.py --port 82": "82",
    "shop --hosts 0.0.0.0:5232,[::]:5232": "5232",
    "shop --url=http://*:83/ --redis 127.0.0.1:6379": "83",
    "celery -A a worker": "",
    "shop start": "",
}


def _evidence(root: Path) -> Evidence:
    files = {
        "etc/uwsgi.ini": "[uwsgi]\nhttp-socket = :8123\n",
        "conf/gunicorn.conf.py": 'import os\nbind = f\'{os.getenv("A", "[::]")}:{os.getenv("P", 8124)}\'\n',
        "gunicorn.conf.py": "",
    }
    return Evidence(written(root, files), "demo", "app")


@pytest.mark.parametrize("command", ANYWHERE)
def test_knows_the_port(tmp_path: Path, command: str) -> None:
    evidence = _evidence(tmp_path)
    found = find_address(tuple(command.split()), {}, evidence, Scanner(tmp_path).scan_modules(), "")
    assert (found.words, found.ports, found.loopback) == (tuple(command.split()), (ANYWHERE[command],) if ANYWHERE[command] else (), "")


OPENED = {
    "gunicorn a:b": "gunicorn --bind 0.0.0.0:8000 a:b",
    "gunicorn -b 127.0.0.1:5000 a:b": "gunicorn -b 0.0.0.0:5000 a:b",
    "gunicorn --bind=localhost:5000 a:b": "gunicorn --bind=0.0.0.0:5000 a:b",
    "uvicorn a:b --reload-dir x": "uvicorn --host 0.0.0.0 a:b --reload-dir x",
    "uvicorn --host localhost a:b": "uvicorn --host 0.0.0.0 a:b",
    "python -m hypercorn a:b": "python -m hypercorn --bind 0.0.0.0:8000 a:b",
    "granian --port 2 a:b": "granian --host 0.0.0.0 --port 2 a:b",
    "litestar run --port 3": "litestar run --host 0.0.0.0 --port 3",
    "mlflow server": "mlflow server --host 0.0.0.0",
    "gunicorn --bind unix:/tmp/x.sock a:b": "gunicorn --bind 0.0.0.0:8000 a:b",
    "shop --host 127.0.0.1 --port 5": "shop --host 0.0.0.0 --port 5",
}


@pytest.mark.parametrize("command", OPENED)
def test_opens_what_listens_on_the_loopback_interface(tmp_path: Path, command: str) -> None:
    found = find_address(tuple(command.split()), {}, Evidence(tmp_path, "demo", "app"), (), "")
    assert (" ".join(found.words), found.opened, bool(found.loopback)) == (OPENED[command], True, True)


MOVED = {
    "uvicorn a:b --host 0.0.0.0 --port 80 --limit-concurrency 80": "uvicorn a:b --host 0.0.0.0 --port 8080 --limit-concurrency 80",
    "gunicorn -b 0.0.0.0:80 -w 80 a:b": "gunicorn -b 0.0.0.0:8080 -w 80 a:b",
    "gunicorn -b:443 a:b": "gunicorn -b:8443 a:b",
    "gunicorn --bind=:81 a:b": "gunicorn --bind=:8081 a:b",
    "streamlit run a.py --server.port=80": "streamlit run a.py --server.port=8080",
    "uvicorn a:b --host :: --port 1024": "uvicorn a:b --host :: --port 1024",
    "gunicorn a:b": "gunicorn a:b",
}


@pytest.mark.parametrize("command", MOVED)
def test_moves_a_port_that_only_root_may_open(tmp_path: Path, command: str) -> None:
    found = unprivileged(find_address(tuple(command.split()), {"PORT": "80"}, Evidence(tmp_path, "demo", "app"), (), ""))
    assert " ".join(found.words) == MOVED[command]
    assert found.ports and (found.ports[0] in MOVED[command]) != (command == "gunicorn a:b")


def test_takes_the_declared_port_for_what_it_opens(tmp_path: Path) -> None:
    evidence = Evidence(tmp_path, "demo", "app")
    for command, words, port in (
        (("gunicorn", "a:b"), ("gunicorn", "--bind", "0.0.0.0:5000", "a:b"), "5000"),
        (("uvicorn", "a:b"), ("uvicorn", "--host", "0.0.0.0", "--port", "5000", "a:b"), "5000"),
        (("uvicorn", "--port", "1", "a:b"), ("uvicorn", "--host", "0.0.0.0", "--port", "1", "a:b"), "1"),
        (("waitress-serve", "a:b"), ("waitress-serve", "a:b"), "8080"),
    ):
        found = find_address(command, {}, evidence, (), "", "5000")
        assert (found.words, found.ports) == (words, (port,))


def test_knows_what_the_environment_decides(tmp_path: Path) -> None:
    evidence = Evidence(tmp_path, "demo", "app")
    for command, env, port in (
        (("gunicorn", "a:b"), {"PORT": "5000"}, "5000"),
        (("granian", "a:b"), {"GRANIAN_HOST": "::", "GRANIAN_PORT": "80"}, "80"),
        (("uvicorn", "a:b"), {"UVICORN_HOST": "0.0.0.0"}, "8000"),
    ):
        found = find_address(command, env, evidence, (), "")
        assert (found.words, found.ports) == (command, (port,))


def test_a_configuration_file_may_close_the_address(tmp_path: Path) -> None:
    evidence = Evidence(written(tmp_path, {"gunicorn.conf.py": "bind = ['127.0.0.1:7000']\n"}), "demo", "app")
    found = find_address(("gunicorn", "a:b"), {}, evidence, Scanner(tmp_path).scan_modules(), "")
    assert (found.words, found.ports) == (("gunicorn", "--bind", "0.0.0.0:7000", "a:b"), ("7000",))
    written(tmp_path, {"config/served.py": "bind = '0.0.0.0:7001'\n"})
    command = ("gunicorn", "-c", "python:config.served", "a:b")
    found = find_address(command, {}, evidence, Scanner(tmp_path).scan_modules(), "")
    assert (found.words, found.ports) == (command, ("7001",))


def test_a_configuration_file_may_name_a_socket_for_another_server(tmp_path: Path) -> None:
    files = {"gunicorn.conf.py": "bind = ['unix:/run/a.sock']\n", "uwsgi.ini": "[uwsgi]\nsocket = /run/a.sock\n"}
    evidence, modules = Evidence(written(tmp_path, files), "demo", "app"), Scanner(tmp_path).scan_modules()
    found = find_address(("gunicorn", "a:b"), {}, evidence, modules, "", "5000")
    assert (found.words, found.ports) == (("gunicorn", "--bind", "0.0.0.0:5000", "a:b"), ("5000",))
    found = find_address(("uwsgi", "--ini", "uwsgi.ini"), {}, evidence, modules, "")
    assert (found.words, found.ports) == (("uwsgi", "--http-socket", "0.0.0.0:8000", "--ini", "uwsgi.ini"), ("8000",))


def test_knows_the_tool_behind_the_interpreter() -> None:
    assert tool_of(("python", "-u", "-m", "gunicorn", "x")) == "gunicorn"
    assert tool_of(("python", "-um", "app")) == "app"
    assert tool_of(("python", "main.py")) == "python"
