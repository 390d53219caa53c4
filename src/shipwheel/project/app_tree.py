"""The files of a plain app's directory that go into /app.

.gitignore files from the repository's root down (gitignore(5)), .dockerignore and the setting `exclude` leave files out; the setting
`include` takes them back. A .gitignore file leaves nothing out that git tracks. Virtual environments, caches and version control never go
into an image. Secrets never do either, whatever the rules say (secret_files.py): they are reported, and belong in the environment or a
volume of the container.
"""

import os
import posixpath
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from shipwheel.errors import ProjectError
from shipwheel.files.entry import is_whiteout
from shipwheel.project.default_excludes import NEVER_INCLUDED, is_excluded_by_default
from shipwheel.project.git_history import repository_root, tracked_files
from shipwheel.project.gitignore import dockerignore_spec, gitignore_spec, read_gitignore
from shipwheel.project.secret_files import MAX_READ_BYTES, SecretRules
from shipwheel.project.secret_tokens import FoundToken
from shipwheel.timeline import TIMELINE_START

if TYPE_CHECKING:
    from pathspec import PathSpec

__all__ = ["AppFile", "AppTree", "is_storable", "list_app", "list_copies"]

_NO_SOURCE = ("pyvenv.cfg", "oci-layout", "CACHEDIR.TAG")
"""Files that mark a directory as a virtual environment, an image layout or a cache (https://bford.info/cachedir)."""

_STORE = frozenset({"blobs", "records", "partial", "tmp"})
"""The directories of shipwheel's own store, which a CI job may keep in the project."""

_OUTPUT_STARTS = {
    # The name of the first member of an image archive, of a bundle, and of one for builds.
    ".tar": (b"oci-layout\0", b"shipwheel-bundle.json\0", b"shipwheel-build.json\0"),
    # What `build --timeline` writes, from its first moment on.
    ".json": (TIMELINE_START.encode(),),
    # The first line of compose files and manifests.
    ".yaml": (b"# Made by `shipwheel ", b"# Made once by `shipwheel "),
}
"""End of a file's name -> how a file starts that shipwheel has written."""


class AppFile(msgspec.Struct, frozen=True):
    """A file or symbolic link of the app."""

    path: str
    """Below /app."""
    host: Path
    """On this machine."""
    executable: bool
    size: int
    """In bytes."""
    link: str | None = None
    """The target of a symbolic link."""


class AppTree(msgspec.Struct, frozen=True):
    """The files that go into /app, and those that do not for a reason that the user should know."""

    files: tuple[AppFile, ...]
    """Sorted by path."""
    secrets: tuple[str, ...] = ()
    """Paths that are left out because they are secrets; directories end with a slash. A token is named with its line."""
    tokens: tuple[FoundToken, ...] = ()
    """Tokens in files that the app may need. No image may be made of them."""
    special: tuple[str, ...] = ()
    """Sockets, pipes and devices, which no image can hold."""
    catalogues: frozenset[str] = frozenset()
    """Paths of translations that are compiled for the image."""


def list_app(
    root: Path,
    *,
    include: Iterable[str] = (),
    exclude: Iterable[str] = (),
    only: Iterable[str] = (),
    secret_rules: SecretRules | None = None,
) -> AppTree:
    """Return the app's files below `root`.

    Args:
        root: The app's directory.
        include: Patterns, as in .gitignore, of files to take although a rule leaves them out.
        exclude: Patterns of files to leave out.
        only: Paths to take instead of the whole directory.
        secret_rules: Decides which files are secrets; by default the user allows none of them.

    Raises ProjectError with all symbolic links that lead out of the directory and all names that an image cannot hold.
    """
    walk = _Walk(Path(os.path.normpath(root.absolute())), tuple(include), tuple(exclude), secret_rules or SecretRules())
    if chosen := tuple(only):
        walk.take_paths(chosen)
    else:
        walk.take_directory("", walk.rules_above())
    return walk.tree()


