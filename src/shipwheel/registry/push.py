"""Images into a repository: blobs side by side, as soon as they are there; then configs, manifests, the image index, and last the tags.

So a push that fails leaves no tag on something incomplete (distribution-spec 1.1, "Push"). Nothing is ever deleted.
"""

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import msgspec

from shipwheel.errors import DamagedBlob, FetchError, IntegrityError, ShipwheelError
from shipwheel.events import Moved, Reporter, StageFinished, StageStarted, format_size
from shipwheel.oci.image import Blob, ImageIndex, RemoteLayer, digest_of
from shipwheel.oci.model import MANIFEST_TYPES, MEDIA_TYPE_INDEX, Descriptor, Index, Manifest, decode
from shipwheel.oci.reference import Reference
from shipwheel.registry.repository import Document, Repository, fallback_tag
from shipwheel.registry.transport import Request
from shipwheel.registry.upload import Uploader
from shipwheel.store import Store

__all__ = ["STAGE", "Push", "Traffic"]

STAGE = "push"


class Traffic(msgspec.Struct, frozen=True):
    """Bytes of blobs and documents: sent, found in the repository, taken over from another repository of the registry."""

    uploaded: int = 0
    present: int = 0
    mounted: int = 0

    def __str__(self) -> str:
        rest = [
            *([f"{format_size(self.present)} already there"] if self.present else []),
            *([f"{format_size(self.mounted)} mounted"] if self.mounted else []),
        ]
        return f"pushed {format_size(self.uploaded)} ({', '.join(rest) or 'everything was new'})"


