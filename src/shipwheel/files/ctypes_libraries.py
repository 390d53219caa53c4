"""Libraries that Python modules open by name (ctypes, cffi). No ELF file names them, so the sources are searched for the usual forms."""

import re

from shipwheel.lazy_pattern import lazy_pattern

__all__ = ["ctypes_libraries", "library_stem"]

_CALLS = lazy_pattern(rb"""find_library\(\s*["']([\w.+-]+)["']|["'](lib[\w.+-]*?\.so\.[\d.]*\d)["']""")
# Much faster to find than the calls, and most modules contain neither.
_HINTS = (b"find_library(", b".so.")
_OPTIONAL = lazy_pattern(r"(^|/)(tests?|testing|_?plugins?|contrib|examples?|experimental|benchmarks?|tools|scripts|docs?)/")
"""Directories with modules that not every user of a package imports."""


def ctypes_libraries(path: str, source: bytes | bytearray) -> tuple[str, ...]:
    """Return the libraries that a module opens: `magic` for `find_library("magic")`, and sonames such as `libmagic.so.1` as they are."""
    if not any(hint in source for hint in _HINTS) or _OPTIONAL.search(path):
        return ()
    return tuple(sorted({(short or soname).decode("ascii", "replace") for short, soname in _CALLS.findall(source)}))


def library_stem(name: str) -> str:
    """Return the common part of a library's names: `magic` for `magic`, `libmagic.so.1` and a wheel's `libmagic-1a2b3c4d.so.1`."""
    base = name.partition(".so")[0]
    return re.sub(r"-[0-9a-f]{8}$", "", base.removeprefix("lib") if ".so" in name else base)
