"""What a shared object or program needs from the loader (System V gABI, chapters 4 and 5; GNU symbol versions: LSB 10.7).

Read as the loader reads it, through program headers alone, so that objects without section headers are seen as well. Every loop
ends with the file: the usual library follows the counts and offsets of a damaged object for hours.
"""

import struct
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO

import msgspec

from shipwheel.errors import ArchiveError

__all__ = ["MACHINES", "ElfObject", "is_elf", "read_elf"]

MACHINES = {"amd64": "EM_X86_64", "arm64": "EM_AARCH64"}
"""OCI architecture -> e_machine."""

_NAMES = {
    3: "EM_386",
    8: "EM_MIPS",
    20: "EM_PPC",
    21: "EM_PPC64",
    22: "EM_S390",
    40: "EM_ARM",
    62: "EM_X86_64",
    183: "EM_AARCH64",
    243: "EM_RISCV",
    258: "EM_LOONGARCH",
}
_EXECUTABLE, _SHARED = 2, 3
_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_NEEDED, _STRTAB, _SONAME, _RPATH, _RUNPATH = 1, 5, 14, 15, 29
_VERDEF, _VERDEFNUM, _VERNEED, _VERNEEDNUM = 0x6FFFFFFC, 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF
_WEAK = 2
"""VER_FLG_WEAK: the loader goes on without it."""

_LONGEST_NAME = 4096
_LONGEST_DYNAMIC = 1 << 20
_MOST_VERSIONS = 20_000


class ElfObject(msgspec.Struct, frozen=True):
    """The facts of one ELF file that decide whether it can be loaded."""

    path: str
    machine: str
    soname: str = ""
    interpreter: str = ""
    needed: tuple[str, ...] = ()
    runpath: tuple[str, ...] = ()
    """Where the loader looks first: DT_RUNPATH, else DT_RPATH."""
    wants: tuple[tuple[str, str], ...] = ()
    """(soname, version) of every symbol version that must be there, weak ones left out."""
    defines: tuple[str, ...] = ()
    """The symbol versions that the object defines."""


def is_elf(head: bytes | bytearray | memoryview) -> bool:
    """Whether a file that begins so is ELF."""
    return bytes(head[:4]) == b"\x7fELF"


def read_elf(stream: BinaryIO, path: str, label: str) -> ElfObject | None:
    """The facts of a program or shared object, also a static one; None for what is neither, as a relocatable object or a core.

    `label` is the package in errors. Raises ArchiveError for a damaged file.
    """
    try:
        image = _opened(stream)
        return None if image is None else _facts(image, path)
    except (_Damaged, struct.error, OSError, ValueError, OverflowError) as error:
        raise ArchiveError(
            f"{label}: {path} is a damaged ELF file ({error})", hint="The package is broken; take another version."
        ) from error


class _Damaged(Exception):
    """What is wrong with the file."""


class _Segment(msgspec.Struct, frozen=True):
    """A program header."""

    type: int
    offset: int
    address: int
    size: int


class _Image(msgspec.Struct, frozen=True):
    """An ELF file as the loader sees it. `order` and `wide` are its byte order, for struct, and whether it is of 64 bits."""

    stream: BinaryIO
    order: str
    wide: bool
    machine: str
    segments: tuple[_Segment, ...]

    def read(self, offset: int, size: int) -> bytes:
        self.stream.seek(offset)
        data = self.stream.read(size)
        if len(data) < size:
            raise _Damaged("it ends too early")
        return data

    def unpack(self, layout: str, offset: int) -> tuple[int, ...]:
        full = self.order + layout
        return struct.unpack(full, self.read(offset, struct.calcsize(full)))

    def text(self, offset: int) -> str:
        """A string that ends with a zero byte."""
        self.stream.seek(offset)
        value, end, _ = self.stream.read(_LONGEST_NAME).partition(b"\0")
        if not end:
            raise _Damaged("a name has no end")
        return value.decode("utf-8", "backslashreplace")

    def place(self, address: int) -> int:
        """Where in the file an address is."""
        for segment in self.segments:
            if segment.type == _PT_LOAD and segment.address <= address < segment.address + segment.size:
                return address - segment.address + segment.offset
        raise _Damaged(f"the address {address:#x} is in no segment")


