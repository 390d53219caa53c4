"""Names that newer versions no longer have: which files show, and what they tell of packages and of Python."""

from datetime import date
from pathlib import Path

import pytest

from shipwheel.project.entrypoint.scan import Scanner
from shipwheel.project.old_names import OldName, old_names
from shipwheel.project.read import read_project

FASTHTML = ("python-fasthtml<0.14", date(2026, 5, 7))
STARLETTE = ("starlette<1.0", date(2026, 3, 21))


def found(root: Path, code: str, *requirements: str) -> tuple[OldName, ...]:
    (root / "app.py").write_text(code)
    return old_names(Scanner(root).scan_modules(), requirements)


@pytest.mark.parametrize(
    ("code", "bound", "day"),
    [
        ("from flask.ext.sqlalchemy import SQLAlchemy\n", "flask<1.0", date(2018, 4, 25)),
        ("from werkzeug import secure_filename\n", "werkzeug<1.0", date(2020, 2, 5)),
        ("import flask\nflask.Markup('x')\n", "flask<3.0", date(2023, 9, 29)),
        ("from django.conf.urls import include, url\n", "django<4.0", date(2021, 12, 6)),
        ("import openai\ndef ask():\n    return openai.ChatCompletion.create()\n", "openai<1.0", date(2023, 11, 5)),
        ("from mcp.server.fastmcp import FastMCP, Context\n", "mcp<2.0", date(2026, 7, 27)),
        ("from collections import Mapping\n", "", date(2021, 10, 3)),
        ("from web import pages\ndef home(request):\n    return pages.TemplateResponse('a.html', {'request': request})\n", *STARLETTE),
        ("def home(pages, name):\n    return pages.TemplateResponse(f'{name}.html', {})\n", *STARLETTE),
        ("def home(pages):\n    return pages.TemplateResponse(name='a.html', context={})\n", *STARLETTE),
        ("from starlette.applications import Starlette\nsite = Starlette()\n@site.route('/')\ndef home(request): ...\n", *STARLETTE),
        ("import gradio as gr\nwith gr.Blocks() as demo:\n    gr.Chatbot(type='messages')\n", "gradio<6.0", date(2025, 11, 20)),
        ("import gradio as gr\ndef start(demo):\n    demo.queue(concurrency_count=3).launch()\n", "gradio<4.0", date(2023, 10, 30)),
        ("import streamlit as st\n@st.cache\ndef load(): ...\n", "streamlit<1.62", date(2026, 8, 18)),
        ("import streamlit as st\ndef go():\n    st.experimental_rerun()\n", "streamlit<1.37", date(2024, 7, 24)),
        ("from fasthtml.common import *\napp, rt = fast_app('data/notes.db')\n", *FASTHTML),
        ("from fasthtml.common import *\nnotes = database(':memory:').t.notes\n", *FASTHTML),
        ("from fasthtml.common import fast_app\napp, rt, notes, Note = fast_app(hdrs=(), db_file='a.db')\n", *FASTHTML),
        ("def create(app):\n    @app.before_first_request\n    def start(): ...\n", "flask<2.3", date(2023, 4, 24)),
        ("import sqlalchemy as sa\ndb = sa.create_engine('sqlite://')\ndb.execute('select 1')\n", "sqlalchemy<2.0", date(2023, 1, 25)),
    ],
)
def test_tells_the_last_day_of_a_name(tmp_path: Path, code: str, bound: str, day: date) -> None:
    [name] = found(tmp_path, f"from flask import Flask\n{code}")
    assert (name.bound, name.day) == (bound, day)


