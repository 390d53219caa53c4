"""The packages of one suite for one architecture, and which of them provide a shared library."""

import difflib
import re
from collections.abc import Callable, Sequence
from functools import cached_property

import msgspec

from shipwheel.debian.package import DebianPackage
from shipwheel.debian.version import version_key
from shipwheel.digest import as_sha256
from shipwheel.errors import ArchiveError

__all__ = ["Contents", "DebianPackageIndex"]

_PREFERRED_PROVIDERS = {
    "libjpeg.so.62": "libjpeg62-turbo",
    "libopenblas.so.0": "libopenblas0-pthread",
    "libsystemd.so.0": "libsystemd0",
    "libSDL-1.2.so.0": "libsdl1.2debian",
    "libjack.so.0": "libjack-jackd2-0",
}
"""Soname -> the package that Debian prefers, for sonames where the general ranking of providers picks another one."""


class Contents(msgspec.Struct, frozen=True):
    """A table of `contents_table`. One whose file the release does not list may be older, and lack libraries."""

    table: bytes
    is_listed: bool = True


class DebianPackageIndex:
    """The main, updates and security archives of a suite as one index.

    `tables` are (archive, table of `packages_table`) pairs; `contents` is called only when a soname is looked up, since the file is large.
    """

    def __init__(self, label: str, tables: Sequence[tuple[str, bytes]], contents: Callable[[], Contents]) -> None:
        self.label = label
        self.may_miss_libraries = False
        """True once a soname was looked up in a Contents file that the release does not list."""
        self._tables = tables
        self._contents = contents

    def newest(self, name: str) -> DebianPackage | None:
        """Return the newest version of a package, or None if the suite does not have it."""
        packages = [_parse_row(archive, row) for archive, row in self._rows.get(name.encode(), ())]
        return max(packages, key=lambda package: version_key(package.version), default=None)

    def similar_names(self, name: str) -> tuple[str, ...]:
        """Return up to three package names like this one, the most similar first."""
        return tuple(difflib.get_close_matches(name, [known.decode() for known in self._rows], n=3))

    def providers(self, soname: str) -> tuple[str, ...]:
        """Return the packages that have a library of this name in a loader directory, the best first.

        The order is fixed: Debian's preference, no development or debug package, the shortest name, the newest of numbered variants
        (libomp5-16 before libomp5-13).
        """
        names = self._providers.get(soname.encode())
        if names is None:
            return ()
        preferred = _PREFERRED_PROVIDERS.get(soname)
        available = [name for name in names.decode().split(",") if name.encode() in self._rows]
        return tuple(sorted(available, key=lambda name: (name != preferred, *_rank(name))))

    def sonames(self, stem: str) -> tuple[str, ...]:
        """Return the sonames of a library, the shortest first: `libmagic.so.1`, … for `magic`."""
        start = b"lib%b.so." % stem.encode()
        return tuple(sorted((name.decode() for name in self._providers if name.startswith(start)), key=lambda name: (len(name), name)))

    def is_library(self, name: str) -> bool:
        """Return whether a package has a library in a loader directory."""
        return name.encode() in self._library_packages

    def depends(self, package: DebianPackage) -> tuple[tuple[str, ...], ...]:
        """Return the Pre-Depends and Depends of a package as groups of names; one package of each group is enough (deb-control(5)).

        For a version that the index does not list (a lock may have an older one), return those of the newest version.
        """
        rows = [row.decode().split("\t") for _, row in self._rows.get(package.name.encode(), ())]
        rows.sort(key=lambda row: row[1] == package.version)
        fields = rows[-1][7:] if rows else []
        groups = (group for field in fields for group in field.split(",") if group.strip())
        # "libc6 (>= 2.36) [linux-any] <!nocheck>", "python3:any"
        return tuple(tuple(re.split(r"[\s:(\[<]", choice.strip())[0] for choice in group.split("|")) for group in groups)

    @cached_property
    def _library_packages(self) -> frozenset[bytes]:
        return frozenset(name for names in self._providers.values() for name in names.split(b","))

    @cached_property
    def _rows(self) -> dict[bytes, list[tuple[str, bytes]]]:
        rows: dict[bytes, list[tuple[str, bytes]]] = {}
        for archive, table in self._tables:
            for line in table.splitlines():
                rows.setdefault(line[: line.index(b"\t")], []).append((archive, line))
        return rows

    @cached_property
    def _providers(self) -> dict[bytes, bytes]:
        """Soname -> the names of the packages that have it, separated by commas."""
        contents = self._contents()
        self.may_miss_libraries = not contents.is_listed
        return dict(line.split(b"\t") for line in contents.table.splitlines())


def _rank(name: str) -> tuple[bool, int, int, str]:
    stem, _, number = name.rpartition("-")
    if not stem or not number.isdigit():
        stem, number = name, "0"
    return name.endswith(("-dev", "-dbg", "-dbgsym", "-debug", "-doc")), len(stem), -int(number), name


def _parse_row(archive: str, row: bytes) -> DebianPackage:
    name, version, architecture, filename, hash_text, size, source = row.decode().split("\t")[:7]
    sha256 = as_sha256(hash_text)
    if sha256 is None or not (size.isascii() and size.isdigit() and len(size) < 20):
        raise ArchiveError(f"{name} {version} has no valid size and sha256 in Debian's list of packages", hint="Use another mirror.")
    return DebianPackage(name, version, architecture, filename, sha256, int(size), archive, source.partition(" ")[0] or name)
