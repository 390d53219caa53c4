"""Imports of a project by the names of the directories above it."""

from pathlib import Path

import pytest
from support.project_tree import written

from shipwheel.project.outer_package import is_directory_itself, outer_package


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
    ],
)
def test_knows_the_directory_by_what_it_has(tmp_path: Path, name: str, package: str) -> None:
    root = written(tmp_path / "examples" / "backend", {"app/main.py": "", "models.py": ""})
    assert outer_package(root, name) == package


@pytest.mark.parametrize(
    ("imports", "is_itself"),
    [
        (["shop.app.main"], True),
        (["shop.app", "shop.app.main.start", "shop.models"], True),
        (["shop.app.other"], False),
        (["shop.models"], False),
        (["shop.app.main", "shop"], True),
        (["shop.app.main", "shop.config"], False),
        (["flask.app.main"], False),
        ([], False),
    ],
)
def test_knows_the_directory_by_all_that_is_imported_of_it(tmp_path: Path, imports: list[str], is_itself: bool) -> None:
    root = written(tmp_path / "backend", {"app/main.py": "", "models.py": ""})
    assert is_directory_itself(root, imports) == is_itself
