"""Blocks without warnings, in several threads."""

import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import shipwheel
from shipwheel.quiet import without_warnings


def test_threads_leave_the_list_of_ignored_warnings_as_it_was() -> None:
    def parse(number: int) -> None:
        with without_warnings():
            compile(f"x{number} is 1", "a file", "exec")

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        before = warnings.filters[:]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(parse, range(500)))
        assert warnings.filters[:] == before
    assert not seen


def test_nothing_else_changes_that_list() -> None:
    root = Path(shipwheel.__file__).parent
    found = {path.relative_to(root).as_posix() for path in root.rglob("*.py") if "catch_warnings" in path.read_text(encoding="utf-8")}
    assert found == {"quiet.py"}
