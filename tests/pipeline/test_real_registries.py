"""Pushes to registries with the habits of real ones: nothing is sent in vain, and the table in the documentation says what it costs."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from support.registry_table import RegistryRow, make_app, measure, page

from shipwheel.testing.debian import FakeArchive
from shipwheel.testing.real_registries import REAL_REGISTRIES, RealRegistry
from shipwheel.testing.world import World, fill

PAGE = Path(__file__).parents[2] / "docs" / "registries.md"


Measure = Callable[[RealRegistry], RegistryRow]


@pytest.fixture(scope="module")
def row(tmp_path_factory: pytest.TempPathFactory, archive: FakeArchive, common: World) -> Iterator[Measure]:
    """A function that measures a registry, once."""
    with World(tmp_path_factory.mktemp("registries")) as world:
        project = make_app(fill(world, archive, common))
        yield cache(lambda real: measure(world, project, real))


@pytest.mark.parametrize("real", REAL_REGISTRIES, ids=lambda real: real.name)
def test_an_image_is_sent_once_and_tagged(row: Measure, real: RealRegistry) -> None:
    found, again = row(real), 1.1 if real.habits.puts else 2.1
    assert found.push <= found.size * again
    assert found.again == 0
    assert found.elsewhere <= found.size * (again if real.habits.mount_refusal else 0.1)
    assert found.changed <= found.size * 0.1
    assert (found.fetched == 0) is real.keeps_records
    assert bool(found.warnings) is not real.keeps_records


def test_the_table_in_the_documentation_is_what_was_measured(row: Measure) -> None:
    assert PAGE.read_text(encoding="utf-8") == page([row(real) for real in REAL_REGISTRIES]), "run `make registries`"
