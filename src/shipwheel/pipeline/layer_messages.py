"""The messages between a build and the processes that make layers for it: MessagePack, each message preceded by its size."""

import io
import pickle
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO, cast

import msgspec

from shipwheel.files.compress import Deflated
from shipwheel.oci.layer import Layer, LayerSpec
from shipwheel.timeline import Moment

__all__ = [
    "CompileModules",
    "CompiledModules",
    "MadeLayer",
    "MakeLayer",
    "dump_spec",
    "load_spec",
    "receive_answer",
    "receive_request",
    "send",
]

_SIZE_BYTES = 8

_Compiled = tuple[bytes, int, int] | None
"""The fields of a Deflated, whose bytes may be a view of others."""


class MakeLayer(msgspec.Struct, frozen=True, tag=True):
    """To the process: make the layer of a spec, as `dump_spec` returns it. With `recorded`, say when each piece of work began and ended."""

    spec: bytes
    recorded: bool = False


class MadeLayer(msgspec.Struct, frozen=True, tag=True):
    """To the build: the layer, or None if making it failed; and the moments, if they were asked for."""

    layer: Layer | None
    moments: tuple[Moment, ...] = ()


class CompileModules(msgspec.Struct, frozen=True, tag=True):
    """To the build: compile these modules, as `Compiler.compile` takes them."""

    sources: tuple[tuple[str, bytes], ...]


class CompiledModules(msgspec.Struct, frozen=True, tag=True):
    """To the process: the compiled modules, in the order of their sources. Use `of` and `files`."""

    found: tuple[_Compiled, ...]

    @classmethod
    def of(cls, files: Sequence[Deflated | None]) -> "CompiledModules":
        """Return the message with what a compiler returned."""
        return cls(tuple((bytes(each.raw), each.size, each.crc32) if each is not None else None for each in files))

    @property
    def files(self) -> list[Deflated | None]:
        """The files as the compiler returned them."""
        return [Deflated(*each) if each is not None else None for each in self.found]


def send(message: msgspec.Struct, stream: BinaryIO) -> None:
    """Write a message. Raise OSError if nobody reads it."""
    data = msgspec.msgpack.encode(message)
    stream.write(len(data).to_bytes(_SIZE_BYTES, "little"))
    stream.write(data)
    stream.flush()


def receive_request(stream: BinaryIO) -> MakeLayer | CompiledModules | None:
    """Read a message to the process. Return None at the end of the stream."""
    data = _receive(stream)
    return msgspec.msgpack.decode(data, type=MakeLayer | CompiledModules) if data is not None else None


def receive_answer(stream: BinaryIO) -> MadeLayer | CompileModules | None:
    """Read a message to the build. Return None at the end of the stream."""
    data = _receive(stream)
    return msgspec.msgpack.decode(data, type=MadeLayer | CompileModules) if data is not None else None


def _receive(stream: BinaryIO) -> bytes | None:
    head = stream.read(_SIZE_BYTES)
    size = int.from_bytes(head, "little")
    if len(head) < _SIZE_BYTES or len(data := stream.read(size)) < size:
        return None
    return data


def dump_spec(spec: LayerSpec, names: Mapping[str, object]) -> bytes:
    """Return a spec as bytes. Of the named objects it has only the names: each process has its own."""
    stream = io.BytesIO()
    _Pickler(stream, names).dump(spec)
    return stream.getvalue()


def load_spec(data: bytes, names: Mapping[str, object]) -> LayerSpec:
    """Return a spec that this program's other process wrote, with the named objects of this one."""
    return cast(LayerSpec, _Unpickler(io.BytesIO(data), names).load())


class _Pickler(pickle.Pickler):
    def __init__(self, stream: BinaryIO, names: Mapping[str, object]) -> None:
        super().__init__(stream)
        self._names = {id(value): name for name, value in names.items()}

    def persistent_id(self, obj: object) -> str | None:
        return self._names.get(id(obj))


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: BinaryIO, names: Mapping[str, object]) -> None:
        super().__init__(stream)
        self._named = names

    def persistent_load(self, pid: Any) -> object:
        return self._named[pid]
