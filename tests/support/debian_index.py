"""Package indexes and packages that are made without an archive."""

from shipwheel.debian.package import DebianPackage
from shipwheel.debian.package_index import PackageIndex

__all__ = ["debian_package", "index_of"]


def debian_package(name: str, version: str, archive: str = "debian", filename: str = "pool/main/x/x.deb") -> DebianPackage:
    """Return a package of 7 bytes with a hash of zeros."""
    return DebianPackage(name, version, "amd64", filename, "0" * 64, 7, archive)


def index_of(*names: str, contents: bytes = b"") -> PackageIndex:
    """Return an index with version 1 of these packages; `contents` is a table of sonames."""
    table = b"".join(b"%b\t1\tamd64\tpool/x.deb\t%b\t1\t\n" % (name.encode(), b"0" * 64) for name in sorted(names))
    return PackageIndex("Debian test", [("debian", table)], lambda: contents)
