"""/etc/ld.so.cache as ldconfig would write it. It speeds up the loader, and `ctypes.util.find_library` depends on it.

The format is `glibc-ld.so.cache1.1` of glibc's sysdeps/generic/dl-cache.h: a header, entries in descending order of name, strings.
"""

import re
import struct
from collections.abc import Iterable, Sequence
from functools import cmp_to_key

from shipwheel.files.elf import MACHINES
from shipwheel.files.loader import Loader, default_directories
from shipwheel.files.segment import Segment
from shipwheel.platform import Platform

__all__ = ["cached_libraries", "ld_cache"]

_MAGIC = b"glibc-ld.so.cache1.1"
_LITTLE_ENDIAN = 2
_HEADER = struct.Struct("<20sIIB3xI12x")
_ENTRY = struct.Struct("<iIIIQ")
# FLAG_ELF_LIBC6 (3) with FLAG_X8664_LIB64 (0x0300) or FLAG_AARCH64_LIB64 (0x0a00)
_FLAGS = {"amd64": 0x0303, "arm64": 0x0A03}


def cached_libraries(segments: Sequence[Segment], platform: Platform) -> dict[str, str]:
    """Return soname -> absolute path of the libraries in the loader's directories; the first directory wins."""
    loader = Loader.of(segments, platform.multiarch)
    machine = MACHINES[platform.architecture]
    sonames = sorted({item.soname for item in loader.objects if item.machine == machine and _is_cached(item.soname)})
    paths = {path for segment in segments for path in (*segment.files, *segment.links)}
    directories = [path for path in default_directories(platform.multiarch) if path.startswith("usr/")]
    found: dict[str, str] = {}
    for soname in sonames:
        path = next((f"{directory}/{soname}" for directory in directories if f"{directory}/{soname}" in paths), None)
        if path is not None:
            found[soname] = f"/{path}"
    return found


def ld_cache(libraries: Iterable[tuple[str, str]], platform: Platform) -> bytes:
    """Return the cache file for (soname, path) pairs."""
    rows = sorted(libraries, key=lambda row: cmp_to_key(_compare)(row[0]), reverse=True)
    start = _HEADER.size + _ENTRY.size * len(rows)
    strings = bytearray()
    entries = []
    for soname, path in rows:
        # Where the path ends in the soname, one string serves as both, as in ldconfig's own files.
        value = start + len(strings)
        strings += path.encode() + b"\0"
        key = value + len(path.encode()) - len(soname.encode()) if path.endswith(f"/{soname}") else start + len(strings)
        if not path.endswith(f"/{soname}"):
            strings += soname.encode() + b"\0"
        entries.append(_ENTRY.pack(_FLAGS[platform.architecture], key, value, 0, 0))
    return _HEADER.pack(_MAGIC, len(rows), len(strings), _LITTLE_ENDIAN, 0) + b"".join(entries) + bytes(strings)


def _is_cached(name: str) -> bool:
    # ldconfig only considers "lib*.so*" and "ld-*.so*".
    return name.startswith(("lib", "ld-")) and ".so" in name


def _compare(left: str, right: str) -> int:
    """Compare as glibc's _dl_cache_libcmp does: runs of digits as numbers, and a digit is greater than any other character."""
    left_parts, right_parts = _parts(left), _parts(right)
    return (left_parts > right_parts) - (left_parts < right_parts)


def _parts(name: str) -> list[tuple[int, int]]:
    parts: list[tuple[int, int]] = []
    for digits, other in re.findall(r"(\d+)|(\D)", name):
        parts.append((1, int(digits)) if digits else (0, ord(other)))
    return parts
