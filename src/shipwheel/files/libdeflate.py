"""Compression with fixed settings: libdeflate's output depends on its version and level, not on the processor (RFC 1951).

The `deflate` module makes a new compressor, a quarter of a megabyte, for every call. A segment needs one for almost every header, so the
library inside the module is called with compressors that are kept; where that is not possible, the module itself, with the same result.
"""

from functools import cache
from typing import TYPE_CHECKING

import deflate

from shipwheel.timeline import piece

if TYPE_CHECKING:
    import ctypes

__all__ = ["LEVEL", "compress"]

LEVEL = 6


def compress(data: bytes) -> bytes:
    """Compress to raw deflate data."""
    with piece("compress"):
        return _compress(data)


def _compress(data: bytes) -> bytes:
    if _library() is None:
        return bytes(deflate.deflate_compress(data, LEVEL))
    try:
        compressor = _idle.pop()
    except IndexError:
        compressor = _Compressor()
    try:
        return compressor.compress(data)
    finally:
        _idle.append(compressor)


@cache
def _library() -> "ctypes.CDLL | None":
    """Return libdeflate as the module contains it, None if its functions cannot be called from outside."""
    import ctypes

    try:
        library = ctypes.CDLL(deflate._deflate.__file__)
        library.libdeflate_alloc_compressor.argtypes = [ctypes.c_int]
        library.libdeflate_alloc_compressor.restype = ctypes.c_void_p
        library.libdeflate_free_compressor.argtypes = [ctypes.c_void_p]
        size, pointer = ctypes.c_size_t, ctypes.c_void_p
        library.libdeflate_deflate_compress_bound.argtypes = [pointer, size]
        library.libdeflate_deflate_compress_bound.restype = size
        library.libdeflate_deflate_compress.argtypes = [pointer, ctypes.c_char_p, size, pointer, size]
        library.libdeflate_deflate_compress.restype = size
    except (OSError, AttributeError):
        return None
    return library


class _Compressor:
    """A compressor with its output buffer. One thread at a time may use it."""

    def __init__(self) -> None:
        library = _library()
        assert library is not None  # noqa: S101 - the caller has checked it
        self._library = library
        self._handle = library.libdeflate_alloc_compressor(LEVEL)
        if not self._handle:
            raise MemoryError("libdeflate has no memory for a compressor")
        self._reserve(0)

    def __del__(self) -> None:
        self._library.libdeflate_free_compressor(self._handle)

    def compress(self, data: bytes) -> bytes:
        """Compress to raw deflate data."""
        import ctypes

        if len(data) > self._fits:
            self._reserve(len(data))
        size = self._library.libdeflate_deflate_compress(self._handle, data, len(data), self._address, self._size)
        return ctypes.string_at(self._address, size)

    def _reserve(self, size: int) -> None:
        import ctypes

        self._fits = max(size, 1 << 20)
        self._size = self._library.libdeflate_deflate_compress_bound(self._handle, self._fits)
        self._out = ctypes.create_string_buffer(self._size)
        self._address = ctypes.addressof(self._out)


_idle: list[_Compressor] = []
