"""The project's own files, in the working directory of the image, with their bytecode."""

import hashlib
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import msgspec

from shipwheel.errors import ProjectError
from shipwheel.files.entry import Content, EntryType, FileEntry, LazyContent, directories_above, directory, file, symlink
from shipwheel.files.segment import key_of
from shipwheel.project.app_tree import AppFile, AppTree
from shipwheel.project.entrypoint.launch import INITIAL_SUFFIX
from shipwheel.project.translations import TRANSLATIONS_VERSION, compile_catalogue
from shipwheel.wheels.bytecode import Compiler, pyc_path

__all__ = ["AppSource", "CopiedSource", "without_linked"]

_LARGE = 8 << 20
_MODULE = 16 << 20


def without_linked(tree: AppTree, links: Iterable[tuple[str, str]]) -> AppTree:
    """Return the tree with each file renamed whose path becomes a link to a volume: the first start copies it to the volume."""
    linked = {path for path, _ in links}
    files = [msgspec.structs.replace(item, path=item.path + INITIAL_SUFFIX) if item.path in linked else item for item in tree.files]
    return msgspec.structs.replace(tree, files=tuple(sorted(files, key=lambda item: item.path)))


class AppSource(msgspec.Struct, frozen=True, dict=True):
    """Files of the project below `workdir` (without the leading slash), with their bytecode."""

    label: str
    tree: AppTree
    workdir: str
    minor: str
    compiler: Compiler | None = None

    @cached_property
    def key(self) -> str:
        """Hash of every file's path, mode and content: modification times do not show every edit."""
        compiler = self.compiler.identity if self.compiler else ""
        catalogues = (f"catalogue {TRANSLATIONS_VERSION} {path}" for path in sorted(self.tree.catalogues))
        return key_of("app", self.workdir, compiler, *catalogues, *(f"{path}\0{text}" for path, text in self._fingerprints.items()))

    @cached_property
    def _fingerprints(self) -> dict[str, str]:
        return {item.path: _fingerprint(item) for item in self.tree.files}

    def entries(self) -> Iterator[FileEntry]:
        """Yield the directories, then the files, both sorted by path. Raises ProjectError for a file that changed or cannot be read."""
        entries = [self._entry(item) for item in self.tree.files]
        entries += self._translations()
        entries += self._bytecode()
        paths = {self.workdir, *directories_above((self.workdir, *(entry.path for entry in entries)))}
        yield from (directory(path) for path in sorted(paths - {""}))
        yield from sorted(entries, key=lambda entry: entry.path)

    def _entry(self, item: AppFile) -> FileEntry:
        path = self._place(item)
        if item.link is not None:
            return symlink(path, item.link)
        return FileEntry(path, EntryType.FILE, 0o755 if item.executable else 0o644, self._content(item))

    def _place(self, item: AppFile) -> str:
        return f"{self.workdir}/{item.path}" if self.workdir else item.path

    def _content(self, item: AppFile) -> Content:
        return LazyContent(item.size, lambda: _open(item.host)) if item.size > _LARGE else self._read(item)

    def _read(self, item: AppFile) -> bytes:
        """Return the content that the key was made from. Raises ProjectError if the file was edited since."""
        with _open(item.host) as stream:
            data = stream.read()
        if not self._fingerprints[item.path].endswith(hashlib.sha256(data).hexdigest()):
            raise ProjectError(f"{item.host} changed during the build", hint="Run the command again.")
        return data

    def _translations(self) -> Iterator[FileEntry]:
        for item in self.tree.files:
            if item.path in self.tree.catalogues:
                yield file(f"{self._place(item)[:-3]}.mo", compile_catalogue(self._read(item), item.path))

    def _bytecode(self) -> Iterator[FileEntry]:
        if self.compiler is None:
            return
        modules = [item for item in self.tree.files if item.path.endswith(".py") and item.link is None and item.size <= _MODULE]
        paths = [self._place(item) for item in modules]
        sources = [(f"/{path}", self._read(item)) for path, item in zip(paths, modules, strict=True)]
        for path, content in zip(paths, self.compiler.compile(sources), strict=True):
            if content is not None:
                yield FileEntry(pyc_path(path, self.minor), EntryType.FILE, 0o644, content)


class CopiedSource(AppSource, frozen=True):
    """Files of the project at other places of the image: their paths are relative to its root."""


def _fingerprint(item: AppFile) -> str:
    if item.link is not None:
        return f"link {item.link}"
    seen = hashlib.sha256()
    with _open(item.host) as stream:
        while data := stream.read(1 << 20):
            seen.update(data)
    return f"{item.executable} {seen.hexdigest()}"


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise ProjectError(f"{path} cannot be read: {error.strerror}", hint="Make it readable, or leave it out with `exclude`.") from error
