"""Files that a wheel lacks."""

import zipfile
from pathlib import Path

import pytest
from support.project_tree import written

from shipwheel.wheels.unpackaged import files_without_metadata, looks_needed, unpackaged_files

TREE = {
    "shop/__init__.py": "",
    "shop/templates/today.html": "",
    "shop/templates/kept.html": "",
    "shop/sql/schema.sql": "",
    "shop/rates.csv": "",
    "shop/native.c": "",
    "shop/README.md": "",
    "shop/.cache/x.html": "",
    "shop/tests/page.html": "",
    "shop/__pycache__/a.html": "",
    "docs/index.html": "",
    "tests/__init__.py": "",
    "tests/other.html": "",
}


def _wheel(root: Path, *names: str) -> Path:
    path = root / "shop-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "")
    return path


@pytest.mark.parametrize("below", ["", "src/"])
def test_finds_the_data_files_of_packages_that_the_wheel_lacks(tmp_path: Path, below: str) -> None:
    source = written(tmp_path / "project", {f"{below}{path}": text for path, text in TREE.items()})
    wheel = _wheel(tmp_path, "shop/__init__.py", "shop/templates/kept.html", "shop-1.dist-info/METADATA")
    found = unpackaged_files(source, wheel)
    assert found == ("shop/rates.csv", "shop/sql/schema.sql", "shop/templates/today.html")
    assert looks_needed(found) == ("shop/sql/schema.sql", "shop/templates/today.html")


def test_a_complete_wheel_lacks_nothing(tmp_path: Path) -> None:
    source = written(tmp_path / "project", {"shop/__init__.py": "", "shop/a.html": ""})
    assert unpackaged_files(source, _wheel(tmp_path, "shop/__init__.py", "shop/a.html")) == ()


def test_finds_the_modules_that_the_wheel_imports_and_lacks(tmp_path: Path) -> None:
    run = "import shop.db\nfrom shop.pages.today import x\nfrom shop._version import version\nimport flask.json, shop.kept\n"
    tree = dict.fromkeys(("shop/db/__init__.py", "shop/pages/today.py", "shop/kept.py", "shop/unused.py", "flask/json.py"), "")
    source = written(tmp_path / "project", {f"src/{path}": text for path, text in tree.items()} | {"src/shop/run.py": run})
    wheel = tmp_path / "shop-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("shop/run.py", run)
        archive.writestr("shop/kept.py", "")
    found = unpackaged_files(source, wheel)
    assert found == ("shop/db/__init__.py", "shop/pages/today.py")
    assert looks_needed(found) == found


@pytest.mark.parametrize(
    ("text", "entry_points", "can_be_left_out"),
    [
        ("import flask\n", "[console_scripts]\nshop = shop:main\n", True),
        ("import importlib\n", "", True),
        ("import importlib.metadata\n", "", False),
        ("from importlib.metadata import version\n", "", False),
        ("from importlib import resources, metadata\n", "", False),
        ("import importlib_metadata\n", "", False),
        ("import pkg_resources\n", "", False),
        ("", "[console_scripts]\nshop = shop:main\n\n[ flask.commands ]\nshop = shop:more\n", False),
    ],
)
def test_a_wheel_whose_metadata_is_asked_for_cannot_be_left_out(
    text: str, entry_points: str, can_be_left_out: bool, tmp_path: Path
) -> None:
    wheel = tmp_path / "shop-1-py3-none-any.whl"
    files = {"shop/__init__.py": text, "shop/": "", "shop-1.dist-info/METADATA": "", "shop-1.dist-info/entry_points.txt": entry_points}
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    assert files_without_metadata(wheel) == (("shop/__init__.py",) if can_be_left_out else ())
