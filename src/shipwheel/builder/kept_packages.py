"""The packages of a front end, as the files of the cache of npm, yarn, pnpm or bun: read from one, and written into another machine's."""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from shipwheel.builder.asset_build import LOCK_FILES, package_manager
from shipwheel.digest import Digest, digest_of
from shipwheel.files.segment import key_of
from shipwheel.store.store import Store

__all__ = ["NODE_RECORD", "KeptFile", "find_files", "keep_files", "packages_key", "write_files"]

NODE_RECORD = "node-packages"
"""The kind of the store's records of the packages of front ends."""

_LOGS = "_logs"
_NPM_INDEX = Path("npm", "_cacache", "index-v5")
_HARMLESS_HEADERS = frozenset({"accept", "accept-charset", "accept-encoding", "accept-language", "cache-control"})
"""Those of requests that npm keeps in any case. A registry can make it keep others, by `Vary: Authorization`."""
_CHUNK = 1 << 20


class KeptFile(msgspec.Struct, frozen=True):
    """A file of a cache, by its path there."""

    path: Annotated[str, msgspec.Meta(pattern=r"^(?!\.{1,2}(?:/|\Z))[^/\0]+(?:/(?!\.{1,2}(?:/|\Z))[^/\0]+)*\Z")]
    digest: Digest
    executable: bool = False


def packages_key(directory: Path) -> str:
    """Return the key of the record of a front end's packages: its lock file decides, without one its package.json.

    Raise BuildError if package.json cannot be read.
    """
    manager = package_manager(directory)
    locks = [directory / name for name in LOCK_FILES if (directory / name).is_file()]
    digests = (digest_of(path.read_bytes()) for path in locks or [directory / "package.json"])
    return key_of("node packages", manager.tool, *manager.fetch, *digests)


def find_files(store: Store, directory: Path) -> tuple[KeptFile, ...]:
    """Return the files with the packages of the front end in a directory, all of which the store has; none if they are not kept."""
    found = store.get_as(NODE_RECORD, packages_key(directory), tuple[KeptFile, ...]) or ()
    return found if all(store.has(file.digest) for file in found) else ()


def keep_files(cache: Path, store: Store) -> tuple[KeptFile, ...]:
    """Bring the files of a cache into the store. Links stay behind: they lead to projects. Raise StoreError.

    What npm sent to log in is removed from the cache first.
    """
    for path in _files(cache / _NPM_INDEX):
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
        path.write_text("\n".join(map(_without_credentials, lines)), encoding="utf-8")
    return tuple(
        KeptFile(path.relative_to(cache).as_posix(), _stored(path, store), executable=bool(path.stat().st_mode & 0o100))
        for path in _files(cache)
    )


def _without_credentials(line: str) -> str:
    """Return a line of npm's index with no other headers than those that it always has: the SHA-1 of a document, a tab, the document."""
    try:
        entry = json.loads(line.partition("\t")[2])
        headers = entry["metadata"]["reqHeaders"]
        kept = {name: headers[name] for name in headers if name.lower() in _HARMLESS_HEADERS}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        # npm passes over a line without a document. One that it does not understand may have anything in it.
        return ""
    if kept == headers:
        return line
    entry["metadata"]["reqHeaders"] = kept
    text = json.dumps(entry, separators=(",", ":"), ensure_ascii=False)
    return f"{hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()}\t{text}"


def _files(cache: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(cache):
        folders[:] = sorted(name for name in folders if name != _LOGS)
        paths = (Path(folder, name) for name in sorted(names))
        yield from (path for path in paths if path.is_file() and not path.is_symlink())


def _stored(path: Path, store: Store) -> Digest:
    with path.open("rb") as stream, store.writer() as blob:
        while data := stream.read(_CHUNK):
            blob.write(data)
    return blob.digest


def write_files(files: Sequence[KeptFile], directory: Path, store: Store) -> None:
    """Write files into a new directory. Raise DamagedBlob."""
    for file in files:
        path = directory / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as target:
            for chunk in store.chunks(file.digest):
                target.write(chunk)
        path.chmod(0o755 if file.executable else 0o644)
