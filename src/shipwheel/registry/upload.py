"""Bring one blob into a repository: mounted, in one request, or in several where one is refused or breaks (distribution-spec 1.1, "Push").

A blob is streamed, so memory stays constant. It is read again from its beginning when an upload has to go back.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import count
from urllib.parse import quote

import msgspec

from shipwheel.digest import Digest
from shipwheel.download.http import TransientError
from shipwheel.errors import FetchError, IntegrityError
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.oci.image import Blob
from shipwheel.registry.repository import Repository
from shipwheel.registry.transport import RegistryRequest, RegistryResponse

__all__ = ["CHUNK_SIZES", "Uploader"]

CHUNK_SIZES: tuple[int, ...] = (64 << 20, 16 << 20, 4 << 20, 1 << 20)
"""Bytes of a chunk: the first size for connections that break, the others for servers that refuse larger requests (413)."""

_REFUSALS = (400, 404, 405, 410, 411, 413, 415, 416, 501)
"""Statuses that other requests for the same upload may not meet."""

_GONE = (404, 410)
"""Statuses for an upload that the registry does not know any more."""

_COMMIT_TIMEOUT_S = 300.0
"""A registry may need this long to hash and move a large blob."""

_MAX_START_AGE_S = 60.0
"""An upload that was started to learn whether it may be is used for a blob within this time: registries let uploads expire."""

_LOST = "the registry lost the unfinished upload"
_RANGE = lazy_pattern(r"(?:bytes=)?0-(\d{1,18})")


class _Refused(Exception):
    """The registry refuses this way to send a blob. `cause` is its answer."""

    def __init__(self, cause: FetchError) -> None:
        super().__init__(cause.message)
        self.cause = cause


class _Started(msgspec.Struct, frozen=True):
    """An upload without bytes: its URL, the bytes that every chunk but the last must have, and when it was started."""

    location: str
    least: int = 0
    at: float = msgspec.field(default_factory=time.monotonic)


class _Way(msgspec.Struct, frozen=True):
    """How to send blobs to a registry, as far as its answers tell.

    Attributes:
        limit: bytes of a request's body that are not refused.
        puts: whether a PUT may carry the blob (false for pulp_container before 2.15).
        chunks: whether a blob may be sent in several requests.
        resumes: whether the connection broke, so that resuming is worth more requests.
    """

    limit: int = sys.maxsize
    puts: bool = True
    chunks: bool = True
    resumes: bool = False

    def chunk_size(self, size: int) -> int:
        """Return the bytes of each PATCH for a blob of `size` bytes; 0 stands for a single PUT."""
        if self.chunks and (size > self.limit or (self.resumes and size > CHUNK_SIZES[0])):
            return min(self.limit, CHUNK_SIZES[0])
        return 0 if self.puts else size

    def after(self, refusal: _Refused, size: int) -> "_Way":
        """Return the way to try after a refusal for a blob of `size` bytes. Raises the refusal's cause if there is none."""
        chunk = self.chunk_size(size)
        if refusal.cause.status == 413:
            limit = next((smaller for smaller in CHUNK_SIZES if smaller < (chunk or size)), 0)
            if limit and self.chunks:
                return msgspec.structs.replace(self, limit=limit)
        elif not chunk:
            return msgspec.structs.replace(self, puts=False)
        elif chunk < size <= self.limit:
            return msgspec.structs.replace(self, chunks=False)
        raise refusal.cause


