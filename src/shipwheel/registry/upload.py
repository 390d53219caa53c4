"""Bring one blob into a repository: mounted, in one request, or in chunks that resume where they broke (distribution-spec 1.1, "Push").

A blob is streamed, so memory stays constant. It is read again from its beginning when an upload has to go back.
"""

import re
from collections.abc import Callable, Iterator
from urllib.parse import quote

from shipwheel.digest import Digest
from shipwheel.download.http import TransientError
from shipwheel.errors import FetchError, IntegrityError
from shipwheel.oci.image import Blob
from shipwheel.registry.repository import Repository
from shipwheel.registry.transport import RegistryRequest, RegistryResponse

__all__ = ["CHUNK_SIZE", "MAX_MONOLITHIC_SIZE", "Uploader"]

MAX_MONOLITHIC_SIZE = 8 << 20
"""Bytes up to which a blob is sent in one request: starting over costs no more than asking how much arrived."""

CHUNK_SIZE = 256 << 20
"""Bytes of a chunk. The registry knows how much of a broken chunk arrived, so it may be large."""

_MAX_UPLOADS = 6
"""Uploads to start for one blob, when the registry loses them."""

_COMMIT_TIMEOUT_S = 300.0
"""A registry may need this long to hash and move a large blob."""

_CHUNKS_REFUSED = (400, 404, 405, 411, 415, 501)
_UPLOAD_GONE = (404, 410, 416)

# distribution 2.8 keeps the offset in the upload's URL. It answers 400 to any other offset and drops the upload, so it can resume between
# chunks only.
_UPLOAD_DROPPED = (400, *_UPLOAD_GONE)
_RANGE = re.compile(r"(?:bytes=)?0-(\d{1,18})")


class _ChunksRefused(Exception):
    """The registry does not accept chunks. The cause is a FetchError."""


class _UploadLost(Exception):
    """The registry does not know the upload any more, or has other bytes of it than were sent."""


