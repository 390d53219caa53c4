"""Packages, package indexes and bases that are made without an archive."""

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from shipwheel.debian.downloads import fetch_packages
from shipwheel.debian.generated_base import GeneratedBase
from shipwheel.debian.mirror import DebianMirror
from shipwheel.debian.package import DebianPackage, DebSource
from shipwheel.debian.package_index import Contents, DebianPackageIndex
from shipwheel.files.entry import Source
from shipwheel.platform import Platform
from shipwheel.store.store import Store
from shipwheel.suites import Suite
from support.digests import sha256

__all__ = ["base_sources", "debian_package", "fetching", "index_of"]


def fetching(mirror: DebianMirror, store: Store) -> Callable[[Sequence[DebianPackage]], None]:
    """Return a function that brings packages from a mirror into a store."""
    return lambda packages: fetch_packages(packages, mirror, store)


def base_sources(packages: Sequence[DebianPackage], platform: Platform, suite: Suite, store: Store) -> tuple[Source, ...]:
    """Return all sources of a composed base: its packages sorted by name, then the generated files."""
    ordered = tuple(sorted(packages, key=lambda package: package.name))
    return (*(DebSource(package, store) for package in ordered), GeneratedBase(ordered, platform, suite, store))


def debian_package(name: str, version: str, archive: str = "debian", filename: str = "pool/main/x/x.deb") -> DebianPackage:
    """Return a package of 7 bytes with a hash of zeros."""
    return DebianPackage(name, version, "amd64", filename, sha256("0" * 64), 7, archive)


def index_of(
    *names: str,
    contents: bytes = b"",
    provides: Mapping[str, str] = MappingProxyType({}),
    depends: Mapping[str, str] = MappingProxyType({}),
    multi_arch: Mapping[str, str] = MappingProxyType({}),
    architecture: str = "amd64",
    paths: Mapping[str, str] = MappingProxyType({}),
    versions: Mapping[str, str] = MappingProxyType({}),
) -> DebianPackageIndex:
    """Return an index with version 1 of these packages, and with those of `versions`.

    `contents` is a table of sonames; `provides`, `depends` and `multi_arch` map a package to that field, `paths` a file to its packages.
    """
    rows = (
        f"{name}\t{versions.get(name, 1)}\t{architecture}\tpool/x.deb\t{'0' * 64}\t1\t\t\t{depends.get(name, '')}"
        f"\t{provides.get(name, '')}\toptional\t{multi_arch.get(name, '')}\n"
        for name in sorted({*names, *versions})
    )
    table = "".join(rows).encode()

    def find_paths(pattern: bytes) -> dict[str, frozenset[str]]:
        return {path: frozenset(found.split(",")) for path, found in paths.items() if re.fullmatch(pattern, path.encode())}

    return DebianPackageIndex("Debian test", [("debian", table)], lambda: Contents(contents), find_paths)