class Uploader:
    """Uploads and mounts blobs into a repository, from any thread.

    Calls `moved` with a blob's digest and the number of its bytes that were sent.
    """

    def __init__(self, repository: Repository, moved: Callable[[Digest, int], None]) -> None:
        self._repository = repository
        self._transport = repository.transport
        self._scopes = (f"repository:{repository.path}:pull,push",)
        self._moved = moved
        self._way = _Way()
        self._spare: _Started | None = None
        self._lock = threading.Lock()

    def check_permission(self) -> None:
        """Start an upload, for the first blob. Raises FetchError if the registry refuses or does not answer."""
        label = f"{self._repository.name}: push"
        try:
            self._spare = self._start(label)
        except FetchError as error:
            if error.status != 404:
                raise
            hint = "Check its name, and create it if the registry does not do so at the first push."
            raise FetchError(error.message, hint=hint, status=404) from error

    def close(self) -> None:
        """Cancel the upload that no blob needed; one that is not cancelled expires."""
        spare = self._take_spare()
        if spare is None:
            return
        request = RegistryRequest("DELETE", spare.location, f"{self._repository.name}: push", self._scopes)
        with suppress(FetchError, TransientError), self._transport.stream(request):
            pass

    def mount(self, digest: Digest, origin: str) -> str | None:
        """Mount a blob from another repository of the registry, given by its path.

        Return None on success, the URL of the upload that the registry started instead, or "" if it refused. Raises FetchError if the
        registry does not answer.
        """
        query = f"?mount={quote(digest, safe=':')}&from={quote(origin, safe='/')}"
        # Both scopes in one token, as docker requests them.
        scopes = (*self._scopes, f"repository:{origin}:pull")
        label = f"{self._repository.name}: mount {digest} from {origin}"
        url = self._repository.url("blobs", "uploads", "") + query
        try:
            response = self._transport.request(RegistryRequest("POST", url, label, scopes, _NO_CONTENT, b"", expected=(201, 202)))
        except FetchError as error:
            if error.status is None or error.status in (429, 500, 502, 503, 504):
                raise
            return ""  # Some registries do not support mounts, or require more permissions for them than for an upload.
        # "Alternatively, if a registry does not support cross-repository mounting or is unable to mount the requested blob, it SHOULD
        # return a 202 Accepted response": it has started an upload.
        return None if response.status == 201 else self._transport.location(response, response.url, label)

    def upload(self, blob: Blob, location: str = "") -> None:
        """Upload a blob, to `location` if an upload was started there. Raises FetchError, and the errors of reading the blob."""
        digest, size = blob.descriptor.digest, blob.descriptor.size
        label = f"{self._repository.name}: upload of {digest}"
        source = _BlobReader(blob, self._moved, self._transport.check_open)
        way, attempt = self._way, 0
        try:
            while True:
                try:
                    return self._send_blob(source, location, way.chunk_size(size), label)
                except TransientError as error:
                    self._transport.wait(error, attempt, label)
                    attempt += 1
                    if self._repository.has_blob(digest) is not None:
                        return None  # Only the response was lost.
                    way = msgspec.structs.replace(way, resumes=True)
                except _Refused as refusal:
                    way = way.after(refusal, size)
                # For the blobs that follow.
                self._way, location = way, ""
        finally:
            source.close()

    def _send_blob(self, source: "_BlobReader", location: str, chunk: int, label: str) -> None:
        """Send a blob once, starting an upload unless `location` is one. Raises TransientError or _Refused if another attempt may help."""
        if location:
            return self._send_to(_Started(location), source, chunk, label)
        spare = self._take_spare(_MAX_START_AGE_S)
        if spare is not None:
            try:
                return self._send_to(spare, source, chunk, label)
            except _Refused as refusal:
                if refusal.cause.status not in _GONE:
                    raise
        return self._send_to(self._start(label), source, chunk, label)

    def _send_to(self, started: _Started, source: "_BlobReader", chunk: int, label: str) -> None:
        if not chunk:
            return self._commit(source, 0, started.location, label)
        location = self._send_chunks(source, started.location, max(chunk, started.least), label)
        # Verify the blob before the registry is told that it is complete.
        source.finish()
        return self._commit_chunks(source, location, label)

    def _take_spare(self, age: float = sys.maxsize) -> _Started | None:
        """Return the upload that was started to check the permission, once, if it is not older than this."""
        with self._lock:
            spare = self._spare
            if spare is None or time.monotonic() - spare.at > age:
                return None
            self._spare = None
            return spare

    def _start(self, label: str) -> _Started:
        """Start an upload."""
        url = self._repository.url("blobs", "uploads", "")
        response = self._transport.request(RegistryRequest("POST", url, label, self._scopes, _NO_CONTENT, b"", expected=(202,)))
        least = response.headers.get("OCI-Chunk-Min-Length", "")[:12]
        location = self._transport.location(response, response.url, label)
        return _Started(location, int(least) if least.isascii() and least.isdigit() else 0)

    def _send_chunks(self, source: "_BlobReader", location: str, chunk: int, label: str) -> str:
        """PATCH each chunk (distribution-spec, "Pushing a blob in chunks"), and return the URL to commit them."""
        position, attempt, size = 0, 0, source.descriptor.size
        while position < size:
            length = min(chunk, size - position)
            try:
                location = self._send_chunk(source, position, length, location, label)
                # Registries count in Range what they like: ECR's stands still. A response of 202 accepts the whole chunk.
                position, attempt = position + length, 0
            except _Refused as refusal:
                if position:
                    raise TransientError(_LOST) from refusal
                raise
            except TransientError as error:
                self._transport.wait(error, attempt, label)
                received, location = self._progress(location, label)
                if not position <= received <= position + length:
                    raise TransientError(_LOST) from error
                # Only attempts in a row without progress count.
                attempt = 0 if received > position else attempt + 1
                position = received
        return location

    def _send_chunk(self, source: "_BlobReader", position: int, length: int, location: str, label: str) -> str:
        """Send one chunk. Return the URL for the next one."""
        # Without a range, it is docker's streamed upload, which registries accept that refuse chunks.
        whole = length == source.descriptor.size
        headers = _BINARY if whole else {**_BINARY, "Content-Range": f"{position}-{position + length - 1}"}
        body, expected = partial(source.read, position, length), (202, 201, 204)
        request = RegistryRequest("PATCH", location, label, self._scopes, headers, body, length, expected, _COMMIT_TIMEOUT_S)
        response = self._send(request)
        return self._next_location(response, location, label)

    def _commit_chunks(self, source: "_BlobReader", location: str, label: str) -> None:
        """Finish an upload whose bytes were sent."""
        digest, attempts = source.descriptor.digest, count()

        def commit() -> None:
            # The upload may have succeeded although its response was lost. Then its URL is gone.
            if not next(attempts) or self._repository.has_blob(digest) is None:
                self._commit(source, source.descriptor.size, location, label)

        self._transport.retry(commit, label)

    def _commit(self, source: "_BlobReader", position: int, location: str, label: str) -> None:
        """Finish an upload: PUT the bytes from `position` on."""
        digest, size = source.descriptor.digest, source.descriptor.size - position
        url = f"{location}{'&' if '?' in location else '?'}digest={quote(digest, safe=':')}"
        body = partial(source.read, position, size) if size else b""
        headers = _BINARY if size else _NO_CONTENT
        response = self._send(RegistryRequest("PUT", url, label, self._scopes, headers, body, size, (201, 204), _COMMIT_TIMEOUT_S))
        stored = response.headers.get("Docker-Content-Digest", digest)
        if stored != digest and stored.startswith(digest.partition(":")[0]):
            raise IntegrityError(f"{label}: the registry stored it as {stored[:200]!r}", hint="Contact the registry's operator.")

    def _send(self, request: RegistryRequest) -> RegistryResponse:
        """Send a request once, and ignore the response's body. Raises _Refused for an answer that another way of sending may avoid."""
        try:
            with self._transport.stream(request) as response:
                return RegistryResponse(response.status_code, response.headers, b"", str(response.url))
        except FetchError as error:
            if error.status not in _REFUSALS:
                raise
            raise _Refused(error) from error

    def _progress(self, location: str, label: str) -> tuple[int, str]:
        """Return how many bytes of an upload the registry has, -1 if it does not say, and the URL to continue."""
        request = RegistryRequest("GET", location, label, self._scopes, expected=(204, 202, 200, *_REFUSALS))
        response = self._transport.request(request)
        match = _RANGE.fullmatch(response.headers.get("Range", ""))
        if response.status in _REFUSALS or match is None:
            return -1, location
        # 0-0 stands for none, as in distribution.
        return int(match[1]) + 1 if int(match[1]) else 0, self._next_location(response, location, label)

    def _next_location(self, response: RegistryResponse, location: str, label: str) -> str:
        return self._transport.location(response, response.url, label) if "Location" in response.headers else location


