"""Versions beside open requirements."""

from pathlib import Path

import pytest
from support.project_tree import written

from shipwheel.project.pins import Pins
from shipwheel.project.read import read_project
from shipwheel.settings.settings import Settings

OPEN = 'from setuptools import setup\nsetup(name="shop", version="1", packages=["shop"], install_requires=["flask", "idna"])\n'
DYNAMIC = OPEN.replace('["flask", "idna"]', 'open("deps.in").read().split()')
LISTED = """
[[package]]
name = "Flask"
version = "2.2.5"

[[package]]
name = "idna"
version = "3.6"

[[package]]
name = "idna"
version = "3.7"

[[package]]
name = "shop"
source = { editable = "." }
"""
PIPENV = '{"default": {"flask": {"version": "==2.2.5", "markers": "x"}, "shop": {"path": ".", "editable": true}}}'
FLASK = (("flask", "2.2.5"),)


def _pins(root: Path, files: dict[str, str], **given: object) -> Pins:
    tree = written(root, {"shop/__init__.py": "", "shop/templates/a.html": "", "deps.in": "flask", **files})
    return read_project(tree, Settings(**given), launch=False).inputs.pins  # type: ignore[arg-type]


def test_a_lock_beside_a_list_of_requirements_pins_what_it_leaves_open(tmp_path: Path) -> None:
    files = {"main.py": "", "requirements.txt": "flask\n", "Pipfile": "[packages]\nflask = '*'\n", "Pipfile.lock": PIPENV}
    assert _pins(tmp_path, files) == Pins(FLASK, "Pipfile.lock")


@pytest.mark.parametrize("setup", [OPEN, DYNAMIC], ids=["static", "dynamic"])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Pipfile.lock", PIPENV),
        ("poetry.lock", LISTED),
        ("pdm.lock", LISTED),
        ("uv.lock", LISTED),
        ("requirements.txt", "flask==2.2.5\nidna>=3\n"),
    ],
)
def test_a_setup_py_with_open_requirements_has_the_versions_beside_it(tmp_path: Path, setup: str, name: str, text: str) -> None:
    assert _pins(tmp_path, {"setup.py": setup, name: text}) == Pins(FLASK, name)


def test_the_directory_of_a_package_has_the_versions_that_its_wheel_has(tmp_path: Path) -> None:
    assert _pins(tmp_path, {"setup.py": OPEN, "Pipfile.lock": PIPENV}, install="source") == Pins(FLASK, "Pipfile.lock")


def test_an_app_with_open_dependencies_has_the_versions_beside_them(tmp_path: Path) -> None:
    pyproject = '[project]\nname = "shop"\nversion = "1"\ndependencies = ["flask"]\n'
    assert _pins(tmp_path, {"pyproject.toml": pyproject, "requirements.txt": "flask==2.2.5\n"}) == Pins(FLASK, "requirements.txt")


@pytest.mark.parametrize("files", [{"poetry.lock": "[["}, {"Pipfile.lock": "{"}, {}])
def test_what_cannot_be_read_pins_nothing(tmp_path: Path, files: dict[str, str]) -> None:
    assert _pins(tmp_path, {"setup.py": OPEN, **files}) == Pins()