def _opened(stream: BinaryIO) -> _Image | None:
    stream.seek(0)
    head = stream.read(16)
    if len(head) < 16 or not is_elf(head) or head[4] not in (1, 2) or head[5] not in (1, 2):
        raise _Damaged("its header is not one")
    order, wide = "<" if head[5] == 1 else ">", head[4] == 2
    bare = _Image(stream, order, wide, "", ())
    kind, machine, _, _, start, _, _, _, each, count = bare.unpack("HHIQQQIHHH" if wide else "HHIIIIIHHH", 16)
    if kind not in (_EXECUTABLE, _SHARED):
        return None
    layout = struct.Struct(order + ("IIQQQQQQ" if wide else "IIIIIIII"))
    if count and each != layout.size:
        raise _Damaged(f"its program headers are of {each} bytes")
    fields = layout.iter_unpack(bare.read(start, count * each))
    # p_type, p_flags, p_offset, p_vaddr, p_paddr, p_filesz, … with 64 bits; p_flags is further back with 32.
    picked = ((0, 2, 3, 5) if wide else (0, 1, 2, 4)) if count else ()
    segments = tuple(_Segment(*(item[at] for at in picked)) for item in fields)
    return _Image(stream, order, wide, _NAMES.get(machine, f"EM_{machine}"), segments)


def _facts(image: _Image, path: str) -> ElfObject:
    interpreter = next((image.text(item.offset) for item in image.segments if item.type == _PT_INTERP), "")
    tags = _dynamic(image)
    if not tags:
        return ElfObject(path, image.machine, interpreter=interpreter)
    values = dict(reversed(tags))
    named = any(tag in values for tag in (_NEEDED, _SONAME, _RPATH, _RUNPATH, _VERNEED, _VERDEF))
    names = image.place(values.get(_STRTAB, -1)) if named else 0
    search = next((image.text(names + values[tag]) for tag in (_RUNPATH, _RPATH) if tag in values), "")
    return ElfObject(
        path,
        image.machine,
        soname=image.text(names + values[_SONAME]) if _SONAME in values else "",
        interpreter=interpreter,
        needed=tuple(image.text(names + value) for tag, value in tags if tag == _NEEDED),
        runpath=tuple(part for part in dict.fromkeys(search.split(":")) if part),
        wants=tuple(_wanted(image, values, names)),
        defines=tuple(_defined(image, values, names)),
    )


def _dynamic(image: _Image) -> list[tuple[int, int]]:
    """The (tag, value) pairs of the dynamic section, up to DT_NULL; none for a static object."""
    found = next((item for item in image.segments if item.type == _PT_DYNAMIC), None)
    if found is None:
        return []
    if found.size > _LONGEST_DYNAMIC:
        raise _Damaged("its dynamic section is too long")
    layout = struct.Struct(image.order + ("qQ" if image.wide else "iI"))
    tags = []
    for tag, value in layout.iter_unpack(image.read(found.offset, found.size - found.size % layout.size)):
        if tag == 0:
            break
        tags.append((tag, value))
    return tags


def _wanted(image: _Image, values: dict[int, int], names: int) -> Iterator[tuple[str, str]]:
    for library, flags, name in islice(_needs(image, values), _MOST_VERSIONS):
        if not flags & _WEAK:
            yield image.text(names + library), image.text(names + name)


def _needs(image: _Image, values: dict[int, int]) -> Iterator[tuple[int, int, int]]:
    """(offset of the library's name, flags, offset of the version's name)."""
    # vn_version, vn_cnt, vn_file, vn_aux, vn_next; vna_hash, vna_flags, vna_other, vna_name, vna_next
    for at, (_, count, library, below, _) in _chain(image, values.get(_VERNEED), values.get(_VERNEEDNUM, 0), "HHIII"):
        if not count:
            raise _Damaged("it wants no version of a library")
        for _, (_, flags, _, name, _) in _chain(image, at + below, count, "IHHII", placed=True):
            yield library, flags, name


def _defined(image: _Image, values: dict[int, int], names: int) -> Iterator[str]:
    # vd_version, vd_flags, vd_ndx, vd_cnt, vd_hash, vd_aux, vd_next; of what is below only the first names the version.
    chain = _chain(image, values.get(_VERDEF), values.get(_VERDEFNUM, 0), "HHHHIII")
    for at, (_, _, _, _, _, below, _) in islice(chain, _MOST_VERSIONS):
        name, _ = image.unpack("II", at + below)
        yield image.text(names + name)


def _chain(image: _Image, start: int | None, count: int, layout: str, *, placed: bool = False) -> Iterator[tuple[int, tuple[int, ...]]]:
    """(place, fields) of `count` records, of which each says in its last field how far away the next is, 0 when it is the last."""
    if start is None:
        return
    at = start if placed else image.place(start)
    for _ in range(count):
        fields = image.unpack(layout, at)
        yield at, fields
        if not fields[-1]:
            return
        at += fields[-1]
