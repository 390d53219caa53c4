"""Push images into a repository: blobs in parallel as soon as they exist, then configs, manifests and the image index, and last the tags.

A push that fails leaves no tag on an incomplete image (distribution-spec 1.1, "Push"). Nothing is ever deleted.
"""

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from typing import Literal

import msgspec

from shipwheel.digest import Digest
from shipwheel.errors import DamagedBlob, FetchError, IntegrityError, ShipwheelError
from shipwheel.events import Moved, Reporter, StageFinished, StageStarted, Warned, format_size
from shipwheel.oci.image import Blob, ImageIndex, RemoteLayer
from shipwheel.oci.reference import Reference
from shipwheel.registry.referrers import add_referrer
from shipwheel.registry.repository import Document, Repository
from shipwheel.registry.upload import Uploader
from shipwheel.store.store import Store
from shipwheel.timeline import span

__all__ = ["STAGE", "Push", "Traffic", "size_of"]

STAGE = "push"

_REFUSALS = (400, 403, 405, 409, 412)
"""Statuses with which registries refuse to move a tag. No request tells beforehand: see docs/explanation.md, "Why a push asks first"."""

_MISSING_BLOB = (400, 404)
"""Statuses of a manifest that names a blob which the registry does not have (distribution-spec, "Error Codes": MANIFEST_BLOB_UNKNOWN)."""


Origins = Sequence[str] | Callable[[], Sequence[str]]
"""Repositories, or a function that looks them up when they are needed."""


def _nothing() -> Collection[str]:
    return ()


class Traffic(msgspec.Struct, frozen=True):
    """Bytes of blobs and documents: uploaded, present in the repository before, mounted from another repository of the registry."""

    uploaded: int = 0
    present: int = 0
    mounted: int = 0

    def __str__(self) -> str:
        rest = [
            *([f"{format_size(self.present)} already there"] if self.present else []),
            *([f"{format_size(self.mounted)} mounted"] if self.mounted else []),
        ]
        return f"pushed {format_size(self.uploaded)} ({', '.join(rest) or 'everything was new'})"


def size_of(index: ImageIndex) -> int:
    """Return the bytes of the blobs and manifests of images, each counted once."""
    sizes = {layer.descriptor.digest: layer.descriptor.size for image in index.images for layer in image.layers}
    return sum(sizes.values()) + sum(len(image.manifest) + len(image.config) for image in index.images)


