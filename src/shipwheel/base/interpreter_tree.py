"""The interpreter of a composed base, unpacked into the store. It is verified before every use: its bytecode is kept under its name.

Nothing forces the files to the disk: if a power cut takes some of them, the checksum does not match, and they are unpacked again.
"""

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from shipwheel.files.entry import FileEntry, Source, write_entries
from shipwheel.files.segment import key_of
from shipwheel.platform import boot_id
from shipwheel.store.contents import INTERPRETERS
from shipwheel.store.directory_cache import CachedDirectory, DirectoryCache
from shipwheel.store.store import Store, store_write_error
from shipwheel.witness.file_states import Uncomparable, tree_state

__all__ = ["tree_checksum", "unpack_interpreter"]

_RECORD, _STATE = "interpreter", "interpreter-state"
_PIECE = 128 << 10
_KEPT = 4
"""The number of unused interpreters that stay."""


def unpack_interpreter(sources: Sequence[Source], store: Store) -> CachedDirectory:
    """Return a directory with the files of the sources, as they were when it was unpacked.

    Raise ArchiveError or DamagedBlob for a source, StoreError if the files cannot be written.
    """
    cache, name = DirectoryCache(store.root / INTERPRETERS), key_of("interpreter", *(source.key for source in sources))

    def unpack(directory: Path) -> None:
        for source in sources:
            write_entries(_while_open(source.entries(), store), directory, source.label)
        store.put(_RECORD, name, tree_checksum(directory))

    try:
        tree = cache.find(name)
        if tree is not None and not _is_intact(tree.path, name, store):
            tree.close()
            cache.discard(name)
            tree = None
        if tree is None:
            tree = cache.fill(name, unpack, keep=_KEPT)
            _note_state(tree.path, name, store)
        return tree
    except OSError as error:
        raise store_write_error(store.root, error) from error


def _is_intact(root: Path, name: str, store: Store) -> bool:
    """Return whether a directory's files are those that were unpacked.

    Reading them all takes longer than to compile a module, so that is only done if one may have changed since they were read or written.
    """
    state = _state(root)
    if state is not None and store.get(_STATE, name) == state:
        return True
    intact = tree_checksum(root) == store.get(_RECORD, name)
    if intact:
        _note_state(root, name, store)
    return intact


def _note_state(root: Path, name: str, store: Store) -> None:
    if (state := _state(root)) is not None:
        store.put(_STATE, name, state)


def _state(root: Path) -> bytes | None:
    """Return what stays the same as long as nobody changes a file, and the machine runs; None if that cannot be told.

    A power cut may take what was written before it.
    """
    try:
        return f"{boot_id()}\n{tree_state(str(root), opaque=())}".encode()
    except (OSError, Uncomparable):
        return None


def tree_checksum(root: Path) -> bytes:
    """Return a hash over the paths, types, executable bits and contents of everything below a directory."""
    seen = hashlib.sha256()
    for folder, folders, files in os.walk(root):
        folders.sort()
        for name in sorted((*folders, *files)):
            path = os.path.join(folder, name)  # noqa: PTH118 - for thousands of files
            mode = os.lstat(path).st_mode
            seen.update(
                b"%b\0%o\0%b\0" % (os.fsencode(os.path.relpath(path, root)), stat.S_IFMT(mode) | mode & 0o111, _content(path, mode))
            )
    return seen.hexdigest().encode()


def _content(path: str, mode: int) -> bytes:
    if stat.S_ISLNK(mode):
        return os.fsencode(os.readlink(path))  # noqa: PTH115 - for thousands of files
    if not stat.S_ISREG(mode):
        return b""
    with open(path, "rb", buffering=0) as stream:  # noqa: PTH123 - for thousands of files
        seen = hashlib.sha256()
        while data := stream.read(_PIECE):
            seen.update(data)
        return seen.digest()


def _while_open(entries: Iterable[FileEntry], store: Store) -> Iterator[FileEntry]:
    for entry in entries:
        store.check_open()
        yield entry