def list_copies(root: Path, copies: Mapping[str, str], *, secret_rules: SecretRules | None = None) -> AppTree:
    """Return files of the project below `root` with other paths: `copies` maps absolute paths to those in the project.

    Ignore files do not count, secrets do. The paths of the files are relative to the image's root; of two at one path, the last counts.
    Raises ProjectError as `list_app`, and for a path that the project does not have.
    """
    walk = _Walk(Path(os.path.normpath(root.absolute())), tuple(map(_pattern, copies.values())), (), secret_rules or SecretRules())
    for target, source in copies.items():
        walk.take_copy(source, target.strip("/"))
    return walk.tree()


def _pattern(path: str) -> str:
    """Return the pattern that matches a path, and what is below it, alone."""
    return "/" + re.sub(r"([\\*?\[\]!# ])", r"\\\1", path)


class _Rules(msgspec.Struct, frozen=True):
    """The patterns of one ignore file."""

    base: str
    """The file's directory relative to the root, with a trailing slash; empty for the root and for files above it."""
    spec: "PathSpec[Any]"
    prefix: str = ""
    """The root relative to the directory of an ignore file above it, with a trailing slash."""

    def decide(self, path: str, is_directory: bool) -> bool | None:
        """Return whether the patterns exclude a path; None if none matches."""
        if not path.startswith(self.base):
            return None
        return self.spec.check_file(self.prefix + path[len(self.base) :] + ("/" if is_directory else "")).include


