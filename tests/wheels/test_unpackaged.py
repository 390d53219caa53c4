"""Data files that a wheel lacks."""

import zipfile
from pathlib import Path

import pytest
from support.project_tree import written

from shipwheel.wheels.unpackaged import is_copy, looks_needed, unpackaged_files

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


@pytest.mark.parametrize("below", ["", "src/"])
def test_a_wheel_with_files_that_the_source_lacks_is_no_copy(tmp_path: Path, below: str) -> None:
    source = written(tmp_path / "project", {f"{below}shop/__init__.py": "", f"{below}shop/a.html": ""})
    metadata = "shop-1.dist-info/METADATA"
    assert is_copy(source, _wheel(tmp_path, "shop/__init__.py", metadata))
    assert not is_copy(source, _wheel(tmp_path, "shop/__init__.py", "shop/_version.py", metadata))
    assert not is_copy(source, _wheel(tmp_path, "shop/__init__.py", "shop-1.data/scripts/shop", metadata))
