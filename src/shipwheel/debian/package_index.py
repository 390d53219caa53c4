"""The packages of one suite for one architecture, and which of them provide a shared library."""

import difflib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property

import msgspec

from shipwheel.debian.package import DebianPackage
from shipwheel.debian.relations import Relation, parse_relations
from shipwheel.debian.sorted_table import SortedTable
from shipwheel.debian.version import version_key
from shipwheel.digest import as_sha256
from shipwheel.errors import ArchiveError
from shipwheel.lazy_pattern import lazy_pattern

__all__ = ["Contents", "DebianPackageIndex", "parse_row"]

_PREFERRED_PROVIDERS = {
    "libjpeg.so.62": "libjpeg62-turbo",
    "libopenblas.so.0": "libopenblas0-pthread",
    "libsystemd.so.0": "libsystemd0",
    "libSDL-1.2.so.0": "libsdl1.2debian",
    "libjack.so.0": "libjack-jackd2-0",
}
"""Soname -> the package that Debian prefers, for sonames where the general ranking of providers picks another one."""

_PRIORITIES = (b"required", b"important", b"standard", b"optional", b"extra")
_NAMES = lazy_pattern(rb"(?:^|[,|])\s*([^\s,|:(]+)")
_PROVIDED_NAME = lazy_pattern(rb"(?:^|,)\s*([^\s,:(]+)")


class Contents(msgspec.Struct, frozen=True):
    """A table of `contents_table`. One whose file the release does not list may be older, and lack libraries."""

    table: bytes
    is_listed: bool = True