@pytest.mark.parametrize(
    "code",
    [
        "from werkzeug.utils import secure_filename\n",
        "try:\n    from werkzeug import secure_filename\nexcept ImportError:\n    from werkzeug.utils import secure_filename\n",
        "from flask import Flask, redirect\nfrom collections.abc import Mapping\nimport openai\nopenai.OpenAI()\n",
        "from langchain.chat_models import init_chat_model\nfrom langchain.embeddings import init_embeddings\n",
        "def home(pages, request):\n    return pages.TemplateResponse(request, 'a.html', {})\n",
        "def home(pages, request):\n    return pages.TemplateResponse(name='a.html', request=request)\n",
        "def home(pages, **options):\n    return pages.TemplateResponse(name='a.html', **options)\n",
        "from fastapi import FastAPI\napp = FastAPI()\n@app.on_event('startup')\ndef start(): ...\n",
        "import sqlalchemy as sa\nwith sa.create_engine('sqlite://').connect() as db:\n    db.execute(sa.text('select 1'))\n",
        "from fasthtml.common import *\napp, rt = fast_app(hdrs=())\n",
        "import gradio as gr\ngr.Chatbot(height=3)\ngr.Interface(print, theme='soft').launch(server_port=80)\n",
        "from shop import Chatbot, queue\nChatbot(type='messages')\nqueue(concurrency_count=3)\n",
        "import streamlit as st\n@st.cache_data\ndef load(): ...\nst.rerun() if hasattr(st, 'rerun') else st.experimental_rerun()\n",
        "from tkinter import *\nfrom data import database\ndatabase('a')\n",
        "from fasthtml.common import *\ndef database(name): ...\nnotes = database('a.db')\n",
        "import gradio as gr\nfrom shop import Chatbot, queue\nChatbot(type='messages')\nqueue.launch(show_api=True)\n",
        "import gradio as gr\nif gr.__version__ < '6':\n    gr.Chatbot(type='messages')\n",
        "from shop.pages import TemplateResponse\ndef home(request):\n    return TemplateResponse('a.html', request)\n",
        "def home(p, it):\n    try:\n        p.TemplateResponse(it, 'a')\n    except TypeError:\n        p.TemplateResponse('a', it)\n",
        "import sqlalchemy as sa\ndb = sa.create_engine('sqlite://')\ndef save(db):\n    db.execute('select 1')\n",
        "import sqlalchemy as sa\ndb = sa.create_engine('sqlite://')\ndef save():\n    with db.connect() as db:\n        db.execute(1)\n",
        "from celery import Celery\ncelery = Celery('app')\n@celery.task(bind=True)\ndef work(self): ...\n",
        "def register(celery):\n    @celery.task\n    def work(): ...\n",
        "try:\n    import imp\nexcept ImportError:\n    imp = None\nif imp:\n    imp.load_source('a', 'b')\n",
        "import inspect\ntry:\n    inspect.getfullargspec(print)\nexcept AttributeError:\n    inspect.getargspec(print)\n",
        "import inspect\nread = inspect.signature(print) if hasattr(inspect, 'signature') else inspect.getargspec(print)\n",
    ],
)
def test_tells_nothing_of_code_of_today(tmp_path: Path, code: str) -> None:
    assert found(tmp_path, code) == ()


@pytest.mark.parametrize(("importer", "own"), [("app.py", "crypt.py"), ("app.py", "crypt/__init__.py"), ("jobs/run.py", "jobs/crypt.py")])
def test_a_module_of_the_project_is_not_the_one_that_python_had(tmp_path: Path, importer: str, own: str) -> None:
    for file, code in ((own, "def hide(text): return text\n"), (importer, "import crypt\nfrom crypt import hide\ncrypt.hide('x')\n")):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(code)
    assert old_names(Scanner(tmp_path).scan_modules(), ()) == ()


@pytest.mark.parametrize("requirement", ["standard-imghdr; python_version >= '3.13'", "standard_imghdr"])
def test_a_package_brings_back_what_python_had(tmp_path: Path, requirement: str) -> None:
    assert found(tmp_path, "import imghdr\n", requirement) == ()


def test_whoever_requires_the_package_that_has_a_name_now_knows_it(tmp_path: Path) -> None:
    code = "from fasthtml.common import *\nfrom fastlite import *\nnotes = database('a.db')\n"
    assert found(tmp_path, code, "python-fasthtml", "fastlite") == ()


def test_requirements_for_newer_versions_overrule_the_code(tmp_path: Path) -> None:
    code = "from werkzeug import secure_filename\n"
    assert found(tmp_path, code, "werkzeug>=2", "flask") == ()
    [name] = found(tmp_path, code, "werkzeug", "flask>=1")
    assert name.reason == "app.py, line 1, uses werkzeug.secure_filename, which werkzeug 1.0 and later do not support"


def test_the_python_is_of_the_time_of_the_code(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("flask\n")
    (tmp_path / "app.py").write_text("from collections import Mapping\nfrom flask import Flask\napp = Flask(__name__)\n")
    project = read_project(tmp_path)
    assert project.python == "3.9" and project.other_pythons[0] == "3.11"
    assert any("collections.Mapping" in note for note in project.notes)
    (tmp_path / ".python-version").write_text("3.13\n")
    assert read_project(tmp_path).python == "3.13"