class _Walk:
    """Collects the files of a directory."""

    def __init__(self, root: Path, include: tuple[str, ...], exclude: tuple[str, ...], secret_rules: SecretRules) -> None:
        self._root = root
        self._real = os.path.realpath(root)
        self._exclude = _Rules("", gitignore_spec(exclude, "exclude")) if exclude else None
        self._include = _Rules("", gitignore_spec(include, "include")) if include else None
        self._docker = _docker_rules(root / ".dockerignore")
        # A pattern that takes files back may match below an excluded directory.
        self._enters_excluded = include or (self._docker and any(pattern.include is False for pattern in self._docker.spec.patterns))
        self._secret_rules = secret_rules
        self.files: list[AppFile] = []
        self.secrets: list[str] = []
        self.tokens: list[FoundToken] = []
        self.special: list[str] = []
        self.problems: list[str] = []

    @cached_property
    def _tracked(self) -> frozenset[str]:
        """The files that git tracks. Git is asked only if something is ignored."""
        return tracked_files(self._root) if repository_root(self._root) is not None else frozenset()

    @cached_property
    def _tracked_directories(self) -> frozenset[str]:
        return frozenset(parent for file in self._tracked for parent in _directories_above(file))

    def rules_above(self) -> tuple[_Rules, ...]:
        """Return the .gitignore files from the repository's root down to ours; none if they exclude our root as a whole."""
        above = []
        for directory in self._root.parents if not (self._root / ".git").exists() else ():
            prefix = self._root.relative_to(directory).as_posix() + "/"
            if (directory / ".gitignore").is_file():
                above.append(_Rules("", read_gitignore(directory / ".gitignore"), prefix))
            if (directory / ".git").exists():
                break
        else:
            return ()
        rules = tuple(reversed(above))
        excluded = any(rule.spec.check_file(rule.prefix).include for rule in rules)
        return () if excluded else rules

    def take_paths(self, paths: tuple[str, ...]) -> None:
        """Take these paths and nothing else: no rule applies, but secrets stay out."""
        for path in paths:
            self._take_file(path, self._root / path)

    def take_copy(self, source: str, target: str) -> None:
        """Take a file or directory of the project for another path."""
        host, known = self._root / source, len(self.files)
        if not _is_below(os.path.realpath(host), self._real):
            self.problems.append(f"{source}, which is to be copied to /{target}, leads out of the project")
        elif host.is_dir():
            self.take_directory(f"{source}/", (), host=host)
        elif host.is_file():
            self._take_file(source, Path(os.path.realpath(host)))
        else:
            self.problems.append(f"{source}, which is to be copied to /{target}, is not in the project")
        taken = [self._moved(file, source, target) for file in self.files[known:]]
        moved = {file.path for file in taken}
        self.files = [*(file for file in self.files[:known] if file.path not in moved), *taken]

    def _moved(self, file: AppFile, source: str, target: str) -> AppFile:
        inside = posixpath.normpath(posixpath.join(posixpath.dirname(file.path), file.link)) if file.link is not None else source
        if not _is_below(inside, source):
            self.problems.append(f"the symbolic link {file.path} leads out of {source}, to {file.link}")
        return msgspec.structs.replace(file, path=target + file.path[len(source) :])

    def tree(self) -> AppTree:
        """Return what was taken. Raises ProjectError with all problems."""
        if self.problems:
            raise ProjectError(
                "; ".join(sorted(self.problems)), hint='Rename or move these files, or leave them out with the setting exclude = ["..."].'
            )
        return AppTree(
            tuple(sorted(self.files, key=lambda file: file.path)),
            tuple(sorted(self.secrets)),
            tuple(sorted(self.tokens, key=lambda token: (token.path, token.line))),
            tuple(sorted(self.special)),
        )

    def take_directory(self, base: str, rules: tuple[_Rules, ...], ignored: bool = False, host: Path | None = None) -> None:
        """Take what is below a directory.

        Args:
            base: The directory relative to the root, with a trailing slash; empty for the root.
            rules: The .gitignore files above it.
            ignored: Whether one of them excludes it.
            host: The directory on this machine.
        """
        host = host or self._root
        try:
            with os.scandir(host) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            self.problems.append(f"{base or self._root} cannot be read: {error.strerror or error}")
            return
        names = {entry.name for entry in entries}
        if base and (not names.isdisjoint(_NO_SOURCE) or names >= _STORE or any(map(_is_made_chart, entries))):
            return
        if any(entry.name == ".gitignore" and entry.is_file() for entry in entries):
            rules = (*rules, _Rules(base, read_gitignore(host / ".gitignore")))
        known = len(self.files)
        for entry in entries:
            if entry.name not in NEVER_INCLUDED:
                self._take_entry(base + _image_name(entry.name), entry, rules, ignored)
        if base and len(self.files) == known:
            self._take_marker(base, entries, rules, ignored)

    def _take_marker(self, base: str, entries: Sequence[os.DirEntry[str]], rules: tuple[_Rules, ...], ignored: bool) -> None:
        """Take the .gitignore file of a directory that is in git for nothing else: the app expects that directory."""
        marker = next((entry for entry in entries if entry.name == ".gitignore" and entry.is_file(follow_symlinks=False)), None)
        path = base + ".gitignore"
        if marker is not None and not self._is_excluded(path, False, _is_ignored(path, False, rules, ignored)):
            self._take_file(path, marker)

    def _take_entry(self, path: str, entry: os.DirEntry[str], rules: tuple[_Rules, ...], ignored: bool) -> None:
        is_directory = entry.is_dir(follow_symlinks=False)
        ignored = _is_ignored(path, is_directory, rules, ignored, by_default=is_excluded_by_default(path))
        if ignored and path in self._tracked:
            ignored = is_excluded_by_default(path)
        excluded = self._is_excluded(path, is_directory, ignored)
        if excluded and not (is_directory and (self._enters_excluded or path in self._tracked_directories)):
            return
        if not is_storable(path):
            name = path.encode(errors="surrogateescape")
            self.problems.append(f"an image cannot hold the name {name!r}: it is not UTF-8")
        elif is_whiteout(path) and not is_directory:
            self.problems.append(f"an image cannot hold the name {path}: there, a name that starts with .wh. deletes other files")
        elif self._secret_rules.is_secret_by_name(path + "/" * is_directory):
            if not excluded:
                self.secrets.append(path + "/" * is_directory)
        elif is_directory:
            if not _is_build_output(path, Path(entry.path)):
                self.take_directory(path + "/", rules, ignored, Path(entry.path))
        elif entry.is_symlink():
            self._take_symlink(path, entry)
        elif not _is_output(entry):
            self._take_file(path, entry)

    def _is_excluded(self, path: str, is_directory: bool, ignored: bool) -> bool:
        excluded = ignored or (self._docker is not None and _docker_excludes(self._docker.spec, path, is_directory))
        decision = self._exclude.decide(path, is_directory) if self._exclude is not None else None
        excluded = excluded if decision is None else decision
        return excluded and not (self._include is not None and self._include.decide(path, is_directory))

    def _take_file(self, path: str, entry: os.DirEntry[str] | Path) -> None:
        try:
            status = entry.stat(follow_symlinks=False)
            if not stat.S_ISREG(status.st_mode):
                self.special.append(path)
                return
            found = self._secret_rules.inspect(path, status.st_size, lambda: _read_start(Path(entry)))
            self.tokens += found.tokens
            if found.left_out:
                self.secrets.append(found.left_out)
            else:
                self.files.append(AppFile(path, Path(entry), bool(status.st_mode & 0o111), status.st_size))
        except OSError as error:
            self.problems.append(f"{path} cannot be read: {error.strerror or error}")

    def _take_symlink(self, path: str, entry: os.DirEntry[str]) -> None:
        target = os.fspath(Path(entry).readlink())
        if not is_storable(_image_name(target)):
            self.problems.append(f"an image cannot hold the target of the symbolic link {path}: it is not UTF-8")
            return
        lexical = os.path.normpath(Path(entry).parent / target)
        in_root = _is_below(lexical, str(self._root))
        if not _is_below(os.path.realpath(entry.path), self._real) or not (in_root or _is_below(lexical, self._real)):
            self.problems.append(f"the symbolic link {path} leads out of the project, to {target}")
            return
        if Path(target).is_absolute():
            below_root = os.path.relpath(lexical, str(self._root) if in_root else self._real)
            target = os.path.relpath(below_root, os.path.relpath(Path(entry).parent, self._root))
        self.files.append(AppFile(path, Path(entry.path), False, 0, _image_name(target)))