class Uploader:
    """Uploads and mounts blobs into a repository, from any thread.

    Calls `moved` with a blob's digest and the number of its bytes that were sent.
    """

    def __init__(self, repository: Repository, moved: Callable[[Digest, int], None]) -> None:
        self._repository = repository
        self._transport = repository.transport
        self._scopes = (f"repository:{repository.path}:pull,push",)
        self._moved = moved
        self._chunked = True

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
        label = f"{self._repository.name}: upload of {blob.descriptor.digest}"
        source = _BlobReader(blob, self._moved, self._transport.check_open)
        resumable = True
        try:
            for _ in range(_MAX_UPLOADS):
                location = location or self._start(source, label)
                try:
                    if self._chunked and resumable and blob.descriptor.size > MAX_MONOLITHIC_SIZE:
                        self._upload_chunks(source, location, label)
                    else:
                        self._commit(source, 0, location, label, _BINARY)  # "Pushing a blob monolithically"
                    return
                except _UploadLost:
                    # From now on in one request, which is less likely to break than several.
                    resumable, location = False, ""
                except _ChunksRefused:
                    self._chunked, location = False, ""
            raise FetchError(f"{label}: the registry loses unfinished uploads", hint="Run the command again.")
        finally:
            source.close()

    def _start(self, source: "_BlobReader", label: str) -> str:
        url = self._repository.url("blobs", "uploads", "")
        response = self._transport.request(RegistryRequest("POST", url, label, self._scopes, _NO_CONTENT, b"", expected=(202,)))
        source.min_chunk = _min_chunk(response, source.min_chunk)
        return self._transport.location(response, response.url, label)

    def _commit(self, source: "_BlobReader", position: int, location: str, label: str, headers: dict[str, str]) -> None:
        """Finish an upload: PUT the bytes from `position` on."""
        digest, size = source.descriptor.digest, source.descriptor.size - position
        url = f"{location}{'&' if '?' in location else '?'}digest={quote(digest, safe=':')}"
        body = (lambda: source.read(position, size)) if size else b""
        request = RegistryRequest("PUT", url, label, self._scopes, headers, body, size, (201, 204), _COMMIT_TIMEOUT_S)
        attempted = False

        def attempt() -> None:
            nonlocal attempted
            # The upload may have succeeded although its response was lost. Then its URL is gone.
            if attempted and self._repository.has_blob(digest) is not None:
                return
            first, attempted = not attempted, True
            try:
                response = self._send(request)
            except FetchError as error:
                if error.status in _UPLOAD_DROPPED and not first:
                    raise _UploadLost from error
                raise
            stored = response.headers.get("Docker-Content-Digest", digest)
            if stored != digest and stored.startswith(digest.partition(":")[0]):
                raise IntegrityError(f"{label}: the registry stored it as {stored[:200]!r}", hint="Contact the registry's operator.")

        self._transport.retry(attempt, label)

    def _send(self, request: RegistryRequest) -> RegistryResponse:
        """Send a request once, and ignore the response's body."""
        with self._transport.stream(request) as response:
            return RegistryResponse(response.status_code, response.headers, b"", str(response.url))

    def _upload_chunks(self, source: "_BlobReader", location: str, label: str) -> None:
        """PATCH each chunk, then PUT (distribution-spec, "Pushing a blob in chunks")."""
        position, attempt, size = 0, 0, source.descriptor.size
        while position < size:
            try:
                position, location = self._send_chunk(source, position, location, label)
                attempt = 0
            except TransientError as error:
                self._transport.wait(error, attempt, label)
                attempt += 1
                before = position
                position, location = self._progress(location, label)
                if position > size:
                    raise _UploadLost from error
                # Only attempts in a row without progress count.
                attempt = 0 if position > before else attempt
        # Verify the blob before the registry is told that it is complete.
        source.finish()
        self._commit(source, size, location, label, _NO_CONTENT)

    def _send_chunk(self, source: "_BlobReader", position: int, location: str, label: str) -> tuple[int, str]:
        """Send one chunk. Return how many bytes the registry has, and the URL for the next chunk."""
        size = min(max(CHUNK_SIZE, source.min_chunk), source.descriptor.size - position)
        headers = {**_BINARY, "Content-Range": f"{position}-{position + size - 1}"}
        request = RegistryRequest(
            "PATCH", location, label, self._scopes, headers, lambda: source.read(position, size), size, (202, 201, 204), _COMMIT_TIMEOUT_S
        )
        try:
            response = self._send(request)
        except FetchError as error:
            if error.status == 416:
                # The registry has another number of bytes. `_progress` asks it for the number.
                raise TransientError(error.message) from error
            if error.status in _UPLOAD_GONE and position:
                raise _UploadLost from error
            if error.status in _CHUNKS_REFUSED and not position:
                raise _ChunksRefused from error
            raise
        source.min_chunk = _min_chunk(response, source.min_chunk)
        received = _received(response)
        return (position + size if received is None else received), self._next_location(response, location, label)

    def _progress(self, location: str, label: str) -> tuple[int, str]:
        """Return how many bytes of an upload the registry has, and the URL to continue. Raises _UploadLost if it does not know it."""
        request = RegistryRequest("GET", location, label, self._scopes, expected=(204, 202, 200, *_UPLOAD_DROPPED, 405))
        response = self._transport.request(request)
        received = _received(response)
        if response.status not in (200, 202, 204) or received is None:
            raise _UploadLost
        return received, self._next_location(response, location, label)

    def _next_location(self, response: RegistryResponse, location: str, label: str) -> str:
        return self._transport.location(response, response.url, label) if "Location" in response.headers else location


_NO_CONTENT = {"Content-Length": "0"}
_BINARY = {"Content-Type": "application/octet-stream"}


def _min_chunk(response: RegistryResponse, default: int) -> int:
    """Return the bytes that every chunk but the last must have (OCI-Chunk-Min-Length)."""
    text = response.headers.get("OCI-Chunk-Min-Length", "")[:12]
    return int(text) if text.isascii() and text.isdigit() else default


def _received(response: RegistryResponse) -> int | None:
    """Return the number of bytes in a `Range: 0-N` header, None without one. 0-0 means none, as in distribution."""
    match = _RANGE.fullmatch(response.headers.get("Range", ""))
    return None if match is None else int(match[1]) + 1 if int(match[1]) else 0


class _BlobReader:
    """Reads a blob from any position. Reading on is cheap; going back reads the blob from its beginning."""

    def __init__(self, blob: Blob, moved: Callable[[Digest, int], None], check_open: Callable[[], None]) -> None:
        self.descriptor = blob.descriptor
        self.min_chunk = 0
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
