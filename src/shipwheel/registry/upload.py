"""One blob into one repository: mounted, in one request, or in chunks that are taken up where they broke off (distribution-spec, "Push").

Constant memory: a blob is streamed, and read again from its beginning when an upload has to go back.
"""

import re
from collections.abc import Callable, Iterator
from urllib.parse import quote

from shipwheel.download.http import TransientError
from shipwheel.errors import FetchError, IntegrityError
from shipwheel.oci.image import Blob
from shipwheel.registry.repository import Repository
from shipwheel.registry.transport import Answer, Request

__all__ = ["CHUNK", "MONOLITHIC", "Uploader"]

MONOLITHIC = 8 << 20
"""Bytes up to which a blob goes in one request: to begin again costs no more than to ask what came."""

CHUNK = 256 << 20
"""Bytes of a chunk. What came of a broken one is known from the registry, so a chunk may be large."""

_ROUNDS = 6
"""How often an upload is begun anew, when the registry has forgotten it."""

_COMMIT = 300.0
"""Seconds that a registry may need for its own hashing and moving of a large blob."""

_NO_CHUNKS = (400, 404, 405, 411, 415, 501)
_FORGOTTEN = (404, 410, 416)

# Debian's registry (distribution 2.8) keeps the offset in the upload's address, takes another one for a mistake, says 400 and gives the
# upload up: it can be resumed between chunks alone.
_GIVEN_UP = (400, *_FORGOTTEN)
_RANGE = re.compile(r"(?:bytes=)?0-(\d{1,18})")


class _Refused(Exception):
    """The registry does not take chunks: FetchError is its cause."""


class _Lost(Exception):
    """The registry does not know the upload any more, or has other bytes of it than were sent."""


class Uploader:
    """Brings blobs into a repository; any thread may use it. `moved` is told of every blob's bytes that are on their way."""

    def __init__(self, repository: Repository, moved: Callable[[str, int], None]) -> None:
        self._repository = repository
        self._transport = repository.transport
        self._scopes = (f"repository:{repository.path}:pull,push",)
        self._moved = moved
        self._chunked = True

    def mount(self, digest: str, origin: str) -> str | None:
        """Mounts the blob from another repository of the registry (its path). None when that is done, else where to upload it.

        "" stands for nowhere: the registry has said no. Raises FetchError if it cannot be asked.
        """
        query = f"?mount={quote(digest, safe=':')}&from={quote(origin, safe='/')}"
        # Both scopes in one token, as docker asks for them.
        scopes = (*self._scopes, f"repository:{origin}:pull")
        label = f"{self._repository.name}: mount {digest} from {origin}"
        request = Request("POST", self._repository.url("blobs", "uploads", "") + query, label, scopes, _EMPTY, b"", expected=(201, 202))
        try:
            answer = self._transport.ask(request)
        except FetchError as error:
            if error.status is None or error.status in (429, 500, 502, 503, 504):
                raise
            return ""  # Some registries know no mounts, others want more rights for them than for an upload.
        # "Alternatively, if a registry does not support cross-repository mounting or is unable to mount the requested blob, it SHOULD
        # return a 202 Accepted response": the upload has begun.
        return None if answer.status == 201 else self._transport.target(answer, answer.url, label)

    def upload(self, blob: Blob, location: str = "") -> None:
        """Uploads the blob, to `location` if an upload has begun there. Raises FetchError, or what reading the blob raises."""
        label = f"{self._repository.name}: upload of {blob.descriptor.digest}"
        source = _Source(blob, self._moved, self._transport.check_open)
        resumes = True
        try:
            for _ in range(_ROUNDS):
                location = location or self._begin(source, label)
                try:
                    if self._chunked and resumes and blob.descriptor.size > MONOLITHIC:
                        self._in_chunks(source, location, label)
                    else:
                        self._at_once(source, location, label)
                    return
                except _Lost:
                    # Then one request is less that can break than two.
                    resumes, location = False, ""
                except _Refused:
                    self._chunked, location = False, ""
            raise FetchError(f"{label}: the registry forgets uploads that are under way", hint="Run the command again.")
        finally:
            source.close()

    def _begin(self, source: "_Source", label: str) -> str:
        request = Request("POST", self._repository.url("blobs", "uploads", ""), label, self._scopes, _EMPTY, b"", expected=(202,))
        answer = self._transport.ask(request)
        source.least = _least(answer, source.least)
        return self._transport.target(answer, answer.url, label)

    def _at_once(self, source: "_Source", location: str, label: str) -> None:
        """POST then PUT (distribution-spec, "Pushing a blob monolithically")."""
        self._commit(source, 0, location, label, _BYTES)

    def _commit(self, source: "_Source", position: int, location: str, label: str, headers: dict[str, str]) -> None:
        """The PUT that ends an upload, with the bytes from `position` on."""
        digest, size = source.descriptor.digest, source.descriptor.size - position
        url = f"{location}{'&' if '?' in location else '?'}digest={quote(digest, safe=':')}"
        body = (lambda: source.read(position, size)) if size else b""
        wait = _COMMIT
        request = Request("PUT", url, label, self._scopes, headers, body, size, (201, 204), wait)

        def once() -> Answer:
            # The upload may be done although its answer was lost: then its address is gone.
            with self._transport.stream(request) as response:
                return Answer(response.status_code, response.headers, b"", str(response.url))

        tried = False

        def attempt() -> None:
            nonlocal tried
            if tried and self._repository.has_blob(digest) is not None:
                return
            first, tried = not tried, True
            try:
                answer = once()
            except FetchError as error:
                if error.status in _GIVEN_UP and not first:
                    raise _Lost from error
                raise
            told = answer.headers.get("Docker-Content-Digest", digest)
            if told != digest and told.startswith(digest.partition(":")[0]):
                raise IntegrityError(f"{label}: the registry stored it as {told[:200]!r}", hint="Ask whoever runs the registry.")

        self._transport.retried(attempt, label)

    def _in_chunks(self, source: "_Source", location: str, label: str) -> None:
        """POST, PATCH for each chunk, PUT (distribution-spec, "Pushing a blob in chunks")."""
        position, attempt, size = 0, 0, source.descriptor.size
        while position < size:
            try:
                position, location = self._chunk(source, position, location, label)
                attempt = 0
            except TransientError as error:
                self._transport.wait(error, attempt, label)
                attempt += 1
                before = position
                position, location = self._status(location, label)
                if position > size:
                    raise _Lost from error
                # What makes headway may go on.
                attempt = 0 if position > before else attempt
        # What was read must be the blob before the registry is told that it is.
        source.finish()
        self._commit(source, size, location, label, _EMPTY)

    def _chunk(self, source: "_Source", position: int, location: str, label: str) -> tuple[int, str]:
        """Sends one chunk; returns how many bytes the registry has, and where the next goes."""
        size = min(max(CHUNK, source.least), source.descriptor.size - position)
        headers = {**_BYTES, "Content-Range": f"{position}-{position + size - 1}"}
        request = Request(
            "PATCH", location, label, self._scopes, headers, lambda: source.read(position, size), size, (202, 201, 204), _COMMIT
        )
        try:
            with self._transport.stream(request) as response:
                answer = Answer(response.status_code, response.headers, b"", str(response.url))
        except FetchError as error:
            if error.status == 416:
                # The registry has another idea of what it has, and says which when it is asked.
                raise TransientError(error.message) from error
            if error.status in _FORGOTTEN and position:
                raise _Lost from error
            if error.status in _NO_CHUNKS and not position:
                raise _Refused from error
            raise
        source.least = _least(answer, source.least)
        following = self._transport.target(answer, answer.url, label) if "Location" in answer.headers else location
        got = _received(answer)
        return (position + size if got is None else got), following

    def _status(self, location: str, label: str) -> tuple[int, str]:
        """How many bytes of an upload the registry has, and where it goes on. Raises _Lost if it does not know the upload."""
        request = Request("GET", location, label, self._scopes, expected=(204, 202, 200, *_GIVEN_UP, 405))
        answer = self._transport.ask(request)
        got = _received(answer)
        if answer.status not in (200, 202, 204) or got is None:
            raise _Lost
        following = self._transport.target(answer, answer.url, label) if "Location" in answer.headers else location
        return got, following


