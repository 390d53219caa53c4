"""Fetched crates as a directory from which cargo takes them, without asking a registry (a source replacement of the kind `directory`)."""

import hashlib
import json
import shutil
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from shipwheel.wheels.sdist import unpack_sdist

__all__ = ["LockedCrate", "locked_crates", "replacement", "unpack_crates"]

_CRATES_IO = "crates-io"
_REGISTRIES = ("registry+", "sparse+")
_DEFAULT_INDEX = "/crates.io-index"
_NAME = "fetched-crates"


class LockedCrate(msgspec.Struct, frozen=True):
    """A crate of a Cargo.lock. `source` says where it comes from; `checksum` is the SHA-256 of its archive, empty for a git repository."""

    name: str
    version: str
    source: str
    checksum: str

    @property
    def is_of_registry(self) -> bool:
        """True if it is an archive of a registry."""
        return self.source.startswith(_REGISTRIES)


def locked_crates(locks: Sequence[Path]) -> tuple[LockedCrate, ...]:
    """Return the crates of Cargo.lock files that are not in the source itself. Raise ValueError for a broken file."""
    return tuple(dict.fromkeys(crate for path in locks for crate in _crates(tomllib.loads(path.read_text(encoding="utf-8")))))


def _crates(document: Mapping[str, Any]) -> Iterator[LockedCrate]:
    # The first form of the file has all checksums in a table.
    sums = document.get("metadata", {})
    for each in document.get("package", ()):
        name, version, source = str(each.get("name")), str(each.get("version")), each.get("source")
        if source is not None:
            checksum = each.get("checksum") or sums.get(f"checksum {name} {version} ({source})", "")
            yield LockedCrate(name, version, str(source), str(checksum))


def unpack_crates(crates: Sequence[LockedCrate], cargo_home: Path, directory: Path) -> bool:
    """Unpack the archives that cargo fetched into its home, each into a directory of its own; return whether these are all crates.

    An archive counts only with the checksum of Cargo.lock. Raise ArchiveError for a hostile one.
    """
    directory.mkdir()
    for crate in crates:
        label, places = f"{crate.name} {crate.version}", sorted((cargo_home / "registry" / "cache").glob("*"))
        archives = (place / f"{crate.name}-{crate.version}.crate" for place in places)
        archive = next((path for path in archives if path.is_file() and not path.is_symlink() and _sha256(path) == crate.checksum), None)
        target = directory / f"{crate.name}-{crate.version}"
        if archive is None or target.exists() or target.parent != directory:
            continue
        unpacked = unpack_sdist(archive, directory / ".unpacked", label)
        (unpacked / ".cargo-checksum.json").write_text(json.dumps({"files": {}, "package": crate.checksum}), encoding="utf-8")
        unpacked.rename(target)
        shutil.rmtree(directory / ".unpacked")
    return all((directory / f"{crate.name}-{crate.version}").is_dir() for crate in crates)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def replacement(crates: Sequence[LockedCrate], directory: str) -> dict[str, Any]:
    """Return the configuration of cargo that replaces the registries of crates by a directory."""
    sources: dict[str, Any] = {_CRATES_IO: {"replace-with": _NAME}}
    for source in sorted({crate.source for crate in crates if crate.is_of_registry}):
        kind, _, address = source.partition("+")
        if not address.endswith(_DEFAULT_INDEX):
            sources[source] = {"registry": source if kind == "sparse" else address, "replace-with": _NAME}
    return {"source": {**sources, _NAME: {"directory": directory}}}
