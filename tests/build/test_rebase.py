"""Images laid upon another base in the registry: what they become, what is checked before, and what is never read."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from shipwheel.files.entry import FileEntry, file, symlink
from shipwheel.oci.image import make_index
from shipwheel.oci.layout import write_layout
from shipwheel.platform import Platform
from shipwheel.testing.bases import interpreter, python_base, python_files
from shipwheel.testing.debian import shared_object
from shipwheel.testing.images import AMD64, ARM64
from shipwheel.testing.registry import FakeRegistry
from shipwheel.testing.world import MINOR, SUITE, Ran, World

SETTINGS = """
volumes = ["/data"]
ports = [8000]
stop-signal = "SIGQUIT"
[env]
MINE = "1"
BOTH = "same"
[labels]
team = "shop"
[annotations]
"org.example.ticket" = "1"
"""
BELOW = {"PATH": "/usr/local/bin:/usr/bin:/bin", "BOTH": "same", "FROM_BASE": "1"}


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as running:
        yield running


def libfoo(platform: Platform) -> FileEntry:
    return file(f"usr/lib/{platform.multiarch}/libfoo.so.1", shared_object("libfoo.so.1", architecture=platform.architecture), 0o755)


def put_base(
    world: World,
    registry: FakeRegistry,
    patch: int = 7,
    tag: str = "1",
    *,
    without: str = "",
    more: tuple[str, ...] = (),
    env: Mapping[str, str] | None = None,
    platforms: tuple[Platform, ...] = (AMD64, ARM64),
    version: str = "",
    name: str = "bases/python",
    prefix: str = "usr/local",
    musl: bool = False,
    codename: str = "",
    **config: object,
) -> str:
    """A base in the registry, with the library that the wheel `native` needs."""
    images = []
    for platform in platforms:
        files = python_files(version or f"{MINOR}.{patch}", prefix, platform, "1.2.5" if musl else "2.36", musl, codename or SUITE.codename)
        files = [
            entry
            for entry in (*files, libfoo(platform), *(file(path, "x", 0o755) for path in more))
            if without not in entry.path or not without
        ]
        images.append(python_base(world.store, platform, files, {**BELOW, **(env or {})}, **config))
    layout = world.root / f"base-{tag}-{patch}.oci"
    write_layout(make_index(images), layout, world.store, name="base:1")
    reference = f"{registry.host}/{name}:{tag}"
    done = world.run("push", layout, reference)
    assert done.code == 0, done.err
    return reference


def built(
    world: World, registry: FakeRegistry, base: str, settings: str = SETTINGS, *flags: str, requirements: str = "small\nnative\n"
) -> Ran:
    project = world.app(requirements, settings=settings)
    done = world.run("build", project, "--no-bytecode", "--json", "--push", "-t", f"{registry.host}/team/shop:1", "--base", base, *flags)
    assert done.code == 0, done.err
    return done


def annotations(registry: FakeRegistry, digest: str, name: str = "team/shop") -> list[dict[str, str]]:
    index = json.loads(registry.manifests[name][digest][1])
    return [json.loads(registry.manifests[name][entry["digest"]][1])["annotations"] for entry in index["manifests"]]


def blobs_read(registry: FakeRegistry, since: int, name: str) -> set[str]:
    return {seen.path.rpartition("/")[2] for seen in registry.seen[since:] if seen.method == "GET" and f"/{name}/blobs/" in seen.path}


def layers(registry: FakeRegistry, digest: str, name: str = "team/shop") -> set[str]:
    index = json.loads(registry.manifests[name][digest][1])
    manifests = [json.loads(registry.manifests[name][entry["digest"]][1]) for entry in index["manifests"]]
    return {layer["digest"] for manifest in manifests for layer in manifest["layers"]}


def test_a_rebase_is_what_a_build_upon_the_new_base_would_be(world: World, registry: FakeRegistry) -> None:
    base = put_base(world, registry, 7, labels={"theirs": "old", "gone": "1"}, stop_signal="SIGINT")
    first = built(world, registry, base)
    put_base(world, registry, 8, env={"FROM_BASE": "2", "NEW": "1"}, labels={"theirs": "new"}, stop_signal="SIGHUP")
    since = len(registry.seen)
    name = f"{registry.host}/team/shop"
    done = world.run("rebase", f"{name}:1", env={"SHIPWHEEL_CACHE": str(world.root / "empty")})
    assert done.code == 0, done.err
    assert done.out.strip() == f"{name}@{registry.tags['team/shop']['1']}"
    assert not registry.lacking("team/shop", done.digest)
    old, new = layers(registry, first.digest), layers(registry, done.digest)
    assert len(old & new) >= 3 and len(new - old) == 2, "ours are kept, the base's two are new"
    assert not blobs_read(registry, since, "team/shop") & (old | new), "no layer of the image is read"
    assert blobs_read(registry, since, "bases/python") & (old | new) == new - old, "of the bases' layers, the new one's"
    assert f"{MINOR}.7 → {MINOR}.8" in done.err and "mounted" in done.err and "were read" in done.err
    fresh = built(world, registry, base, SETTINGS, "--upgrade-base")
    assert fresh.digest == done.digest, "the same bytes"
    assert first.digest != fresh.digest


def test_after_a_rebase_an_empty_machine_builds_the_same_from_documents_alone(world: World, registry: FakeRegistry) -> None:
    base = put_base(world, registry, 7)
    built(world, registry, base)
    put_base(world, registry, 8)
    done = world.run("rebase", f"{registry.host}/team/shop:1")
    files = len(world.index.requests)
    project = world.app("small\nnative\n", settings=SETTINGS)
    (project / "main.py").write_text("import small\n\nprint(small.VALUE, 2)\n")
    again = world.run(
        *("build", project, "--no-bytecode", "--json", "--push", "-t", f"{registry.host}/team/shop:1", "--base", base, "--upgrade-base"),
        env={"SHIPWHEEL_CACHE": str(world.root / "empty")},
    )
    assert again.code == 0, again.err
    assert not [one for one in world.index.requests[files:] if one.path.endswith(".whl")], "what was known of the layers is known still"
    assert again.digest != done.digest
