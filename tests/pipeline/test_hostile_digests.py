"""Digests that are paths, at every border: an error names the document, and nothing outside the store is read, written or deleted."""

import gzip
import hashlib
import json
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.canary import plant, strays, untouched

from shipwheel.files.compress import member
from shipwheel.oci.image import make_index
from shipwheel.oci.layout import write_layout
from shipwheel.pipeline.segment_metadata import MEDIA_TYPE_BUILDS, MEDIA_TYPE_RECORD
from shipwheel.testing.bases import python_base, python_files
from shipwheel.testing.images import AMD64, small_index
from shipwheel.testing.registry import FakeRegistry
from shipwheel.testing.world import MINOR, SUITE, CommandResult, World

BASE = "bases/python"
APP = "team/shop"
FLAGS = ("--no-bytecode", "--platform", "linux/amd64")
Json = dict[str, Any]


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as running:
        yield running


@pytest.fixture
def user(world: World) -> Path:
    """A user's directory next to the stores."""
    folder = world.root / "home"
    plant(folder)
    plant(world.root)
    return folder


def hostile(user: Path) -> list[str]:
    """Return digests that lead from a store to the user's files."""
    return [f"sha256:{user / '.ssh' / 'id_ed25519'}", "sha256:./../../.profile"]


def put_base(world: World, registry: FakeRegistry, patch: int = 7) -> str:
    """Push a base for one platform, and return its reference."""
    image = python_base(world.store, AMD64, python_files(f"{MINOR}.{patch}", codename=SUITE.codename), {"PATH": "/usr/local/bin"})
    layout = world.root / f"base-{patch}.oci"
    write_layout(make_index([image]), layout, world.store, name="base:1")
    assert world.run("push", layout, f"{registry.host}/{BASE}:1").code == 0
    return f"{registry.host}/{BASE}:1"


def edit(registry: FakeRegistry, name: str, change: Callable[[Json, Json], None]) -> None:
    """Change the manifest and the config behind the tag 1."""
    media_type, data = registry.manifests[name][registry.tags[name]["1"]]
    manifest = json.loads(data)
    config = json.loads(registry.blobs[name].get(manifest["config"]["digest"], b"{}"))
    change(manifest, config)
    text = json.dumps(config).encode()
    if manifest["config"]["digest"] in registry.blobs[name]:
        manifest["config"] |= {"digest": registry.add(name, text), "size": len(text)}
    registry.put(name, json.dumps(manifest).encode(), media_type, "1")


def layer_digest(digest: str) -> Callable[[Json, Json], None]:
    return lambda manifest, _: manifest["layers"][0].update(digest=digest)


def config_digest(digest: str) -> Callable[[Json, Json], None]:
    return lambda manifest, _: manifest["config"].update(digest=digest)


def diff_id(digest: str) -> Callable[[Json, Json], None]:
    return lambda _, config: config["rootfs"].update(diff_ids=[digest])


def refused(world: World, *arguments: str | Path) -> CommandResult:
    """Run a command on an empty machine. It must fail with an error that says what is not a digest, and touch nothing."""
    cache = world.root / "empty"
    # The lock of a project is written before its base is read.
    with untouched(world.root, cache, world.root / "tmp", world.root / "uv"):
        done = world.run(*arguments, env={"SHIPWHEEL_CACHE": str(cache)})
    assert done.err.startswith("error: ") and re.search(r"is not a (digest|sha256 hash)", done.err), done.err
    assert "hint:" in done.err and "Traceback" not in done.err
    assert not cache.exists() or not strays(cache)
    return done


@pytest.mark.parametrize("place", [layer_digest, config_digest, diff_id])
def test_a_base_image_with_a_path_for_a_digest(
    world: World, registry: FakeRegistry, user: Path, place: Callable[[str], Callable[[Json, Json], None]]
) -> None:
    base = put_base(world, registry)
    app = world.app("small\n")
    for digest in hostile(user):
        edit(registry, BASE, place(digest))
        assert refused(world, "plan", app, *FLAGS, "--base", base).code == 9
    assert refused(world, "pull", base, world.root / "pulled").code == 9
    if place is not diff_id:  # a copy does not read configs
        assert refused(world, "copy", base, f"{registry.host}/copy/python:1").code == 9


def test_a_rebase_onto_a_base_with_a_path_for_a_digest(world: World, registry: FakeRegistry, user: Path) -> None:
    base = put_base(world, registry)
    built = world.run("build", world.app("small\n"), *FLAGS, "--push", "-t", f"{registry.host}/{APP}:1", "--base", base)
    assert built.code == 0, built.err
    put_base(world, registry, 8)
    for digest in hostile(user):
        edit(registry, BASE, layer_digest(digest))
        assert refused(world, "rebase", f"{registry.host}/{APP}:1").code == 9
    put_base(world, registry, 8)
    edit(registry, APP, lambda manifest, _: manifest["annotations"].update({"org.opencontainers.image.base.digest": hostile(user)[0]}))
    with untouched(world.root, world.cache):
        done = world.run("rebase", f"{registry.host}/{APP}:1")
    assert done.code == 2 and "hint:" in done.err, done.err