class Push:
    """One push into one repository; a context manager that waits for its threads, and gives up what is under way after an error.

    Methods may be called from any thread. What goes wrong with a blob is raised by the next `blob`, or by `settle` and `finish`:
    FetchError for what the registry does, DamagedBlob for a blob that the store has lost.
    """

    def __init__(self, repository: Repository, reporter: Reporter, workers: int = 4) -> None:
        self._repository = repository
        self._reporter = reporter
        self._uploader = Uploader(repository, self._moved)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="push")
        self._jobs: dict[str, Future[None]] = {}
        self._sizes: dict[str, int] = {}
        self._manifests: dict[str, bytes] = {}
        self._traffic = Traffic()
        self._lock = threading.Lock()
        self._failed = threading.Event()
        self._told = False

    def __enter__(self) -> "Push":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._repository.transport.closed.set()
        self._pool.shutdown(wait=True, cancel_futures=kind is not None)

    @property
    def traffic(self) -> Traffic:
        """What has moved so far."""
        with self._lock:
            return self._traffic

    def blob(self, blob: Blob, origins: Sequence[str] = ()) -> None:
        """Enqueues a blob and returns; each digest goes once. `origins` are `registry/repository` names that it can be mounted from."""
        if self._failed.is_set():
            self._raise()
        with self._lock:
            if blob.descriptor.digest not in self._jobs:
                self._tell_start(0)
                self._sizes[blob.descriptor.digest] = blob.descriptor.size
                self._jobs[blob.descriptor.digest] = self._pool.submit(self._bring, blob, tuple(origins))

    def images(self, index: ImageIndex, store: Store, origins: Sequence[str] = ()) -> None:
        """Enqueues the layers of all images; configs and manifests follow in `finish`. A remote layer's own origin is the first tried."""
        total = sum({layer.descriptor.digest: layer.descriptor.size for image in index.images for layer in image.layers}.values())
        with self._lock:
            self._tell_start(total)
        for image in index.images:
            own = {layer.descriptor.digest: layer.origin for layer in image.layers if isinstance(layer, RemoteLayer) and layer.origin}
            layers = {layer.descriptor.digest for layer in image.layers}
            for blob in image.blobs(store):
                if blob.descriptor.digest in layers:
                    origin = own.get(blob.descriptor.digest)
                    self.blob(blob, (origin, *origins) if origin else origins)

    def settle(self) -> None:
        """Waits for all blobs; raises what went wrong with them, together if it is more than one thing."""
        while True:
            with self._lock:
                jobs = list(self._jobs.values())
            wait(jobs)
            with self._lock:
                if len(jobs) == len(self._jobs):
                    break
        self._raise()

    def finish(self, index: ImageIndex, tags: Sequence[str]) -> None:
        """Brings all that is left, and points the tags at it; none may be given."""
        self.bring(index)
        self.name(index, tags)
        self.done()

    def bring(self, index: ImageIndex) -> None:
        """Waits for the layers, then brings configs, manifests and the image index; nothing has a name yet."""
        self.settle()
        for image in index.images:
            config = image.config
            self.blob(Blob(image.config_descriptor, lambda config=config: iter((config,))))  # type: ignore[misc]
        self.settle()
        for image in index.images:
            self.document(Document(image.descriptor, image.manifest))
        if index.descriptor.digest not in {image.digest for image in index.images}:
            self.document(Document(index.descriptor, index.index))

    def name(self, index: ImageIndex, tags: Sequence[str]) -> None:
        """Points the tags at the images, which are there."""
        single = next((image for image in index.images if image.digest == index.descriptor.digest), None)
        self.tag(Document(index.descriptor, index.index if single is None else single.manifest), tags)

    def nothing(self, index: ImageIndex) -> None:
        """Counts the images as there: their names stand for them already."""
        sizes = {layer.descriptor.digest: layer.descriptor.size for image in index.images for layer in image.layers}
        documents = sum(len(image.manifest) + len(image.config) for image in index.images)
        with self._lock:
            self._traffic = msgspec.structs.replace(self._traffic, present=sum(sizes.values()) + documents)

    def document(self, document: Document) -> None:
        """Puts a manifest or image index under its digest, and on its subject's list of referrers if the registry keeps none."""
        digest = document.descriptor.digest
        if not self._put(document, digest):
            self._refer(document)
        with self._lock:
            self._traffic = msgspec.structs.replace(self._traffic, uploaded=self._traffic.uploaded + len(document.data))

    def tag(self, document: Document, tags: Sequence[str]) -> None:
        """Points the tags at a document that is in the repository with all that it refers to."""
        for tag in dict.fromkeys(tags):
            self._put(document, tag)

    def done(self) -> None:
        """Tells the reporter that the push is over."""
        with self._lock:
            self._tell_start(0)
        traffic = self.traffic
        self._reporter(StageFinished(STAGE, str(traffic), notable=bool(traffic.uploaded or traffic.mounted)))

    def _tell_start(self, total: int) -> None:
        if not self._told:
            self._told = True
            self._reporter(StageStarted(STAGE, total, "bytes"))

    def _moved(self, digest: str, done: int) -> None:
        self._reporter(Moved(STAGE, digest, done, self._sizes.get(digest, 0)))

    def _raise(self) -> None:
        with self._lock:
            jobs = list(self._jobs.values())
        errors = [error for job in jobs if job.done() and not job.cancelled() and (error := job.exception()) is not None]
        if not errors:
            return
        for error in errors:
            # A damaged blob can be made again, and then all goes on; what is no error of ours is shown as it is.
            if isinstance(error, DamagedBlob) or not isinstance(error, ShipwheelError):
                raise error
        told = {error.message: error for error in errors if isinstance(error, ShipwheelError) and not isinstance(error, _GivenUp)}
        if len(told) == 1:
            raise next(iter(told.values()))
        kind = IntegrityError if all(isinstance(error, IntegrityError) for error in told.values()) else FetchError
        lines = "\n".join(f"  {message}" for message in sorted(told))
        raise kind(f"{len(told)} blobs could not be pushed:\n{lines}", hint=next(iter(told.values())).hint)

    def _bring(self, blob: Blob, origins: tuple[str, ...]) -> None:
        if self._failed.is_set():
            raise _GivenUp("given up after another blob failed")
        try:
            how = self._way(blob, origins)
        except BaseException:
            self._failed.set()
            raise
        with self._lock:
            known = getattr(self._traffic, how)
            self._traffic = msgspec.structs.replace(self._traffic, **{how: known + blob.descriptor.size})
        self._moved(blob.descriptor.digest, blob.descriptor.size)

    def _way(self, blob: Blob, origins: tuple[str, ...]) -> str:
        """Brings a blob the cheapest way; returns the field of Traffic that it counts for."""
        digest = blob.descriptor.digest
        if self._repository.has_blob(digest) in (blob.descriptor.size, -1):
            return "present"
        location = ""
        for path in self._mountable(origins):
            found = self._uploader.mount(digest, path)
            if found is None:
                return "mounted"
            location = found or location
        self._uploader.upload(blob, location)
        return "uploaded"

    def _mountable(self, origins: Sequence[str]) -> list[str]:
        from shipwheel.registry import hosts

        here = self._repository.transport.host
        found = []
        for origin in dict.fromkeys(origins):
            reference = Reference.parse(origin)
            host = hosts.host_of(reference.registry)
            if host.url == here.url and host.repository(reference.repository) != self._repository.path:
                found.append(host.repository(reference.repository))
        return found

    def _put(self, document: Document, reference: str) -> bool:
        """Whether the registry says that it has put a subject's referrer on its list."""
        label = f"{self._repository.name}{'@' if ':' in reference else ':'}{reference}"
        request = Request(
            "PUT",
            self._repository.url("manifests", reference),
            label,
            (f"repository:{self._repository.path}:pull,push",),
            {"Content-Type": document.descriptor.media_type},
            document.data,
            expected=(201, 200, 202),
        )
        answer = self._repository.transport.ask(request)
        told = answer.headers.get("Docker-Content-Digest", "")
        if told.startswith("sha256:") and document.descriptor.digest.startswith("sha256:") and told != document.descriptor.digest:
            hint = "The registry changes what it is given; ask whoever runs it."
            raise IntegrityError(f"{label}: pushed {document.descriptor.digest}, the registry has {told[:200]}", hint=hint)
        return "OCI-Subject" in answer.headers

    def _refer(self, document: Document) -> None:
        """distribution-spec, "Pushing Manifests with Subject": without OCI-Subject the client keeps the list, under a tag."""
        kind: type[Manifest | Index] = Manifest if document.descriptor.media_type in MANIFEST_TYPES else Index
        manifest: Manifest | Index = decode(document.data, kind, document.descriptor.digest)
        if manifest.subject is None:
            return
        tag = fallback_tag(manifest.subject.digest)
        before = self._repository.find_manifest(tag)
        entries: list[dict[str, Any]] = [] if before is None else msgspec.json.decode(before.data).get("manifests") or []
        if any(entry.get("digest") == document.descriptor.digest for entry in entries):
            return
        artifact_type = manifest.artifact_type or (manifest.config.media_type if isinstance(manifest, Manifest) else "")
        entry = Descriptor(
            document.descriptor.media_type,
            document.descriptor.digest,
            len(document.data),
            annotations=manifest.annotations,
            artifact_type=artifact_type,
        )
        listed = {"schemaVersion": 2, "mediaType": MEDIA_TYPE_INDEX, "manifests": [*entries, msgspec.to_builtins(entry)]}
        data = msgspec.json.encode(listed, order="sorted")
        self._put(Document(Descriptor(MEDIA_TYPE_INDEX, digest_of(data), len(data)), data), tag)


class _GivenUp(FetchError):
    """What was not begun because something else had failed."""
