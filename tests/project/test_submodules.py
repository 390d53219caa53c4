"""Git submodules that are not checked out."""

from pathlib import Path

import pytest

from shipwheel.project.submodules import absent_submodules


def test_finds_submodules_without_files(tmp_path: Path) -> None:
    paths = ("lib/shop-core ", "gone", "here", "file", "x" * 300, "a\0b")
    (tmp_path / ".gitmodules").write_text("".join(f'[submodule "{path}"]\n\tpath = {path}\n\turl = x\n' for path in paths))
    for path in ("lib/shop-core", "here/package"):
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / "file").touch()
    assert absent_submodules(tmp_path) == {"shop_core": "lib/shop-core", "gone": "gone"}


@pytest.mark.parametrize("text", ["\n" * 500_000, f"path = a{' ' * 500_000}b", " " * 500_000])
def test_hostile_files_name_none(tmp_path: Path, text: str) -> None:
    (tmp_path / ".gitmodules").write_text(text)
    assert absent_submodules(tmp_path) == {}
