"""The validator's work grows with the image: no layer makes it go through those below again."""

from collections.abc import Iterator
from typing import Any, cast

from shipwheel.oci.validate.check import _stack
from shipwheel.oci.validate.documents import Documents
from shipwheel.oci.validate.layers import LayerFacts

LAYERS, EACH = 30, 10


class CountedSet(set[str]):
    """A set that counts how often one of its elements is visited."""

    visits = 0

    def __iter__(self) -> Iterator[str]:
        for item in super().__iter__():
            self.visits += 1
            yield item


def facts(number: int, removed: frozenset[str] = frozenset()) -> LayerFacts:
    directories = frozenset(f"opt/{number}/{each}" for each in range(EACH))
    return LayerFacts("sha256:0", 0, "", 0, EACH, directories, frozenset(), removed, {}, (), ())


def stacked(*removed: frozenset[str]) -> tuple[CountedSet, CountedSet]:
    """Return the directories and links after many layers and one more for each set of removed paths."""
    directories, links = CountedSet(), CountedSet()
    layers = [*(facts(number) for number in range(LAYERS)), *(facts(LAYERS, paths) for paths in removed)]
    for layer in layers:
        _stack(cast(Documents, cast(Any, None)), "layer", layer, directories, links)
    return directories, links


def test_a_layer_that_removes_nothing_visits_no_layer_below() -> None:
    directories, links = stacked()
    assert len(directories) == LAYERS * EACH
    assert directories.visits + links.visits == 0


def test_a_layer_that_removes_visits_each_directory_once() -> None:
    directories, _ = stacked(frozenset({"opt/3", "opt/4/"}))
    assert directories.visits == LAYERS * EACH
    assert {path.split("/")[1] for path in set.__iter__(directories)} == {str(each) for each in range(LAYERS + 1)} - {"3", "4"}
