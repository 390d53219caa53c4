"""Packages, package indexes and bases that are made without an archive."""

from collections.abc import Mapping, Sequence

from shipwheel.debian.generated_base import GeneratedBase
from shipwheel.debian.package import DebianPackage, DebSource
from shipwheel.debian.package_index import Contents, DebianPackageIndex
from shipwheel.files.entry import Source
from shipwheel.platform import Platform
from shipwheel.store import Store
from shipwheel.suites import Suite
from support.digests import sha256

__all__ = ["base_sources", "debian_package", "index_of"]


def base_sources(packages: Sequence[DebianPackage], platform: Platform, suite: Suite, store: Store) -> tuple[Source, ...]:
    """Return all sources of a composed base: its packages sorted by name, then the generated files."""
    ordered = tuple(sorted(packages, key=lambda package: package.name))
    return (*(DebSource(package, store) for package in ordered), GeneratedBase(ordered, platform, suite, store))


def debian_package(name: str, version: str, archive: str = "debian", filename: str = "pool/main/x/x.deb") -> DebianPackage:
    """Return a package of 7 bytes with a hash of zeros."""
    return DebianPackage(name, version, "amd64", filename, sha256("0" * 64), 7, archive)


def index_of(*names: str, contents: bytes = b"", provides: Mapping[str, str] | None = None) -> DebianPackageIndex:
    """Return an index with version 1 of these packages; `contents` is a table of sonames, `provides` maps a package to its Provides."""
    provides = provides or {}
    rows = (f"{name}\t1\tamd64\tpool/x.deb\t{'0' * 64}\t1\t\t\t\t{provides.get(name, '')}\toptional\n" for name in sorted(names))
    table = "".join(rows).encode()
    return DebianPackageIndex("Debian test", [("debian", table)], lambda: Contents(contents))
