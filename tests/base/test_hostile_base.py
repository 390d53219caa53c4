"""Bases of a hostile registry: every wrong answer is an error that names the image, and nothing of it is remembered."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shipwheel.digest import digest_of
from shipwheel.oci.image import make_index
from shipwheel.oci.layout import write_layout
from shipwheel.testing.bases import python_base, python_files
from shipwheel.testing.images import AMD64
from shipwheel.testing.registry import FakeRegistry, RegistryFault
from shipwheel.testing.world import MINOR, SUITE, CommandResult, World

NAME = "bases/python"


@pytest.fixture
def registry(world: World) -> Iterator[FakeRegistry]:
    """A registry with a base for one platform, of which this machine has nothing."""
    image = python_base(world.store, AMD64, python_files(f"{MINOR}.7", codename=SUITE.codename), {"PATH": "/usr/local/bin"})
    write_layout(make_index([image]), world.root / "base.oci", world.store, name="base:1")
    with FakeRegistry() as running:
        assert world.run("push", world.root / "base.oci", f"{running.host}/{NAME}:1").code == 0
        yield running


def build(world: World, registry: FakeRegistry) -> CommandResult:
    flags = ("--no-bytecode", "--platform", "linux/amd64", "--base", f"{registry.host}/{NAME}:1")
    return world.run("build", world.app("small\n"), "-o", world.root / "out", *flags, env={"SHIPWHEEL_CACHE": str(world.root / "empty")})


def changed(registry: FakeRegistry, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> None:
    """Change the manifest and the config of the image that the tag refers to."""
    media_type, data = registry.manifests[NAME][registry.tags[NAME]["1"]]
    manifest = json.loads(data)
    config = json.loads(registry.blobs[NAME][manifest["config"]["digest"]])
    before = json.dumps(config)
    change(manifest, config)
    if json.dumps(config) != before:
        text = json.dumps(config).encode()
        manifest["config"] |= {"digest": digest_of(text), "size": len(text)}
        registry.add(NAME, text)
    registry.put(NAME, json.dumps(manifest).encode(), media_type, "1")


def _larger(manifest: dict[str, Any], _: dict[str, Any]) -> None:
    manifest["layers"][0]["size"] += 1


def _smaller(manifest: dict[str, Any], _: dict[str, Any]) -> None:
    manifest["layers"][0]["size"] -= 1


def _negative(manifest: dict[str, Any], _: dict[str, Any]) -> None:
    manifest["layers"][0]["size"] = -1


def _elsewhere(manifest: dict[str, Any], _: dict[str, Any]) -> None:
    manifest["layers"][0]["digest"] = "sha256:../../../../etc/passwd"


def _many(manifest: dict[str, Any], config: dict[str, Any]) -> None:
    manifest["layers"] *= 3000
    config["rootfs"]["diff_ids"] *= 3000


def _other(_: dict[str, Any], config: dict[str, Any]) -> None:
    config["rootfs"]["diff_ids"] = [digest_of(b"other")]


def _odd(_: dict[str, Any], config: dict[str, Any]) -> None:
    config["config"]["Env"] = [7]


@pytest.mark.parametrize("change", [_larger, _smaller, _negative, _elsewhere, _many, _other, _odd])
def test_rejects_documents_that_contradict_the_content(
    world: World, registry: FakeRegistry, change: Callable[[dict[str, Any], dict[str, Any]], None]
) -> None:
    changed(registry, change)
    failed = build(world, registry)
    assert failed.code in (5, 9), failed.err
    assert "Traceback" not in failed.err and "hint:" in failed.err and "damaged" not in failed.err, failed.err
    assert len(registry.received("GET", "/blobs/")) < 12, "it is not fetched over and over"


def test_rejects_a_layer_with_other_bytes(world: World, registry: FakeRegistry) -> None:
    manifest = json.loads(registry.manifests[NAME][registry.tags[NAME]["1"]][1])
    registry.fault(RegistryFault("corrupt", "GET", rf"/blobs/{manifest['layers'][0]['digest']}", times=99))
    failed = build(world, registry)
    assert failed.code == 5 and "sends wrong data" in failed.err, failed.err
    assert not list((world.root / "empty" / "records" / "tree").rglob("*"))
