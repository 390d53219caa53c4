"""OCI image layouts of bases for tests. They share no code with what is tested: tar packs, and the few documents are written here."""

import gzip
import hashlib
import json
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.command import TEST_CACHE

__all__ = ["DOCKER", "OCI", "Built", "Document", "Layout", "Packed", "first_image", "kept", "pack"]

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
    """A layer: its compressed bytes, and the digest of the tar in them."""

    data: bytes
    diff_id: str


@dataclass(frozen=True)
class Built:
    """An image for one architecture: its layers, and the config of its containers."""

    architecture: str
    layers: Sequence[Packed]
    config: Document


@dataclass
class Layout:
    """An OCI image layout that is being written."""

    path: Path
    entries: list[Document] = field(default_factory=list)

    def blob(self, media_type: str, data: bytes, **more: Any) -> Document:
        """Writes a blob; its descriptor."""
        digest = hashlib.sha256(data).hexdigest()
        place = self.path / "blobs" / "sha256" / digest
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data), **more}

    def document(self, media_type: str, value: Document, **more: Any) -> Document:
        """Writes a document; its descriptor."""
        return self.blob(media_type, json.dumps(value).encode(), **more)

    def image(self, types: Mapping[str, str], image: Built) -> Document:
        """Writes an image; the descriptor that an image index has of it."""
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
        """Writes what BuildKit adds to an image index for each image: a manifest for no platform, whose layer is a statement."""
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
        """Writes an image index and its entry in index.json, and the layout's other files."""
        found = [self.image(types, image) for image in images]
        found += [self.attestation(one) for one in found] if attested else []
        top = self.document(types["index"], {"schemaVersion": 2, "mediaType": types["index"], "manifests": found})
        self.entries.append({**top, "annotations": {"org.opencontainers.image.ref.name": tag}})
        (self.path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        (self.path / "index.json").write_text(json.dumps({"schemaVersion": 2, "mediaType": OCI["index"], "manifests": self.entries}))


def pack(tree: Path) -> Packed:
    """A directory as a layer, with names as docker writes them: `usr/bin/tar`, not `./usr/bin/tar`."""
    names = sorted(path.name for path in tree.iterdir())
    options = ["--sort=name", "--mtime=@0", "--numeric-owner", "--format=pax", "--pax-option=delete=atime,delete=ctime"]
    plain = subprocess.run(["tar", *options, "-C", tree, "-cf", "-", "--", *names], stdout=subprocess.PIPE, check=True).stdout
    return Packed(gzip.compress(plain, compresslevel=1, mtime=0), f"sha256:{hashlib.sha256(plain).hexdigest()}")


def first_image(layout: Path) -> Built:
    """The first image of a layout that was written here."""

    def read(digest: str) -> bytes:
        return (layout / "blobs" / "sha256" / digest.partition(":")[2]).read_bytes()

    top = json.loads((layout / "index.json").read_text())["manifests"][0]
    manifest = json.loads(read(json.loads(read(top["digest"]))["manifests"][0]["digest"]))
    config = json.loads(read(manifest["config"]["digest"]))
    digests = [layer["digest"] for layer in manifest["layers"]]
    layers = [Packed(read(digest), diff_id) for digest, diff_id in zip(digests, config["rootfs"]["diff_ids"], strict=True)]
    return Built(config["architecture"], layers, config["config"])


def kept(name: str, make: Callable[[Layout, Path], None]) -> Path:
    """The layout of that name in the tests' cache; made if it is not there, by a function that is given a folder to work in."""
    version = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))).hexdigest()[:12]
    cache = TEST_CACHE / "bases" / version
    place = cache / name
    if not place.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="shipwheel-base-") as work, tempfile.TemporaryDirectory(dir=cache) as written:
            layout = Layout(Path(written) / "layout")
            make(layout, Path(work))
            if not place.is_dir():
                layout.path.rename(place)
    return place
