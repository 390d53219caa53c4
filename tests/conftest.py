"""For all tests: generated examples have no deadline, since no test may depend on how busy a machine is; and a world without a network,
whose package index, Debian mirror and store are the test's own."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from shipwheel.testing.debian import FakeArchive
from shipwheel.testing.world import World, filled, made_archive

settings.register_profile("shipwheel", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shipwheel")

# A shell without job control starts what runs in the background deaf to Ctrl-C, and so would be all that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> FakeArchive:
    """A signed archive with a base. Not to be changed: what goes wrong, goes wrong on the mirror that serves it."""
    return made_archive(tmp_path_factory.mktemp("archive"))


@pytest.fixture
def world(tmp_path: Path, archive: FakeArchive) -> Iterator[World]:
    """A world of the test's own."""
    with World(tmp_path) as made:
        yield filled(made, archive)


@pytest.fixture(scope="module")
def shared_world(tmp_path_factory: pytest.TempPathFactory, archive: FakeArchive) -> Iterator[World]:
    """A world for tests that change nothing in it, each with a store of its own."""
    with World(tmp_path_factory.mktemp("world")) as made:
        yield filled(made, archive)
