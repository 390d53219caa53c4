"""Descriptors, manifests, indexes and configs as frozen types, and their JSON (image-spec 1.1)."""

import contextlib
from typing import Annotated, Any, TypeVar

import msgspec

from shipwheel.decoding import InvalidDocument, convert, decode_json
from shipwheel.digest import Digest
from shipwheel.errors import ImageError
from shipwheel.platform import Platform

__all__ = [
    "DOCKER_CONFIG",
    "DOCKER_MANIFEST",
    "DOCKER_MANIFEST_LIST",
    "FOREIGN_LAYERS",
    "INDEX_TYPES",
    "MANIFEST_ACCEPT",
    "MANIFEST_TYPES",
    "MEDIA_TYPE_CONFIG",
    "MEDIA_TYPE_INDEX",
    "MEDIA_TYPE_LAYER",
    "MEDIA_TYPE_LAYER_GZIP",
    "MEDIA_TYPE_LAYER_ZSTD",
    "MEDIA_TYPE_MANIFEST",
    "OCI_LAYERS",
    "BlobSize",
    "ConfigFile",
    "ContainerConfig",
    "Descriptor",
    "History",
    "Index",
    "Manifest",
    "PlatformFields",
    "RootFS",
    "decode",
    "encode",
]

MEDIA_TYPE_INDEX = "application/vnd.oci.image.index.v1+json"
MEDIA_TYPE_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
MEDIA_TYPE_CONFIG = "application/vnd.oci.image.config.v1+json"
MEDIA_TYPE_LAYER = "application/vnd.oci.image.layer.v1.tar"
MEDIA_TYPE_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
MEDIA_TYPE_LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"

DOCKER_MANIFEST_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"

INDEX_TYPES = (MEDIA_TYPE_INDEX, DOCKER_MANIFEST_LIST)
MANIFEST_TYPES = (MEDIA_TYPE_MANIFEST, DOCKER_MANIFEST)
MANIFEST_ACCEPT = ", ".join((*INDEX_TYPES, *MANIFEST_TYPES))
"""The header of a request for a manifest or an image index."""

OCI_LAYERS = {
    MEDIA_TYPE_LAYER: MEDIA_TYPE_LAYER,
    MEDIA_TYPE_LAYER_GZIP: MEDIA_TYPE_LAYER_GZIP,
    MEDIA_TYPE_LAYER_ZSTD: MEDIA_TYPE_LAYER_ZSTD,
    "application/vnd.docker.image.rootfs.diff.tar": MEDIA_TYPE_LAYER,
    "application/vnd.docker.image.rootfs.diff.tar.gzip": MEDIA_TYPE_LAYER_GZIP,
    "application/vnd.docker.image.rootfs.diff.tar.zstd": MEDIA_TYPE_LAYER_ZSTD,
}
"""Media type of a layer -> OCI's media type for the same bytes (image-spec, media-types.md: compatibility matrix)."""

FOREIGN_LAYERS = (
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
)
"""Media types of layers that registries need not store: their bytes may be somewhere else."""

T = TypeVar("T")


class PlatformFields(msgspec.Struct, frozen=True, omit_defaults=True):
    """The platform in an entry of an image index."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def of(cls, platform: Platform) -> "PlatformFields":
        """Convert a Platform."""
        return cls(platform.os, platform.architecture, platform.variant)

    @property
    def platform(self) -> Platform:
        """The same as a Platform."""
        return Platform(self.os, self.architecture, self.variant)


BlobSize = Annotated[int, msgspec.Meta(ge=0)]
"""The size of a blob in bytes."""


class Descriptor(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """Media type, digest and size of a blob (image-spec, descriptor.md)."""

    media_type: str
    digest: Digest
    size: BlobSize
    annotations: dict[str, str] = {}
    platform: PlatformFields | None = None
    artifact_type: str = ""

    @property
    def is_attestation(self) -> bool:
        """True if this entry of an image index is an attestation. BuildKit adds those with the platform unknown/unknown."""
        unknown = self.platform is not None and self.platform.os == "unknown" and self.platform.architecture == "unknown"
        return unknown or self.annotations.get("vnd.docker.reference.type") == "attestation-manifest"


class Manifest(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """An image manifest (image-spec, manifest.md)."""

    config: Descriptor
    layers: tuple[Descriptor, ...]
    schema_version: int = msgspec.field(default=0)
    media_type: str = ""
    annotations: dict[str, str] = {}
    artifact_type: str = ""
    subject: Descriptor | None = None


class Index(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """An image index (image-spec, image-index.md)."""

    manifests: tuple[Descriptor, ...]
    schema_version: int = msgspec.field(default=0)
    media_type: str = ""
    annotations: dict[str, str] = {}
    artifact_type: str = ""
    subject: Descriptor | None = None


class ContainerConfig(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """The execution parameters (image-spec, config.md: config)."""

    user: str = ""
    exposed_ports: dict[str, dict[str, Any]] = {}
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    volumes: dict[str, dict[str, Any]] = {}
    working_dir: str = ""
    labels: dict[str, str] = {}
    stop_signal: str = ""

    @property
    def environment(self) -> dict[str, str]:
        """`env` as a mapping; an entry without `=` sets nothing."""
        return dict(entry.split("=", 1) for entry in self.env if "=" in entry)


class RootFS(msgspec.Struct, frozen=True):
    """The diff_ids of an image's layers, bottom first (image-spec, config.md: rootfs)."""

    diff_ids: tuple[Digest, ...]
    type: str = "layers"


class History(msgspec.Struct, frozen=True, omit_defaults=True):
    """An entry of an image's history (image-spec, config.md: history)."""

    created: str = ""
    created_by: str = ""
    comment: str = ""
    empty_layer: bool = False


class ConfigFile(msgspec.Struct, frozen=True, omit_defaults=True):
    """An image's config (image-spec, config.md)."""

    architecture: str
    os: str
    rootfs: RootFS
    config: ContainerConfig = ContainerConfig()
    created: str = ""
    variant: str = ""
    history: tuple[History, ...] = ()


def encode(value: msgspec.Struct) -> bytes:
    """Return canonical JSON: sorted keys, no white space."""
    return msgspec.json.encode(value, order="sorted")


def decode(data: bytes, kind: type[T], name: str) -> T:
    """Decode JSON strictly. A null counts as absent, because Go writes empty values as null.

    Raise ImageError with `name` and the field for an invalid document.
    """
    with contextlib.suppress(InvalidDocument):
        return decode_json(data, kind)
    try:
        return convert(_without_nulls(decode_json(data, object)), kind)
    except (InvalidDocument, RecursionError) as error:
        raise ImageError(f"{name} is invalid: {error}", hint="Build or copy the image again.") from error


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value
