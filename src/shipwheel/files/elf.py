"""What a shared object or program needs from the loader (System V gABI: dynamic section; GNU symbol versions)."""

from collections.abc import Iterator
from typing import Any, BinaryIO

import msgspec

from shipwheel.errors import ArchiveError

__all__ = ["MACHINES", "ElfObject", "is_elf", "read_elf"]

MACHINES = {"amd64": "EM_X86_64", "arm64": "EM_AARCH64"}
"""OCI architecture -> e_machine."""


class ElfObject(msgspec.Struct, frozen=True):
    """The facts of one ELF file that decide whether it can be loaded."""

    path: str
    machine: str
    soname: str = ""
    interpreter: str = ""
    needed: tuple[str, ...] = ()
    runpath: tuple[str, ...] = ()
    wants: tuple[tuple[str, str], ...] = ()
    """(soname, version) of every symbol version that must be there, weak ones left out."""
    defines: tuple[str, ...] = ()
    """The symbol versions that the object defines."""


def is_elf(head: bytes | bytearray | memoryview) -> bool:
    """Whether a file that begins so is ELF."""
    return bytes(head[:4]) == b"\x7fELF"


def read_elf(stream: BinaryIO, path: str, label: str) -> ElfObject | None:
    """Reads the dynamic section; None for an object without one (relocatable or static). Raises ArchiveError when damaged."""
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile
    from elftools.elf.segments import InterpSegment

    try:
        elf = ELFFile(stream)
        machine = str(elf["e_machine"])
        if elf["e_type"] not in ("ET_DYN", "ET_EXEC"):
            return None
        interpreter, dynamic = "", None
        for segment in elf.iter_segments():
            if isinstance(segment, InterpSegment):
                interpreter = segment.get_interp_name()
            elif segment["p_type"] == "PT_DYNAMIC":
                dynamic = segment
        if dynamic is None:
            return ElfObject(path, machine, interpreter=interpreter)
        return _linked(elf, dynamic, ElfObject(path, machine, interpreter=interpreter))
    except (ELFError, ValueError, KeyError, UnicodeDecodeError, OSError, AttributeError, TypeError, IndexError, OverflowError) as error:
        raise ArchiveError(
            f"{label}: {path} is a damaged ELF file ({error})", hint="The package is broken; take another version."
        ) from error


def _linked(elf: Any, dynamic: Any, shell: ElfObject) -> ElfObject:
    needed: list[str] = []
    runpath: list[str] = []
    soname = ""
    for tag in dynamic.iter_tags():
        match tag.entry.d_tag:
            case "DT_NEEDED":
                needed.append(tag.needed)
            case "DT_SONAME":
                soname = tag.soname
            case "DT_RPATH":
                runpath += tag.rpath.split(":")
            case "DT_RUNPATH":
                runpath += tag.runpath.split(":")
    return msgspec.structs.replace(
        shell,
        soname=soname,
        needed=tuple(needed),
        runpath=tuple(part for part in dict.fromkeys(runpath) if part),
        wants=tuple(_wanted(elf)),
        defines=tuple(_defined(elf)),
    )


def _wanted(elf: Any) -> Iterator[tuple[str, str]]:
    section = elf.get_section_by_name(".gnu.version_r")
    if section is None:
        return
    for library, versions in section.iter_versions():
        for version in versions:
            # VER_FLG_WEAK: the loader goes on without it.
            if not version["vna_flags"] & 2:
                yield library.name, version.name


def _defined(elf: Any) -> Iterator[str]:
    section = elf.get_section_by_name(".gnu.version_d")
    if section is None:
        return
    for _, names in section.iter_versions():
        yield next(iter(names)).name
