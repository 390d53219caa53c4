"""Libraries that Python modules open by name (ctypes, cffi): no loader's table has them, so their sources are read for the usual forms."""

import re

__all__ = ["ctypes_libraries", "library_stem"]

_FORMS = re.compile(rb"""find_library\(\s*["']([\w.+-]+)["']|["'](lib[\w.+-]*?\.so\.[\d.]*\d)["']""")
# Each is far quicker to look for than the forms themselves, and most modules have neither.
_SIGNS = (b"find_library(", b".so.")
_ASIDE = re.compile(r"(^|/)(tests?|testing|_?plugins?|contrib|examples?|experimental|benchmarks?|tools|scripts|docs?)/")
"""Directories of what is not used by everyone who uses the package."""


def ctypes_libraries(path: str, source: bytes | bytearray) -> tuple[str, ...]:
    """The libraries that a module names: `magic` for `find_library("magic")`, and what looks like a soname as it is, `libmagic.so.1`."""
    if not any(sign in source for sign in _SIGNS) or _ASIDE.search(path):
        return ()
    return tuple(sorted({(short or soname).decode("ascii", "replace") for short, soname in _FORMS.findall(source)}))


def library_stem(name: str) -> str:
    """What two names of a library have in common: `magic` of `magic`, of `libmagic.so.1` and of a wheel's own `libmagic-1a2b3c4d.so.1`."""
    whole = name.partition(".so")[0]
    return re.sub(r"-[0-9a-f]{8}$", "", whole.removeprefix("lib") if ".so" in name else whole)
