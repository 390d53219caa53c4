"""The documents of an image on disk, read with the standard library's JSON and checked field by field (image-spec 1.1).

What they state of layers is handed on: `layer_check` reads those.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from shipwheel.oci.read.image_files import ImageFile, ImageFiles

__all__ = ["Documents", "ImageUse", "LayerUse", "digest_of_file"]

MAX_DOCUMENT = 4 << 20
_MAX_DEPTH = 4
_DIGEST = re.compile(r"sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")

_OCI = "application/vnd.oci.image."
_DOCKER = "application/vnd.docker."
_INDEXES = {f"{_OCI}index.v1+json": "OCI", f"{_DOCKER}distribution.manifest.list.v2+json": "Docker"}
_MANIFESTS = {f"{_OCI}manifest.v1+json": "OCI", f"{_DOCKER}distribution.manifest.v2+json": "Docker"}
_CONFIGS = {f"{_OCI}config.v1+json": "OCI", f"{_DOCKER}container.image.v1+json": "Docker"}
_LAYERS = {
    f"{_OCI}layer.v1.tar": ("OCI", ""),
    f"{_OCI}layer.v1.tar+gzip": ("OCI", "gzip"),
    f"{_OCI}layer.v1.tar+zstd": ("OCI", "zstd"),
    f"{_OCI}layer.nondistributable.v1.tar": ("OCI", ""),
    f"{_OCI}layer.nondistributable.v1.tar+gzip": ("OCI", "gzip"),
    f"{_DOCKER}image.rootfs.diff.tar": ("Docker", ""),
    f"{_DOCKER}image.rootfs.diff.tar.gzip": ("Docker", "gzip"),
    f"{_DOCKER}image.rootfs.foreign.diff.tar.gzip": ("Docker", "gzip"),
}
"""Media type -> (family, compression)."""


@dataclass(slots=True)
class LayerUse:
    """A layer as a manifest states it."""

    place: str
    file: ImageFile
    digest: str
    size: int
    compression: str | None
    diff_id: str
    stated: bool = True
    """Whether digest and size are stated, as docker's manifest.json does not."""


@dataclass(slots=True)
class ImageUse:
    """An image whose documents were read; its layers are still to be checked."""

    place: str
    name: str
    platform: str
    digest: str
    size: int
    config_digest: str
    layers: list[LayerUse] = field(default_factory=list)
    whole: bool = True
    """Whether all layers are here to be read."""


