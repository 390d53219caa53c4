"""A file of this machine where an address is expected: a `file:` URL or a path."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from shipwheel.errors import FetchError
from shipwheel.store import CHUNK

__all__ = ["is_local", "local_file", "pieces"]


def is_local(url: str) -> bool:
    """Whether an address is a file's."""
    return url.startswith("file:") or "://" not in url


def local_file(url: str, label: str) -> Path:
    """The file of a local address. Raises FetchError."""
    path = Path(unquote(urlsplit(url).path)) if url.startswith("file:") else Path(url)
    if not path.is_file():
        error = FetchError(f"{label}: there is no file {path}", hint="Put the file there, or make the lock again.")
        error.not_found = True
        raise error
    return path


def pieces(path: Path, label: str) -> Iterator[bytes]:
    """A file's bytes. Raises FetchError."""
    try:
        stream = path.open("rb")
    except OSError as error:
        raise FetchError(f"{label}: {path} cannot be read: {error.strerror}", hint="Make it readable, and try again.") from error
    with stream:
        while data := stream.read(CHUNK):
            yield data
