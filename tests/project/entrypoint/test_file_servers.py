"""Frameworks that serve a file of the project, or whose file serves itself."""

from pathlib import Path

import pytest
from support.project_tree import Layout, assert_command, launched

from shipwheel.errors import ProjectError
from shipwheel.settings.settings import Settings

HOST_AND_PORT = ("--host", "0.0.0.0", "--port", "8000")

LAYOUTS: dict[str, Layout] = {
    "taipy": (
        {"main.py": "from taipy.gui import Gui\nif __name__ == '__main__':\n    Gui(page='# Hello').run(port=5001)\n"},
        "taipy",
        ("python", "main.py", "--host", "0.0.0.0", "--port", "5001"),
    ),
    "mesop": (
        {"main.py": "import mesop as me\n@me.page(path='/')\ndef home():\n    me.text('Hello')\n"},
        "mesop gunicorn",
        ("gunicorn", "--bind", "0.0.0.0:8080", "--threads", "8", "main:me"),
    ),
    "mesop by its own name": (
        {"main.py": "import mesop\n@mesop.page(path='/')\ndef home():\n    mesop.text('Hello')\n"},
        "mesop gunicorn",
        ("gunicorn", "--bind", "0.0.0.0:8080", "--threads", "8", "main:mesop"),
    ),
    "streamlit with pages": (
        {"app.py": "import streamlit as st\n", "pages/a.py": "import streamlit\n"},
        "streamlit",
        ("streamlit", "run", "app.py", "--server.port", "8501", "--server.address", "0.0.0.0", "--server.headless", "true"),
    ),
    "streamlit program above the functions that use it": (
        {
            "src/app.py": "from src.parts.image import show\ndef main():\n    show()\nif __name__ == '__main__':\n    main()\n",
            "src/parts/image.py": "import streamlit as st\ndef show():\n    st.title('x')\n",
            "src/parts/other.py": "def work(): ...\nif __name__ == '__main__':\n    work()\n",
        },
        "streamlit",
        ("streamlit", "run", "src/app.py", "--server.port", "8501", "--server.address", "0.0.0.0", "--server.headless", "true"),
    ),
    "streamlit page below its helpers": (
        {"helpers.py": "import streamlit\n", "app/Home.py": "import streamlit as st\nst.set_page_config()\n"},
        "streamlit",
        ("streamlit", "run", "app/Home.py", "--server.port", "8501", "--server.address", "0.0.0.0", "--server.headless", "true"),
    ),
    "gradio": ({"demo.py": "import gradio as gr\nwith gr.Blocks() as b: ...\nb.launch()\n"}, "gradio", ("python", "demo.py")),
    "chainlit": ({"app.py": "import chainlit\n"}, "chainlit", ("chainlit", "run", "app.py", *HOST_AND_PORT, "--headless")),
    "panel": (
        {"app.py": "import panel as pn\npn.Row().servable()\n"},
        "panel",
        ("panel", "serve", "app.py", "--address", "0.0.0.0", "--port", "5006"),
    ),
    "shiny express": (
        {"app.py": "from shiny.express import ui\nui.input_text()\n"},
        "shiny uvicorn",
        ("shiny", "run", *HOST_AND_PORT, "app.py"),
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
    "solara component": (
        {"sol.py": "import solara\n@solara.component\ndef Page(): ...\n"},
        "solara",
        ("solara", "run", "sol.py", "--host", "0.0.0.0", "--port", "8765", "--production"),
    ),
    "solara page from a function": (
        {"sol.py": "import solara\nfrom x import make\nPage = make()\n"},
        "solara",
        ("solara", "run", "sol.py", "--host", "0.0.0.0", "--port", "8765", "--production"),
    ),
    "twisted": (
        {"web.tac": "from twisted.application import internet\ninternet.TCPServer(8080, f)\n"},
        "twisted",
        ("twistd", "--nodaemon", "--pidfile=", "--logfile=-", "--python", "web.tac"),
    ),
    "voila": ({"a.ipynb": "{}"}, "voila", ("voila", "a.ipynb", "--no-browser", "--port=8866", "--Voila.ip=0.0.0.0")),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_finds_the_command(tmp_path: Path, layout: str) -> None:
    assert_command(tmp_path, LAYOUTS[layout])


def test_gradio_listens_on_every_address(tmp_path: Path) -> None:
    launch = launched(tmp_path, {"app.py": "import gradio\ngradio.Interface(f).launch()\n"}, "gradio")
    assert (launch.env["GRADIO_SERVER_NAME"], launch.ports) == ("0.0.0.0", ("7860/tcp",))


def test_robyn_listens_on_every_address(tmp_path: Path) -> None:
    launch = launched(tmp_path, {"app.py": "from robyn import Robyn\napp = Robyn(__file__)\napp.start(port=9000)\n"}, "robyn")
    assert (launch.command, launch.ports) == (("python", "app.py"), ("9000/tcp",))
    assert launch.env == {"ROBYN_HOST": "0.0.0.0", "ROBYN_PORT": "9000"}


def test_flet_serves_pages_on_every_address(tmp_path: Path) -> None:
    launch = launched(tmp_path, {"main.py": "import flet as ft\nft.app(target=print)\n"}, "flet")
    assert (launch.command, launch.ports, launch.extra_requirements) == (("python", "main.py"), ("8550/tcp",), ("flet[web]",))
    assert launch.env == {"FLET_FORCE_WEB_SERVER": "true", "FLET_SERVER_IP": "0.0.0.0", "FLET_SERVER_PORT": "8550"}


def test_a_declared_command_for_a_file_that_serves_itself_is_reached_too(tmp_path: Path) -> None:
    docker = 'FROM python:3.13\nWORKDIR /app\nCOPY . .\nENV GRADIO_SERVER_PORT=7000\nEXPOSE 7000\nCMD ["python", "run.py"]\n'
    files = {"run.py": "import page\n", "page.py": "import gradio as gr\ngr.Interface(1).launch()\n", "Dockerfile": docker}
    launch = launched(tmp_path / "a", files, "gradio")
    assert (launch.command, launch.ports) == (("python", "run.py"), ("7000/tcp",))
    assert launch.env == {"GRADIO_SERVER_NAME": "0.0.0.0", "GRADIO_SERVER_PORT": "7000"}
    files = {"pages.py": "import flet as ft\nft.app(print)\n", "Procfile": "web: python pages.py\n"}
    launch = launched(tmp_path / "b", files, "flet")
    assert (launch.command, launch.ports, launch.extra_requirements) == (("python", "pages.py"), ("8000/tcp",), ("flet[web]",))
    assert launch.env["FLET_SERVER_PORT"] == "8000"


def test_a_page_that_is_only_imported_is_not_served(tmp_path: Path) -> None:
    page = "import gradio as gr\nif __name__ == '__main__':\n    gr.Interface(1).launch()\n"
    launch = launched(tmp_path, {"bot.py": "import page\n", "page.py": page}, "gradio", settings=Settings(command=("python", "bot.py")))
    assert (launch.command, launch.ports, launch.env) == (("python", "bot.py"), (), {})


def test_adds_a_framework_that_is_imported_but_not_required(tmp_path: Path) -> None:
    files = {"app.py": "import gradio as gr\ngr.Interface(1).launch()\n"}
    assert launched(tmp_path, files, "numpy").extra_requirements == ("gradio",)
    assert launched(tmp_path, files, "gradio").extra_requirements == ()


@pytest.mark.parametrize(
    ("readme", "requirement"),
    [
        ("---\ntitle: Shop\nsdk: gradio\nsdk_version: 4.44.1\napp_file: app.py\n---\n# Shop\n", "gradio==4.44.1"),
        ("---\nsdk: gradio\nsdk_version: '4.44.1'\n---\n", "gradio==4.44.1"),
        ("---\nsdk: streamlit\nsdk_version: 1.30.0\n---\n", "gradio"),
        ("---\nsdk: gradio\n---\nsdk_version: 4.44.1\n", "gradio"),
        ("# Shop\n\nsdk: gradio\nsdk_version: 4.44.1\n", "gradio"),
        ("---\r\nsdk: gradio\r\nsdk_version: 5.0.0b1\r\n---\r\n", "gradio==5.0.0b1"),
        ("---\nsdk: gradio\nsdk_version: latest\n---\n", "gradio"),
        ("---\nsdk: gradio\nsdk_version: 4.x\n---\n", "gradio"),
        pytest.param("---" + "\n" * 1_000_000, "gradio", id="no end"),
    ],
)
def test_takes_the_version_that_a_hosting_service_would_install(tmp_path: Path, readme: str, requirement: str) -> None:
    files = {"app.py": "import gradio as gr\ngr.Interface(1).launch()\n", "README.md": readme}
    assert launched(tmp_path, files, "numpy").extra_requirements == (requirement,)
    assert launched(tmp_path, files, "gradio").extra_requirements == ()


def test_serves_the_file_that_a_hosting_service_would_start(tmp_path: Path) -> None:
    page = "import gradio as gr\ngr.Interface(1).launch()\n"
    files = {"app.py": page, "demos/space.py": page, "README.md": "---\nsdk: gradio\napp_file: ./demos/space.py\n---\n"}
    assert launched(tmp_path, files, "gradio").command == ("python", "demos/space.py")
    files["README.md"] = "---\nsdk: gradio\napp_file: gone.py\n---\n"
    assert launched(tmp_path, files, "gradio").command == ("python", "app.py")
    files["README.md"] = "---\nsdk: streamlit\napp_file: demos/space.py\n---\n"
    assert launched(tmp_path, files, "gradio").command == ("python", "app.py")


def test_serves_routes_of_bottles_default_application(tmp_path: Path) -> None:
    text = "from bottle import route, run\n@route('/')\ndef index():\n    return 'x'\nrun(host='localhost', port=8080)\n"
    launch = launched(tmp_path, {"src/web.py": text, "src/other.py": "import web\n"}, "bottle")
    assert launch.command == ("python", "-m", "bottle", "--bind", "0.0.0.0:8000", "--server", "waitress", "web")
    assert (launch.ports, launch.extra_requirements, launch.python_path) == (("8000/tcp",), ("waitress",), ("src",))
    assert launched(tmp_path, {}, "bottle gunicorn").command[-2:] == ("gunicorn", "web")


def test_the_back_end_of_a_reflex_app_has_no_pages(tmp_path: Path) -> None:
    files = {"rxconfig.py": "", "Procfile": "web: reflex run --env prod --backend-only --backend-port $PORT"}
    launch = launched(tmp_path, files, "reflex")
    assert launch.volumes == ("/app/.states", "/app/.web")
    assert any("reflex export --frontend-only" in note for note in launch.notes)


def test_chainlit_writes_to_a_volume_or_to_tmp(tmp_path: Path) -> None:
    launch = launched(tmp_path, {"app.py": "import chainlit as cl\n"}, "chainlit")
    assert (launch.env, launch.volumes) == ({"CHAINLIT_APP_ROOT": "/tmp"}, ())
    launch = launched(tmp_path, {"chainlit.md": ""}, "chainlit")
    assert (launch.env, launch.volumes) == ({}, ("/app/.files", "/app/.chainlit"))
    launch = launched(tmp_path, {".chainlit/config.toml": ""}, "chainlit")
    assert (launch.env, launch.volumes) == ({}, ("/app/.files", "/app/.chainlit/translations"))
    launch = launched(tmp_path, {".chainlit/translations/en-US.json": ""}, "chainlit")
    assert (launch.env, launch.volumes) == ({}, ("/app/.files",))
    launch = launched(tmp_path, {"Procfile": "web: python -m chainlit run app.py --host 0.0.0.0 --port $PORT"}, "chainlit")
    assert (launch.declared_at, launch.volumes) == ("Procfile, line 1", ("/app/.files",))


def test_a_reflex_app_wants_node(tmp_path: Path) -> None:
    files = {
        "rxconfig.py": "import reflex as rx\nconfig = rx.Config(app_name='chat')\n",
        "chat/chat.py": "import reflex as rx\napp = rx.App()\n",
    }
    with pytest.raises(ProjectError, match="compiled with node") as caught:
        launched(tmp_path, files, "reflex")
    assert "--backend-only" in caught.value.hint
    assert launched(tmp_path, {}, "reflex", settings=Settings(command=("reflex", "run"))).command == ("reflex", "run")
