"""The production command of less usual frameworks, of workers, and of applications without any framework."""

from pathlib import Path

import pytest
from support.project_tree import launched

from shipwheel.errors import ProjectError

ANY = ("--host", "0.0.0.0", "--port", "8000")
GUNICORN = ("gunicorn", "--bind", "0.0.0.0:8000")
FASTAPI = "from fastapi import FastAPI\napp = FastAPI()\n"
FLASK = "from flask import Flask\napp = Flask(__name__)\n"
MAIN = 'if __name__ == "__main__":\n    print(1)\n'


LAYOUTS: dict[str, tuple[dict[str, str], str, tuple[str, ...]]] = {
    "wsgi without a framework": (
        {"wsgi.py": "def application(environ, start_response):\n    return []\n"},
        "gunicorn",
        (*GUNICORN, "wsgi:application"),
    ),
    "asgi without a framework": (
        {"main.py": "async def app(scope, receive, send):\n    pass\n"},
        "uvicorn",
        ("uvicorn", *ANY, "main:app"),
    ),
    "an object that a server can call": (
        {"main.py": "class Site:\n    def __call__(self, environ, start_response): ...\napp = Site()\n"},
        "gunicorn",
        (*GUNICORN, "main:app"),
    ),
    "wsgi.py by convention": (
        {"wsgi.py": "from own.kernel import application\n", "own/__init__.py": "", "own/kernel.py": "application = build()\n"},
        "gunicorn",
        (*GUNICORN, "wsgi:application"),
    ),
    "socketio around fastapi": (
        {
            "main.py": "import socketio\n"
            + FASTAPI
            + "sio = socketio.AsyncServer()\nsocket_app = socketio.ASGIApp(sio, other_asgi_app=app)\n"
        },
        "fastapi uvicorn python-socketio",
        ("uvicorn", *ANY, "main:socket_app"),
    ),
    "strawberry": (
        {"server.py": "from strawberry.asgi import GraphQL\napp = GraphQL(1)\n"},
        "strawberry-graphql uvicorn",
        ("uvicorn", *ANY, "server:app"),
    ),
    "ariadne wsgi": ({"app.py": "from ariadne.wsgi import GraphQL\napp = GraphQL(1)\n"}, "ariadne gunicorn", (*GUNICORN, "app:app")),
    "shiny": ({"app.py": "from shiny import App\napp = App(1, 2)\n"}, "shiny uvicorn", ("uvicorn", *ANY, "app:app")),
    "shiny express": ({"app.py": "from shiny.express import ui\nui.input_text()\n"}, "shiny uvicorn", ("shiny", "run", *ANY, "app.py")),
    "web.py": (
        {"site1.py": "import web\napp = web.application((), globals())\n"},
        "web-py waitress",
        ("waitress-serve", *ANY, "--call", "site1:app.wsgifunc"),
    ),
    "web.py's tutorial": (
        {"code.py": "import web\napp = web.application((), globals())\n" + MAIN},
        "web-py waitress",
        ("python", "code.py"),
    ),
    "web.py's own wsgi": (
        {"site1.py": "import web\na = web.application()\napplication = a.wsgifunc()\n"},
        "web-py gunicorn waitress",
        (*GUNICORN, "site1:application"),
    ),
    "cherrypy mounted": ({"app.py": "import cherrypy\napp = cherrypy.tree.mount(1, '/')\n"}, "cherrypy gunicorn", (*GUNICORN, "app:app")),
    "flask-socketio": ({"app.py": FLASK}, "flask flask-socketio gunicorn", (*GUNICORN, "--threads", "100", "app:app")),
    "flask-socketio and gevent": (
        {"app.py": FLASK},
        "flask flask-socketio gunicorn gevent gevent-websocket",
        (*GUNICORN, "--worker-class", "geventwebsocket.gunicorn.workers.GeventWebSocketWorker", "app:app"),
    ),
    "aiohttp factory for this machine alone": (
        {
            "polls/__init__.py": "",
            "polls/main.py": "from aiohttp import web\nasync def init(argv=None):\n    app = web.Application()\n    return app\n"
            "def main():\n    web.run_app(init(), host='localhost')\n",
        },
        "aiohttp gunicorn",
        (*GUNICORN, "--worker-class", "aiohttp.GunicornWebWorker", "polls.main:init"),
    ),
    "bokeh": (
        {"main.py": "from bokeh.plotting import curdoc\ncurdoc().add_root(1)\n"},
        "bokeh",
        ("bokeh", "serve", "main.py", "--address", "0.0.0.0", "--port", "5006"),
    ),
    "marimo": (
        {"note.py": "import marimo\napp = marimo.App()\n"},
        "marimo",
        ("marimo", "run", "note.py", "--host", "0.0.0.0", "--port", "2718", "--headless"),
    ),
    "solara": (
        {"sol.py": "import solara\n@solara.component\ndef Page(): ...\n"},
        "solara",
        ("solara", "run", "sol.py", "--host", "0.0.0.0", "--port", "8765", "--production"),
    ),
    "a solara page that a function makes": (
        {"sol.py": "import solara\nfrom x import make\nPage = make()\n"},
        "solara",
        ("solara", "run", "sol.py", "--host", "0.0.0.0", "--port", "8765", "--production"),
    ),
    "pyramid's ini": (
        {"production.ini": "[app:main]\nuse = egg:x\n[server:main]\nlisten = *:6543\n", "x/__init__.py": ""},
        "pyramid waitress",
        ("pserve", "production.ini"),
    ),
    "an ini for this machine alone": (
        {"production.ini": "[app:main]\nuse = egg:x\n[server:main]\nlisten = localhost:6543\n"},
        "pyramid gunicorn",
        (*GUNICORN, "--paste", "production.ini"),
    ),
    "an ini with a port that there is not": (
        {"production.ini": "[app:main]\nuse = egg:x\n[server:main]\nlisten = *:99999\n"},
        "pyramid gunicorn",
        (*GUNICORN, "--paste", "production.ini"),
    ),
    "twisted": (
        {"web.tac": "from twisted.application import internet\ninternet.TCPServer(8080, f)\n"},
        "twisted",
        ("twistd", "--nodaemon", "--pidfile=", "--logfile=-", "--python", "web.tac"),
    ),
    "voila": ({"a.ipynb": "{}"}, "voila", ("voila", "a.ipynb", "--no-browser", "--port=8866", "--Voila.ip=0.0.0.0")),
    "arq": ({"worker.py": "class WorkerSettings:\n    functions = []\n"}, "arq", ("arq", "worker.WorkerSettings")),
    "dramatiq": ({"count.py": "import dramatiq\n@dramatiq.actor\ndef f(): ...\n"}, "dramatiq", ("dramatiq", "count")),
    "huey": ({"demo.py": "from huey import SqliteHuey\nq = SqliteHuey()\n"}, "huey", ("huey_consumer", "demo.q")),
    "faststream": ({"app.py": "from faststream import FastStream\napp = FastStream(b)\n"}, "faststream", ("faststream", "run", "app:app")),
    "run.py adds to the application": (
        {
            "run.py": "from web import app\nfrom web import views\nif __name__ == '__main__':\n    app.run()\n",
            "web/__init__.py": FLASK,
            "web/views.py": "from web import app\n",
        },
        "flask gunicorn",
        (*GUNICORN, "run:app"),
    ),
    "wsgi.py hands it on": (
        {"wsgi.py": "from site1.core import app as application\n", "run.py": "from site1.core import app\n" + MAIN, "site1/core.py": FLASK},
        "flask gunicorn",
        (*GUNICORN, "wsgi:application"),
    ),
    "a dash layout in another module": (
        {
            "app.py": "import dash\napp = dash.Dash(__name__)\nserver = app.server\n",
            "index.py": "from app import app\napp.layout = 1\nif __name__ == '__main__':\n    app.run_server()\n",
        },
        "dash waitress",
        ("waitress-serve", *ANY, "index:app.server"),
    ),
    "streamlit helpers above the page": (
        {"helpers.py": "import streamlit\n", "app/Home.py": "import streamlit as st\nst.set_page_config()\n"},
        "streamlit",
        ("streamlit", "run", "app/Home.py", "--server.port", "8501", "--server.address", "0.0.0.0", "--server.headless", "true"),
    ),
    "channels speak asgi": (
        {
            "manage.py": "import os, django\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'c.settings')\n",
            "c/__init__.py": "",
            "c/settings.py": "ASGI_APPLICATION = 'c.asgi.application'\nWSGI_APPLICATION = 'c.wsgi.application'\n",
        },
        "django channels daphne gunicorn",
        ("daphne", "-b", "0.0.0.0", "-p", "8000", "c.asgi:application"),
    ),
    "a program within a package": ({"bot/__init__.py": "", "bot/main.py": MAIN, "bot/other.py": MAIN}, "", ("python", "-m", "bot.main")),
    "a program within a folder": ({"src/tg/main.py": "import tg.x\n" + MAIN, "src/tg/x.py": ""}, "", ("python", "-m", "tg.main")),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(tmp_path: Path, layout: str) -> None:
    files, dependencies, command = LAYOUTS[layout]
    launch = launched(tmp_path, files, dependencies)
    assert launch.command == command
    assert launch.extra_requirements == ()
    assert launch.needs_source
    assert launch.reason.endswith(".")


def test_scrapys_spider_is_a_program(tmp_path: Path) -> None:
    spider = "import scrapy\nclass S(scrapy.Spider):\n    name = 'one'\n"
    files = {"scrapy.cfg": "[settings]\n", "q/__init__.py": "", "q/spiders/__init__.py": "", "q/spiders/a.py": spider}
    launch = launched(tmp_path, files, "scrapy")
    assert (launch.command, launch.is_program, launch.arguments) == (("scrapy",), True, ("crawl", "one"))
    launch = launched(tmp_path, {"q/spiders/b.py": spider.replace("one", "two")}, "scrapy")
    assert launch.arguments == ("list",)
    assert "one, two" in launch.reason


def test_robyn_listens_on_all_addresses(tmp_path: Path) -> None:
    launch = launched(tmp_path, {"app.py": "from robyn import Robyn\napp = Robyn(__file__)\napp.start(port=9000)\n"}, "robyn")
    assert (launch.command, launch.ports) == (("python", "app.py"), ("9000/tcp",))
    assert launch.env == {"ROBYN_HOST": "0.0.0.0", "ROBYN_PORT": "9000"}


@pytest.mark.parametrize(("dependencies", "said"), [("django gunicorn", True), ("django gunicorn whitenoise", False)])
def test_django_s_static_files_need_a_server(tmp_path: Path, dependencies: str, said: bool) -> None:
    files = {
        "manage.py": "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 's.settings')\n",
        "s/__init__.py": "",
        "s/settings.py": "STATIC_URL = 'static/'\n",
        "s/wsgi.py": "",
    }
    assert any("static files" in note for note in launched(tmp_path, files, dependencies).notes) == said


def test_a_framework_that_nobody_lists_is_added(tmp_path: Path) -> None:
    files = {"app.py": "import gradio as gr\ngr.Interface(1).launch()\n"}
    assert launched(tmp_path, files, "numpy").extra_requirements == ("gradio",)
    assert launched(tmp_path, files, "gradio").extra_requirements == ()


def test_an_ini_with_a_debugger_is_not_served(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="no command"):
        launched(tmp_path, {"development.ini": "[app:main]\nuse = egg:x\n[server:main]\nlisten = *:6543\n"}, "pyramid gunicorn")
