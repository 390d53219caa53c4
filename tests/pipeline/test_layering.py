"""The layers of wheels: whatever comes in, in whatever order."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from shipwheel.files.entry import file
from shipwheel.oci.layer import LayerSpec
from shipwheel.pipeline.layering import BUCKETS, LARGE, LAYER_BUDGET, SizedSource, wheel_layers
from shipwheel.testing.images import EntriesSource

NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True)
SIZES = st.integers(0, 4 * LARGE) | st.sampled_from([0, LARGE - 1, LARGE, LARGE + 1])


def weighed(name: str, size: int) -> SizedSource:
    return SizedSource(name, size, EntriesSource((file(f"opt/{name}", name),), f"{name} 1.0"))


WHEELS = st.dictionaries(NAMES, SIZES, max_size=60).map(lambda sizes: [weighed(name, size) for name, size in sizes.items()])
BUDGETS = st.integers(1, 50)


def groups(layers: Sequence[LayerSpec]) -> list[tuple[str, ...]]:
    return [tuple(source.label for source in layer.sources) for layer in layers]


@given(WHEELS, BUDGETS, st.randoms(use_true_random=False))
def test_the_order_does_not_matter(wheels: list[SizedSource], budget: int, random: object) -> None:
    expected = wheel_layers(wheels, budget)
    shuffled = list(wheels)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert wheel_layers(shuffled, budget) == expected
    assert [layer.key for layer in wheel_layers(shuffled, budget)] == [layer.key for layer in expected]


@given(WHEELS, st.integers(-3, 50))
def test_the_budget_is_kept_and_every_source_is_there_once(wheels: list[SizedSource], budget: int) -> None:
    layers = wheel_layers(wheels, budget)
    assert len(layers) <= max(budget, 1)
    labels = [label for group in groups(layers) for label in group]
    assert sorted(labels) == sorted(wheel.source.label for wheel in wheels)
    assert all(group for group in groups(layers))
    assert all(list(group) == sorted(group) for group in groups(layers))


@given(WHEELS, BUDGETS)
def test_large_wheels_have_layers_of_their_own(wheels: list[SizedSource], budget: int) -> None:
    """As far as the budget goes, the largest first."""
    large = sorted((wheel for wheel in wheels if wheel.size >= LARGE), key=lambda wheel: (-wheel.size, wheel.name))
    room = max(0, budget - min(BUCKETS, max(1, budget - 1)))
    alone = {wheel.source.label for wheel in large[:room]}
    layers = groups(wheel_layers(wheels, budget))
    assert {group[0] for group in layers[: len(alone)]} == alone
    assert all(len(group) == 1 for group in layers[: len(alone)])


def places(wheels: Sequence[SizedSource], budget: int) -> dict[str, tuple[int, tuple[str, ...]]]:
    """Where each small wheel is: (bucket, counted from those that are full; its neighbours)."""
    return {label: (number, group) for number, group in enumerate(groups(wheel_layers(wheels, budget))) for label in group}


@given(WHEELS, NAMES, SIZES, BUDGETS)
def test_one_wheel_more_moves_no_other_small_one(wheels: list[SizedSource], name: str, size: int, budget: int) -> None:
    wheels = [wheel for wheel in wheels if wheel.name != name]
    small = {wheel.source.label for wheel in wheels if wheel.size < LARGE}
    before, after = places(wheels, budget), places([*wheels, weighed(name, size)], budget)
    for label in small:
        neighbours = set(after[label][1]) & small
        assert neighbours == set(before[label][1]) & small, "small wheels stay together"


@given(WHEELS, NAMES)
def test_one_small_wheel_more_changes_one_layer(wheels: list[SizedSource], name: str) -> None:
    wheels = [wheel for wheel in wheels if wheel.name != name]
    before = {layer.key for layer in wheel_layers(wheels, LAYER_BUDGET)}
    after = {layer.key for layer in wheel_layers([*wheels, weighed(name, 1)], LAYER_BUDGET)}
    assert len(after - before) == 1
    assert len(before - after) <= 1


@given(WHEELS, BUDGETS)
def test_names_say_what_is_in_a_layer(wheels: list[SizedSource], budget: int) -> None:
    for layer in wheel_layers(wheels, budget):
        rest = len(layer.sources) - 1
        assert layer.name == layer.sources[0].label + (f" and {rest} more" if rest else "")


def test_no_wheels() -> None:
    assert wheel_layers([], LAYER_BUDGET) == ()
