"""Fetched crates as a directory from which cargo takes them, without asking a registry (a source replacement of the kind `directory`)."""

import hashlib
import json
import shutil
import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from shipwheel.decoding import InvalidDocument, convert
from shipwheel.digest import Digest, as_sha256, sha256_digest
from shipwheel.store.store import Store
from shipwheel.wheels.sdist import unpack_sdist

__all__ = ["LockedCrate", "fetched_archive", "locked_crates", "replacement", "store_archives", "stored_archive", "unpack_crates"]

_CRATES_IO = "crates-io"
_REGISTRIES = ("registry+", "sparse+")
_DEFAULT_INDEX = "/crates.io-index"
_NAME = "fetched-crates"
_CHUNK = 1 << 20


class LockedCrate(msgspec.Struct, frozen=True):
    """A crate of a Cargo.lock. `source` says where it comes from; `checksum` is the SHA-256 of its archive, empty for a git repository."""

    name: str
    version: str
    source: str
    checksum: str

    @property
    def label(self) -> str:
        """Its name in messages."""
        return f"{self.name} {self.version}"

    @property
    def digest(self) -> Digest | None:
        """The digest of its archive; None if it has none, because it comes from a git repository."""
        sha256 = as_sha256(self.checksum)
        return sha256_digest(sha256) if sha256 is not None else None

    @property
    def is_of_registry(self) -> bool:
        """True if it is an archive of a registry."""
        return self.source.startswith(_REGISTRIES)


class _Listed(msgspec.Struct):
    name: str
    version: str
    source: str | None = None
    checksum: str = ""


class _CargoLock(msgspec.Struct):
    package: list[_Listed] = []
    metadata: dict[str, str] = {}


def locked_crates(locks: Sequence[Path]) -> tuple[LockedCrate, ...]:
    """Return the crates of Cargo.lock files that are not in the source itself. Raise ValueError for a broken file."""
    try:
        documents = [convert(tomllib.loads(path.read_text(encoding="utf-8")), _CargoLock) for path in locks]
    except (InvalidDocument, RecursionError) as error:
        raise ValueError(str(error)) from error
    return tuple(dict.fromkeys(crate for document in documents for crate in _crates(document)))


def _crates(document: _CargoLock) -> Iterator[LockedCrate]:
    for each in document.package:
        if each.source is not None:
            # The first form of the file has all checksums in a table.
            named = document.metadata.get(f"checksum {each.name} {each.version} ({each.source})", "")
            yield LockedCrate(each.name, each.version, each.source, each.checksum or named)


def unpack_crates(crates: Sequence[LockedCrate], archive_of: Callable[[LockedCrate], Path | None], directory: Path) -> bool:
    """Unpack the archives of crates, each into a directory of its own; return whether these are all crates.

    Raise ArchiveError for a hostile one.
    """
    directory.mkdir()
    for crate in crates:
        archive, target = archive_of(crate), directory / f"{crate.name}-{crate.version}"
        if archive is None or target.exists() or target.parent != directory:
            continue
        unpacked = unpack_sdist(archive, directory / ".unpacked", crate.label)
        (unpacked / ".cargo-checksum.json").write_text(json.dumps({"files": {}, "package": crate.checksum}), encoding="utf-8")
        unpacked.rename(target)
        shutil.rmtree(directory / ".unpacked")
    return all((directory / f"{crate.name}-{crate.version}").is_dir() for crate in crates)


def fetched_archive(crate: LockedCrate, cargo_home: Path) -> Path | None:
    """Return the archive of a crate that cargo has fetched into its home. It counts only with the checksum of Cargo.lock."""
    places = sorted((cargo_home / "registry" / "cache").glob("*"))
    archives = (place / f"{crate.name}-{crate.version}.crate" for place in places)
    return next((path for path in archives if path.is_file() and not path.is_symlink() and _sha256(path) == crate.checksum), None)


def stored_archive(crate: LockedCrate, store: Store) -> Path | None:
    """Return the archive of a crate in the store, where it is under its checksum. A bundle brings it."""
    digest = crate.digest
    return store.path(digest) if digest is not None and store.has(digest) else None


def store_archives(crates: Sequence[LockedCrate], cargo_home: Path, store: Store) -> None:
    """Put the archives that cargo has fetched into the store."""
    for crate in crates:
        if (archive := fetched_archive(crate, cargo_home)) is not None:
            with store.writer() as blob, archive.open("rb") as stream:
                while chunk := stream.read(_CHUNK):
                    blob.write(chunk)


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
