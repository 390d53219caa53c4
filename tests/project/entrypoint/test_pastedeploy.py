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


SERVED = "[app:shop]\nuse = egg:shop\n[pipeline:main]\npipeline = shop\n[server:main]\nhost = 127.0.0.1\n"


@pytest.mark.parametrize(("name", "more"), [("app.ini", "# pyramid_debugtoolbar\n"), ("shop-live.ini", "")])
def test_takes_a_file_of_any_name_that_is_for_no_development(name: str, more: str, tmp_path: Path) -> None:
    files = {name: SERVED + more, "development.ini": SERVED, "alembic.ini": "[alembic]\nscript_location = a\n", "app-test.ini": SERVED}
    assert launched(tmp_path, files, "pyramid waitress").command == (*GUNICORN, "--paste", name)


@pytest.mark.parametrize("more", ["[a]\npyramid.includes =\n  pyramid_debugtoolbar\n", "[a]\npyramid.reload_templates = true\n"])
def test_takes_no_file_with_a_debugger(more: str, tmp_path: Path) -> None:
    with pytest.raises(ProjectError):
        launched(tmp_path, {"app.ini": SERVED + more}, "pyramid waitress")


def test_ignores_development_ini_with_its_debugger(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="no command"):
        launched(tmp_path, {"development.ini": "[app:main]\nuse = egg:x\n[server:main]\nlisten = *:6543\n"}, "pyramid gunicorn")


def test_comes_before_the_console_script_that_makes_the_tables(tmp_path: Path) -> None:
    files = {"production.ini": "[app:main]\nuse = egg:x\n[server:main]\nlisten = *:6543\n", "x/__init__.py": ""}
    scripts = {"initialize_x_db": "x.scripts.initialize_db:main"}
    launch = launched(tmp_path, files, "pyramid waitress", kind="package", scripts=scripts, packaged=frozenset({"x"}))
    assert launch.command == ("pserve", "production.ini")
