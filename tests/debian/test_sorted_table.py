"""Lookup in a table of sorted lines."""

from hypothesis import given
from hypothesis import strategies as st

from shipwheel.debian.sorted_table import SortedTable

NAMES = st.text("ab-.1", min_size=1, max_size=4)


@given(st.lists(st.tuples(NAMES, NAMES)), NAMES, st.booleans())
def test_finds_the_lines_that_a_search_through_all_finds(rows: list[tuple[str, str]], name: str, ends: bool) -> None:
    lines = sorted(f"{key}\t{value}".encode() for key, value in rows)
    table = SortedTable(b"\n".join(lines) + (b"\n" if lines and ends else b""))

    assert list(table) == lines
    assert list(table.named(name.encode())) == [line for line in lines if line.split(b"\t")[0] == name.encode()]
    assert list(table.starting(name.encode())) == [line for line in lines if line.startswith(name.encode())]
