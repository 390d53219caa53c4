"""The production command, over many small project trees; and Procfiles, which a shell never reads."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.project_tree import launched, written

from shipwheel.errors import ProjectError
from shipwheel.project.entrypoint.command_line import parse_command
from shipwheel.project.entrypoint.find import Evidence, Launch, find_launch
from shipwheel.project.entrypoint.procfile import parse_procfile
from shipwheel.project.entrypoint.source import read_modules
from shipwheel.settings import Settings

ANY = ("--host", "0.0.0.0", "--port", "8000")
FASTAPI = "from fastapi import FastAPI\napp = FastAPI()\n"
FLASK = "from flask import Flask\napp = Flask(__name__)\n"
FACTORY = "import flask\ndef create_app(config=None):\n    app = flask.Flask(__name__)\n    return app\n"
MAIN = 'if __name__ == "__main__":\n    print(1)\n'


GUNICORN = ("gunicorn", "--bind", "0.0.0.0:8000")
LAYOUTS: dict[str, tuple[dict[str, str], str, tuple[str, ...]]] = {
    "fastapi in main.py": ({"main.py": FASTAPI}, "fastapi uvicorn", ("uvicorn", *ANY, "main:app")),
    "fastapi in app/main.py": ({"app/__init__.py": "", "app/main.py": FASTAPI}, "fastapi uvicorn", ("uvicorn", *ANY, "app.main:app")),
    "namespace package": (
        {"app/main.py": "from app.db import x\n" + FASTAPI, "app/db.py": ""},
        "fastapi uvicorn",
        ("uvicorn", *ANY, "app.main:app"),
    ),
    "module alias, other variable": (
        {"server.py": "import fastapi as f\nservice = f.FastAPI()\n"},
        "fastapi uvicorn",
        ("uvicorn", *ANY, "server:service"),
    ),
    "annotated": (
        {"main.py": "from fastapi import FastAPI\nfrom x import build\nweb: FastAPI = build()\n"},
        "fastapi uvicorn",
        ("uvicorn", *ANY, "main:web"),
    ),
    "subclass": (
        {"main.py": "from fastapi import FastAPI\nclass A(FastAPI): ...\napp = A()\n"},
        "fastapi uvicorn",
        ("uvicorn", *ANY, "main:app"),
    ),
    "factory elsewhere": (
        {"pkg/__init__.py": FACTORY, "wsgi.py": "from pkg import create_app\napplication = create_app()\n"},
        "flask gunicorn",
        (*GUNICORN, "wsgi:application"),
    ),
    "relative factory": (
        {"pkg/__init__.py": "", "pkg/core.py": FACTORY, "pkg/main.py": "from .core import create_app\napp = create_app()\n"},
        "flask gunicorn",
        (*GUNICORN, "pkg.main:app"),
    ),
    "flask factory": ({"pkg/__init__.py": FACTORY}, "flask gunicorn", (*GUNICORN, "pkg:create_app()")),
    "fastapi factory": (
        {"app.py": "from fastapi import FastAPI\ndef create_app() -> FastAPI:\n    return build()\n"},
        "fastapi uvicorn",
        ("uvicorn", *ANY, "--factory", "app:create_app"),
    ),
    "factory with arguments is none": (
        {"app.py": "import flask\ndef make(x):\n    return flask.Flask(x)\n" + MAIN},
        "flask",
        ("python", "app.py"),
    ),
    "factory that calls one with arguments": (
        {
            "look/__init__.py": "",
            "look/app.py": "import falcon\ndef make(x):\n    return falcon.App()\ndef get_app():\n    return make(1)\n",
        },
        "falcon gunicorn",
        (*GUNICORN, "look.app:get_app()"),
    ),
    "object of a maker with arguments, elsewhere": (
        {
            "p/__init__.py": "",
            "p/s/__init__.py": "",
            "p/s/factory.py": "from flask import Flask\ndef make(name):\n    app = Flask(name)\n    return app\n",
            "p/s/wsgi.py": "from .factory import make\napplication = make('production')\n",
        },
        "flask gunicorn",
        (*GUNICORN, "p.s.wsgi:application"),
    ),
    "factory that a package hands on": (
        {
            "web/__init__.py": "from .core import build\n",
            "web/core.py": "from flask import Flask\ndef build(config):\n    return Flask(config)\n",
            "start.py": "from web import build\nsite = build('x')\n",
        },
        "flask gunicorn",
        (*GUNICORN, "start:site"),
    ),
    "factory through another module's": (
        {
            "web/__init__.py": "",
            "web/core.py": "from flask import Flask\ndef build(config):\n    return Flask(config)\n",
            "web/main.py": "from . import core\ndef create_app():\n    app = core.build('x')\n    return app\n",
        },
        "flask gunicorn",
        (*GUNICORN, "web.main:create_app()"),
    ),
    "factories that call each other": (
        {"main.py": "import flask\ndef a():\n    return b()\ndef b():\n    return a()\n"},
        "flask",
        ("python", "main.py"),
    ),
    "flask and waitress": ({"app.py": FLASK}, "flask waitress", ("waitress-serve", *ANY, "app:app")),
    "waitress factory": ({"app.py": FACTORY}, "flask waitress", ("waitress-serve", *ANY, "--call", "app:create_app")),
    "flask and uwsgi": (
        {"app.py": FLASK},
        "flask uwsgi",
        ("uwsgi", "--http-socket", "0.0.0.0:8000", "--master", "--need-app", "--module", "app:app"),
    ),
    "granian": ({"app.py": FASTAPI}, "fastapi granian", ("granian", "--interface", "asgi", *ANY, "app:app")),
    "hypercorn": ({"app.py": FASTAPI}, "fastapi hypercorn", ("hypercorn", "--bind", "0.0.0.0:8000", "app:app")),
    "quart": ({"app.py": "from quart import Quart\napp = Quart(__name__)\n"}, "quart", ("hypercorn", "--bind", "0.0.0.0:8000", "app:app")),
    "starlette": (
        {"app.py": "from starlette.applications import Starlette\napp = Starlette()\n"},
        "starlette uvicorn",
        ("uvicorn", *ANY, "app:app"),
    ),
    "litestar": ({"app.py": "import litestar\napp = litestar.Litestar([])\n"}, "litestar uvicorn", ("uvicorn", *ANY, "app:app")),
    "sanic": ({"srv.py": "from sanic import Sanic\napp = Sanic('x')\n"}, "sanic", ("sanic", *ANY, "srv:app")),
    "falcon wsgi": ({"app.py": "import falcon\napp = falcon.App()\n"}, "falcon gunicorn", (*GUNICORN, "app:app")),
    "falcon asgi": ({"app.py": "import falcon.asgi\napp = falcon.asgi.App()\n"}, "falcon uvicorn", ("uvicorn", *ANY, "app:app")),
    "bottle": ({"app.py": "import bottle\napp = bottle.default_app()\n"}, "bottle gunicorn", (*GUNICORN, "app:app")),
    "pyramid": (
        {"app.py": "from pyramid.config import Configurator\nwith Configurator() as c:\n    app = c.make_wsgi_app()\n"},
        "pyramid waitress",
        ("waitress-serve", *ANY, "app:app"),
    ),
    "dash": ({"app.py": "from dash import Dash\napp = Dash()\nserver = app.server\n"}, "dash gunicorn", (*GUNICORN, "app:server")),
    "aiohttp script": (
        {"main.py": "from aiohttp import web\napp = web.Application()\nif __name__ == '__main__':\n    web.run_app(app)\n"},
        "aiohttp",
        ("python", "main.py"),
    ),
    "django": (
        {
            "manage.py": "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site1.settings')\n",
            "site1/__init__.py": "",
            "site1/settings.py": "WSGI_APPLICATION = 'site1.wsgi.application'\n",
            "site1/wsgi.py": "",
            "site1/asgi.py": "",
        },
        "django gunicorn",
        (*GUNICORN, "site1.wsgi:application"),
    ),
    "django with channels": (
        {
            "manage.py": "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'c.settings.local')\n",
            "c/__init__.py": "",
            "c/settings/__init__.py": "",
            "c/settings/local.py": "from .base import *\n",
            "c/settings/base.py": "ASGI_APPLICATION = 'c.asgi.application'\nWSGI_APPLICATION = 'c.wsgi.application'\n",
            "c/asgi.py": "",
        },
        "django daphne channels",
        ("daphne", "-b", "0.0.0.0", "-p", "8000", "c.asgi:application"),
    ),
    "streamlit": (
        {"app.py": "import streamlit as st\n", "pages/a.py": "import streamlit\n"},
        "streamlit",
        ("streamlit", "run", "app.py", "--server.port", "8501", "--server.address", "0.0.0.0", "--server.headless", "true"),
    ),
    "gradio": ({"demo.py": "import gradio as gr\nwith gr.Blocks() as b: ...\nb.launch()\n"}, "gradio", ("python", "demo.py")),
    "chainlit": ({"app.py": "import chainlit\n"}, "chainlit", ("chainlit", "run", "app.py", *ANY, "--headless")),
    "panel": (
        {"app.py": "import panel as pn\npn.Row().servable()\n"},
        "panel",
        ("panel", "serve", "app.py", "--address", "0.0.0.0", "--port", "5006"),
    ),
    "celery": (
        {"tasks.py": "from celery import Celery\napp = Celery()\n"},
        "celery",
        ("celery", "-A", "tasks:app", "worker", "--loglevel", "INFO"),
    ),
    "fastapi before celery": (
        {"app.py": FASTAPI, "w.py": "from celery import Celery\napp = Celery()\n"},
        "fastapi uvicorn celery",
        ("uvicorn", *ANY, "app:app"),
    ),
    "main.py": ({"main.py": "print(1)\n"}, "", ("python", "main.py")),
    "the only script": ({"collect.py": MAIN, "helper.py": "x = 1\n", "setup.py": MAIN}, "", ("python", "collect.py")),
    "package with __main__": ({"demo/__init__.py": "", "demo/__main__.py": MAIN}, "", ("python", "-m", "demo")),
    "main guard hides its objects": (
        {"a.py": "from flask import Flask\nif __name__ == '__main__':\n    app = Flask('x')\n", "main.py": ""},
        "",
        ("python", "main.py"),
    ),
    "tests are not the app": ({"tests/app.py": FASTAPI, "main.py": "x = 1"}, "fastapi uvicorn", ("python", "main.py")),
    "broken files are passed over": (
        {"old.py": "print 'two'\n", "nul.py": "a\0b", "main.py": FASTAPI},
        "fastapi uvicorn",
        ("uvicorn", *ANY, "main:app"),
    ),
    "object before factory": ({"main.py": FACTORY, "zz.py": FLASK}, "flask gunicorn", (*GUNICORN, "zz:app")),
    "app.py before deeper main.py": (
        {"app.py": FLASK, "sub/__init__.py": "", "sub/main.py": FLASK},
        "flask gunicorn",
        (*GUNICORN, "app:app"),
    ),
    "in a try block": (
        {"main.py": "from fastapi import FastAPI\ntry:\n    app = FastAPI()\nexcept E:\n    pass\n"},
        "fastapi uvicorn",
        ("uvicorn", *ANY, "main:app"),
    ),
    "procfile": (
        {"Procfile": "web: gunicorn -w 2 app:app\nworker: x\n", "app.py": FASTAPI},
        "fastapi uvicorn",
        ("gunicorn", "-w", "2", "app:app"),
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(tmp_path: Path, layout: str) -> None:
    files, dependencies, command = LAYOUTS[layout]
    launch = launched(tmp_path, files, dependencies)
    assert launch.command == command
    assert launch.extra_requirements == ()
    assert launch.needs_source
    assert launch.reason.endswith(".")


@pytest.mark.parametrize(("files", "server"), [({"app.py": FLASK}, "gunicorn"), ({"app.py": FASTAPI}, "uvicorn")])
def test_a_production_server_is_added(tmp_path: Path, files: dict[str, str], server: str) -> None:
    launch = launched(tmp_path, files, "flask fastapi")
    assert launch.command[0] == server
    assert launch.extra_requirements == (server,)
    assert server in launch.reason


def test_names_are_exact(tmp_path: Path) -> None:
    launch = launched(tmp_path, {"app.py": FLASK}, "flask gunicorn-extras my-uvicorn")
    assert launch.extra_requirements == ("gunicorn",)


def test_src_and_nested_roots_are_put_on_the_import_path(tmp_path: Path) -> None:
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


def test_ports_follow_the_settings(tmp_path: Path) -> None:
    launch = launched(tmp_path, {"main.py": FASTAPI}, "fastapi uvicorn", settings=Settings(ports=("9000/tcp", "53/udp")))
    assert launch.command == ("uvicorn", "--host", "0.0.0.0", "--port", "9000", "main:app")
    assert launch.ports == ("9000/tcp", "53/udp")
    assert launched(tmp_path, {}, "fastapi uvicorn").ports == ("8000/tcp",)


def test_gradio_listens_on_all_addresses(tmp_path: Path) -> None:
    launch = launched(tmp_path, {"app.py": "import gradio\ngradio.Interface(f).launch()\n"}, "gradio")
    assert (launch.env["GRADIO_SERVER_NAME"], launch.ports) == ("0.0.0.0", ("7860/tcp",))


def test_a_script_that_reads_arguments_is_a_program(tmp_path: Path) -> None:
    assert launched(tmp_path, {"main.py": "import argparse\n"}).is_program
    assert not launched(tmp_path, {"main.py": "import json\n"}).is_program


def test_the_settings_come_first(tmp_path: Path) -> None:
    launch = launched(
        tmp_path, {"Procfile": "web: x | y\n", "main.py": FASTAPI}, "fastapi uvicorn", settings=Settings(command=("python", "main.py"))
    )
    assert (launch.command, launch.is_program, launch.ports) == (("python", "main.py"), False, ())
    launch = launched(tmp_path, {}, settings=Settings(entrypoint=("tool",), command=("--help",)))
    assert (launch.command, launch.is_program, launch.arguments) == (("tool",), True, ("--help",))


def _package(root: Path, files: dict[str, str], scripts: dict[str, str], dependencies: str = "", **more: object) -> Launch:
    return find_launch(
        Evidence(
            written(root, files),
            "demo",
            "package",
            scripts=scripts,
            dependencies=frozenset(dependencies.split()),
            packaged=frozenset({"demo"}),
            **more,  # type: ignore[arg-type]
        )
    )


def test_console_scripts_are_programs(tmp_path: Path) -> None:
    launch = _package(tmp_path, {"src/demo/__init__.py": ""}, {"demo-cli": "demo:main"})
    assert (launch.command, launch.is_program, launch.needs_source) == (("demo-cli",), True, False)
    assert _package(tmp_path, {}, {"other": "demo:x", "Demo": "demo:main"}).command == ("Demo",)
    with pytest.raises(ProjectError, match="console scripts a, b") as caught:
        _package(tmp_path, {}, {"a": "demo:a", "b": "demo:b"})
    assert 'command = ["a"]' in caught.value.hint


def test_a_web_object_with_its_server_comes_before_a_console_script(tmp_path: Path) -> None:
    files = {"src/demo/__init__.py": "", "src/demo/main.py": FASTAPI}
    launch = _package(tmp_path, files, {"demo": "demo:main"}, "fastapi uvicorn")
    assert (launch.command[-1], launch.needs_source, launch.python_path) == ("demo.main:app", False, ())
    assert _package(tmp_path, files, {"demo": "demo:main"}, "fastapi").command == ("demo",)
    assert _package(tmp_path, files, {"demo": "demo:main"}, "httpx uvicorn").command == ("demo",)


def test_a_package_whose_app_is_beside_it_needs_its_source(tmp_path: Path) -> None:
    launch = _package(tmp_path, {"demo/__init__.py": "", "main.py": FASTAPI}, {}, "fastapi uvicorn")
    assert (launch.command[-1], launch.needs_source) == ("main:app", True)
    files = {"manage.py": "", "demo/__init__.py": ""}
    assert _package(tmp_path, files, {}, settings=Settings(command=("python", "manage.py", "x"))).needs_source
    assert not _package(tmp_path, files, {}, settings=Settings(command=("demo", "start", "-a"))).needs_source
    assert not _package(tmp_path, files, {}, settings=Settings(command=("uvicorn", "demo.api:app"))).needs_source


def test_other_candidates_are_said(tmp_path: Path) -> None:
    assert "also found: other:app" in launched(tmp_path, {"main.py": FASTAPI, "other.py": FASTAPI}, "fastapi uvicorn").reason


def test_nothing_found_says_what_was_looked_for_and_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="no command to start was found") as caught:
        launched(tmp_path, {"lib.py": "x = 1\n"})
    assert "Streamlit" in caught.value.message
    assert "shipwheel.toml: command = [" in caught.value.hint


def test_dash_without_a_server_variable(tmp_path: Path) -> None:
    launch = launched(tmp_path, {"app.py": "import dash\nd = dash.Dash()\n"}, "dash")
    assert launch.command == ("waitress-serve", *ANY, "app:d.server")
    assert (launch.extra_requirements, launch.ports) == (("waitress",), ("8000/tcp",))


def test_a_dash_factory_says_the_line(tmp_path: Path) -> None:
    with pytest.raises(ProjectError) as caught:
        launched(tmp_path, {"app.py": "import dash\ndef make_app():\n    return dash.Dash()\n"}, "dash")
    assert "`server = make_app().server`" in caught.value.hint


def test_code_is_never_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    evil = f"open({str(mark)!r}, 'w')\n"
    launched(tmp_path, {"main.py": evil + FASTAPI, "conftest.py": evil, "manage.py": evil}, "fastapi uvicorn")
    assert not mark.exists()


def test_links_and_environments_are_not_walked(tmp_path: Path) -> None:
    written(tmp_path, {"main.py": "", "myenv/pyvenv.cfg": "", "myenv/app.py": FASTAPI})
    (tmp_path / "loop").symlink_to(".")
    assert [module.file for module in read_modules(tmp_path)] == ["main.py"]


@pytest.mark.parametrize(
    ("line", "env", "words"),
    [
        ("gunicorn app:app", {}, ("gunicorn", "app:app")),
        ("gunicorn -b 0.0.0.0:$PORT app:app", {}, ("gunicorn", "-b", "0.0.0.0:8000", "app:app")),
        ('uvicorn --port "${PORT}" a:b', {}, ("uvicorn", "--port", "8000", "a:b")),
        ("x --workers ${WORKERS:-3}", {}, ("x", "--workers", "3")),
        ("exec A=1 x", {}, ("A=1", "x")),
        ("A=1 B='two words' x", {"A": "1", "B": "two words"}, ("x",)),
        ("x --ips='*' '$PORT' 'a|b' \"a;b\"", {}, ("x", "--ips=*", "$PORT", "a|b", "a;b")),
        ("gunicorn 'pkg:create_app()' # not a comment", {}, ("gunicorn", "pkg:create_app()", "#", "not", "a", "comment")),
        (r"x a\ b", {}, ("x", "a b")),
    ],
)
def test_procfile_words(line: str, env: dict[str, str], words: tuple[str, ...]) -> None:
    assert parse_command(line, "Procfile, line 1", {"PORT": "8000"}) == (env, words)


@pytest.mark.parametrize(
    "line",
    [
        "a | b",
        "a && b",
        "a; b",
        "a > b",
        "a &",
        "a $(b)",
        "a `b`",
        'a "$(b)"',
        "cd x",
        "sh -c 'a'",
        "a $UNSET",
        "a ${UNSET}",
        "a 'b",
        "A=1",
        "",
        "a (b)",
        "exec",
    ],
)
def test_a_procfile_that_needs_a_shell_is_refused(line: str) -> None:
    with pytest.raises(ProjectError, match="Procfile, line 1: ") as caught:
        parse_command(line, "Procfile, line 1", {})
    assert caught.value.hint


def test_a_variable_that_would_be_split_is_refused() -> None:
    with pytest.raises(ProjectError, match="split"):
        parse_command("a $X", "Procfile, line 1", {"X": "b; c"})


def test_procfile_process_types(tmp_path: Path) -> None:
    types = parse_procfile("# web: no\nrelease: a\n\nweb:   b --x: y  \nweb: second\nnonsense\n")
    assert types == {"release": (2, "a"), "web": (4, "b --x: y")}
    launch = launched(tmp_path, {"Procfile": "release: migrate\nworker: python w.py\n"})
    assert (launch.command, launch.ports, launch.env) == (("python", "w.py"), (), {})
    launch = launched(tmp_path, {"Procfile": "web: A=b gunicorn -b :$PORT app:app\n"}, settings=Settings(env={"PORT": "9999"}))
    assert (launch.command[2], launch.ports, launch.env) == (":9999", ("9999/tcp",), {"PORT": "9999", "A": "b"})
    with pytest.raises(ProjectError, match="a, b"):
        launched(tmp_path, {"Procfile": "a: x\nb: y\n"})


@given(st.text(alphabet="ab=$ {}:-()'\"\\|&;<>`#*~\t\x00é/.PORT", max_size=50))
def test_any_command_line_gives_words_or_our_error(line: str) -> None:
    try:
        _, words = parse_command(line, "Procfile, line 1", {"PORT": "8000"})
    except ProjectError as error:
        assert error.message.startswith("Procfile, line 1: ")
    else:
        assert words
        assert words[0]
        assert all("\0" not in word for word in words)


@given(st.text(max_size=200))
def test_any_procfile_can_be_read(text: str) -> None:
    assert all(command for _, command in parse_procfile(text).values())
