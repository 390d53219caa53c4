"""/etc/ld.so.cache, as ldconfig would write it: the loader then finds libraries without looking, and `ctypes.util.find_library` at all.

The format is glibc's sysdeps/generic/dl-cache.h, `glibc-ld.so.cache1.1`: a header, entries from the greatest name to the least, strings.
"""

import re
import struct
from collections.abc import Iterable, Sequence
from functools import cmp_to_key

from shipwheel.files.elf import MACHINES
from shipwheel.files.loader import Loader, default_directories
from shipwheel.files.segment import Segment
from shipwheel.platform import Platform

__all__ = ["ld_cache", "libraries"]

_MAGIC = b"glibc-ld.so.cache1.1"
_LITTLE_ENDIAN = 2
_HEADER = struct.Struct("<20sIIB3xI12x")
_ENTRY = struct.Struct("<iIIIQ")
# FLAG_ELF_LIBC6 (3) with FLAG_X8664_LIB64 (0x0300) or FLAG_AARCH64_LIB64 (0x0a00)
_FLAGS = {"amd64": 0x0303, "arm64": 0x0A03}


def libraries(segments: Sequence[Segment], platform: Platform) -> dict[str, str]:
    """Soname -> path with a leading slash, of the libraries in the loader's directories; the first directory wins."""
    loader = Loader.of(segments, platform.multiarch)
    machine = MACHINES[platform.architecture]
    sonames = sorted({item.soname for item in loader.objects if item.machine == machine and _cached(item.soname)})
    names = {path for segment in segments for path in (*segment.files, *segment.links)}
    folders = [folder for folder in default_directories(platform.multiarch) if folder.startswith("usr/")]
    found: dict[str, str] = {}
    for soname in sonames:
        path = next((f"{folder}/{soname}" for folder in folders if f"{folder}/{soname}" in names), None)
        if path is not None:
            found[soname] = f"/{path}"
    return found


def ld_cache(found: Iterable[tuple[str, str]], platform: Platform) -> bytes:
    """The cache file for (soname, path) pairs."""
    rows = sorted(found, key=lambda row: cmp_to_key(_compare)(row[0]), reverse=True)
    start = _HEADER.size + _ENTRY.size * len(rows)
    strings = bytearray()
    entries = []
    for soname, path in rows:
        # The path ends in the soname: one string serves as both, as in ldconfig's own files.
        value = start + len(strings)
        strings += path.encode() + b"\0"
        key = value + len(path.encode()) - len(soname.encode()) if path.endswith(f"/{soname}") else start + len(strings)
        if not path.endswith(f"/{soname}"):
            strings += soname.encode() + b"\0"
        entries.append(_ENTRY.pack(_FLAGS[platform.architecture], key, value, 0, 0))
    return _HEADER.pack(_MAGIC, len(rows), len(strings), _LITTLE_ENDIAN, 0) + b"".join(entries) + bytes(strings)


def _cached(name: str) -> bool:
    # ldconfig looks at "lib*.so*" and "ld-*.so*" only.
    return name.startswith(("lib", "ld-")) and ".so" in name


def _compare(left: str, right: str) -> int:
    """glibc's _dl_cache_libcmp: runs of digits compare as numbers, and a digit is greater than anything else."""
    one, two = _parts(left), _parts(right)
    return (one > two) - (one < two)


def _parts(name: str) -> list[tuple[int, int]]:
    parts: list[tuple[int, int]] = []
    for digits, other in re.findall(r"(\d+)|(\D)", name):
        parts.append((1, int(digits)) if digits else (0, ord(other)))
    return parts