class Documents:
    """One walk over an opened image's documents. Collects `problems` and `notes`, and the `images` whose layers are to be read."""

    def __init__(self, opened: ImageFiles) -> None:
        self._opened = opened
        self._seen: set[str] = set()
        self._used: set[str] = set()
        self.images: list[ImageUse] = []
        self.problems: list[str] = list(opened.problems)
        self.notes: list[str] = []

    def read(self) -> None:
        """Follows everything from index.json, and docker's manifest.json."""
        files = self._opened.files
        if "oci-layout" not in files and "manifest.json" not in files:
            self.bad("", "neither oci-layout nor manifest.json is there")
            return
        if "oci-layout" in files:
            self._layout()
        if "manifest.json" in files:
            self._docker()
        known = self._used | {"oci-layout", "index.json", "manifest.json", "repositories"}
        self.notes += [f"{name}: nothing refers to it" for name in sorted(files) if name not in known]

    def bad(self, place: str, text: str) -> None:
        """Notes a problem."""
        self.problems.append(f"{place}: {text}" if place else text)

    def expect(self, place: str, what: str, stated: object, found: object) -> bool:
        """Whether two values are the same; a problem that says both if they are not."""
        if stated != found:
            self.bad(place, f"{what}: stated {stated}, found {found}")
        return stated == found

    def _layout(self) -> None:
        layout = self._named("oci-layout")
        if layout is not None:
            self.expect("oci-layout", "imageLayoutVersion", layout.get("imageLayoutVersion"), "1.0.0")
        index = self._named("index.json")
        if index is None:
            return
        self.expect("index.json", "schemaVersion", index.get("schemaVersion"), 2)
        if "mediaType" in index:
            self.expect("index.json", "mediaType", index["mediaType"], f"{_OCI}index.v1+json")
        for number, entry in enumerate(self._objects("index.json", index, "manifests")):
            notes = entry.get("annotations")
            notes = notes if isinstance(notes, dict) else {}
            name = notes.get("io.containerd.image.name") or notes.get("org.opencontainers.image.ref.name") or ""
            self._descriptor(f"index.json[{number}]", entry, str(name), None, 0)

    def _descriptor(self, place: str, entry: dict[str, Any], name: str, family: str | None, depth: int) -> None:
        document = self._document(place, entry)
        if document is None:
            return
        media_type, digest = entry["mediaType"], entry["digest"]
        own = _INDEXES.get(media_type) or _MANIFESTS.get(media_type)
        if own is None:
            self.bad(place, f"the media type {media_type!r} is unknown")
            return
        self.expect(digest, "schemaVersion", document.get("schemaVersion"), 2)
        if "mediaType" in document or own == "Docker":
            self.expect(digest, "media type", media_type, document.get("mediaType"))
        if family is not None and family != own:
            self.bad(digest, f"a manifest of {own}'s media type in an index of {family}'s")
        if media_type in _MANIFESTS:
            self._manifest(entry, document, name, own)
        elif depth >= _MAX_DEPTH:
            self.bad(place, f"more than {_MAX_DEPTH} image indexes inside one another")
        elif digest not in self._seen:
            self._seen.add(digest)
            for number, one in enumerate(self._objects(digest, document, "manifests")):
                self._descriptor(f"{digest}[{number}]", one, name, own, depth + 1)

    def _manifest(self, entry: dict[str, Any], manifest: dict[str, Any], name: str, family: str) -> None:
        digest = entry["digest"]
        config_entry = manifest.get("config")
        if not isinstance(config_entry, dict):
            self.bad(digest, "the manifest has no config")
            return
        if manifest.get("artifactType") or config_entry.get("mediaType") == "application/vnd.oci.empty.v1+json":
            self._artifact(digest, config_entry, manifest)
            return
        config = self._document(f"{digest} config", config_entry)
        stated = self._objects(digest, manifest, "layers")
        if config is None:
            return
        config_type = config_entry["mediaType"]
        if config_type not in _CONFIGS:
            self.bad(digest, f"the config's media type {config_type!r} is unknown")
        elif _CONFIGS[config_type] != family:
            self.bad(digest, f"mixed media types: a manifest of {family}'s, a config of {_CONFIGS[config_type]}'s")
        found = _platform(config)
        self._platform(digest, entry.get("platform"), config)
        size = entry["size"] + config_entry["size"]
        image = ImageUse(f"{digest} ({found})", name, found, digest, size, config_entry["digest"])
        if any(str(one.get("mediaType", "")).startswith("application/vnd.in-toto") for one in stated):
            self.notes.append(f"{digest}: an attestation beside the images; some registries and services refuse the index for it")
            self._artifact(digest, config_entry, manifest)
            return
        diff_ids = self._config(config_entry["digest"], config, len(stated))
        for number, (one, diff_id) in enumerate(zip(stated, diff_ids, strict=False)):
            use = self._layer(f"{image.place} layer {number}", one, diff_id, family)
            if use is not None:
                image.layers.append(use)
        image.whole = len(image.layers) == len(stated)
        self.images.append(image)

    def _artifact(self, digest: str, config: dict[str, Any], manifest: dict[str, Any]) -> None:
        """Not an image: its blobs are hashed and that is all."""
        for one in (config, *self._objects(digest, manifest, "layers")):
            file = self._blob(digest, one)
            if file is not None:
                self._proved(one["digest"], file, one)

    def _layer(self, place: str, entry: dict[str, Any], diff_id: str, family: str) -> LayerUse | None:
        media_type = entry.get("mediaType")
        own, compression = _LAYERS.get(str(media_type), ("", None))
        if not own:
            self.bad(place, f"the media type {media_type!r} is unknown")
        elif own != family:
            self.bad(place, f"mixed media types: a manifest of {family}'s, a layer of {own}'s")
        if entry.get("digest") in self._opened.elsewhere:
            return None
        file = self._blob(place, entry)
        if file is None:
            return None
        return LayerUse(place, file, entry["digest"], entry["size"], compression, diff_id)

    def _config(self, place: str, config: dict[str, Any], layers: int) -> list[str]:
        """Checks a config on its own; returns the diff_ids."""
        rootfs = config.get("rootfs")
        rootfs = rootfs if isinstance(rootfs, dict) else {}
        self.expect(place, "rootfs.type", rootfs.get("type"), "layers")
        diff_ids = rootfs.get("diff_ids") or []
        if not isinstance(diff_ids, list) or not all(isinstance(one, str) and _DIGEST.fullmatch(one) for one in diff_ids):
            self.bad(place, "rootfs.diff_ids is not a list of digests")
            return []
        self.expect(place, "number of diff_ids and of layers", len(diff_ids), layers)
        history = config.get("history")
        if history:
            lines = history if isinstance(history, list) else []
            filled = sum(1 for line in lines if isinstance(line, dict) and not line.get("empty_layer"))
            self.expect(place, "history lines with a layer, and layers", filled, layers)
        created = config.get("created")
        if created is not None and not (isinstance(created, str) and _TIME.fullmatch(created)):
            self.bad(place, f"created {created!r} is not a time of RFC 3339")
        return diff_ids

    def _platform(self, digest: str, stated: object, config: dict[str, Any]) -> None:
        for name in ("os", "architecture"):
            if not isinstance(config.get(name), str) or not config[name]:
                self.bad(digest, f"the config states no {name}")
        if isinstance(stated, dict):
            for name in ("os", "architecture", "variant"):
                # Configs of older builders leave the variant out.
                if name != "variant" or config.get(name):
                    self.expect(digest, f"platform {name} in the index and in the config", stated.get(name), config.get(name))

    # Docker's manifest.json.

    def _docker(self) -> None:
        entries = self._json("manifest.json", self._opened.files["manifest.json"])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries) or not entries:
            self.bad("manifest.json", "not a list of images")
            return
        by_config = {image.config_digest: image for image in self.images}
        for number, entry in enumerate(entries):
            self._docker_image(f"manifest.json[{number}]", entry, by_config)

    def _docker_image(self, place: str, entry: dict[str, Any], by_config: dict[str, ImageUse]) -> None:
        name, layers, tags = entry.get("Config"), _texts(entry.get("Layers")), _texts(entry.get("RepoTags") or [])
        if not isinstance(name, str) or layers is None or tags is None:
            self.bad(place, "Config, Layers and RepoTags are not a text and lists of texts")
            return
        file = self._use(place, name)
        config = None if file is None else self._json(name, file)
        if file is None or not isinstance(config, dict):
            return
        digest = f"sha256:{hashlib.sha256(_bytes(file)).hexdigest()}"
        self.expect(place, "the config's digest in its name", name.rpartition("/")[2].removesuffix(".json"), digest[7:])
        found = [(one, self._use(place, one)) for one in layers]
        twin = by_config.get(digest)
        if twin is not None:
            stated = [f"blobs/{use.digest.replace(':', '/')}" for use in twin.layers]
            self.expect(place, f"layers of {digest} here and in its manifest", layers, stated)
            return
        image = ImageUse(place, str((tags or [""])[0]), _platform(config), digest, file.size, digest)
        self._platform(place, None, config)
        diff_ids = self._config(name, config, len(layers))
        for (one, blob), diff_id in zip(found, diff_ids, strict=False):
            if blob is not None:
                image.layers.append(LayerUse(f"{place} {one}", blob, one, blob.size, None, diff_id, stated=False))
        self.images.append(image)

    # Files.

    def _named(self, name: str) -> dict[str, Any] | None:
        file = self._opened.files.get(name)
        if file is None:
            self.bad(name, "is not there")
            return None
        document = self._json(name, file)
        if document is not None and not isinstance(document, dict):
            self.bad(name, "not an object")
            return None
        return document

    def _objects(self, place: str, document: dict[str, Any], key: str) -> list[dict[str, Any]]:
        found = document.get(key)
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            self.bad(place, f"{key} is not a list of objects")
            return []
        return found

    def _use(self, place: str, name: str) -> ImageFile | None:
        file = self._opened.find(name)
        if file is None:
            self.bad(place, f"{name} is not there")
        self._used.add(name)
        self._used.update(one for one, at in self._opened.files.items() if at is file)
        return file

    def _blob(self, place: str, entry: dict[str, Any]) -> ImageFile | None:
        """The file that a descriptor means, if the descriptor is sound."""
        digest, size = entry.get("digest"), entry.get("size")
        if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
            self.bad(place, f"{str(digest)[:100]!r} is not a digest")
        elif not isinstance(size, int) or isinstance(size, bool) or size < 0 or not isinstance(entry.get("mediaType"), str):
            self.bad(place, f"the descriptor of {digest} lacks its media type or size")
        else:
            return self._use(place, f"blobs/{digest.replace(':', '/')}")
        return None

    def _document(self, place: str, entry: dict[str, Any]) -> dict[str, Any] | None:
        file = self._blob(place, entry)
        if file is None or not self._proved(place, file, entry):
            return None
        document = self._json(entry["digest"], file)
        if document is not None and not isinstance(document, dict):
            self.bad(entry["digest"], "not an object")
            return None
        return document

    def _proved(self, place: str, file: ImageFile, entry: dict[str, Any]) -> bool:
        same = self.expect(place, f"size of {entry['digest']}", entry["size"], file.size)
        return self.expect(place, "digest", entry["digest"], digest_of_file(file, entry["digest"].partition(":")[0])) and same

    def _json(self, place: str, file: ImageFile) -> Any:
        if file.size > MAX_DOCUMENT:
            self.bad(place, f"{file.size} bytes are more than the {MAX_DOCUMENT} that a document may have")
            return None
        try:
            found = json.loads(_bytes(file), object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:
            self.bad(place, f"not valid JSON: {error}")
            return None
        if found is None:
            self.bad(place, "null")
        return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        # RFC 8259, 4: readers differ in which of two they take.
        raise ValueError("a name that is there twice in one object")
    return found


def _texts(value: object) -> list[str] | None:
    return value if isinstance(value, list) and all(isinstance(one, str) for one in value) else None


def _platform(config: dict[str, Any]) -> str:
    return "/".join(str(config[name]) for name in ("os", "architecture", "variant") if config.get(name))


def _bytes(file: ImageFile) -> bytes:
    with file.open() as stream:
        return stream.read(file.size)


def _pieces(file: ImageFile) -> Iterator[bytes]:
    left = file.size
    with file.open() as stream:
        while left and (data := stream.read(min(left, 1 << 20))):
            left -= len(data)
            yield data


def digest_of_file(file: ImageFile, algorithm: str) -> str:
    """The digest of a file's bytes."""
    seen = hashlib.new(algorithm)
    for data in _pieces(file):
        seen.update(data)
    return f"{algorithm}:{seen.hexdigest()}"
