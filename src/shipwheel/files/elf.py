"""The needs of programs and shared objects, as the loader sees them (System V gABI, chapters 4 and 5; GNU symbol versions: LSB 10.7).

Like the loader, this reads program headers only, so that it understands objects without section headers. Every loop is bounded:
pyelftools follows the counts and offsets of a damaged object for hours.
"""

import struct
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO

import msgspec

from shipwheel.errors import ArchiveError

__all__ = ["MACHINES", "NO_MACHINE", "ElfObject", "is_elf", "read_elf"]

MACHINES = {"amd64": "EM_X86_64", "arm64": "EM_AARCH64"}
"""OCI architecture -> e_machine."""

NO_MACHINE = "EM_0"
"""EM_NONE: the e_machine of files that have only the form of ELF, such as Guile's compiled modules."""

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
"""VER_FLG_WEAK: the loader does not insist on this version."""

_MAX_NAME_BYTES = 4096
_MAX_DYNAMIC_BYTES = 1 << 20
_MAX_VERSIONS = 20_000


class ElfObject(msgspec.Struct, frozen=True):
    """The properties of one ELF file that decide whether it can be loaded."""

    path: str
    machine: str
    soname: str = ""
    interpreter: str = ""
    needed: tuple[str, ...] = ()
    runpath: tuple[str, ...] = ()
    """The directories that the loader searches first: DT_RUNPATH, else DT_RPATH."""
    wants: tuple[tuple[str, str], ...] = ()
    """(soname, version) of every symbol version that the object needs, without weak ones."""
    defines: tuple[str, ...] = ()
    """The symbol versions that the object defines."""


def is_elf(head: bytes | bytearray | memoryview) -> bool:
    """Return whether a file that starts with these bytes is an ELF file."""
    return bytes(head[:4]) == b"\x7fELF"


def read_elf(stream: BinaryIO, path: str, label: str) -> ElfObject | None:
    """Read a program or shared object. Return None for other kinds of ELF files, such as relocatable objects and core dumps.

    `label` names the package in errors. Raise ArchiveError for a damaged file.
    """
    try:
        image = _read_headers(stream)
        return None if image is None else _elf_object(image, path)
    except (_DamagedError, struct.error, OSError, ValueError, OverflowError) as error:
        raise ArchiveError(
            f"{label}: {path} is a damaged ELF file ({error})", hint="The package is broken; use another version."
        ) from error


class _DamagedError(Exception):
    """The file is damaged; the message says how."""


class _ProgramHeader(msgspec.Struct, frozen=True):
    """A program header."""

    type: int
    offset: int
    address: int
    size: int


class _ElfFile(msgspec.Struct, frozen=True):
    """An ELF file as the loader sees it. `order` is its byte order in struct's notation, `wide` is true for 64 bits."""

    stream: BinaryIO
    order: str
    wide: bool
    machine: str
    segments: tuple[_ProgramHeader, ...]

    def read(self, offset: int, size: int) -> bytes:
        self.stream.seek(offset)
        data = self.stream.read(size)
        if len(data) < size:
            raise _DamagedError("it is cut off")
        return data

    def unpack(self, layout: str, offset: int) -> tuple[int, ...]:
        full = self.order + layout
        return struct.unpack(full, self.read(offset, struct.calcsize(full)))

    def text(self, offset: int) -> str:
        """Return the zero-terminated string at an offset in the file."""
        self.stream.seek(offset)
        value, end, _ = self.stream.read(_MAX_NAME_BYTES).partition(b"\0")
        if not end:
            raise _DamagedError("a name has no end")
        return value.decode("utf-8", "backslashreplace")

    def offset_of(self, address: int) -> int:
        """Return the offset in the file of a virtual address."""
        for segment in self.segments:
            if segment.type == _PT_LOAD and segment.address <= address < segment.address + segment.size:
                return address - segment.address + segment.offset
        raise _DamagedError(f"the address {address:#x} is in no segment")


