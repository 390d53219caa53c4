"""The Debian packages that bring what a build misses, by the archive's lists of files."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from shipwheel.builder.complaints import Lack, LackKind

if TYPE_CHECKING:
    from shipwheel.debian.package_index import DebianPackageIndex

__all__ = ["find_packages"]

_NO_DEV = ("-dbg", "-dbgsym", "-doc", "-cross", "-cross-dev")


def find_packages(lacks: Iterable[Lack], index: "DebianPackageIndex", multiarch: str) -> dict[Lack, str]:
    """Return the package for each missing thing that the suite has.

    `index` is the target's. Of several packages, one for development comes first, then the place where compilers look by default, then the
    package on which most of Debian depends.
    """
    patterns = {lack: _pattern(lack, multiarch) for lack in lacks}
    if not patterns:
        return {}
    paths = index.find_paths(b"|".join(pattern for pattern in patterns.values()))
    found = {}
    for lack, pattern in patterns.items():
        whole = re.compile(pattern)
        choices = [
            _rank(path.replace(f"/{multiarch}/", "/"), name, index)
            for path, names in paths.items()
            if whole.fullmatch(path.encode())
            for name in names
            if not name.endswith(_NO_DEV)
        ]
        if choices:
            found[lack] = min(choices)[-1]
    return found


def _pattern(lack: Lack, multiarch: str) -> bytes:
    name, machine = re.escape(lack.name.encode()), re.escape(multiarch.encode())
    match lack.kind:
        case LackKind.HEADER:
            return rb"usr/include/(?:[^\s]+/)?%b" % name
        case LackKind.LIBRARY:
            return rb"usr/lib/(?:%b/)?lib%b\.(?:so|a)" % (machine, name)
        case LackKind.NAMED:
            places = (rb"lib/(?:%b/)?lib%b\.(?:so|a)", rb"(?:lib/%b|lib|share)/pkgconfig/(?:lib)?%b\.pc")
            return rb"usr/(?:%b|include/%b\.h|bin/%b)" % (b"|".join(place % (machine, name) for place in places), name, name)
        case LackKind.CMAKE:
            return rb"usr/(?:lib/%b/cmake|lib/cmake|share)/(?:[^\s]+/)?%b" % (machine, name)
        case LackKind.MODULE:
            return rb"usr/(?:lib/%b|lib|share)/pkgconfig/%b\.pc" % (machine, name)
    return rb"usr/bin/%b" % name


def _rank(path: str, name: str, index: "DebianPackageIndex") -> tuple[bool, int, bool, int, str]:
    # Of the variants of a library, the one with OpenSSL shares that with Python itself.
    return not name.endswith("-dev"), path.count("/"), "openssl" not in name, -index.dependents(name), name
