"""Fetched crates as a directory from which cargo takes them, without asking a registry (a source replacement of the kind `directory`)."""

import hashlib
import json
import shutil
import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import msgspec

from shipwheel.decoding import InvalidDocument, convert
from shipwheel.digest import Digest, as_sha256, sha256_digest
from shipwheel.errors import ArchiveError
from shipwheel.files import tar
from shipwheel.files.entry import EntryType, FileEntry
from shipwheel.files.segment import key_of
from shipwheel.store.store import BlobWriter, Store
from shipwheel.wheels.sdist import unpack_sdist

__all__ = [
    "CRATE_RECORD",
    "LockedCrate",
    "fetched_archive",
    "locked_crates",
    "pack_crate",
    "replacement",
    "store_archives",
    "stored_digest",
    "unpack_crates",
]

CRATE_RECORD = "crate"
"""The kind of the store's records with the digests of crates' archives."""

_CRATES_IO = "crates-io"
_REGISTRIES = ("registry+", "sparse+")
_DEFAULT_INDEX = "/crates.io-index"
_NAME = "fetched-crates"
_CHUNK = 1 << 20
_GIT = "git+"
_ENCODES_NAMES = 4
_PACK_HINT = "Build this project where there is a network, or choose another version of the crate."


class LockedCrate(msgspec.Struct, frozen=True):
    """A crate of a Cargo.lock. `source` says where it comes from; `checksum` is the SHA-256 of its archive, empty for a git repository.

    `git` has the keys of cargo's configuration that name such a repository: its address, and the branch, tag or revision of Cargo.toml.
    """

    name: str
    version: str
    source: str
    checksum: str
    git: tuple[tuple[str, str], ...] = ()

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
    def folder(self) -> str:
        """The name of its directory among others."""
        return f"{self.name}-{self.version}"

    @property
    def key(self) -> str:
        """The key of the record of its archive. The source of a crate from git has the commit."""
        return key_of("crate", self.source, self.name, self.version)

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
    version: int = 1
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
            git = _repository(each.source, document.version) if each.source.startswith(_GIT) else ()
            yield LockedCrate(each.name, each.version, each.source, each.checksum or named, git)


def _repository(source: str, version: int) -> tuple[tuple[str, str], ...]:
    """Return the address and the reference of `git+ADDRESS?branch=NAME#COMMIT`. The name is encoded since version 4 of the file."""
    whole = source.removeprefix(_GIT)
    address, _, query = (whole.rpartition("#")[0] or whole).partition("?")
    kind, _, name = query.partition("=")
    return (("git", address), *([(kind, unquote_plus(name) if version >= _ENCODES_NAMES else name)] if kind else ()))


def unpack_crates(crates: Sequence[LockedCrate], archive_of: Callable[[LockedCrate], Path | None], directory: Path) -> bool:
    """Unpack the archives of crates, each into a directory of its own; return whether these are all crates.

    Raise ArchiveError for a hostile one.
    """
    directory.mkdir()
    for crate in crates:
        archive, target = archive_of(crate), directory / crate.folder
        if archive is None or target.exists() or target.parent != directory:
            continue
        unpacked = unpack_sdist(archive, directory / ".unpacked", crate.label)
        (unpacked / ".cargo-checksum.json").write_text(json.dumps({"files": {}, "package": crate.checksum or None}), encoding="utf-8")
        unpacked.rename(target)
        shutil.rmtree(directory / ".unpacked")
    return all((directory / crate.folder).is_dir() for crate in crates)


def fetched_archive(crate: LockedCrate, cargo_home: Path) -> Path | None:
    """Return the archive of a crate that cargo has fetched into its home. It counts only with the checksum of Cargo.lock."""
    places = sorted((cargo_home / "registry" / "cache").glob("*"))
    archives = (place / f"{crate.folder}.crate" for place in places)
    return next((path for path in archives if path.is_file() and not path.is_symlink() and _sha256(path) == crate.checksum), None)


def stored_digest(crate: LockedCrate, store: Store) -> Digest | None:
    """Return the digest of a crate's archive in the store: its checksum, else that of the record. A bundle brings both."""
    named = (crate.digest, store.get_as(CRATE_RECORD, crate.key, Digest))
    return next((digest for digest in named if digest is not None and store.has(digest)), None)


def store_archives(crates: Sequence[LockedCrate], cargo_home: Path, store: Store) -> None:
    """Put the archives that cargo has fetched into the store."""
    for crate in crates:
        if (archive := fetched_archive(crate, cargo_home)) is not None:
            with store.writer() as blob:
                _copy(archive, blob)


def pack_crate(crate: LockedCrate, vendored: Path, store: Store) -> Digest:
    """Put a crate that has no archive into the store: its directory in `vendored`, as an archive. The same files give the same bytes.

    Raise ArchiveError if it is missing, or has anything but files.
    """
    folder = vendored / crate.folder
    found = sorted(folder.rglob("*")) if folder.parent == vendored else []
    strange = [path.name for path in found if path.is_symlink() or not (path.is_file() or path.is_dir())]
    if strange or not found:
        raise ArchiveError(f"{crate.label}: {strange[0]} is no file" if strange else f"{crate.label} is missing", hint=_PACK_HINT)
    with store.writer() as blob:
        for path in (path for path in found if path.is_file()):
            status = path.stat()
            mode = 0o755 if status.st_mode & 0o100 else 0o644
            blob.write(tar.header(FileEntry(path.relative_to(vendored).as_posix(), EntryType.FILE, mode), status.st_size, 0))
            _copy(path, blob)
            blob.write(tar.padding(status.st_size))
        blob.write(tar.END_OF_ARCHIVE)
    return blob.digest


def _copy(path: Path, blob: BlobWriter) -> None:
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            blob.write(chunk)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def replacement(crates: Sequence[LockedCrate], directory: str) -> dict[str, Any]:
    """Return the configuration of cargo that replaces the registries and repositories of crates by a directory."""
    sources: dict[str, Any] = {_CRATES_IO: {"replace-with": _NAME}}
    for source in sorted({crate.source for crate in crates if crate.is_of_registry}):
        kind, _, address = source.partition("+")
        if not address.endswith(_DEFAULT_INDEX):
            sources[source] = {"registry": source if kind == "sparse" else address, "replace-with": _NAME}
    for git in sorted({crate.git for crate in crates if crate.git}):
        sources[" ".join(sum(git, ()))] = {**dict(git), "replace-with": _NAME}
    return {"source": {**sources, _NAME: {"directory": directory}}}
