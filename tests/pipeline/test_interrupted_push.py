"""Interrupted while a registry is at it, a command ends as Ctrl-C ends any, and leaves no name on something incomplete."""

import signal
from collections.abc import Iterator

import pytest
from support.process import HANG_S, ended, until

from shipwheel.oci.image import make_index
from shipwheel.oci.layout import write_layout
from shipwheel.testing.bases import python_base, python_files
from shipwheel.testing.images import AMD64
from shipwheel.testing.registry import FakeRegistry, RegistryFault
from shipwheel.testing.world import MINOR, SUITE, World

LONG = 3600.0
FLAGS = ("--no-bytecode", "--platform", "linux/amd64", "--json")


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as running:
        yield running


def interrupted(world: World, registry: FakeRegistry, method: str, pattern: str, *arguments: str) -> tuple[int, str]:
    """(exit code, standard error) of a command that is interrupted while the registry does not answer such a request."""
    registry.fault(RegistryFault("stall", method, pattern, times=99, seconds=LONG))
    with ended(world.start(*arguments)) as process:
        until(lambda: registry.received(method, pattern), process)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=HANG_S)
    return process.returncode, err


@pytest.mark.parametrize(
    ("method", "pattern"), [("HEAD", "/blobs/"), ("POST", "/uploads/"), ("PUT|PATCH", "/uploads/."), ("PUT", "/manifests/")]
)
def test_a_push_that_is_interrupted_names_nothing(world: World, registry: FakeRegistry, method: str, pattern: str) -> None:
    project, name = world.app("small\nnative\n"), f"{registry.host}/team/shop:1"
    first = method.partition("|")[0] if method != "PUT|PATCH" else "PUT"
    code, err = interrupted(world, registry, first, pattern, "build", str(project), *FLAGS, "--push", "-t", name)
    assert (code, "Traceback" in err) == (130, False), err
    assert not registry.tags.get("team/shop"), "no tag"
    assert not list((world.cache / "tmp").glob("*"))
    with FakeRegistry() as other:
        again = world.run("build", project, *FLAGS, "--push", "-t", f"{other.host}/team/shop:1")
        assert again.code == 0, again.err


def test_a_base_that_is_on_its_way_is_given_up(world: World, registry: FakeRegistry) -> None:
    image = python_base(world.store, AMD64, python_files(f"{MINOR}.7", codename=SUITE.codename), {"PATH": "/usr/local/bin"})
    write_layout(make_index([image]), world.root / "base.oci", world.store, name="base:1")
    name = f"{registry.host}/bases/python:1"
    assert world.run("push", world.root / "base.oci", name).code == 0
    layer = image.layers[0].descriptor.digest
    world.store.discard(layer)
    project = world.app("small\n")
    code, err = interrupted(world, registry, "GET", f"/blobs/{layer}", "build", str(project), *FLAGS, "--base", name)
    assert (code, "Traceback" in err) == (130, False), err
    assert not world.store.has(layer) and not list((world.cache / "tmp").glob("*"))
