"""Commands of Procfiles."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from support.project_tree import launched

from shipwheel.project.deployment.procfile import parse_procfile
from shipwheel.settings.settings import Settings


def test_reads_process_types(tmp_path: Path) -> None:
    types = parse_procfile("# web: no\nrelease: a\n\nweb:   b --x: y  \nweb: second\nnonsense\n")
    assert types == {"release": (2, "a"), "web": (4, "b --x: y")}
    launch = launched(tmp_path, {"Procfile": "release: migrate\nworker: python w.py\n", "w.py": ""})
    assert (launch.command, launch.ports, launch.env) == (("python", "w.py"), (), {})
    launch = launched(
        tmp_path, {"Procfile": "web: A=b gunicorn -b :$PORT app:app\n", "app.py": ""}, settings=Settings(env={"PORT": "9999"})
    )
    assert (launch.command[2], launch.ports, launch.env) == (":9999", ("9999/tcp",), {"PORT": "9999", "A": "b"})


def test_the_port_of_a_settings_file_is_that_of_the_environment(tmp_path: Path) -> None:
    bind = "import os\nbind = f\"0.0.0.0:{os.environ.get('PORT', '10000')}\"\n"
    files = {"Procfile": "web: gunicorn -c gunicorn.conf.py app:app\n", "app.py": "", "gunicorn.conf.py": bind}
    launch = launched(tmp_path, files, "gunicorn")
    assert (launch.ports, launch.env) == (("10000/tcp",), {"PORT": "10000"})


def test_a_file_that_was_renamed_since_is_not_served(tmp_path: Path) -> None:
    page = "import streamlit as st\nst.title('x')\n"
    files = {"Procfile": "web: sh setup.sh && streamlit run 🏠_Home.py\n", "Home.py": page, "setup.sh": "mkdir -p ~/.streamlit/\n"}
    launch = launched(tmp_path, files, "streamlit")
    assert launch.command[:3] == ("streamlit", "run", "Home.py")
    assert "Procfile, line 1" in launch.notes[0] and "the project has no file 🏠_Home.py" in launch.notes[0]
    (tmp_path / "🏠_Home.py").write_text(page)
    assert launched(tmp_path, {}, "streamlit").command[:3] == ("streamlit", "run", "🏠_Home.py")


def test_tables_are_upgraded_only_where_alembic_finds_its_settings(tmp_path: Path) -> None:
    upgrade = ("alembic", "upgrade", "head")
    files = {"Procfile": "web: sh start.sh\n", "start.sh": "alembic upgrade head\nuvicorn app:app\n", "app.py": ""}
    launch = launched(tmp_path, files, "alembic uvicorn")
    assert launch.every_start == () and any("no alembic.ini where it runs" in note for note in launch.notes)
    elsewhere = {**files, "start.sh": "alembic -c db/alembic.ini upgrade head\nuvicorn app:app\n"}
    assert launched(tmp_path / "option", elsewhere, "alembic uvicorn").every_start == (
        ("alembic", "-c", "db/alembic.ini", "upgrade", "head"),
    )
    assert launched(tmp_path / "file", {**files, "alembic.ini": ""}, "alembic uvicorn").every_start == (upgrade,)
    by_module = {**files, "start.sh": "python -m alembic upgrade head\nuvicorn app:app\n"}
    assert launched(tmp_path / "module", by_module, "alembic uvicorn").every_start == ()
    assert launched(tmp_path / "module", {"alembic.ini": ""}, "alembic uvicorn").every_start == (("python", "-m", *upgrade),)
    by_variable = {**files, "start.sh": f"export ALEMBIC_CONFIG=db/alembic.ini\n{files['start.sh']}"}
    assert launched(tmp_path / "variable", by_variable, "alembic uvicorn").every_start == (upgrade,)
    in_tables = {**files, "pyproject.toml": "[tool.alembic]\nscript_location = 'x'\n"}
    assert launched(tmp_path / "tables", in_tables, "alembic uvicorn").every_start == (upgrade,)


@given(st.text(max_size=200))
def test_any_text_can_be_parsed(text: str) -> None:
    assert all(command for _, command in parse_procfile(text).values())
