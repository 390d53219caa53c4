"""An OCI image layout made with the standard library only, so that a test can make it wrong in one way."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shipwheel.errors import ImageError
from shipwheel.oci.validate.check import validate

__all__ = ["DOCKER", "OCI", "SOUND", "Json", "Made", "digest_of", "entry", "folder", "tar"]

OCI = "application/vnd.oci.image."
DOCKER = "application/vnd.docker."
Json = dict[str, Any]


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def entry(name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, len(data)
    return info, data


def tar(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, data in entries:
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def folder(name: str) -> tuple[tarfile.TarInfo, bytes]:
    return entry(name, kind=tarfile.DIRTYPE)


SOUND = tar(folder("etc"), entry("etc/hosts", b"127.0.0.1 localhost\n"), entry("etc/again", kind=tarfile.LNKTYPE, target="etc/hosts"))


class Made:
    """A layout. The `change_*` functions edit a document before it is written."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tars = [SOUND]
        self.pack: Callable[[bytes], bytes] = lambda data: gzip.compress(data, mtime=0)
        self.layer_type = f"{OCI}layer.v1.tar+gzip"
        self.config_type = f"{OCI}config.v1+json"
        self.manifest_type = f"{OCI}manifest.v1+json"
        self.change_config: Callable[[Json], object] = lambda _: None
        self.change_manifest: Callable[[Json], object] = lambda _: None
        self.change_index: Callable[[Json], object] = lambda _: None

    def blob(self, data: bytes, media_type: str) -> Json:
        path = self.root / "blobs" / "sha256" / digest_of(data)[7:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}

    def path(self, descriptor: Json) -> Path:
        return self.root / "blobs" / "sha256" / str(descriptor["digest"])[7:]

    def write(self) -> Path:
        layers = [self.blob(self.pack(data), self.layer_type) for data in self.tars]
        config: Json = {
            "os": "linux",
            "architecture": "amd64",
            "rootfs": {"type": "layers", "diff_ids": [digest_of(data) for data in self.tars]},
            "history": [{"created_by": "x"} for _ in self.tars] + [{"empty_layer": True}],
        }
        self.change_config(config)
        manifest: Json = {
            "schemaVersion": 2,
            "mediaType": self.manifest_type,
            "config": self.blob(json.dumps(config).encode(), self.config_type),
            "layers": layers,
        }
        self.change_manifest(manifest)
        found = self.blob(json.dumps(manifest).encode(), self.manifest_type)
        found["platform"] = {"os": "linux", "architecture": "amd64"}
        index: Json = {"schemaVersion": 2, "manifests": [found]}
        self.change_index(index)
        (self.root / "index.json").write_text(json.dumps(index))
        (self.root / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        return self.root

    def problems(self) -> str:
        with pytest.raises(ImageError) as caught:
            validate(self.write())
        assert caught.value.hint
        return caught.value.message
