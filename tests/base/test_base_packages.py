"""Debian packages that the user adds to a base image, and layouts with attestations as bases."""

import json
from pathlib import Path

import pytest

from shipwheel.digest import digest_of
from shipwheel.oci.image import Image, make_index
from shipwheel.oci.layout import read_layout, write_layout
from shipwheel.oci.model import MEDIA_TYPE_INDEX, MEDIA_TYPE_MANIFEST, Descriptor, PlatformFields, encode
from shipwheel.store.store import Store
from shipwheel.testing.bases import python_base, python_files
from shipwheel.testing.images import AMD64
from shipwheel.testing.world import MINOR, SUITE, CommandResult, World

TINI = {"tini": "1.0-1"}
"""Every image has an init."""


def base_of(store: Store, codename: str) -> Image:
    return python_base(
        store, AMD64, python_files(f"{MINOR}.7", platform=AMD64, codename=codename), {"PATH": "/usr/local/bin:/usr/bin:/bin"}
    )


def build(world: World, codename: str, *packages: str) -> CommandResult:
    layout = world.root / "base.oci"
    write_layout(make_index([base_of(world.store, codename)]), layout, world.store, name="base:1")
    flags = [word for package in packages for word in ("--package", package)]
    return world.build(world.app("small\n"), "--platform", "linux/amd64", "--base", f"oci:{layout}", *flags)


def test_adds_named_packages_to_a_base_of_their_suite(world: World) -> None:
    assert build(world, SUITE.codename).document["images"][0]["packages"] == TINI
    found = build(world, SUITE.codename, "libfoo1")
    assert found.code == 0, found.err
    assert found.document["images"][0]["packages"] == {"libfoo1": "1.0-1", **TINI}
    assert build(world, SUITE.codename, "libfoo1").digest == found.digest, "from the lock"


def test_suggests_similar_names_for_an_unknown_package(world: World) -> None:
    failed = build(world, SUITE.codename, "libfoo9")
    assert failed.code == 2 and "did you mean libfoo1" in failed.err


def test_rejects_named_packages_on_a_base_of_no_known_suite(world: World) -> None:
    failed = build(world, "", "libfoo1")
    assert failed.code == 2 and "libfoo1 cannot be added" in failed.err


@pytest.mark.parametrize("marked", ["by platform", "by annotation"])
def test_ignores_attestations_in_a_layout(tmp_path: Path, marked: str) -> None:
    store, layout = Store(tmp_path / "store"), tmp_path / "base.oci"
    write_layout(make_index([base_of(store, SUITE.codename)]), layout, store, name="base:1")
    top = json.loads((layout / "index.json").read_text())
    image = top["manifests"][0]
    platform = PlatformFields("unknown", "unknown") if marked == "by platform" else None
    notes = {} if marked == "by platform" else {"vnd.docker.reference.type": "attestation-manifest"}
    manifest = json.dumps({"schemaVersion": 2, "config": image, "layers": []}).encode()
    beside = json.loads(encode(Descriptor(MEDIA_TYPE_MANIFEST, digest_of(manifest), len(manifest), notes, platform)))
    document = json.dumps({"schemaVersion": 2, "mediaType": MEDIA_TYPE_INDEX, "manifests": [image, beside]}).encode()
    top["manifests"] = [{"mediaType": MEDIA_TYPE_INDEX, "digest": digest_of(document), "size": len(document)}]
    for data in (manifest, document):
        (layout / "blobs/sha256" / digest_of(data).partition(":")[2]).write_bytes(data)
    (layout / "index.json").write_text(json.dumps(top))
    assert [image.platform for image in read_layout(layout).images().images] == [AMD64]
