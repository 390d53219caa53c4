"""Checks the documents of an image field by field, with the standard library's JSON (image-spec 1.1).

It also collects what they state about layers, which `layers` checks.
"""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import msgspec

from shipwheel.digest import as_digest, digest_of
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.oci.read.image_files import ImageFile, ImageFiles

__all__ = ["Documents", "StatedImage", "StatedLayer", "compression_of", "digest_of_file"]

MAX_DOCUMENT = 4 << 20
_MAX_DEPTH = 4
_TIME = lazy_pattern(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")

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


def compression_of(media_type: str) -> str | None:
    """Return the compression of a layer with this media type, "" for none; None if the media type is unknown."""
    return _LAYERS.get(media_type, ("", None))[1]


class StatedLayer(msgspec.Struct):
    """A layer as a manifest describes it. `location` names it in problems."""

    location: str
    file: ImageFile
    digest: str
    size: int
    compression: str | None
    diff_id: str
    has_digest: bool = True
    """True if digest and size are stated; docker's manifest.json does not state them."""
    is_ours: bool = False
    """True if shipwheel made the layer, and so knows that it deletes nothing."""


class StatedImage(msgspec.Struct):
    """An image as its documents describe it; its layers are not checked yet."""

    location: str
    name: str
    platform: str
    digest: str
    size: int
    config_digest: str
    layers: list[StatedLayer] = msgspec.field(default_factory=list)
    is_complete: bool = True
    """True if all layers can be read."""


class Documents:
    """Reads the documents of an image, and collects `problems`, `notes` and the `images` whose layers are to be checked."""

    def __init__(self, files: ImageFiles) -> None:
        self._files = files
        self._seen: set[str] = set()
        self._used: set[str] = set()
        self.images: list[StatedImage] = []
        self.problems: list[str] = list(files.problems)
        self.notes: list[str] = []

    def read(self) -> None:
        """Read everything that index.json and docker's manifest.json refer to."""
        files = self._files.files
        if "oci-layout" not in files and "manifest.json" not in files:
            self.add_problem("", "neither oci-layout nor manifest.json exists")
            return
        if "oci-layout" in files:
            self._layout()
        if "manifest.json" in files:
            self._docker()
        known = self._used | {"oci-layout", "index.json", "manifest.json", "repositories"}
        self.notes += [f"{name}: nothing refers to it" for name in sorted(files) if name not in known]

    def add_problem(self, location: str, text: str) -> None:
        """Record a problem."""
        self.problems.append(f"{location}: {text}" if location else text)

    def expect(self, location: str, what: str, stated: object, found: object) -> bool:
        """Return whether two values are equal; if not, record a problem with both."""
        if stated != found:
            self.add_problem(location, f"{what}: stated {stated}, found {found}")
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

    def _descriptor(self, location: str, entry: dict[str, Any], name: str, family: str | None, depth: int) -> None:
        document = self._document(location, entry)
        if document is None:
            return
        media_type, digest = entry["mediaType"], entry["digest"]
        own = _INDEXES.get(media_type) or _MANIFESTS.get(media_type)
        if own is None:
            self.add_problem(location, f"the media type {media_type!r} is unknown")
            return
        self.expect(digest, "schemaVersion", document.get("schemaVersion"), 2)
        if "mediaType" in document or own == "Docker":
            self.expect(digest, "media type", media_type, document.get("mediaType"))
        if family is not None and family != own:
            self.add_problem(digest, f"mixed media types: {family} for the index, {own} for a manifest")
        if media_type in _MANIFESTS:
            self._manifest(entry, document, name, own)
        elif depth >= _MAX_DEPTH:
            self.add_problem(location, f"more than {_MAX_DEPTH} nested image indexes")
        elif digest not in self._seen:
            self._seen.add(digest)
            for number, child in enumerate(self._objects(digest, document, "manifests")):
                self._descriptor(f"{digest}[{number}]", child, name, own, depth + 1)

    def _manifest(self, entry: dict[str, Any], manifest: dict[str, Any], name: str, family: str) -> None:
        digest = entry["digest"]
        config_entry = manifest.get("config")
        if not isinstance(config_entry, dict):
            self.add_problem(digest, "the manifest has no config")
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
            self.add_problem(digest, f"the config's media type {config_type!r} is unknown")
        elif _CONFIGS[config_type] != family:
            self.add_problem(digest, f"mixed media types: {family} for the manifest, {_CONFIGS[config_type]} for the config")
        found = _platform(config)
        self._platform(digest, entry.get("platform"), config)
        size = entry["size"] + config_entry["size"]
        image = StatedImage(f"{digest} ({found})", name, found, digest, size, config_entry["digest"])
        if any(str(layer.get("mediaType", "")).startswith("application/vnd.in-toto") for layer in stated):
            self.notes.append(f"{digest}: an attestation in the image index; some registries and services reject such an index")
            self._artifact(digest, config_entry, manifest)
            return
        diff_ids = self._config(config_entry["digest"], config, len(stated))
        for number, (descriptor, diff_id) in enumerate(zip(stated, diff_ids, strict=False)):
            layer = self._layer(f"{image.location} layer {number}", descriptor, diff_id, family)
            if layer is not None:
                image.layers.append(layer)
        image.is_complete = len(image.layers) == len(stated)
        self.images.append(image)

    def _artifact(self, digest: str, config: dict[str, Any], manifest: dict[str, Any]) -> None:
        """Check only the digests of an artifact that is not an image."""
        for descriptor in (config, *self._objects(digest, manifest, "layers")):
            file = self._blob(digest, descriptor)
            if file is not None:
                self._verify(descriptor["digest"], file, descriptor)

    def _layer(self, location: str, entry: dict[str, Any], diff_id: str, family: str) -> StatedLayer | None:
        media_type = entry.get("mediaType")
        own = _LAYERS.get(str(media_type), ("", ""))[0]
        if not own:
            self.add_problem(location, f"the media type {media_type!r} is unknown")
        elif own != family:
            self.add_problem(location, f"mixed media types: {family} for the manifest, {own} for a layer")
        if str(entry.get("digest")) in self._files.elsewhere:
            return None
        file = self._blob(location, entry)
        if file is None:
            return None
        notes = entry.get("annotations")
        is_ours = isinstance(notes, dict) and "io.shipwheel.layer.key" in notes
        return StatedLayer(location, file, entry["digest"], entry["size"], compression_of(str(media_type)), diff_id, is_ours=is_ours)

    def _config(self, location: str, config: dict[str, Any], layers: int) -> list[str]:
        """Check a config by itself, and return its diff_ids."""
        rootfs = config.get("rootfs")
        rootfs = rootfs if isinstance(rootfs, dict) else {}
        self.expect(location, "rootfs.type", rootfs.get("type"), "layers")
        diff_ids = rootfs.get("diff_ids") or []
        if not isinstance(diff_ids, list) or not all(isinstance(item, str) and as_digest(item) for item in diff_ids):
            self.add_problem(location, "rootfs.diff_ids is not a list of digests")
            return []
        self.expect(location, "number of diff_ids and of layers", len(diff_ids), layers)
        history = config.get("history")
        if history:
            lines = history if isinstance(history, list) else []
            filled = sum(1 for line in lines if isinstance(line, dict) and not line.get("empty_layer"))
            self.expect(location, "history lines with a layer, and layers", filled, layers)
        created = config.get("created")
        if created is not None and not (isinstance(created, str) and _TIME.fullmatch(created)):
            self.add_problem(location, f"created {created!r} is not an RFC 3339 time")
        return diff_ids

    def _platform(self, digest: str, stated: object, config: dict[str, Any]) -> None:
        for name in ("os", "architecture"):
            if not isinstance(config.get(name), str) or not config[name]:
                self.add_problem(digest, f"the config states no {name}")
        if isinstance(stated, dict):
            for name in ("os", "architecture", "variant"):
                # Older builders do not write the variant into the config.
                if name != "variant" or config.get(name):
                    self.expect(digest, f"platform {name} in the index and in the config", stated.get(name), config.get(name))

    def _docker(self) -> None:
        entries = self._json("manifest.json", self._files.files["manifest.json"])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries) or not entries:
            self.add_problem("manifest.json", "not a list of images")
            return
        by_config = {image.config_digest: image for image in self.images}
        for number, entry in enumerate(entries):
            self._docker_image(f"manifest.json[{number}]", entry, by_config)

    def _docker_image(self, location: str, entry: dict[str, Any], by_config: dict[str, StatedImage]) -> None:
        name, layers, tags = entry.get("Config"), _strings(entry.get("Layers")), _strings(entry.get("RepoTags") or [])
        if not isinstance(name, str) or layers is None or tags is None:
            self.add_problem(location, "Config, Layers and RepoTags are not a string and lists of strings")
            return
        file = self._use(location, name)
        config = None if file is None else self._json(name, file)
        if file is None or not isinstance(config, dict):
            return
        digest = digest_of(_bytes(file))
        self.expect(location, "the config's digest in its name", name.rpartition("/")[2].removesuffix(".json"), digest[7:])
        files = [(layer, self._use(location, layer)) for layer in layers]
        image = by_config.get(digest)
        if image is not None:
            stated = [f"blobs/{layer.digest.replace(':', '/')}" for layer in image.layers]
            self.expect(location, f"layers of {digest} here and in its manifest", layers, stated)
            return
        image = StatedImage(location, str((tags or [""])[0]), _platform(config), digest, file.size, digest)
        self._platform(location, None, config)
        diff_ids = self._config(name, config, len(layers))
        for (layer_name, blob), diff_id in zip(files, diff_ids, strict=False):
            if blob is not None:
                image.layers.append(StatedLayer(f"{location} {layer_name}", blob, layer_name, blob.size, None, diff_id, has_digest=False))
        self.images.append(image)

    def _named(self, name: str) -> dict[str, Any] | None:
        file = self._files.files.get(name)
        if file is None:
            self.add_problem(name, "is missing")
            return None
        document = self._json(name, file)
        if document is not None and not isinstance(document, dict):
            self.add_problem(name, "not an object")
            return None
        return document

    def _objects(self, location: str, document: dict[str, Any], key: str) -> list[dict[str, Any]]:
        found = document.get(key)
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            self.add_problem(location, f"{key} is not a list of objects")
            return []
        return found

    def _use(self, location: str, name: str) -> ImageFile | None:
        file = self._files.find(name)
        if file is None:
            self.add_problem(location, f"{name} is missing")
        self._used.add(name)
        self._used.update(other for other, target in self._files.files.items() if target is file)
        return file

    def _blob(self, location: str, entry: dict[str, Any]) -> ImageFile | None:
        """Return the file that a descriptor refers to, if the descriptor is valid."""
        digest, size = entry.get("digest"), entry.get("size")
        if not isinstance(digest, str) or not as_digest(digest):
            self.add_problem(location, f"{str(digest)[:100]!r} is not a digest")
        elif not isinstance(size, int) or isinstance(size, bool) or size < 0 or not isinstance(entry.get("mediaType"), str):
            self.add_problem(location, f"the descriptor of {digest} lacks its media type or size")
        else:
            return self._use(location, f"blobs/{digest.replace(':', '/')}")
        return None

    def _document(self, location: str, entry: dict[str, Any]) -> dict[str, Any] | None:
        file = self._blob(location, entry)
        if file is None or not self._verify(location, file, entry):
            return None
        document = self._json(entry["digest"], file)
        if document is not None and not isinstance(document, dict):
            self.add_problem(entry["digest"], "not an object")
            return None
        return document

    def _verify(self, location: str, file: ImageFile, entry: dict[str, Any]) -> bool:
        same = self.expect(location, f"size of {entry['digest']}", entry["size"], file.size)
        return self.expect(location, "digest", entry["digest"], digest_of_file(file, entry["digest"].partition(":")[0])) and same

    def _json(self, location: str, file: ImageFile) -> Any:
        if file.size > MAX_DOCUMENT:
            self.add_problem(location, f"{file.size} bytes exceed the maximum of {MAX_DOCUMENT} bytes for a document")
            return None
        try:
            found = json.loads(_bytes(file), object_pairs_hook=_unique_names)
        except (ValueError, RecursionError) as error:
            self.add_problem(location, f"not valid JSON: {error}")
            return None
        if found is None:
            self.add_problem(location, "null")
        return found


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        # RFC 8259, 4: "When the names within an object are not unique, the behavior of software that receives such an object is
        # unpredictable."
        raise ValueError("an object has a duplicate name")
    return found


def _strings(value: object) -> list[str] | None:
    return value if isinstance(value, list) and all(isinstance(item, str) for item in value) else None


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
    """Return the digest of a file's bytes."""
    seen = hashlib.new(algorithm)
    for data in _pieces(file):
        seen.update(data)
    return f"{algorithm}:{seen.hexdigest()}"