def _is_made_chart(entry: os.DirEntry[str]) -> bool:
    """Return whether a file makes its directory a chart of `export helm`, which has files without a first line of ours too."""
    return entry.name == "Chart.yaml" and _is_output(entry)


def _is_ignored(path: str, is_directory: bool, rules: tuple[_Rules, ...], ignored: bool, *, by_default: bool = False) -> bool:
    """Return whether .gitignore files exclude a path; nothing below an ignored directory comes back.

    `by_default` counts where none of them decides.
    """
    if ignored:
        return True
    ignored = by_default
    for rule in rules:
        decision = rule.decide(path, is_directory)
        ignored = ignored if decision is None else decision
    return ignored


def _directories_above(path: str) -> Iterator[str]:
    while path := posixpath.dirname(path):
        yield path


def _read_start(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(MAX_READ_BYTES)


def _is_below(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip(os.sep) + os.sep)


def _image_name(name: str) -> str:
    """Return a name on this machine as an image has it: its bytes are UTF-8, whatever the locale decodes them as."""
    return os.fsencode(name).decode(errors="surrogateescape")


def is_storable(name: str) -> bool:
    """Return whether an image can hold a name: it must be UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_output(entry: os.DirEntry[str]) -> bool:
    """Return whether shipwheel has written a file: the next image would include it, and be another one each time."""
    starts = _OUTPUT_STARTS.get(Path(entry).suffix, ())
    if not starts or not entry.is_file(follow_symlinks=False):
        return False
    try:
        with Path(entry).open("rb") as stream:
            return stream.read(max(map(len, starts))).startswith(starts)
    except OSError:
        return False  # Taking the file reports why it cannot be read.


def _is_build_output(path: str, host: Path) -> bool:
    """Return whether packaging tools left a directory: dist with wheels or sdists, build with their scratch directories."""
    if path == "dist":
        return any(host.glob("*.whl")) or any(host.glob("*.tar.gz"))
    return path == "build" and (any(host.glob("bdist.*")) or (host / "lib").is_dir())


def _docker_rules(path: Path) -> _Rules | None:
    """Return the rules of a .dockerignore file."""
    return _Rules("", dockerignore_spec(path)) if path.is_file() else None


def _docker_excludes(spec: "PathSpec[Any]", path: str, is_directory: bool) -> bool:
    """Return the decision of the last pattern that matches a path or a directory above it."""
    parts = path.split("/")
    every = [*("/".join(parts[:number]) + "/" for number in range(1, len(parts))), path + "/" * is_directory]
    matches = [result for part in every if (result := spec.check_file(part)).index is not None]
    return bool(matches) and max(matches, key=lambda result: result.index or 0).include is True
