"""Web applications: which object is served, and by which server."""

from pathlib import Path

import pytest
from support.project_tree import Layout, assert_command, launched

from shipwheel.errors import ProjectError
from shipwheel.project.entrypoint.launch import started_modules
from shipwheel.project.entrypoint.scan import Scanner
from shipwheel.settings.settings import Settings

HOST_AND_PORT = ("--host", "0.0.0.0", "--port", "8000")
BOUND_GUNICORN = ("gunicorn", "--bind", "0.0.0.0:8000")
GUNICORN = (*BOUND_GUNICORN, "--threads", "8")
WAITRESS = ("waitress-serve", "--host", "0.0.0.0", "--port", "8000", "--threads", "8")
FASTAPI = "from fastapi import FastAPI\napp = FastAPI()\n"
FLASK = "from flask import Flask\napp = Flask(__name__)\n"
FACTORY = "import flask\ndef create_app(config=None):\n    app = flask.Flask(__name__)\n    return app\n"
MAIN = 'if __name__ == "__main__":\n    print(1)\n'

LAYOUTS: dict[str, Layout] = {
    "fastapi in main.py": ({"main.py": FASTAPI}, "fastapi uvicorn", ("uvicorn", *HOST_AND_PORT, "main:app")),
    "fastapi in app/main.py": (
        {"app/__init__.py": "", "app/main.py": FASTAPI},
        "fastapi uvicorn",
        ("uvicorn", *HOST_AND_PORT, "app.main:app"),
    ),
    "namespace package": (
        {"app/main.py": "from app.db import x\n" + FASTAPI, "app/db.py": ""},
        "fastapi uvicorn",
        ("uvicorn", *HOST_AND_PORT, "app.main:app"),
    ),
    "module alias and another variable": (
        {"server.py": "import fastapi as f\nservice = f.FastAPI()\n"},
        "fastapi uvicorn",
        ("uvicorn", *HOST_AND_PORT, "server:service"),
    ),
    "annotated variable": (
        {"main.py": "from fastapi import FastAPI\nfrom x import build\nweb: FastAPI = build()\n"},
        "fastapi uvicorn",
        ("uvicorn", *HOST_AND_PORT, "main:web"),
    ),
    "subclass of a framework class": (
        {"main.py": "from fastapi import FastAPI\nclass A(FastAPI): ...\napp = A()\n"},
        "fastapi uvicorn",
        ("uvicorn", *HOST_AND_PORT, "main:app"),
    ),
    "application in a try block": (
        {"main.py": "from fastapi import FastAPI\ntry:\n    app = FastAPI()\nexcept E:\n    pass\n"},
        "fastapi uvicorn",
        ("uvicorn", *HOST_AND_PORT, "main:app"),
    ),
    "ASGI application that wsgi.py wraps": (
        {
            "app/main.py": FASTAPI,
            "wsgi.py": "from a2wsgi import ASGIMiddleware\nfrom app.main import app\napplication = ASGIMiddleware(app)\n",
        },
        "fastapi uvicorn",
        ("uvicorn", *HOST_AND_PORT, "app.main:app"),
    ),
    "factory of a package, called in wsgi.py": (
        {"pkg/__init__.py": FACTORY, "wsgi.py": "from pkg import create_app\napplication = create_app()\n"},
        "flask gunicorn",
        (*GUNICORN, "wsgi:application"),
    ),
    "factory imported relatively": (
        {"pkg/__init__.py": "", "pkg/core.py": FACTORY, "pkg/main.py": "from .core import create_app\napp = create_app()\n"},
        "flask gunicorn",
        (*GUNICORN, "pkg.main:app"),
    ),
    "flask factory": ({"pkg/__init__.py": FACTORY}, "flask gunicorn", (*GUNICORN, "pkg:create_app()")),
    "fastapi factory": (
        {"app.py": "from fastapi import FastAPI\ndef create_app() -> FastAPI:\n    return build()\n"},
        "fastapi uvicorn",
        ("uvicorn", *HOST_AND_PORT, "--factory", "app:create_app"),
    ),
    "factory that calls another one": (
        {
            "look/__init__.py": "",
            "look/app.py": "import falcon\ndef make(x):\n    return falcon.App()\ndef get_app():\n    return make(1)\n",
        },
        "falcon gunicorn",
        (*GUNICORN, "look.app:get_app()"),
    ),
    "object of a factory with arguments": (
        {
            "p/__init__.py": "",
            "p/s/__init__.py": "",
            "p/s/factory.py": "from flask import Flask\ndef make(name):\n    app = Flask(name)\n    return app\n",
            "p/s/wsgi.py": "from .factory import make\napplication = make('production')\n",
        },
        "flask gunicorn",
        (*GUNICORN, "p.s.wsgi:application"),
    ),
    "factory that a package re-exports": (
        {
            "web/__init__.py": "from .core import build\n",
            "web/core.py": "from flask import Flask\ndef build(config):\n    return Flask(config)\n",
            "start.py": "from web import build\nsite = build('x')\n",
        },
        "flask gunicorn",
        (*GUNICORN, "start:site"),
    ),
    "factory that delegates to another module": (
        {
            "web/__init__.py": "",
            "web/core.py": "from flask import Flask\ndef build(config):\n    return Flask(config)\n",
            "web/main.py": "from . import core\ndef create_app():\n    app = core.build('x')\n    return app\n",
        },
        "flask gunicorn",
        (*GUNICORN, "web.main:create_app()"),
    ),
    "object before factory": ({"main.py": FACTORY, "zz.py": FLASK}, "flask gunicorn", (*GUNICORN, "zz:app")),
    "app.py before a deeper main.py": (
        {"app.py": FLASK, "sub/__init__.py": "", "sub/main.py": FLASK},
        "flask gunicorn",
        (*GUNICORN, "app:app"),
    ),
    "files that do not parse": (
        {"old.py": "print 'two'\n", "nul.py": "a\0b", "main.py": FASTAPI},
        "fastapi uvicorn",
        ("uvicorn", *HOST_AND_PORT, "main:app"),
    ),
    "flask and waitress": ({"app.py": FLASK}, "flask waitress", (*WAITRESS, "app:app")),
    "factory and waitress": ({"app.py": FACTORY}, "flask waitress", (*WAITRESS, "--call", "app:create_app")),
    "flask and uwsgi": (
        {"app.py": FLASK},
        "flask uwsgi",
        (
            "uwsgi",
            "--http-socket",
            "0.0.0.0:8000",
            "--master",
            "--die-on-term",
            "--enable-threads",
            "--threads",
            "8",
            "--need-app",
            "--module",
            "app:app",
        ),
    ),
    "granian": ({"app.py": FASTAPI}, "fastapi granian", ("granian", "--interface", "asgi", *HOST_AND_PORT, "app:app")),
    "hypercorn": ({"app.py": FASTAPI}, "fastapi hypercorn", ("hypercorn", "--bind", "0.0.0.0:8000", "app:app")),
    "quart": ({"app.py": "from quart import Quart\napp = Quart(__name__)\n"}, "quart", ("hypercorn", "--bind", "0.0.0.0:8000", "app:app")),
    "starlette": (
        {"app.py": "from starlette.applications import Starlette\napp = Starlette()\n"},
        "starlette uvicorn",
        ("uvicorn", *HOST_AND_PORT, "app:app"),
    ),
    "litestar": ({"app.py": "import litestar\napp = litestar.Litestar([])\n"}, "litestar uvicorn", ("uvicorn", *HOST_AND_PORT, "app:app")),
    "sanic": ({"srv.py": "from sanic import Sanic\napp = Sanic('x')\n"}, "sanic", ("sanic", *HOST_AND_PORT, "srv:app")),
    "falcon wsgi": ({"app.py": "import falcon\napp = falcon.App()\n"}, "falcon gunicorn", (*GUNICORN, "app:app")),
    "falcon asgi": ({"app.py": "import falcon.asgi\napp = falcon.asgi.App()\n"}, "falcon uvicorn", ("uvicorn", *HOST_AND_PORT, "app:app")),
    "bottle application": ({"app.py": "import bottle\napp = bottle.default_app()\n"}, "bottle gunicorn", (*GUNICORN, "app:app")),
    "pyramid": (
        {"app.py": "from pyramid.config import Configurator\nwith Configurator() as c:\n    app = c.make_wsgi_app()\n"},
        "pyramid waitress",
        (*WAITRESS, "app:app"),
    ),
    "dash with a server variable": (
        {"app.py": "from dash import Dash\napp = Dash()\nserver = app.server\n"},
        "dash gunicorn",
        (*GUNICORN, "app:server"),
    ),
    "aiohttp script": (
        {"main.py": "from aiohttp import web\napp = web.Application()\nif __name__ == '__main__':\n    web.run_app(app)\n"},
        "aiohttp",
        ("python", "main.py"),
    ),
    "aiohttp script without a guard, on loopback": (
        {"main.py": "from aiohttp.web import Application, run_app\napp = Application()\nrun_app(app, host='localhost', port=8000)\n"},
        "aiohttp gunicorn",
        ("python", "main.py"),
    ),
    "aiohttp that another file runs": (
        {
            "shop/__init__.py": "",
            "shop/app.py": "from aiohttp import web\ndef create_app(debug=False):\n    return web.Application()\n"
            "def run_app(port=None):\n    web.run_app(create_app(), port=port)\n",
            "shop/cli.py": "from shop.app import run_app\ndef main():\n    run_app(8080)\n",
            "shop/__main__.py": "from shop.cli import main\nif __name__ == '__main__':\n    main()\n",
        },
        "aiohttp",
        ("python", "-m", "shop"),
    ),
    "aiohttp that a program runs beside its own work": (
        {
            "shop/__init__.py": "",
            "shop/web.py": "from aiohttp import web\nasync def server():\n    app = web.Application()\n    return app\n",
            "shop/__main__.py": "from aiohttp import web\nfrom shop.web import server\nasync def main():\n"
            "    runner = web.AppRunner(await server())\n    await web.TCPSite(runner, '0.0.0.0', 8080).start()\n    await collect()\n"
            "if __name__ == '__main__':\n    asyncio.run(main())\n",
        },
        "aiohttp gunicorn",
        ("python", "-m", "shop"),
    ),
    "aiohttp that no file runs": (
        {"app.py": "from aiohttp import web\ndef make():\n    return web.Application()\ndef main():\n    web.run_app(make())\n"},
        "aiohttp gunicorn",
        (*BOUND_GUNICORN, "--worker-class", "aiohttp.GunicornWebWorker", "app:make()"),
    ),
    "aiohttp that a command of Typer runs": (
        {
            "app.py": "import typer\nfrom aiohttp import web\ncommands = typer.Typer()\n"
            "def make():\n    return web.Application()\n"
            "@commands.command()\ndef serve(port: int = 8080):\n    web.run_app(make(), port=port)\n"
            "if __name__ == '__main__':\n    commands()\n",
        },
        "aiohttp typer",
        ("python", "app.py"),
    ),
    "aiohttp that another file runs beside one that uses it": (
        {
            "shop/__init__.py": "from shop.app import main, make\n",
            "shop/app.py": "from aiohttp import web\ndef make():\n    return web.Application()\ndef main():\n    _run()\n"
            "def _run():\n    web.run_app(make())\n",
            "a_migration.py": "from shop.app import make\nif __name__ == '__main__':\n    make()\n",
            "start.py": "from shop import main\nmain()\n",
        },
        "aiohttp",
        ("python", "start.py"),
    ),
    "aiohttp factory that listens on loopback": (
        {
            "polls/__init__.py": "",
            "polls/main.py": "from aiohttp import web\nasync def init(argv=None):\n    app = web.Application()\n    return app\n"
            "def main():\n    web.run_app(init(), host='localhost')\n",
        },
        "aiohttp gunicorn",
        (*BOUND_GUNICORN, "--worker-class", "aiohttp.GunicornWebWorker", "polls.main:init"),
    ),
    "flask-socketio": ({"app.py": FLASK}, "flask flask-socketio gunicorn", (*BOUND_GUNICORN, "--threads", "100", "app:app")),
    "flask-socketio and gevent": (
        {"app.py": FLASK},
        "flask flask-socketio gunicorn gevent gevent-websocket",
        (*BOUND_GUNICORN, "--worker-class", "geventwebsocket.gunicorn.workers.GeventWebSocketWorker", "app:app"),
    ),
    "socketio on eventlet": (
        {"app.py": "import socketio\nsio = socketio.Server()\napp = socketio.WSGIApp(sio)\n"},
        "python-socketio eventlet gunicorn",
        (*BOUND_GUNICORN, "--worker-class", "eventlet", "app:app"),
    ),
    "socketio around fastapi": (
        {
            "main.py": "import socketio\n"
            + FASTAPI
            + "sio = socketio.AsyncServer()\nsocket_app = socketio.ASGIApp(sio, other_asgi_app=app)\n"
        },
        "fastapi uvicorn python-socketio",
        ("uvicorn", *HOST_AND_PORT, "main:socket_app"),
    ),
    "strawberry": (
        {"server.py": "from strawberry.asgi import GraphQL\napp = GraphQL(1)\n"},
        "strawberry-graphql uvicorn",
        ("uvicorn", *HOST_AND_PORT, "server:app"),
    ),
    "ariadne wsgi": ({"app.py": "from ariadne.wsgi import GraphQL\napp = GraphQL(1)\n"}, "ariadne gunicorn", (*GUNICORN, "app:app")),
    "shiny": ({"app.py": "from shiny import App\napp = App(1, 2)\n"}, "shiny uvicorn", ("uvicorn", *HOST_AND_PORT, "app:app")),
    "web.py": (
        {"site1.py": "import web\napp = web.application((), globals())\n"},
        "web-py waitress",
        (*WAITRESS, "--call", "site1:app.wsgifunc"),
    ),
    "web.py in a module named like the standard library": (
        {"code.py": "import web\napp = web.application((), globals())\n" + MAIN},
        "web-py waitress",
        ("python", "code.py"),
    ),
    "web.py's WSGI function": (
        {"site1.py": "import web\na = web.application()\napplication = a.wsgifunc()\n"},
        "web-py gunicorn waitress",
        (*GUNICORN, "site1:application"),
    ),
    "mounted cherrypy": ({"app.py": "import cherrypy\napp = cherrypy.tree.mount(1, '/')\n"}, "cherrypy gunicorn", (*GUNICORN, "app:app")),
    "wsgi function": (
        {"wsgi.py": "def application(environ, start_response):\n    return []\n"},
        "gunicorn",
        (*GUNICORN, "wsgi:application"),
    ),
    "asgi function": (
        {"main.py": "async def app(scope, receive, send):\n    pass\n"},
        "uvicorn",
        ("uvicorn", *HOST_AND_PORT, "main:app"),
    ),
    "instance of a callable class": (
        {"main.py": "class Site:\n    def __call__(self, environ, start_response): ...\napp = Site()\n"},
        "gunicorn",
        (*GUNICORN, "main:app"),
    ),
    "wsgi.py with an unknown application": (
        {"wsgi.py": "from own.kernel import application\n", "own/__init__.py": "", "own/kernel.py": "application = build()\n"},
        "gunicorn",
        (*GUNICORN, "wsgi:application"),
    ),
    "run.py that imports the application": (
        {
            "run.py": "from web import app\nfrom web import views\nif __name__ == '__main__':\n    app.run()\n",
            "web/__init__.py": FLASK,
            "web/views.py": "from web import app\n",
        },
        "flask gunicorn",
        (*GUNICORN, "run:app"),
    ),
    "app.py that takes the application from a module": (
        {
            "config.py": "import connexion\nconnex_app = connexion.App('x')\n",
            "app.py": "import config\napp = config.connex_app\napp.add_api('x.yml')\n" + MAIN.replace("print(1)", "app.run()"),
        },
        "connexion uvicorn",
        ("uvicorn", *HOST_AND_PORT, "app:app"),
    ),
    "wsgi.py that imports the application": (
        {"wsgi.py": "from site1.core import app as application\n", "run.py": "from site1.core import app\n" + MAIN, "site1/core.py": FLASK},
        "flask gunicorn",
        (*GUNICORN, "wsgi:application"),
    ),
    "dash layout in another module": (
        {
            "app.py": "import dash\napp = dash.Dash(__name__)\nserver = app.server\n",
            "index.py": "from app import app\napp.layout = 1\nif __name__ == '__main__':\n    app.run_server()\n",
        },
        "dash waitress",
        (*WAITRESS, "index:app.server"),
    ),
    "dash callbacks that only the program adds": (
        {
            "site1/__init__.py": "from site1.base import app\n",
            "site1/base.py": "import dash\napp = dash.Dash(__name__)\napp.layout = 1\n",
            "main.py": "from site1 import app\nif __name__ == '__main__':\n    register_all(app)\n    app.run(host=HOST, port=PORT)\n",
        },
        "dash waitress",
        ("python", "main.py"),
    ),
    "run.py that imports what a package takes from its module": (
        {
            "site1/__init__.py": "from .base import app\n",
            "site1/base.py": FLASK,
            "run.py": "from site1 import app as it\n" + MAIN.replace("print(1)", "it.run()"),
        },
        "flask gunicorn",
        (*GUNICORN, "run:it"),
    ),
    "routes that another module adds": (
        {
            "site1/__init__.py": "from sanic import Sanic\napp = Sanic('x')\n",
            "site1/routes.py": "routes = []\n",
            "site1/server.py": "from site1 import app\nfrom site1.routes import routes\napp.blueprint(routes)\n",
        },
        "sanic",
        ("sanic", *HOST_AND_PORT, "site1.server:app"),
    ),
    "routes that the application's own module has added": (
        {
            "site1/__init__.py": "from sanic import Sanic\napp = Sanic('x')\nfrom site1 import routes\n",
            "site1/routes.py": "from site1 import app\napp.blueprint(1)\n",
        },
        "sanic",
        ("sanic", *HOST_AND_PORT, "site1:app"),
    ),
    "fastapi before celery": (
        {"app.py": FASTAPI, "w.py": "from celery import Celery\napp = Celery()\n"},
        "fastapi uvicorn celery",
        ("uvicorn", *HOST_AND_PORT, "app:app"),
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_finds_the_command(tmp_path: Path, layout: str) -> None:
    assert_command(tmp_path, LAYOUTS[layout])


@pytest.mark.parametrize(("files", "server"), [({"app.py": FLASK}, "gunicorn"), ({"app.py": FASTAPI}, "uvicorn")])
def test_adds_a_production_server(tmp_path: Path, files: dict[str, str], server: str) -> None:
    launch = launched(tmp_path, files, "flask fastapi")
    assert launch.command[0] == server
    assert launch.extra_requirements == (server,)
    assert server in launch.reason


@pytest.mark.parametrize(
    ("dependencies", "variable"),
    [
        ("flask gunicorn", "WEB_CONCURRENCY"),
        ("flask", "WEB_CONCURRENCY"),
        ("flask granian", "GRANIAN_WORKERS"),
        ("flask uwsgi", "UWSGI_PROCESSES"),
        # It has one process.
        ("flask waitress", ""),
        # A client must reach the same process again.
        ("flask flask-socketio gunicorn", ""),
        # Each process would run the jobs.
        ("flask gunicorn flask-apscheduler", ""),
    ],
)
def test_processes_follow_the_cpus_where_they_can(tmp_path: Path, dependencies: str, variable: str) -> None:
    assert launched(tmp_path, {"app.py": FLASK}, dependencies).workers_variable == variable


def test_processes_of_asynchronous_servers_do_not_follow_the_cpus(tmp_path: Path) -> None:
    assert launched(tmp_path, {"app.py": FASTAPI}, "fastapi uvicorn").workers_variable == ""


def test_gunicorn_s_own_settings_decide_about_threads(tmp_path: Path) -> None:
    launch = launched(tmp_path, {"app.py": FLASK, "gunicorn.conf.py": "threads = 2\n"}, "flask gunicorn")
    assert launch.command == (*BOUND_GUNICORN, "app:app")


def test_a_command_of_the_user_stays_as_it_is(tmp_path: Path) -> None:
    command = ("gunicorn", "--bind", "0.0.0.0:8000", "app:app")
    launch = launched(tmp_path, {"app.py": FLASK}, "flask gunicorn", Settings(command=command))
    assert (launch.command, launch.workers_variable) == (command, "")


def test_compares_package_names_exactly(tmp_path: Path) -> None:
    launch = launched(tmp_path, {"app.py": FLASK}, "flask gunicorn-extras my-uvicorn")
    assert launch.extra_requirements == ("gunicorn",)


def test_puts_src_and_nested_roots_on_the_import_path(tmp_path: Path) -> None:
    launch = launched(tmp_path / "a", {"src/main.py": "from db import x\n" + FASTAPI, "src/db.py": ""}, "fastapi uvicorn")
    assert (launch.command[-1], launch.python_path) == ("main:app", ("src",))
    launch = launched(tmp_path / "b", {"src/main.py": "from src.db import x\n" + FASTAPI, "src/db.py": ""}, "fastapi uvicorn")
    assert (launch.command[-1], launch.python_path) == ("src.main:app", ())
    launch = launched(tmp_path / "c", {"backend/main.py": "import db\n" + FASTAPI, "backend/db.py": ""}, "fastapi uvicorn")
    assert (launch.command[-1], launch.python_path) == ("main:app", ("backend",))
    django = {
        "web/manage.py": "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 's.settings')\n",
        "web/s/__init__.py": "",
        "web/s/wsgi.py": "",
    }
    launch = launched(tmp_path / "d", django, "django gunicorn")
    assert (launch.command[-1], launch.python_path) == ("s.wsgi:application", ("web",))


def test_listens_on_the_first_port_of_the_settings(tmp_path: Path) -> None:
    launch = launched(tmp_path, {"main.py": FASTAPI}, "fastapi uvicorn", settings=Settings(ports=("9000/tcp", "53/udp")))
    assert launch.command == ("uvicorn", "--host", "0.0.0.0", "--port", "9000", "main:app")
    assert launch.ports == ("9000/tcp", "53/udp")
    assert launched(tmp_path, {}, "fastapi uvicorn").ports == ("8000/tcp",)


def test_a_file_beside_a_package_of_its_name_cannot_be_imported(tmp_path: Path) -> None:
    factory = "from flask import Flask\ndef create_app():\n    return Flask(__name__)\n"
    files = {"app.py": "from app import create_app\napp = create_app()\n", "app/__init__.py": factory}
    launch = launched(tmp_path, files, "flask gunicorn")
    assert launch.command[-1] == "app:create_app()"
    assert not any("no other application" in note for note in launch.notes)


@pytest.mark.parametrize(
    ("file", "line", "served", "path"),
    [
        ("__init__.py", "from . import views", "app:create_app()", ("..",)),
        ("factory.py", "from .views import page", "app.factory:create_app()", ("..",)),
        ("factory.py", "import views", "factory:create_app()", ()),
        ("factory.py", "try:\n    from . import views\nexcept ImportError:\n    import views", "factory:create_app()", ()),
    ],
)
def test_a_directory_may_be_the_package_of_its_files(tmp_path: Path, file: str, line: str, served: str, path: tuple[str, ...]) -> None:
    files = {file: f"{line}\nfrom flask import Flask\ndef create_app():\n    return Flask(__name__)\n", "views.py": "page = 1\n"}
    launch = launched(tmp_path, files, "flask gunicorn")
    assert (launch.command[-1], launch.python_path) == (served, path)
    started = started_modules(launch, {}, Scanner(tmp_path).scan_modules())
    assert started[0].file == file
    (tmp_path / "app.py").write_text("")
    assert launched(tmp_path, {}, "flask gunicorn").python_path == ()


def test_names_other_candidates(tmp_path: Path) -> None:
    assert "also found: other:app" in launched(tmp_path, {"main.py": FASTAPI, "other.py": FASTAPI}, "fastapi uvicorn").reason


def test_serves_a_dash_object_without_a_server_variable(tmp_path: Path) -> None:
    launch = launched(tmp_path, {"app.py": "import dash\nd = dash.Dash()\n"}, "dash")
    assert launch.command == (*WAITRESS, "app:d.server")
    assert (launch.extra_requirements, launch.ports) == (("waitress",), ("8000/tcp",))


def test_rejects_a_dash_factory_and_shows_the_line_to_add(tmp_path: Path) -> None:
    with pytest.raises(ProjectError) as caught:
        launched(tmp_path, {"app.py": "import dash\ndef make_app():\n    return dash.Dash()\n"}, "dash")
    assert "`server = make_app().server`" in caught.value.hint


def test_flask_ignores_that_a_file_runs_it_while_it_is_imported(tmp_path: Path) -> None:
    launch = launched(tmp_path, {"shop.py": f"{FLASK}app.run(debug=True)\n"}, "flask gunicorn")
    assert (launch.command, launch.env) == ((*GUNICORN, "shop:app"), {"FLASK_RUN_FROM_CLI": "true"})
    launch = launched(tmp_path, {"shop.py": f"{FLASK}{MAIN.replace('print(1)', 'app.run()')}"}, "flask gunicorn")
    assert (launch.command, launch.env) == ((*GUNICORN, "shop:app"), {})


def test_no_server_imports_what_serves_while_it_is_imported(tmp_path: Path) -> None:
    launch = launched(tmp_path, {"shop.py": f"{FLASK}import waitress\nwaitress.serve(app)\n"}, "flask waitress gunicorn")
    assert launch.command == ("python", "shop.py")


_WITH_ARGUMENTS = "import sys\nfrom flask import Flask\napp = Flask(__name__)\n{}\nif __name__ == '__main__':\n    app.run({})\n"
_ANYWHERE = "host='0.0.0.0', port=8080"


@pytest.mark.parametrize(
    ("line", "address", "is_served"),
    [
        ("PORT = sys.argv[1] if len(sys.argv) > 1 else 80", _ANYWHERE, False),
        ("if len(sys.argv) > 2:\n    PORT = int(sys.argv[2])", _ANYWHERE, False),
        ("PORT = sys.argv[1] if len(sys.argv) > 1 else 80", "port=PORT", True),
        ("NAME = sys.argv[0]", _ANYWHERE, True),
        ("DEBUG = 'debug' in sys.argv[1:]", _ANYWHERE, True),
        ("if len(sys.argv) > 1 and sys.argv[1] == 'fill':\n    fill(sys.argv[2])", _ANYWHERE, True),
    ],
)
def test_a_file_that_takes_its_own_arguments_runs_itself(tmp_path: Path, line: str, address: str, is_served: bool) -> None:
    launch = launched(tmp_path, {"main.py": _WITH_ARGUMENTS.format(line, address)}, "flask gunicorn")
    assert ("main:app" in launch.command, launch.command == ("python", "main.py")) == (is_served, not is_served)


def test_a_file_that_starts_no_server_is_served_whatever_it_takes(tmp_path: Path) -> None:
    main = "import sys\nfrom fastapi import FastAPI\napp = FastAPI()\nNAME = sys.argv[1] if len(sys.argv) > 1 else 'x'\n"
    assert "main:app" in launched(tmp_path, {"main.py": main}, "fastapi uvicorn").command


LIBRARY = {"lib/helpers/__init__.py": "", "lib/helpers/log.py": "", "lib/start.py": "from helpers.log import log\n"}


@pytest.mark.parametrize(
    ("files", "path"),
    [
        ({}, ("backend", "lib")),
        ({"backend/helpers/__init__.py": "", "backend/helpers/log.py": ""}, ("backend",)),
        ({"other/helpers/__init__.py": "", "other/helpers/log.py": "", "other/start.py": "import helpers\n"}, ("backend",)),
    ],
)
def test_imports_from_the_directory_that_alone_has_a_module(tmp_path: Path, files: dict[str, str], path: tuple[str, ...]) -> None:
    main = {"backend/main.py": f"import state\nfrom helpers.log import log\n{FASTAPI}", "backend/state.py": ""}
    assert launched(tmp_path, {**main, **LIBRARY, **files}, "fastapi uvicorn").python_path == path


def test_a_dependency_is_not_hidden_by_a_directory_of_its_name(tmp_path: Path) -> None:
    main = {"backend/main.py": f"import state\nfrom helpers.log import log\n{FASTAPI}", "backend/state.py": ""}
    assert launched(tmp_path, {**main, **LIBRARY}, "fastapi uvicorn helpers").python_path == ("backend",)


@pytest.mark.parametrize(
    ("copied", "module"), [("backend/ /project/src", "app.main:app"), (". .", "demo.db:app"), ("list.txt .", "demo.db:app")]
)
def test_an_application_that_the_dockerfile_copies_comes_first(tmp_path: Path, copied: str, module: str) -> None:
    files = {
        "Dockerfile": f"FROM python:3.12\nWORKDIR /project\nCOPY {copied}\nCMD uvicorn src.app.main:app\n",
        "backend/app/main.py": f"from app.views import x\n{FASTAPI}",
        "backend/app/__init__.py": "",
        "backend/app/views.py": "",
        "demo/db.py": FASTAPI,
        "list.txt": "",
    }
    assert launched(tmp_path, files, "fastapi uvicorn").command[-1] == module


@pytest.mark.parametrize(
    ("imports", "served"),
    [("import database", "wsgi:app"), ("from app.database import db", "app.wsgi:app"), ("import json", "app.wsgi:app")],
)
def test_a_package_with_a_module_of_its_name_may_be_where_modules_are_imported_from(tmp_path: Path, imports: str, served: str) -> None:
    files = {"app/__init__.py": "", "app/app.py": "def create_app(): ...\n", "app/database.py": "db = 1\n"}
    files["app/wsgi.py"] = f"{imports}\nfrom app import create_app\nfrom flask import Flask\napp = Flask('x')\n"
    launch = launched(tmp_path, files, "flask gunicorn")
    assert (launch.command[-1], launch.directory) == (served, "app" if served == "wsgi:app" else "")


def test_a_folder_that_is_no_package_hides_no_module(tmp_path: Path) -> None:
    code = "import util\nfrom flask import Flask\napp = Flask('x')\n"
    launch = launched(tmp_path, {"backend/backend.py": code, "backend/util.py": "", "data/rows.csv": ""}, "flask gunicorn")
    assert (launch.command[-1], launch.directory, launch.python_path) == ("backend:app", "", ("backend",))


@pytest.mark.parametrize(
    ("line", "served"),
    [("", "config:app"), ("@app.route('/')\ndef index(): ...\n", "pages:app"), ("@app.errorhandler(404)\ndef lost(): ...\n", "config:app")],
)
def test_the_file_with_the_routes_of_an_application_is_served(tmp_path: Path, line: str, served: str) -> None:
    files = {"config.py": FLASK, "pages.py": f"from config import app\n{line}"}
    assert launched(tmp_path / "a", files, "flask gunicorn").command[-1] == served
    # One that has a route, or imports its own routes, is whole.
    (tmp_path / "a" / "config.py").write_text(f"{FLASK}@app.get('/')\ndef home(): ...\n")
    assert launched(tmp_path / "a", {}, "flask gunicorn").command[-1] == "config:app"
    files = {"config.py": f"{FLASK}import pages\n", "pages.py": f"from config import app\n{line}"}
    assert launched(tmp_path / "b", files, "flask gunicorn").command[-1] == "config:app"


_PARSES = "import argparse, uvicorn\n" + FASTAPI + "def options():\n    return argparse.ArgumentParser().parse_args()\n%s\n"
_RUNS = 'if __name__ == "__main__":\n    options()\n    uvicorn.run(app, host="0.0.0.0")\n'


@pytest.mark.parametrize(
    ("line", "command"), [("args = options()", "python main.py --port 9000"), ("", "uvicorn --host 0.0.0.0 --port 9000 main:app")]
)
def test_a_program_that_parses_the_command_line_when_it_is_imported_starts_itself(tmp_path: Path, line: str, command: str) -> None:
    dockerfile = "FROM python\nWORKDIR /app\nCOPY . .\nEXPOSE 9000\nCMD python main.py --port 9000\n"
    launch = launched(tmp_path, {"main.py": _PARSES % line + _RUNS, "Dockerfile": dockerfile}, "fastapi uvicorn")
    assert " ".join(launch.command) == command
