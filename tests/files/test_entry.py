"""Paths of entries."""

from hypothesis import given
from hypothesis import strategies as st

from shipwheel.files.entry import directories_above, parents


@given(st.lists(st.lists(st.sampled_from("ab"), min_size=1, max_size=4).map("/".join)))
def test_directories_above_paths_are_the_parents_of_each(paths: list[str]) -> None:
    assert directories_above(paths) == {parent for path in paths for parent in parents(path)}
