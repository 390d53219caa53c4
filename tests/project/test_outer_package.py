"""Imports of a project by the names of the directories above it."""

from pathlib import Path

import pytest
from support.project_tree import written

from shipwheel.project.outer_package import outer_package


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("backend.app.main", "backend"),
        ("backend.models", "backend"),
        ("examples.backend.models", "examples.backend"),
        ("backend.other", ""),
        ("backend", ""),
        ("examples.models", ""),
        ("models", ""),
        ("shop.app.main", "shop"),
        ("shop.app.main.start", "shop"),
        ("shop.app.other", ""),
        ("shop.models", ""),
        ("flask.app.main", ""),
    ],
)
def test_knows_the_directory_by_what_it_has(tmp_path: Path, name: str, package: str) -> None:
    root = written(tmp_path / "examples" / "backend", {"app/main.py": "", "models.py": ""})
    assert outer_package(root, name) == package