_EMPTY = {"Content-Length": "0"}
_BYTES = {"Content-Type": "application/octet-stream"}


def _least(answer: Answer, known: int) -> int:
    """The bytes that a chunk must have, the last one excepted (OCI-Chunk-Min-Length)."""
    text = answer.headers.get("OCI-Chunk-Min-Length", "")[:12]
    return int(text) if text.isascii() and text.isdigit() else known


def _received(answer: Answer) -> int | None:
    """The number of bytes in a `Range: 0-N`; 0-0 is none, as the registry that most run says it. None when the answer does not say."""
    match = _RANGE.fullmatch(answer.headers.get("Range", ""))
    return None if match is None else int(match[1]) + 1 if int(match[1]) else 0


class _Source:
    """A blob's bytes from any position. Reading goes on where it was; to go back is to begin anew."""

    def __init__(self, blob: Blob, moved: Callable[[str, int], None], check: Callable[[], None]) -> None:
        self.descriptor = blob.descriptor
        self.least = 0
        self._blob = blob
        self._moved = moved
        self._check = check
        self._chunks: Iterator[bytes] | None = None
        self._position = 0
        self._rest = b""

    def read(self, position: int, size: int) -> Iterator[bytes]:
        """`size` bytes from `position`. The last piece is held back until the blob's own check is over, if it is the blob's last."""
        if self._chunks is None or position != self._position:
            self._seek(position)
        held = b""
        while size:
            piece = self._take(size)
            size -= len(piece)
            self._check()
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
        """Reads on to the end, where a blob whose bytes are wrong says so. Raises DamagedBlob, StoreError, FetchError."""
        for _ in self._chunks or ():
            pass

    def close(self) -> None:
        """Ends reading."""
        close = getattr(self._chunks, "close", None)
        if close is not None:
            close()
        self._chunks = None

    def _seek(self, position: int) -> None:
        self.close()
        self._chunks, self._position, self._rest = self._blob.chunks(), 0, b""
        while self._position < position:
            self._take(position - self._position)

    def _take(self, most: int) -> bytes:
        data = self._rest or next(self._chunks or iter(()), b"")
        if not data:
            raise IntegrityError(f"{self.descriptor.digest}: it ended after {self._position} of {self.descriptor.size} bytes")
        piece, self._rest = data[:most], data[most:]
        self._position += len(piece)
        return piece