_NO_CONTENT = {"Content-Length": "0"}
_BINARY = {"Content-Type": "application/octet-stream"}


class _BlobReader:
    """Reads a blob from any position. Reading on is cheap; going back reads the blob from its beginning."""

    def __init__(self, blob: Blob, moved: Callable[[Digest, int], None], check_open: Callable[[], None]) -> None:
        self.descriptor = blob.descriptor
        self._blob = blob
        self._moved = moved
        self._check_open = check_open
        self._chunks: Iterator[bytes] | None = None
        self._position = 0
        self._rest = b""

    def read(self, position: int, size: int) -> Iterator[bytes]:
        """Yield `size` bytes from `position` on. Holds the blob's last piece back until the whole blob is verified."""
        if self._chunks is None or position != self._position:
            self._seek(position)
        held = b""
        while size:
            piece = self._take(size)
            size -= len(piece)
            self._check_open()
            if held:
                yield held
                self._moved(self.descriptor.digest, self._position - len(piece))
            held = piece
        if self._position == self.descriptor.size:
            self.finish()
        if held:
            yield held
            self._moved(self.descriptor.digest, self._position)

    def finish(self) -> None:
        """Read to the end, where a wrong blob raises an error: DamagedBlob, StoreError or FetchError."""
        for _ in self._chunks or ():
            pass

    def close(self) -> None:
        """Stop reading."""
        close = getattr(self._chunks, "close", None)
        if close is not None:
            close()
        self._chunks = None

    def _seek(self, position: int) -> None:
        self.close()
        self._chunks, self._position, self._rest = self._blob.chunks(), 0, b""
        while self._position < position:
            self._take(position - self._position)

    def _take(self, limit: int) -> bytes:
        data = self._rest or next(self._chunks or iter(()), b"")
        if not data:
            raise IntegrityError(f"{self.descriptor.digest}: ended after {self._position} of {self.descriptor.size} bytes")
        piece, self._rest = data[:limit], data[limit:]
        self._position += len(piece)
        return piece