class Push:
    """One push into one repository. As a context manager it waits for its threads, and stops them after an error.

    `listed` returns digests of blobs that a manifest in the repository names, and which are therefore there: they are not asked for one by
    one. If the registry finds one missing when it gets a manifest, all of them are asked for.

    Methods may be called from any thread. Errors of a blob are raised by the next call of `blob`, `wait_for_blobs` or `finish`: FetchError
    for the registry's, DamagedBlob for a blob that is damaged in the store.
    """

    def __init__(
        self, repository: Repository, reporter: Reporter, workers: int = 4, listed: Callable[[], Collection[str]] = _nothing
    ) -> None:
        self._repository = repository
        self._listed = listed
        self._unasked: dict[str, tuple[Blob, Origins]] = {}
        self._reporter = reporter
        self._uploader = Uploader(repository, self._report_moved)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="push")
        self._jobs: dict[str, Future[None]] = {}
        self._sizes: dict[str, int] = {}
        self._traffic = Traffic()
        self._lock = threading.Lock()
        self._failed = threading.Event()
        self._start_reported = False

    def __enter__(self) -> "Push":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._pool.shutdown(wait=True)
        if kind is None or (issubclass(kind, ShipwheelError) and not issubclass(kind, FetchError)):
            self._uploader.close()
        if kind is not None:
            self._repository.transport.closed.set()
            self._pool.shutdown(wait=True, cancel_futures=True)

    def check_permission(self) -> None:
        """Raise FetchError if the registry would refuse the push, for lack of a repository or of permission, or does not answer."""
        self._uploader.check_permission()

    @property
    def traffic(self) -> Traffic:
        """The traffic up to now."""
        with self._lock:
            return self._traffic

    def blob(self, blob: Blob, origins: Origins = (), *, fresh: bool = False) -> None:
        """Enqueue a blob, once per digest, and return. `origins` are repositories to mount it from, as `registry/repository`.

        Whether the repository has a `fresh` one is not asked: it is small, and made by this build.
        """
        if self._failed.is_set():
            self._raise_errors()
        with self._lock:
            if blob.descriptor.digest not in self._jobs:
                self._report_start(0)
                self._sizes[blob.descriptor.digest] = blob.descriptor.size
                self._jobs[blob.descriptor.digest] = self._pool.submit(self._push_blob, blob, origins, fresh)

    def images(self, index: ImageIndex, store: Store, origins: Sequence[str] = ()) -> None:
        """Enqueue the layers of all images; `finish` adds the rest. A remote layer is first mounted from its own origin."""
        total = sum({layer.descriptor.digest: layer.descriptor.size for image in index.images for layer in image.layers}.values())
        with self._lock:
            self._report_start(total)
        for image in index.images:
            own = {layer.descriptor.digest: layer.origin for layer in image.layers if isinstance(layer, RemoteLayer) and layer.origin}
            layers = {layer.descriptor.digest for layer in image.layers}
            for blob in image.blobs(store):
                if blob.descriptor.digest in layers:
                    origin = own.get(blob.descriptor.digest)
                    self.blob(blob, (origin, *origins) if origin else origins)

    def wait_for_blobs(self) -> None:
        """Wait for all enqueued blobs. Raises their errors, as one error if there are several."""
        while True:
            with self._lock:
                jobs = list(self._jobs.values())
            wait(jobs)
            with self._lock:
                if len(jobs) == len(self._jobs):
                    break
        self._raise_errors()

    def finish(self, index: ImageIndex, tags: Sequence[str]) -> None:
        """Wait for the layers, push configs, manifests and the image index, and point the tags, if any, at it."""
        self.put_images(index)
        self.tag_images(index, tags)
        self.report_finished()

    def put_images(self, index: ImageIndex) -> None:
        """Wait for the layers, then push configs, manifests and the image index, without a tag."""
        self.configs(index)
        self.wait_for_blobs()
        for document in (*_inner(index), _outer(index)):
            self.document(document)

    def tag_images(self, index: ImageIndex, tags: Sequence[str]) -> None:
        """Point the tags at images that are in the repository."""
        self.tag(_outer(index), tags)

    def configs(self, index: ImageIndex, *, fresh: bool = False) -> None:
        """Enqueue the configs of all images."""
        for image in index.images:
            self.blob(Blob(image.config_descriptor, partial(iter, (image.config,))), fresh=fresh)

    def publish(self, index: ImageIndex, tag: str) -> None:
        """Wait for all blobs, then push the manifests, the last one under the tag at once."""
        self.wait_for_blobs()
        try:
            self._put_under(index, tag)
        except FetchError as error:
            if error.status not in _MISSING_BLOB or not self._unasked:
                raise
            self._ask_for_all()
            self.wait_for_blobs()
            self._put_under(index, tag)

    def _put_under(self, index: ImageIndex, tag: str) -> None:
        outer = _outer(index)
        list(self._pool.map(self.document, _inner(index)))
        try:
            self._repository.put_manifest(outer, tag)
        except FetchError as error:
            if error.status not in _REFUSALS:
                raise
            # Is it the tag that is refused, or the document?
            self.document(outer)
            self.tag(outer, (tag,))
        else:
            self._count(uploaded=len(outer.data))

    def _ask_for_all(self) -> None:
        """Enqueue again what was not asked for: the repository does not have all that it lists."""
        self._listed = _nothing
        with self._lock:
            unasked, self._unasked = self._unasked, {}
            for digest, (blob, origins) in unasked.items():
                self._jobs[digest] = self._pool.submit(self._push_blob, blob, origins)
        self._count(present=-sum(blob.descriptor.size for blob, _ in unasked.values()))

    def count_as_present(self, index: ImageIndex) -> None:
        """Count the images' bytes as present, for a push that has nothing to do."""
        self._count(present=size_of(index) - self.traffic.present)

    def document(self, document: Document) -> None:
        """Push a manifest or image index by its digest, and list it as a referrer of its subject if the registry does not."""
        headers = self._repository.put_manifest(document, document.descriptor.digest)
        if "OCI-Subject" not in headers:
            add_referrer(self._repository, document)
        self._count(uploaded=len(document.data))

    def optional_blobs(self, blobs: Iterable[Blob]) -> Callable[[], None]:
        """Begin to send small blobs of this build on which no image depends. Return the function that waits for them.

        It raises the error of the first that failed; nothing else does.
        """
        jobs = [self._pool.submit(self._send, blob, (), fresh=True) for blob in blobs]

        def wait_for_them() -> None:
            for job in jobs:
                job.result()

        return wait_for_them

    @contextmanager
    def optional(self) -> Iterator[None]:
        """Turn what the registry refuses inside the block into a warning: records of images that are in place, and complete without."""
        try:
            yield
        except FetchError as error:
            hint = "Another machine will make the image's layers again where it needs them. `records = false` leaves the records out."
            self._reporter(Warned(f"the image was pushed, but not its records: {error.message}", hint))

    def tag(self, document: Document, tags: Sequence[str]) -> None:
        """Point the tags at a document that is complete in the repository. Raise FetchError, as for a tag that the registry keeps."""
        for tag in dict.fromkeys(tags):
            try:
                self._repository.put_manifest(document, tag)
            except FetchError as error:
                raise self._kept_tag(document, tag, error) or error from None

    def _kept_tag(self, document: Document, tag: str, refusal: FetchError) -> FetchError | None:
        """Return the error for a tag that stands for another image and is not moved; None if the refusal has another cause.

        The document was accepted under its digest, so it is the tag that is refused.
        """
        digest = document.descriptor.digest
        try:
            kept = self._repository.digest_of_tag(tag) if refusal.status in _REFUSALS else None
            if kept in (None, digest) or not self._repository.has_manifest(digest):
                return None
        except FetchError:
            return None
        name = self._repository.name
        return FetchError(
            f"the tag {name}:{tag} stands for another image ({kept}), and the registry does not move it: {refusal.message}",
            hint="Its tags are immutable, or this one is protected. The image is complete there: give it another tag with "
            f"`shipwheel copy {name}@{digest} {name}:NEWTAG`, or push with another --tag. Nothing is sent twice.",
            status=refusal.status,
        )

    def report_finished(self) -> None:
        """Report the end of the push, with its traffic."""
        with self._lock:
            self._report_start(0)
        traffic = self.traffic
        self._reporter(StageFinished(STAGE, str(traffic), notable=bool(traffic.uploaded or traffic.mounted)))

    def _report_start(self, total: int) -> None:
        if not self._start_reported:
            self._start_reported = True
            self._reporter(StageStarted(STAGE, total, "bytes"))

    def _report_moved(self, digest: Digest, done: int) -> None:
        self._reporter(Moved(STAGE, digest, done, self._sizes.get(digest, 0)))

    def _raise_errors(self) -> None:
        with self._lock:
            jobs = list(self._jobs.values())
        errors = [error for job in jobs if job.done() and not job.cancelled() and (error := job.exception()) is not None]
        if not errors:
            return
        for error in errors:
            # The caller can rebuild a damaged blob and go on; an unexpected error keeps its traceback.
            if isinstance(error, DamagedBlob) or not isinstance(error, ShipwheelError):
                raise error
        by_message = {error.message: error for error in errors if isinstance(error, ShipwheelError) and not isinstance(error, _Skipped)}
        if len(by_message) == 1:
            raise next(iter(by_message.values()))
        kind = IntegrityError if all(isinstance(error, IntegrityError) for error in by_message.values()) else FetchError
        lines = "\n".join(f"  {message}" for message in sorted(by_message))
        raise kind(f"{len(by_message)} blobs could not be pushed:\n{lines}", hint=next(iter(by_message.values())).hint)

    def _push_blob(self, blob: Blob, origins: Origins, fresh: bool = False) -> None:
        if self._failed.is_set():
            raise _Skipped("skipped after another blob failed")
        try:
            self._send(blob, origins, fresh=fresh)
        except BaseException:
            self._failed.set()
            raise

    def _send(self, blob: Blob, origins: Origins, *, fresh: bool) -> None:
        with span("push blob", blob.descriptor.digest[:19]):
            outcome = self._transfer(blob, origins, fresh=fresh)
        self._count(**{outcome: blob.descriptor.size})
        self._report_moved(blob.descriptor.digest, blob.descriptor.size)

    def _count(self, *, uploaded: int = 0, present: int = 0, mounted: int = 0) -> None:
        with self._lock:
            known = self._traffic
            self._traffic = Traffic(known.uploaded + uploaded, known.present + present, known.mounted + mounted)

    def _transfer(self, blob: Blob, origins: Origins, *, fresh: bool) -> Literal["present", "mounted", "uploaded"]:
        """Bring a blob into the repository as cheaply as possible. Return the field of Traffic that counts it."""
        digest = blob.descriptor.digest
        if digest in self._listed():
            with self._lock:
                self._unasked[digest] = blob, origins
            return "present"
        if not fresh and self._repository.has_blob(digest) in (blob.descriptor.size, -1):
            return "present"
        location = ""
        for path in self._mountable(origins() if callable(origins) else origins):
            upload = self._uploader.mount(digest, path)
            if upload is None:
                return "mounted"
            location = upload or location
        self._uploader.upload(blob, location)
        return "uploaded"

    def _mountable(self, origins: Sequence[str]) -> list[str]:
        """Return the paths of those origins that are other repositories of this registry."""
        from shipwheel.registry import hosts

        own = self._repository.transport.host
        paths = []
        for origin in dict.fromkeys(origins):
            reference = Reference.parse(origin)
            host = hosts.host_of(reference.registry)
            path = host.repository(reference.repository)
            if host.url == own.url and path != self._repository.path:
                paths.append(path)
        return paths


def _outer(index: ImageIndex) -> Document:
    """Return the document that a tag refers to."""
    single = next((image for image in index.images if image.digest == index.digest), None)
    return Document(index.descriptor, index.index if single is None else single.manifest)


def _inner(index: ImageIndex) -> list[Document]:
    """Return the manifests below an image index."""
    return [Document(image.descriptor, image.manifest) for image in index.images if image.digest != index.digest]


class _Skipped(FetchError):
    """A blob was not pushed because another one had failed."""
