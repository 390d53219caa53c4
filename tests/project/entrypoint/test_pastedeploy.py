"""PasteDeploy's ini files."""

from pathlib import Path

import pytest
from support.project_tree import Layout, assert_command, launched

from shipwheel.errors import ProjectError

BOUND_GUNICORN = ("gunicorn", "--bind", "0.0.0.0:8000")
GUNICORN = (*BOUND_GUNICORN, "--threads", "8")

LAYOUTS: dict[str, Layout] = {
    "listens on every address": (
        {"production.ini": "[app:main]\nuse = egg:x\n[server:main]\nlisten = *:6543\n", "x/__init__.py": ""},
        "pyramid waitress",
        ("pserve", "production.ini"),
    ),
    "listens on localhost": (
        {"production.ini": "[app:main]\nuse = egg:x\n[server:main]\nlisten = localhost:6543\n"},
        "pyramid gunicorn",
        (*GUNICORN, "--paste", "production.ini"),
    ),
    "chooses its threads": (
        {"production.ini": "[app:main]\nuse = egg:x\n[server:main]\nuse = egg:gunicorn#main\nthreads = 2\n"},
        "pyramid gunicorn",
        (*BOUND_GUNICORN, "--paste", "production.ini"),
    ),
    "an impossible port": (
        {"production.ini": "[app:main]\nuse = egg:x\n[server:main]\nlisten = *:99999\n"},
        "pyramid gunicorn",
        (*GUNICORN, "--paste", "production.ini"),
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_finds_the_command(tmp_path: Path, layout: str) -> None:
    assert_command(tmp_path, LAYOUTS[layout])


def test_ignores_development_ini_with_its_debugger(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="no command"):
        launched(tmp_path, {"development.ini": "[app:main]\nuse = egg:x\n[server:main]\nlisten = *:6543\n"}, "pyramid gunicorn")


def test_comes_before_the_console_script_that_makes_the_tables(tmp_path: Path) -> None:
    files = {"production.ini": "[app:main]\nuse = egg:x\n[server:main]\nlisten = *:6543\n", "x/__init__.py": ""}
    scripts = {"initialize_x_db": "x.scripts.initialize_db:main"}
    launch = launched(tmp_path, files, "pyramid waitress", kind="package", scripts=scripts, packaged=frozenset({"x"}))
    assert launch.command == ("pserve", "production.ini")