def pushed(world: World, registry: FakeRegistry, project: Path, cache: Path) -> CommandResult:
    return world.run("build", project, *FLAGS, "--push", "-t", f"{registry.host}/{APP}:1", env={"SHIPWHEEL_CACHE": str(cache)})


@pytest.mark.parametrize("number", range(2))
def test_records_in_a_repository_with_paths_for_digests(world: World, registry: FakeRegistry, user: Path, number: int) -> None:
    project = world.app("small\n")
    assert pushed(world, registry, project, world.cache).code == 0
    digest = hostile(user)[number]
    changed = 0
    for own, (media_type, data) in list(registry.manifests[APP].items()):
        manifest = json.loads(data)
        for layer in manifest.get("layers", ()):
            if layer["mediaType"] == MEDIA_TYPE_RECORD:
                record = gzip.decompress(registry.blobs[APP][layer["digest"]])
                packed = bytes(member(re.sub(rb"sha256:[0-9a-f]{64}", digest.encode(), record)))
                layer |= {"digest": registry.add(APP, packed), "size": len(packed)}
                changed += 1
        if changed and "subject" in manifest:
            del registry.manifests[APP][own]
            builds = bytes(
                member(json.dumps([{"filename": "a-1-py3-none-any.whl", "digest": digest, "size": 1, "key": "a" * 64}]).encode())
            )
            manifest["layers"].append({"mediaType": MEDIA_TYPE_BUILDS, "digest": registry.add(APP, builds), "size": len(builds)})
            registry.put(APP, json.dumps(manifest).encode(), media_type)
    assert changed
    cache = world.root / "empty"
    (project / "main.py").write_text("import small\n")
    with untouched(world.root, cache, world.root / "tmp", world.root / "uv"):
        done = pushed(world, registry, project, cache)
    assert done.code == 0, done.err
    assert "the metadata of an image is damaged" in done.err and "is not a digest" in done.err
    assert strays(cache) == []


def test_a_lock_whose_base_has_a_path_for_a_hash(world: World, user: Path) -> None:
    project = world.app("small\n")
    assert world.build(project, "--platform", "linux/amd64").code == 0
    lock = project / "pylock.toml"
    text = lock.read_text()
    first = tomllib.loads(text)["tool"]["shipwheel"]["base"]["amd64"]["packages"][0]["sha256"]
    for hostile_hash in ("./../../.profile", str(user / ".profile")):
        lock.write_text(text.replace(first, hostile_hash))
        for arguments in (("plan", project), ("build", project, "-o", world.root / "out")):
            done = refused(world, *arguments, *FLAGS)
            assert done.code == 4 and "pylock.toml" in done.err and "packages[0].sha256 is not a sha256 hash" in done.err, done.err


def test_a_lock_whose_wheel_has_a_path_for_a_hash(world: World, user: Path) -> None:
    project = world.app("small\n")
    assert world.run("plan", project, *FLAGS).code == 0
    lock = project / "pylock.toml"
    lock.write_text(re.sub(r'sha256 = "[0-9a-f]{64}"', 'sha256 = "./../../.profile"', lock.read_text(), count=1))
    # The lock is kept as parsed, under its own hash.
    with untouched(world.root, world.root / "tmp", world.root / "uv", world.cache / "records/locks"):
        done = world.run("plan", project, *FLAGS)
    assert done.code == 4 and "no sha256 hash" in done.err, done.err


def test_a_lock_whose_base_image_has_a_path_for_a_digest(world: World, registry: FakeRegistry, user: Path) -> None:
    base = put_base(world, registry)
    project = world.app("small\n")
    built = world.run("build", project, *FLAGS, "--base", base, "-o", world.root / "out")
    assert built.code == 0, built.err
    lock = project / "pylock.toml"
    text = lock.read_text()
    found = dict.fromkeys(re.findall(r"(?:digest|manifest) = \"(sha256:[0-9a-f]{64})\"", text))
    assert found
    for digest in found:
        lock.write_text(text.replace(digest, hostile(user)[0]))
        assert refused(world, "plan", project, *FLAGS, "--base", base).code == 4


@pytest.mark.parametrize("place", [layer_digest, config_digest])
def test_a_layout_with_a_path_for_a_digest(
    world: World, registry: FakeRegistry, user: Path, place: Callable[[str], Callable[[Json, Json], None]]
) -> None:
    layout = world.root / "layout"
    write_layout(small_index(world.store, [AMD64]), layout, world.store, name="small:1")
    index = json.loads((layout / "index.json").read_text())
    blobs = layout / "blobs" / "sha256"
    manifest = json.loads((blobs / index["manifests"][0]["digest"][7:]).read_text())
    place(hostile(user)[0])(manifest, {})
    text = json.dumps(manifest).encode()
    value = hashlib.sha256(text).hexdigest()
    (blobs / value).write_bytes(text)
    index["manifests"][0] |= {"digest": f"sha256:{value}", "size": len(text)}
    (layout / "index.json").write_text(json.dumps(index))
    assert refused(world, "push", layout, f"{registry.host}/{APP}:1").code == 9
    assert refused(world, "validate", layout).code == 9
    assert refused(world, "plan", world.app("small\n"), *FLAGS, "--base", f"oci:{layout}").code == 9
