"""Files that are run as they are: their ports, their arguments, their static files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.project_tree import launched

from shipwheel.project.entrypoint.listening import find_ports, listens_on_loopback
from shipwheel.project.entrypoint.syntax import ModulePath, parse_source
from shipwheel.settings import Settings

AIOHTTP = "from aiohttp import web\nasync def make():\n    return web.Application()\nif __name__ == '__main__':\n    web.run_app(make()"
TORNADO = "import tornado.web\nfrom tornado.options import define, options\ndefine('port', default=8888, type=int)\n"
SERVERS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "aiohttp, made by a coroutine": (f"{AIOHTTP})\n", "aiohttp", ("8080/tcp",)),
    "aiohttp on its own port": (f"{AIOHTTP}, port=int(os.environ.get('PORT', '9000')))\n", "aiohttp", ("9000/tcp",)),
    "tornado with an option": (f"{TORNADO}app.listen(options.port)\n", "tornado", ("8888/tcp",)),
    "tornado": ("import tornado\nPORT = 8889\ntornado.web.Application([]).listen(PORT)\n", "tornado", ("8889/tcp",)),
    "the standard library's": ("from http.server import HTTPServer, X\nHTTPServer(('', 8001), X).serve_forever()\n", "", ("8001/tcp",)),
    "a socket": ("import socket\ns = socket.socket()\ns.bind(('0.0.0.0', 7000))\n", "", ("7000/tcp",)),
    "gradio on its own port": ("import gradio as gr\nb = gr.Blocks()\nb.launch(server_port=7999)\n", "gradio", ("7999/tcp",)),
    "nicegui on its own port": ("from nicegui import ui\nui.run(port=8081)\n", "nicegui", ("8081/tcp",)),
    "grpc": (
        "import grpc\ndef serve():\n    port = '50051'\n    s = grpc.server(1)\n    s.add_insecure_port('[::]:' + port)\n",
        "grpcio",
        ("50051/tcp",),
    ),
    "grpc, formatted": ("import grpc\nP = 7001\ns = grpc.server(1)\ns.add_insecure_port(f'0.0.0.0:{P}')\n", "grpcio", ("7001/tcp",)),
    "cherrypy": ("import cherrypy\ncherrypy.quickstart(1)\n", "cherrypy", ("8080/tcp",)),
    "cherrypy's own port": (
        "import cherrypy\ncherrypy.config.update({'server.socket_port': 9090, 'server.socket_host': '0.0.0.0'})\ncherrypy.quickstart(1)\n",
        "cherrypy",
        ("9090/tcp",),
    ),
    "a client": ("import redis\nredis.Redis(host='db', port=6379)\n", "redis", ()),
}


@pytest.mark.parametrize("server", SERVERS)
def test_a_script_that_serves_exposes_its_port(tmp_path: Path, server: str) -> None:
    text, dependencies, ports = SERVERS[server]
    launch = launched(tmp_path, {"main.py": text}, dependencies)
    assert (launch.command, launch.ports, launch.is_program) == (("python", "main.py"), ports, False)


@pytest.mark.parametrize(
    ("host", "local"), [("'127.0.0.1'", True), ("'localhost'", True), ("'0.0.0.0'", False), ("HOST", True), ("other()", False)]
)
def test_a_server_that_nobody_reaches_is_said(tmp_path: Path, host: str, local: bool) -> None:
    launch = launched(tmp_path, {"main.py": f"from wsgiref.simple_server import make_server\nHOST = '::1'\nmake_server({host}, 8000, 1)\n"})
    assert launch.ports == ("8000/tcp",)
    assert [note for note in launch.notes if "127.0.0.1 only" in note] == list(launch.notes)
    assert bool(launch.notes) == local


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("import cherrypy\ncherrypy.quickstart(1)\n", True),
        ("import cherrypy\ncherrypy.quickstart(1, '/', {'global': {'server.socket_host': '0.0.0.0'}})\n", False),
        ("import grpc\ns = grpc.server(1)\ns.add_insecure_port('localhost:50051')\n", True),
        ("import grpc\ns = grpc.server(1)\ns.add_insecure_port('[::]:50051')\n", False),
    ],
)
def test_servers_with_addresses_of_their_own_kind(tmp_path: Path, text: str, local: bool) -> None:
    assert bool(launched(tmp_path, {"main.py": text}).notes) == local


@pytest.mark.parametrize(
    ("text", "program"),
    [("import sys\nprint(sys.argv[1:])\n", True), ("from sys import argv\nprint(argv)\n", True), ("import sys\nsys.exit(0)\n", False)],
)
def test_what_reads_its_arguments_is_a_program(tmp_path: Path, text: str, program: bool) -> None:
    assert launched(tmp_path, {"main.py": text}).is_program == program


def test_bottle_s_default_application(tmp_path: Path) -> None:
    text = "from bottle import route, run\n@route('/')\ndef index():\n    return 'x'\nrun(host='localhost', port=8080)\n"
    launch = launched(tmp_path, {"src/web.py": text, "src/other.py": "import web\n"}, "bottle")
    assert launch.command == ("python", "-m", "bottle", "--bind", "0.0.0.0:8000", "--server", "gunicorn", "web")
    assert (launch.ports, launch.extra_requirements, launch.python_path) == (("8000/tcp",), ("gunicorn",), ("src",))
    assert launched(tmp_path, {}, "bottle waitress").command[-2:] == ("waitress", "web")


def test_chainlit_writes_where_it_may(tmp_path: Path) -> None:
    launch = launched(tmp_path, {"app.py": "import chainlit as cl\n"}, "chainlit")
    assert (launch.env, launch.volumes) == ({"CHAINLIT_APP_ROOT": "/tmp"}, ())
    launch = launched(tmp_path, {"chainlit.md": ""}, "chainlit")
    assert (launch.env, launch.volumes) == ({}, ("/app/.files", "/app/.chainlit"))
    launch = launched(tmp_path, {".chainlit/config.toml": ""}, "chainlit")
    assert (launch.env, launch.volumes) == ({}, ("/app/.files",))


DJANGO = {
    "back/manage.py": "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site1.settings')\n",
    "back/site1/__init__.py": "",
    "back/site1/settings.py": "WSGI_APPLICATION = 'site1.wsgi.application'\nSTATIC_ROOT = BASE_DIR / 'out' / 'static'\n",
    "back/site1/wsgi.py": "",
}


def test_static_files_that_are_not_collected(tmp_path: Path) -> None:
    launch = launched(tmp_path, DJANGO, "django gunicorn whitenoise")
    assert launch.before_start == (("python", "back/manage.py", "collectstatic", "--noinput"),)
    assert launch.volumes == ("/app/back/out/static",)
    assert "each new container collects them into the volume /app/back/out/static" in launch.notes[0]
    assert launched(tmp_path, {}, "django gunicorn").notes == ()


def test_static_files_of_a_procfile_s_command(tmp_path: Path) -> None:
    launch = launched(tmp_path, {**DJANGO, "Procfile": "web: gunicorn --chdir back site1.wsgi\n"}, "django gunicorn whitenoise")
    assert launch.command[0] == "gunicorn"
    assert launch.before_start == (("python", "back/manage.py", "collectstatic", "--noinput"),)


def test_static_files_that_are_collected(tmp_path: Path) -> None:
    launch = launched(tmp_path, {**DJANGO, "back/out/static/a.css": ""}, "django gunicorn whitenoise")
    assert (launch.include, launch.volumes, launch.before_start, launch.notes) == (("/back/out/static/",), (), (), ())


def test_static_files_where_the_user_s_volume_outlives_the_container(tmp_path: Path) -> None:
    launch = launched(tmp_path, DJANGO, "django gunicorn whitenoise", Settings(volumes=("/data",)))
    assert (launch.volumes, launch.before_start) == ((), ())
    assert "run `python back/manage.py collectstatic --noinput` before the build" in launch.notes[0]


def test_static_files_elsewhere(tmp_path: Path) -> None:
    settings = "WSGI_APPLICATION = 'site1.wsgi.application'\nSTATIC_ROOT = '/var/www/static'\n"
    launch = launched(tmp_path, {**DJANGO, "back/site1/settings.py": settings}, "django gunicorn whitenoise")
    assert (launch.volumes, launch.before_start, launch.notes) == ((), (), ())


@pytest.mark.parametrize("root", [".", "../../static", "", "a/..", "C:\\\\static", "x" * 300, "a\\nb", "linked/static"])
def test_static_files_where_no_volume_can_be(tmp_path: Path, root: str) -> None:
    settings = f"WSGI_APPLICATION = 'site1.wsgi.application'\nSTATIC_ROOT = BASE_DIR / '{root}'\n"
    (tmp_path / "back").mkdir()
    (tmp_path / "back" / "linked").symlink_to("site1")
    launch = launched(tmp_path, {**DJANGO, "back/site1/settings.py": settings}, "django gunicorn whitenoise")
    assert (launch.volumes, launch.before_start, launch.include) == ((), (), ())


def test_of_what_settings_say_twice_the_first_is_taken_in_every_process(tmp_path: Path) -> None:
    settings = (
        "if DEV:\n    STATIC_ROOT = BASE_DIR / 'z'\nelse:\n    STATIC_ROOT = BASE_DIR / 'a'\nWSGI_APPLICATION = 'site1.wsgi.application'\n"
    )
    launched(tmp_path, {**DJANGO, "back/site1/settings.py": settings}, "django gunicorn")
    code = (
        "import sys, pathlib\nfrom shipwheel.project.entrypoint.find import Evidence, find_launch\n"
        "names = frozenset(['django', 'gunicorn', 'whitenoise'])\n"
        "print(*find_launch(Evidence(pathlib.Path(sys.argv[1]), 'demo', 'app', dependencies=names)).volumes)\n"
    )
    for seed in range(6):
        environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
        said = subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=environment, check=True, capture_output=True, text=True)
        assert said.stdout == "/app/back/z\n"


NUMBERS = st.one_of(st.integers(-10, 1 << 40).map(str), st.integers(0, 99999).map(lambda number: repr(str(number))), st.just("True"))
WRAPS = st.sampled_from(["{}", "int({})", "os.environ.get('P', {})", "int(getenv('P') or {})", "f({})", "(1, {})", "-{}"])
CALLS = st.sampled_from(
    ["app.run(port={})", "app.listen({})", "listen()", "HTTPServer(('', {}), H)", "bind({})", "define('port', default={})"]
)


@given(st.lists(st.tuples(CALLS, WRAPS, NUMBERS), max_size=4))
def test_ports_are_ports(calls: list[tuple[str, str, str]]) -> None:
    text = "\n".join(call.format(wrap.format(number)) for call, wrap, number in calls)
    source = parse_source(ModulePath("main.py", "main"), text.encode())
    assert all(port.isdecimal() and 0 < int(port) < 65536 for port in find_ports(source))
    assert not listens_on_loopback(source)
