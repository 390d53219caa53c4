"""The last block of deflate data (RFC 1951): where it begins and ends, found while the data is inflated.

zlib's `inflate` tells if it stops at every block, which no Python module can ask for. So zlib-ng is called inside its Python module, or the
system's zlib. Where neither can be called, Python walks through the codes: the result is the same, a hundred times more slowly.
"""

import zlib
from collections.abc import Callable, Generator
from functools import cache, partial
from typing import TYPE_CHECKING

import msgspec

from shipwheel.files.compress import Buffer

if TYPE_CHECKING:
    import ctypes

__all__ = ["LastBlock", "inflate_blocks", "inflate_blocks_slowly"]

_INPUT = 1 << 20
_OUTPUT = 256 << 10
_BRIEF = 8 << 10
"""Deflate data of up to this many bytes takes a tenth of a millisecond."""
_SYSTEM_LIBRARIES = ("libz.so.1", "libz.1.dylib")
# zlib.h: constants, and what `data_type` tells after `inflate`.
_Z_BLOCK, _Z_STREAM_END, _Z_BUF_ERROR = 5, 1, -5
_UNUSED_BITS, _IN_LAST_BLOCK, _AT_BOUNDARY = 63, 64, 128


class LastBlock(msgspec.Struct, frozen=True):
    """The offsets in bits at which the last block of deflate data begins and ends."""

    start: int
    end: int


def inflate_blocks(raw: Buffer) -> Generator[bytes, None, LastBlock]:
    """Yield the uncompressed bytes, then return the last block. Raise zlib.error unless `raw` is one complete deflate stream."""
    if _inflate_functions() is None:
        return (yield from inflate_blocks_slowly(raw))
    try:
        inflater = _idle.pop()
    except IndexError:
        inflater = _Inflater()
    try:
        return (yield from inflater.inflate(raw))
    finally:
        _idle.append(inflater)


class _Functions(msgspec.Struct, frozen=True):
    """zlib's functions; each takes the address of a z_stream."""

    start: Callable[[int], int]
    inflate: Callable[[int, int], int]
    inflate_briefly: Callable[[int, int], int]
    """The same, while no other Python thread runs: for little data, to give up the interpreter and to get it back takes longer."""
    reset: Callable[[int], int]
    end: Callable[[int], int]


@cache
def _inflate_functions() -> _Functions | None:
    """Return the functions of the fastest library on this machine that can be called, or None."""
    import ctypes

    # Not `import zlib_ng.zlib_ng`: while another thread imports it, the package lacks the attribute for a moment.
    from zlib_ng import zlib_ng

    for name, prefix in ((zlib_ng.__file__, "zng_"), *((name, "") for name in _SYSTEM_LIBRARIES)):
        try:
            library, held = ctypes.CDLL(name), ctypes.PyDLL(name)
            inflate, end = (getattr(library, f"{prefix}{verb}") for verb in ("inflate", "inflateEnd"))
            briefly, reset = (getattr(held, f"{prefix}{verb}") for verb in ("inflate", "inflateReset"))
            start = library.zng_inflateInit2 if prefix else library.inflateInit2_
        except (OSError, AttributeError):
            continue
        inflate.argtypes = briefly.argtypes = [ctypes.c_void_p, ctypes.c_int]
        reset.argtypes = end.argtypes = [ctypes.c_void_p]
        # zlib checks its version and the size of its stream; zlib-ng does not.
        more = () if prefix else (ctypes.c_char_p(b"1"), ctypes.c_int(ctypes.sizeof(_stream_type())))
        return _Functions(partial(_start, start, more), inflate, briefly, reset, end)
    return None


def _start(function: Callable[..., int], more: tuple[object, ...], stream: int) -> int:
    import ctypes

    return function(ctypes.c_void_p(stream), ctypes.c_int(-zlib.MAX_WBITS), *more)