def _read_headers(stream: BinaryIO) -> _ElfFile | None:
    stream.seek(0)
    head = stream.read(16)
    if len(head) < 16 or not is_elf(head) or head[4] not in (1, 2) or head[5] not in (1, 2):
        raise _DamagedError("its header is invalid")
    order, wide = "<" if head[5] == 1 else ">", head[4] == 2
    bare = _ElfFile(stream, order, wide, "", ())
    kind, machine, _, _, start, _, _, _, entry_size, count = bare.unpack("HHIQQQIHHH" if wide else "HHIIIIIHHH", 16)
    if kind not in (_EXECUTABLE, _SHARED):
        return None
    layout = struct.Struct(order + ("IIQQQQQQ" if wide else "IIIIIIII"))
    if count and entry_size != layout.size:
        raise _DamagedError(f"its program headers have {entry_size} bytes")
    headers = layout.iter_unpack(bare.read(start, count * entry_size))
    # p_type, p_flags, p_offset, p_vaddr, p_paddr, p_filesz, … with 64 bits; p_flags comes later with 32.
    positions = ((0, 2, 3, 5) if wide else (0, 1, 2, 4)) if count else ()
    segments = tuple(_ProgramHeader(*(header[position] for position in positions)) for header in headers)
    return _ElfFile(stream, order, wide, _NAMES.get(machine, f"EM_{machine}"), segments)


def _elf_object(image: _ElfFile, path: str) -> ElfObject:
    interpreter = next((image.text(item.offset) for item in image.segments if item.type == _PT_INTERP), "")
    tags = _dynamic(image)
    if not tags:
        return ElfObject(path, image.machine, interpreter=interpreter)
    values = dict(reversed(tags))
    has_names = any(tag in values for tag in (_NEEDED, _SONAME, _RPATH, _RUNPATH, _VERNEED, _VERDEF))
    names = image.offset_of(values.get(_STRTAB, -1)) if has_names else 0
    search = next((image.text(names + values[tag]) for tag in (_RUNPATH, _RPATH) if tag in values), "")
    return ElfObject(
        path,
        image.machine,
        soname=image.text(names + values[_SONAME]) if _SONAME in values else "",
        interpreter=interpreter,
        needed=tuple(image.text(names + value) for tag, value in tags if tag == _NEEDED),
        runpath=tuple(part for part in dict.fromkeys(search.split(":")) if part),
        wants=tuple(_needed_versions(image, values, names)),
        defines=tuple(_defined_versions(image, values, names)),
    )


def _dynamic(image: _ElfFile) -> list[tuple[int, int]]:
    """Return the (tag, value) pairs of the dynamic section, up to DT_NULL; none for a static object."""
    section = next((item for item in image.segments if item.type == _PT_DYNAMIC), None)
    if section is None:
        return []
    if section.size > _MAX_DYNAMIC_BYTES:
        raise _DamagedError("its dynamic section is too long")
    layout = struct.Struct(image.order + ("qQ" if image.wide else "iI"))
    tags = []
    for tag, value in layout.iter_unpack(image.read(section.offset, section.size - section.size % layout.size)):
        if tag == 0:
            break
        tags.append((tag, value))
    return tags


def _needed_versions(image: _ElfFile, values: dict[int, int], names: int) -> Iterator[tuple[str, str]]:
    for library, flags, name in islice(_version_needs(image, values), _MAX_VERSIONS):
        if not flags & _WEAK:
            yield image.text(names + library), image.text(names + name)


def _version_needs(image: _ElfFile, values: dict[int, int]) -> Iterator[tuple[int, int, int]]:
    """Yield (offset of the library's name, flags, offset of the version's name)."""
    if (address := values.get(_VERNEED)) is None:
        return
    # vn_version, vn_cnt, vn_file, vn_aux, vn_next; vna_hash, vna_flags, vna_other, vna_name, vna_next
    for offset, (_, count, library, aux, _) in _chain(image, image.offset_of(address), values.get(_VERNEEDNUM, 0), "HHIII"):
        if not count:
            raise _DamagedError("it needs no version of a library")
        for _, (_, flags, _, name, _) in _chain(image, offset + aux, count, "IHHII"):
            yield library, flags, name


def _defined_versions(image: _ElfFile, values: dict[int, int], names: int) -> Iterator[str]:
    if (address := values.get(_VERDEF)) is None:
        return
    # vd_version, vd_flags, vd_ndx, vd_cnt, vd_hash, vd_aux, vd_next; only the first auxiliary record names the version.
    chain = _chain(image, image.offset_of(address), values.get(_VERDEFNUM, 0), "HHHHIII")
    for offset, (_, _, _, _, _, aux, _) in islice(chain, _MAX_VERSIONS):
        name, _ = image.unpack("II", offset + aux)
        yield image.text(names + name)


def _chain(image: _ElfFile, offset: int, count: int, layout: str) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yield (offset, fields) of at most `count` records. The last field is the distance to the next record, 0 in the last one."""
    for _ in range(count):
        fields = image.unpack(layout, offset)
        yield offset, fields
        if not fields[-1]:
            return
        offset += fields[-1]
