"""A file's content, uncompressed: whole for small files, as a stream for any."""

import io
from typing import BinaryIO

from shipwheel.files.compress import inflate
from shipwheel.files.entry import Content, Deflated, Opened

__all__ = ["read", "stream"]


def read(content: Content) -> bytes:
    """All of it; raises ArchiveError when compressed data is damaged."""
    if isinstance(content, Deflated):
        return b"".join(inflate(content))
    if isinstance(content, Opened):
        with content.open() as opened:
            return opened.read()
    return content


def stream(content: Content) -> BinaryIO:
    """A stream over it; what may be large is not read into memory."""
    return content.open() if isinstance(content, Opened) else io.BytesIO(read(content))
