"""Requirements files as pip defines them: continuation lines, comments, `-r` and `-c`, options, hashes, and any text encoding.

uv receives the parsed requirements, not the files. Errors can therefore name the file and the line, and relative paths stay relative to
the file that holds them.
"""

import codecs
import hashlib
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import msgspec

from shipwheel.errors import LockError
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.frozen_lines import elsewhere
from shipwheel.project.git_history import repository_root
from shipwheel.user.files import UserFiles
from shipwheel.versions import normalized

if TYPE_CHECKING:
    from packaging.requirements import Requirement

__all__ = ["Line", "Requirements", "decode", "read_requirements"]

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CODING = lazy_pattern(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
_VARIABLE = lazy_pattern(r"\$\{([A-Z0-9_]+)\}")
_COMMENT = lazy_pattern(r"(?:^|\s)#.*$")
_HASH = lazy_pattern(r"--hash(?:=|\s+)([a-z0-9]+):([0-9a-fA-F]+)")
_VCS = lazy_pattern(r"(git|hg|svn|bzr)\+")
_ARCHIVES = (".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar")
_IGNORED = frozenset(
    """
    --require-hashes --trusted-host --use-feature --prefer-binary --use-pep517 --no-use-pep517
    --no-deps --upgrade -U --user --no-cache-dir --progress-bar --disable-pip-version-check
    """.split()  # noqa: SIM905
)
_IGNORED_WITH_VALUE = frozenset({"--trusted-host", "--use-feature", "--only-binary", "--no-binary", "--progress-bar"})
_BUILD_OPTION = lazy_pattern(r"\s--(config-settings?|global-option|install-option)\b")
_AFTER_REQUIREMENT = lazy_pattern(r"\s--(?:hash|no-binary|only-binary|prefer-binary|pre|no-deps)\b")
"""Options behind a requirement. pip reads only hashes there, and ignores those that belong on a line of their own."""
_SHORT_OPTIONS = {"-r": "--requirement", "-c": "--constraint", "-i": "--index-url", "-f": "--find-links"}
_OPTIONS_WITH_VALUE = frozenset(
    {"--requirement", "--constraint", "--index-url", "--extra-index-url", "--find-links", "--pypi-url"} | _IGNORED_WITH_VALUE
)


class Line(msgspec.Struct, frozen=True):
    """One requirement of a file: `text` without hashes, and the sha256 hashes that it allows (none: any file)."""

    text: str
    path: Path
    number: int
    hashes: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """The position as errors name it: `requirements.txt, line 3`."""
        return f"{self.path.name}, line {self.number}"

    @property
    def requirement(self) -> "Requirement | None":
        """The parsed requirement (PEP 508); None for a line without a name: a directory, an archive, a URL or a repository.

        Raises LockError with file and line for text that is neither.
        """
        from packaging.requirements import InvalidRequirement, Requirement

        try:
            return Requirement(self.text)
        except InvalidRequirement as error:
            if self.is_location:
                return None
            reason = str(error).splitlines()[0]
            raise LockError(f"{self.place}: {self.text!r} is not a requirement: {reason}", hint="Correct the line.") from None

    @property
    def is_location(self) -> bool:
        """True if the text looks like a path or a URL rather than a name."""
        head = self.text.split(" ", 1)[0].split("[", 1)[0]
        return bool(
            _VCS.match(head)
            or "://" in head
            or head.startswith((".", "/", "~", "file:"))
            or "/" in head
            or head.lower().endswith(_ARCHIVES)
        )

    @property
    def local_path(self) -> Path | None:
        """The absolute path of a local requirement (`-e .`, `./lib[extra]`, `lib @ file:///…`); None for any other."""
        named = self.requirement
        if named is not None:
            # No file system has a path with a NUL.
            text = unquote(urlsplit(named.url).path).replace("\0", "") if (named.url or "").startswith("file:") else ""
        else:
            text = re.split(r"[\[;]", self.text, maxsplit=1)[0].strip()
        return Path(text) if text and Path(text).is_absolute() else None

    @property
    def is_pinned(self) -> bool:
        """True if the line allows exactly one version or one location."""
        requirement = self.requirement
        if requirement is None or requirement.url:
            return True
        specifiers = list(requirement.specifier)
        return len(specifiers) == 1 and specifiers[0].operator in ("==", "===") and not specifiers[0].version.endswith("*")


class Requirements(msgspec.Struct, frozen=True):
    """The requirements, constraints and options of one or several files together.

    `files` maps each file, in the order of reading, to the hex sha256 of its contents. `no_binary` and `only_binary` map a normalized
    name, or `:all:`, to the line that sets the option. `indexes` are package indexes in uv's form; `index_of` maps a normalized name to
    the name of the index that it must come from.
    """

    lines: tuple[Line, ...] = ()
    constraints: tuple[Line, ...] = ()
    files: Mapping[Path, str] = {}
    index_url: str = ""
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    no_index: bool = False
    prereleases: bool = False
    no_binary: Mapping[str, str] = {}
    only_binary: Mapping[str, str] = {}
    indexes: tuple[Mapping[str, Any], ...] = ()
    index_of: Mapping[str, str] = {}
    notes: tuple[str, ...] = ()
    """Lines that are not taken as they are, a sentence each."""

    @property
    def origin(self) -> str:
        """The name of the first file, by which errors and the lock refer to all of them; without one, the settings have them all."""
        return next((path.name for path in self.files), "the setting dependencies")

    @property
    def is_pinned(self) -> bool:
        """True if every line is pinned, as in a file that `pip freeze` wrote."""
        return bool(self.lines) and all(line.is_pinned for line in self.lines)


def decode(data: bytes) -> str:
    """Decode a text file as pip does: by its byte order mark (Windows PowerShell writes UTF-16), its coding comment, UTF-8, or Latin-1."""
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    if len(data) > 1 and 0 in data[:2]:
        return data.decode("utf-16-be" if data[0] == 0 else "utf-16-le", "replace")
    for line in data.split(b"\n")[:2]:
        if found := _CODING.match(line):
            try:
                return data.decode(found[1].decode("ascii"))
            except (LookupError, UnicodeDecodeError):
                break
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def read_requirements(paths: tuple[Path, ...], files: UserFiles | None = None) -> Requirements:
    """Read requirements files and the files that they include. Raises LockError with every line that is not understood."""
    reader = _Reader(files or UserFiles())
    for path in paths:
        reader.read(path, constraint=False)
    return reader.requirements()


class _Reader:
    """Collects what the files say, and every problem."""

    def __init__(self, user_files: UserFiles) -> None:
        self._user_files = user_files
        self._problems: list[str] = []
        self._lines: list[Line] = []
        self._constraints: list[Line] = []
        self._files: dict[Path, str] = {}
        self._index_url = ""
        self._extra_index_urls: list[str] = []
        self._find_links: list[str] = []
        self._no_index = self._prereleases = False
        self._no_binary: dict[str, str] = {}
        self._only_binary: dict[str, str] = {}
        self._notes: list[str] = []

    def requirements(self) -> Requirements:
        """Return what was read. Raises LockError."""
        for line in (*self._lines, *self._constraints):
            try:
                _ = line.requirement
            except LockError as error:
                self._problems.append(error.message)
        if self._problems:
            raise LockError("\n".join(self._problems), hint="Correct these lines: one requirement a line, in pip's format.")
        return Requirements(
            tuple(_installable(self._lines, self._notes)),
            tuple(_installable(self._constraints, self._notes)),
            self._files,
            self._index_url,
            tuple(self._extra_index_urls),
            tuple(self._find_links),
            self._no_index,
            self._prereleases,
            self._no_binary,
            self._only_binary,
            notes=tuple(self._notes),
        )

    def read(self, path: Path, *, constraint: bool) -> None:
        """Read a file once; with `constraint`, its requirements only limit versions."""
        path = Path(os.path.normpath(path))
        if path in self._files:
            return
        try:
            data = self._user_files.read_bytes(path)
        except FileNotFoundError:
            self._problems.append(f"{path} does not exist: paths are relative to the file that names them, or to the project")
            return
        except OSError as error:
            self._problems.append(f"{path} cannot be read: {error.strerror or error}")
            return
        self._files[path] = hashlib.sha256(data).hexdigest()
        for number, line in _logical_lines(decode(data)):
            try:
                self._take(_expand_variables(line), path, number, constraint=constraint)
            except ValueError as error:
                self._problems.append(f"{path.name}, line {number}: {error}")

    def _take(self, line: str, path: Path, number: int, *, constraint: bool) -> None:
        if not line.startswith("-"):
            self._add(line, path, number, constraint=constraint)
            return
        if editable := re.match(r"(?:-e|--editable)(?:\s*=\s*|\s*)(.+)$", line):
            self._add(editable[1], path, number, constraint=constraint)
            return
        words = shlex.split(line)
        while words:
            if not words[0].startswith("-"):
                self._notes.append(f"{path.name}, line {number}: {words.pop(0)} stands behind an option, where pip reads no requirement.")
                continue
            name, value = _next_option(words)
            if name in ("--requirement", "--constraint"):
                if "://" in value:
                    raise ValueError(f"{name} with a URL is not supported: save that file in the project and name its path")
                self.read(path.parent / value, constraint=constraint or name == "--constraint")
            else:
                self._set(name, value, path, f"{path.name}, line {number}")

    def _set(self, name: str, value: str, path: Path, place: str) -> None:
        match name:
            case "--no-binary":
                _set_formats(value, place, self._no_binary, self._only_binary)
            case "--only-binary":
                _set_formats(value, place, self._only_binary, self._no_binary)
            case "--index-url" | "--pypi-url":
                self._index_url = value
            case "--extra-index-url":
                self._extra_index_urls.append(value)
            case "--find-links":
                self._find_links.append(value if "://" in value else _absolute_path(value, path.parent))
            case "--no-index":
                self._no_index = True
            case "--pre":
                self._prereleases = True
            case _ if name in _IGNORED:
                pass
            case _:
                raise ValueError(f"{name} is not an option of requirements files")

    def _add(self, text: str, path: Path, number: int, *, constraint: bool) -> None:
        hashes = _HASH.findall(text)
        if build_option := _BUILD_OPTION.search(text):
            raise ValueError(f"--{build_option[1]} is not supported: remove it")
        text = _AFTER_REQUIREMENT.split(text, maxsplit=1)[0].strip()
        if hashes and not any(kind == "sha256" for kind, _ in hashes):
            raise ValueError(f"{text.split(' ', 1)[0]} has no sha256 hash; no other kind of hash is accepted")
        allowed = tuple(value.lower() for kind, value in hashes if kind == "sha256")
        line = Line(_absolute(text, path.parent), path, number, allowed)
        (self._constraints if constraint else self._lines).append(line)


def _installable(lines: Iterable[Line], notes: list[str]) -> Iterator[Line]:
    """Yield the lines as another machine than that of `pip freeze` can install them, and note the others."""
    for line in lines:
        requirement = line.requirement
        other = elsewhere(requirement) if requirement is not None else None
        if other is None:
            yield line
            continue
        instead, reason = other
        notes.append(f"{line.place}: {reason}: {f'{instead} comes from the package index' if instead else 'it is left out'}.")
        if instead:
            yield Line(instead, line.path, line.number)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield lines with continuations joined and comments removed, each with the number of its first physical line."""
    pending, first = "", 0
    for number, line in enumerate(text.replace("\0", "").splitlines(), 1):
        comment = line.lstrip().startswith("#")
        if line.endswith("\\") and not comment:
            first = first or number
            pending += line[:-1]
            continue
        # A comment line ends a continuation.
        whole = _COMMENT.sub("", pending + (" " + line if comment else line)).strip()
        if whole:
            yield first or number, whole
        pending, first = "", 0
    if pending and (whole := _COMMENT.sub("", pending).strip()):
        yield first, whole


def _expand_variables(line: str) -> str:
    return _VARIABLE.sub(lambda found: os.environ.get(found[1], found[0]), line)


def _next_option(words: list[str]) -> tuple[str, str]:
    """Remove the next option and its value from the words, and return them."""
    word = words.pop(0)
    if not word.startswith("--") and word[:2] in _SHORT_OPTIONS and len(word) > 2:
        return _SHORT_OPTIONS[word[:2]], word[2:].lstrip("=")
    name, equals, value = word.partition("=")
    name = _SHORT_OPTIONS.get(name, name)
    if name in _OPTIONS_WITH_VALUE and not equals:
        if not words:
            raise ValueError(f"{name} needs a value")
        value = words.pop(0)
    return name, value


def _set_formats(value: str, place: str, chosen: dict[str, str], other: dict[str, str]) -> None:
    """Apply an option as pip does: a later option wins, `:none:` undoes the earlier ones."""
    for name in filter(None, map(str.strip, value.split(","))):
        if name in (":all:", ":none:"):
            chosen.clear()
        if name == ":all:":
            other.clear()
        if name != ":none:":
            key = name if name == ":all:" else normalized(name)
            chosen[key] = place
            other.pop(key, None)


def _absolute(text: str, folder: Path) -> str:
    """Make paths absolute and turn `git+https://…#egg=name` into `name @ git+https://…`."""
    name, at, place = text.partition(" @ ")
    if at and not re.match(r"[a-z+]+:", place.strip()):
        return f"{name} @ {Path(_absolute_path(place, folder)).as_uri()}"
    if at and (relative := re.match(r"file:(?!//)(?!/)(\S+)(.*)", place.strip())):
        return f"{name} @ {Path(_absolute_path(relative[1], folder)).as_uri()}{relative[2]}"
    if (egg := re.search(r"[#&]egg=([A-Za-z0-9._-]+(?:\[[^\]]*\])?)", text)) and not at:
        rest = text.replace(egg[0], "#" if egg[0][0] == "#" and text[egg.end() :].startswith("&") else "").replace("#&", "#")
        return f"{egg[1]} @ {rest}"
    if Line(text, folder, 0).is_location and "://" not in text and not _VCS.match(text):
        head = re.match(r"(?:file:)?([^\[;]+)(.*)$", text, re.DOTALL)
        if head:
            return f"{_local_directory(head[1], folder)}{head[2]}"
    return text


def _local_directory(text: str, folder: Path) -> str:
    """Return the path of a local requirement: pip takes it from where it is started, which is the file's directory or one above it."""
    first, repository = _absolute_path(text, folder), repository_root(folder)
    if repository is None or os.path.exists(first):  # noqa: PTH110 - a line may hold anything
        return first
    above = (_absolute_path(text, each) for each in folder.parents if each.is_relative_to(repository))
    return next((path for path in above if Path(path).is_relative_to(repository) and os.path.exists(path)), first)  # noqa: PTH110


def _absolute_path(text: str, folder: Path) -> str:
    # Do not resolve through the file system: a line may hold anything.
    return os.path.abspath(os.path.join(folder, os.path.expanduser(text.strip())))  # noqa: PTH100, PTH111, PTH118
