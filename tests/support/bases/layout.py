"""OCI image layouts of base images. They share no code with shipwheel: tar packs the layers, and the documents are written here."""

import hashlib
import json
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zlib_ng import zlib_ng

from support.command import TEST_CACHE

__all__ = ["DOCKER", "OCI", "Built", "Document", "Layout", "Packed", "cached_layout", "first_image", "pack", "unpack_layer"]

CREATED = "2026-01-01T00:00:00Z"
OCI = {
    "index": "application/vnd.oci.image.index.v1+json",
    "manifest": "application/vnd.oci.image.manifest.v1+json",
    "config": "application/vnd.oci.image.config.v1+json",
    "layer": "application/vnd.oci.image.layer.v1.tar+gzip",
}
DOCKER = {
    "index": "application/vnd.docker.distribution.manifest.list.v2+json",
    "manifest": "application/vnd.docker.distribution.manifest.v2+json",
    "config": "application/vnd.docker.container.image.v1+json",
    "layer": "application/vnd.docker.image.rootfs.diff.tar.gzip",
}

Document = dict[str, Any]


@dataclass(frozen=True)
class Packed:
    """A layer: its compressed bytes, and the digest of the uncompressed tar."""

    data: bytes
    diff_id: str


@dataclass(frozen=True)
class Built:
    """An image for one architecture: its layers and its container configuration."""

    architecture: str
    layers: Sequence[Packed]
    config: Document


@dataclass
class Layout:
    """A writer of an OCI image layout."""

    path: Path
    entries: list[Document] = field(default_factory=list)

    def blob(self, media_type: str, data: bytes, **more: Any) -> Document:
        """Write a blob. Return its descriptor."""
        digest = hashlib.sha256(data).hexdigest()
        path = self.path / "blobs" / "sha256" / digest
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data), **more}

    def document(self, media_type: str, value: Document, **more: Any) -> Document:
        """Write a JSON document. Return its descriptor."""
        return self.blob(media_type, json.dumps(value).encode(), **more)

    def image(self, types: Mapping[str, str], image: Built) -> Document:
        """Write an image. Return its descriptor for an image index."""
        config = {
            "architecture": image.architecture,
            "os": "linux",
            "created": CREATED,
            "config": image.config,
            "history": [{"created": CREATED, "created_by": f"layer {number}"} for number in range(len(image.layers))]
            + [{"created": CREATED, "created_by": "CMD", "empty_layer": True}],
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in image.layers]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": types["manifest"],
            "config": self.document(types["config"], config),
            "layers": [self.blob(types["layer"], layer.data) for layer in image.layers],
        }
        return self.document(types["manifest"], manifest, platform={"architecture": image.architecture, "os": "linux"})

    def attestation(self, of: Document) -> Document:
        """Write an attestation as BuildKit adds it to an image index: a manifest for no platform, whose layer is a statement."""
        statement = {
            "_type": "https://in-toto.io/Statement/v0.1",
            "predicateType": "https://spdx.dev/Document",
            "subject": [],
            "predicate": {},
        }
        layer = self.document(
            "application/vnd.in-toto+json", statement, annotations={"in-toto.io/predicate-type": "https://spdx.dev/Document"}
        )
        config = {
            "architecture": "unknown",
            "os": "unknown",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI["manifest"],
            "config": self.document(OCI["config"], config),
            "layers": [layer],
        }
        notes = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": of["digest"]}
        return self.document(OCI["manifest"], manifest, platform={"architecture": "unknown", "os": "unknown"}, annotations=notes)

    def index(self, types: Mapping[str, str], tag: str, images: Sequence[Built], *, attested: bool = False) -> None:
        """Write an image index with its entry in index.json, and the other files of the layout."""
        found = [self.image(types, image) for image in images]
        found += [self.attestation(one) for one in found] if attested else []
        top = self.document(types["index"], {"schemaVersion": 2, "mediaType": types["index"], "manifests": found})
        self.entries.append({**top, "annotations": {"org.opencontainers.image.ref.name": tag}})
        (self.path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        (self.path / "index.json").write_text(json.dumps({"schemaVersion": 2, "mediaType": OCI["index"], "manifests": self.entries}))


def pack(tree: Path) -> Packed:
    """Pack a directory as a layer, with names as docker writes them: `usr/bin/tar` instead of `./usr/bin/tar`."""
    names = sorted(path.name for path in tree.iterdir())
    options = ["--sort=name", "--mtime=@0", "--numeric-owner", "--format=pax", "--pax-option=delete=atime,delete=ctime"]
    plain = subprocess.run(["tar", *options, "-C", tree, "-cf", "-", "--", *names], stdout=subprocess.PIPE, check=True).stdout
    return Packed(zlib_ng.compress(plain, 1, wbits=31), f"sha256:{hashlib.sha256(plain).hexdigest()}")


def unpack_layer(layer: Packed, tree: Path) -> Path:
    """Unpack a layer into a new directory."""
    tree.mkdir()
    subprocess.run(["tar", "-xzf", "-", "-C", tree], input=layer.data, check=True)
    return tree


def first_image(layout: Path) -> Built:
    """Read the first image of a layout that `Layout` wrote."""

    def read(digest: str) -> bytes:
        return (layout / "blobs" / "sha256" / digest.partition(":")[2]).read_bytes()

    top = json.loads((layout / "index.json").read_text())["manifests"][0]
    manifest = json.loads(read(json.loads(read(top["digest"]))["manifests"][0]["digest"]))
    config = json.loads(read(manifest["config"]["digest"]))
    digests = [layer["digest"] for layer in manifest["layers"]]
    layers = [Packed(read(digest), diff_id) for digest, diff_id in zip(digests, config["rootfs"]["diff_ids"], strict=True)]
    return Built(config["architecture"], layers, config["config"])


def cached_layout(name: str, make: Callable[[Layout, Path], None]) -> Path:
    """Return the layout of a name in the tests' cache. If it does not exist, `make` writes it, with a directory for its work.

    The cache is keyed by the text of these modules.
    """
    version = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))).hexdigest()[:12]
    cache = TEST_CACHE / "bases" / version
    layout_path = cache / name
    if not layout_path.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="shipwheel-base-") as work, tempfile.TemporaryDirectory(dir=cache) as written:
            layout = Layout(Path(written) / "layout")
            make(layout, Path(work))
            if not layout_path.is_dir():
                layout.path.rename(layout_path)
    return layout_path