class DebianPackageIndex:
    """The main, updates and security archives of a suite as one index.

    `tables` are (archive, table of `packages_table`) pairs; `contents` is called only when a soname is looked up, since the file is large.
    `find_paths` returns the paths of the suite that a regular expression matches, with the packages that have them.
    """

    def __init__(
        self,
        label: str,
        tables: Sequence[tuple[str, bytes]],
        contents: Callable[[], Contents],
        find_paths: Callable[[bytes], Mapping[str, frozenset[str]]],
    ) -> None:
        self.label = label
        self.find_paths = find_paths
        self.may_miss_libraries = False
        """True once a soname was looked up in a Contents file that the release does not list."""
        self._tables = tuple((archive, SortedTable(table)) for archive, table in tables)
        self._contents = contents

    def newest(self, name: str) -> DebianPackage | None:
        """Return the newest version of a package, or None if the suite does not have it."""
        found = self._newest_row(name)
        return None if found is None else parse_row(*found)

    def _newest_row(self, name: str) -> tuple[str, bytes] | None:
        return max(self._rows(name), key=lambda each: version_key(each[1].split(b"\t", 2)[1].decode()), default=None)

    def satisfying(self, wanted: Relation) -> tuple[DebianPackage, ...]:
        """Return the package that a relation names, then those that provide it, in apt's order: by Priority.

        Only the newest version of a package counts.
        """
        own = self.newest(wanted.name)
        rows = (row for name in self.providing(wanted.name) if (row := self._newest_row(name)) is not None)
        fitting = [(archive, row) for archive, row in rows if any(map(wanted.is_provided_by, _provided(row)))]
        fitting.sort(key=lambda each: (_priority(each[1]), each[1]))
        providers = (parse_row(archive, row) for archive, row in fitting)
        return (*((own,) if own is not None and wanted.allows(own.version) else ()), *(it for it in providers if it.name != wanted.name))

    def providing(self, name: str) -> frozenset[str]:
        """Return the names of the packages that provide a virtual package, in any version."""
        return self._providing.get(name.encode(), frozenset())

    def similar_names(self, name: str) -> tuple[str, ...]:
        """Return up to three package names like this one, the most similar first."""
        return tuple(difflib.get_close_matches(name, {row.partition(b"\t")[0].decode() for _, row in self._all_rows()}, n=3))

    def providers(self, soname: str) -> tuple[str, ...]:
        """Return the packages that have a library of this name in a loader directory, the best first.

        The order is fixed: Debian's preference, no development or debug package, the shortest name, the newest of numbered variants
        (libomp5-16 before libomp5-13).
        """
        preferred = _PREFERRED_PROVIDERS.get(soname)
        names = (name for line in self._providers.named(soname.encode()) for name in line.decode().partition("\t")[2].split(","))
        available = [name for name in names if any(self._rows(name))]
        return tuple(sorted(available, key=lambda name: (name != preferred, *_rank(name))))

    def sonames(self, stem: str) -> tuple[str, ...]:
        """Return the sonames of a library, the shortest first: `libmagic.so.1`, … for `magic`."""
        start = b"lib%b.so." % stem.encode()
        names = (line.decode().partition("\t")[0] for line in self._providers.starting(start))
        return tuple(sorted(names, key=lambda name: (len(name), name)))

    def is_library(self, name: str) -> bool:
        """Return whether a package has a library in a loader directory."""
        return name.encode() in self._library_packages

    def depends(self, package: DebianPackage) -> tuple[tuple[Relation, ...], ...]:
        """Return the Pre-Depends and Depends of a package as groups; one relation of each group is enough (deb-control(5)).

        For a version that the index does not list (a lock may have an older one), return those of the newest version.
        """
        rows = [row.decode().split("\t") for _, row in self._rows(package.name)]
        rows.sort(key=lambda row: row[1] == package.version)
        return tuple(group for field in (rows[-1][7:9] if rows else ()) for group in parse_relations(field))

    def multi_arch(self, name: str) -> str:
        """Return the field Multi-Arch of a package: "same", "foreign", "allowed", or empty (Debian's specification of multiarch)."""
        found = self._newest_row(name)
        return "" if found is None else found[1].rpartition(b"\t")[2].decode()

    def dependents(self, name: str) -> int:
        """Return how many packages of the suite name a package in Depends: of equal ones, the one that Debian itself uses most."""
        return self._dependents[name.encode()]

    @cached_property
    def _dependents(self) -> Counter[bytes]:
        return Counter(name for _, row in self._all_rows() for name in {*_NAMES.findall(row.split(b"\t", 9)[8])})

    @cached_property
    def _library_packages(self) -> frozenset[bytes]:
        return frozenset(name for line in self._providers for name in line.partition(b"\t")[2].split(b","))

    def _rows(self, name: str) -> Iterator[tuple[str, bytes]]:
        """Yield the rows of a package, each with its archive."""
        return ((archive, row) for archive, table in self._tables for row in table.named(name.encode()))

    def _all_rows(self) -> Iterator[tuple[str, bytes]]:
        return ((archive, row) for archive, table in self._tables for row in table)

    @cached_property
    def _providing(self) -> dict[bytes, frozenset[str]]:
        """Virtual package -> the names of the packages that provide it."""
        found: dict[bytes, set[str]] = {}
        for _, row in self._all_rows():
            if provides := row.rsplit(b"\t", 3)[1]:
                name = row[: row.index(b"\t")].decode()
                for virtual in _PROVIDED_NAME.findall(provides):
                    found.setdefault(virtual, set()).add(name)
        return {virtual: frozenset(names) for virtual, names in found.items()}

    @cached_property
    def _providers(self) -> SortedTable:
        """The sonames, each with the names of the packages that have it, separated by commas."""
        contents = self._contents()
        self.may_miss_libraries = not contents.is_listed
        return SortedTable(contents.table)


def _provided(row: bytes) -> tuple[Relation, ...]:
    return tuple(relation for group in parse_relations(row.decode().rsplit("\t", 3)[1]) for relation in group)


def _priority(row: bytes) -> int:
    name = row.rsplit(b"\t", 2)[1]
    return _PRIORITIES.index(name) if name in _PRIORITIES else len(_PRIORITIES)


def _rank(name: str) -> tuple[bool, int, int, str]:
    stem, _, number = name.rpartition("-")
    if not stem or not number.isdigit():
        stem, number = name, "0"
    return name.endswith(("-dev", "-dbg", "-dbgsym", "-debug", "-doc")), len(stem), -int(number), name


def parse_row(archive: str, row: bytes) -> DebianPackage:
    """Return the package in a row of `packages_table`. Raise ArchiveError if its size or hash is malformed."""
    name, version, architecture, filename, hash_text, size, source = row.decode().split("\t")[:7]
    sha256 = as_sha256(hash_text)
    if sha256 is None or not (size.isascii() and size.isdigit() and len(size) < 20):
        raise ArchiveError(f"{name} {version} has no valid size and sha256 in Debian's list of packages", hint="Use another mirror.")
    return DebianPackage(name, version, architecture, filename, sha256, int(size), archive, source.partition(" ")[0] or name)
