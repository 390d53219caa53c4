"""What a command made or changed, by the files before and after it."""

from pathlib import Path

import pytest
from support.project_tree import written

from shipwheel.builder.made_paths import file_states, made_paths

BEFORE = {"ui/package.json": "{}", "static/old.css": "a", "ui/node_modules/x/index.js": "1", "deep/a/keep.txt": ""}


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        ({}, ()),
        ({"ui/dist/js/a.js": "1", "ui/dist/b.css": "2"}, ("ui/dist",)),
        ({"static/old.css": "longer"}, ("static/old.css",)),
        ({"static/new.css": "", "static/dist/a.css": ""}, ("static/dist", "static/new.css")),
        ({"static/.vite/manifest.json": "{}", "static/a.js": ""}, ("static/.vite", "static/a.js")),
        ({"deep/a/b/c/d.txt": ""}, ("deep/a/b",)),
        ({"ui/node_modules/x/made.js": "", "node_modules/y.js": "", "ui/.cache/z": ""}, ()),
    ],
)
def test_names_what_was_made(tmp_path: Path, made: dict[str, str], expected: tuple[str, ...]) -> None:
    before = file_states(written(tmp_path, BEFORE))
    written(tmp_path, made)
    assert made_paths(tmp_path, before) == expected


def test_a_link_is_made_and_not_followed(tmp_path: Path) -> None:
    before = file_states(written(tmp_path / "source", BEFORE))
    (tmp_path / "source" / "out").symlink_to(tmp_path)
    assert made_paths(tmp_path / "source", before) == ("out",)