@cache
def _stream_type() -> "type[ctypes.Structure]":
    """Return the type of zlib.h's z_stream; in zlib-ng's, what comes after `data_type` is shorter."""
    import ctypes

    class Stream(ctypes.Structure):
        _fields_ = (
            ("next_in", ctypes.c_void_p),
            ("avail_in", ctypes.c_uint),
            ("total_in", ctypes.c_ulong),
            ("next_out", ctypes.c_void_p),
            ("avail_out", ctypes.c_uint),
            ("total_out", ctypes.c_ulong),
            ("msg", ctypes.c_char_p),
            ("state", ctypes.c_void_p),
            ("zalloc", ctypes.c_void_p),
            ("zfree", ctypes.c_void_p),
            ("opaque", ctypes.c_void_p),
            ("data_type", ctypes.c_int),
            ("adler", ctypes.c_ulong),
            ("reserved", ctypes.c_ulong),
        )

    return Stream


class _Inflater:
    """A state of zlib's inflate with its output buffer. One thread at a time may use it, for one stream after the other."""

    def __init__(self) -> None:
        import ctypes

        functions = _inflate_functions()
        assert functions is not None  # noqa: S101 - the caller has checked it
        self._functions = functions
        self._stream = _stream_type()()
        self._address = ctypes.addressof(self._stream)
        self._out = ctypes.create_string_buffer(_OUTPUT)
        self._out_address = ctypes.addressof(self._out)
        if functions.start(self._address):
            raise MemoryError("zlib has no memory for its state")

    def __del__(self) -> None:
        self._functions.end(self._address)

    def inflate(self, raw: Buffer) -> Generator[bytes, None, LastBlock]:
        """Inflate, see `inflate_blocks`."""
        import ctypes

        stream, address = self._stream, self._address
        inflate = self._functions.inflate if len(raw) > _BRIEF else self._functions.inflate_briefly
        self._functions.reset(address)
        self._empty()
        read = start = end = 0
        piece = b""
        stream.avail_in = 0
        while True:
            if not stream.avail_in and read < len(raw):
                piece = bytes(raw[read : read + _INPUT])
                stream.next_in, stream.avail_in = ctypes.cast(ctypes.c_char_p(piece), ctypes.c_void_p), len(piece)
                read += len(piece)
            code = inflate(address, _Z_BLOCK)
            if code < 0 and code != _Z_BUF_ERROR:
                raise zlib.error((stream.msg or b"invalid data").decode("ascii", "replace"))
            state = stream.data_type
            if state & _AT_BOUNDARY:
                position = 8 * (read - stream.avail_in) - (state & _UNUSED_BITS)
                start, end = (start, position) if state & _IN_LAST_BLOCK else (position, 0)
            if not stream.avail_out or code == _Z_STREAM_END:
                yield ctypes.string_at(self._out_address, _OUTPUT - stream.avail_out)
                self._empty()
            if code == _Z_STREAM_END:
                break
            if code == _Z_BUF_ERROR and not stream.avail_in and read == len(raw):
                raise zlib.error("the data is cut off")
        if stream.avail_in or read != len(raw):
            raise zlib.error("data follows the last block")
        return LastBlock(start, end)

    def _empty(self) -> None:
        self._stream.next_out, self._stream.avail_out = self._out_address, _OUTPUT


_idle: list[_Inflater] = []
"""States that no stream uses: making one takes longer than inflating a small file. Threads may take and return them at any time."""


def inflate_blocks_slowly(raw: Buffer) -> Generator[bytes, None, LastBlock]:
    """Do what `inflate_blocks` does, without zlib's shared library."""
    data = bytes(raw)
    decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
    for begin in range(0, len(data), _INPUT):
        pending = data[begin : begin + _INPUT]
        while pending:
            yield decompressor.decompress(pending, _OUTPUT)
            pending = decompressor.unconsumed_tail
    yield decompressor.flush()
    if not decompressor.eof:
        raise zlib.error("the data is cut off")
    if decompressor.unused_data:
        raise zlib.error("data follows the last block")
    from shipwheel.files.deflate_codes import last_block

    return LastBlock(*last_block(data))
