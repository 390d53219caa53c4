"""Requirements files as pip defines them: continuation lines, comments, -r and -c, options, hashes, and whatever encoding they are in.

uv gets what they say, not the files: so errors can name the file and the line, and relative paths stay relative to their file.
"""

import codecs
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from shipwheel.errors import LockError
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
_CODING = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_COMMENT = re.compile(r"(^|\s+)#.*$")
_HASH = re.compile(r"--hash(?:=|\s+)([a-z0-9]+):([0-9a-fA-F]+)")
_VCS = re.compile(r"(git|hg|svn|bzr)\+")
_ARCHIVES = (".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar")
_WITHOUT_MEANING = frozenset(
    """
    --require-hashes --trusted-host --use-feature --prefer-binary --use-pep517 --no-use-pep517
    --no-deps --upgrade -U --user --no-cache-dir --progress-bar --disable-pip-version-check
    """.split()  # noqa: SIM905
)
_WITH_VALUE = frozenset({"--trusted-host", "--use-feature", "--only-binary", "--no-binary", "--progress-bar"})
_BUILDING = re.compile(r"\s--(config-settings?|global-option|install-option)\b")
_SHORT = {"-r": "--requirement", "-c": "--constraint", "-i": "--index-url", "-f": "--find-links"}
_TAKES = frozenset({"--requirement", "--constraint", "--index-url", "--extra-index-url", "--find-links", "--pypi-url"} | _WITH_VALUE)


@dataclass(frozen=True, slots=True)
class Line:
    """One requirement: its text without hashes, where it stands, and the sha256 hashes it allows (none: any)."""

    text: str
    path: Path
    number: int
    hashes: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """What errors call it: `requirements.txt, line 3`."""
        return f"{self.path.name}, line {self.number}"

    @property
    def requirement(self) -> "Requirement | None":
        """The parsed requirement, or None for one that says no name: a directory, a file, an address, a repository.

        Raises LockError naming file and line for what is neither.
        """
        from packaging.requirements import InvalidRequirement, Requirement

        try:
            return Requirement(self.text)
        except InvalidRequirement as error:
            if self.is_place:
                return None
            reason = str(error).splitlines()[0]
            raise LockError(f"{self.place}: {self.text!r} is not a requirement: {reason}", hint="Correct the line.") from None

    @property
    def is_place(self) -> bool:
        """Whether the text looks like a path or an address rather than a name."""
        head = self.text.split(" ", 1)[0].split("[", 1)[0]
        return bool(
            _VCS.match(head)
            or "://" in head
            or head.startswith((".", "/", "~", "file:"))
            or "/" in head
            or head.lower().endswith(_ARCHIVES)
        )

    @property
    def directory(self) -> Path | None:
        """The local directory that is required (`-e .`, `./lib[extra]`, `lib @ file:///…`), absolute; None for anything else."""
        named = self.requirement
        if named is not None:
            text = unquote(urlsplit(named.url).path) if (named.url or "").startswith("file:") else ""
        else:
            text = re.split(r"[\[;]", self.text, maxsplit=1)[0].strip()
        path = Path(text)
        return path if text and path.is_absolute() and path.is_dir() else None


@dataclass(slots=True)
class Requirements:
    """What one or several requirements files say together."""

    lines: list[Line] = field(default_factory=list)
    constraints: list[Line] = field(default_factory=list)
    index_url: str = ""
    extra_index_urls: list[str] = field(default_factory=list)
    find_links: list[str] = field(default_factory=list)
    no_index: bool = False
    prereleases: bool = False
    no_binary: dict[str, str] = field(default_factory=dict)
    """Normalized name, or `:all:`, of what is built from source although there are wheels -> where that stands."""
    only_binary: dict[str, str] = field(default_factory=dict)
    """The same of what is never built."""
    files: list[Path] = field(default_factory=list)
    indexes: list[Mapping[str, Any]] = field(default_factory=list)
    """Further indexes, as uv has them."""
    bound: dict[str, str] = field(default_factory=dict)
    """Normalized name -> the name of the index that it comes from."""

    def itself(self, root: Path) -> Line | None:
        """The line that requires the project in `root`, as `-e .` does; None when there is none."""
        real = root.resolve()
        return next((line for line in self.lines if (found := line.directory) is not None and found.resolve() == real), None)

    @property
    def frozen(self) -> bool:
        """Whether every line is pinned to one version or one place: a list that `pip freeze` and the like wrote."""
        return bool(self.lines) and all(_pinned(line) for line in self.lines)


def _pinned(line: Line) -> bool:
    requirement = line.requirement
    if requirement is None or requirement.url:
        return True
    specifiers = list(requirement.specifier)
    return len(specifiers) == 1 and specifiers[0].operator in ("==", "===") and not specifiers[0].version.endswith("*")


def decode(data: bytes) -> str:
    """A text file's content: byte order marks (Windows PowerShell writes UTF-16), a coding comment, UTF-8, else Latin-1."""
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


def read_requirements(paths: tuple[Path, ...]) -> Requirements:
    """Reads requirements files and those they refer to; raises LockError with every line that cannot be understood."""
    found = Requirements()
    problems: list[str] = []
    for path in paths:
        _read(path, found, problems, constraint=False)
    for line in (*found.lines, *found.constraints):
        try:
            _ = line.requirement
        except LockError as error:
            problems.append(error.message)
    if problems:
        raise LockError("\n".join(problems), hint="Correct that; one requirement a line, as pip defines them.")
    return found


def _read(path: Path, found: Requirements, problems: list[str], *, constraint: bool) -> None:
    path = Path(os.path.normpath(path))
    if path in found.files:
        return
    try:
        text = decode(path.read_bytes())
    except FileNotFoundError:
        problems.append(f"there is no {path}: paths are relative to the file that names them, or to the project")
        return
    except OSError as error:
        problems.append(f"{path} cannot be read: {error.strerror or error}")
        return
    found.files.append(path)
    for number, line in _logical(text):
        try:
            _take(_expanded(line), path, number, found, problems, constraint=constraint)
        except ValueError as error:
            problems.append(f"{path.name}, line {number}: {error}")


def _logical(text: str) -> Iterator[tuple[int, str]]:
    """Lines with continuations joined and comments removed, with the number of the first physical line."""
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


def _expanded(line: str) -> str:
    return _VARIABLE.sub(lambda found: os.environ.get(found[1], found[0]), line)


def _take(line: str, path: Path, number: int, found: Requirements, problems: list[str], *, constraint: bool) -> None:
    if not line.startswith("-"):
        _add(line, path, number, found, constraint=constraint)
        return
    if editable := re.match(r"(?:-e|--editable)(?:\s*=\s*|\s*)(.+)$", line):
        _add(editable[1], path, number, found, constraint=constraint)
        return
    words = shlex.split(line)
    while words:
        name, value = _option(words)
        if name in ("--requirement", "--constraint"):
            if "://" in value:
                raise ValueError(f"{name} with an address is not supported: save the file beside this one")
            _read(path.parent / value, found, problems, constraint=constraint or name == "--constraint")
        else:
            _set(name, value, path, found, f"{path.name}, line {number}")


def _option(words: list[str]) -> tuple[str, str]:
    """Takes the next option and its value off the list."""
    word = words.pop(0)
    if not word.startswith("--") and word[:2] in _SHORT and len(word) > 2:
        return _SHORT[word[:2]], word[2:].lstrip("=")
    name, equals, value = word.partition("=")
    name = _SHORT.get(name, name)
    if name in _TAKES and not equals:
        if not words:
            raise ValueError(f"{name} needs a value")
        value = words.pop(0)
    return name, value


def _set(name: str, value: str, path: Path, found: Requirements, place: str) -> None:
    match name:
        case "--no-binary":
            _control(value, place, found.no_binary, found.only_binary)
        case "--only-binary":
            _control(value, place, found.only_binary, found.no_binary)
        case "--index-url" | "--pypi-url":
            found.index_url = value
        case "--extra-index-url":
            found.extra_index_urls.append(value)
        case "--find-links":
            found.find_links.append(value if "://" in value else _path(value, path.parent))
        case "--no-index":
            found.no_index = True
        case "--pre":
            found.prereleases = True
        case _ if name in _WITHOUT_MEANING:
            pass
        case _:
            raise ValueError(f"the option {name} is not one of a requirements file")


def _control(value: str, place: str, chosen: dict[str, str], other: dict[str, str]) -> None:
    """As pip does: the later one wins, `:none:` takes back what was said before."""
    for name in filter(None, map(str.strip, value.split(","))):
        if name in (":all:", ":none:"):
            chosen.clear()
        if name == ":all:":
            other.clear()
        if name != ":none:":
            key = name if name == ":all:" else normalized(name)
            chosen[key] = place
            other.pop(key, None)


def _add(text: str, path: Path, number: int, found: Requirements, *, constraint: bool) -> None:
    hashes = _HASH.findall(text)
    if building := _BUILDING.search(text):
        raise ValueError(f"--{building[1]} is for building from source in a way of one's own, which is not supported: leave it out")
    text = re.split(r"\s+--hash\b", text, maxsplit=1)[0].strip()
    if hashes and not any(kind == "sha256" for kind, _ in hashes):
        raise ValueError(f"{text.split(' ', 1)[0]} has no sha256 hash, the only kind that is accepted")
    allowed = tuple(value.lower() for kind, value in hashes if kind == "sha256")
    line = Line(_absolute(text, path.parent), path, number, allowed)
    (found.constraints if constraint else found.lines).append(line)


def _absolute(text: str, folder: Path) -> str:
    """Makes paths absolute, and gives repositories their name: `git+https://…#egg=name` is `name @ git+https://…`."""
    name, at, place = text.partition(" @ ")
    if at and not re.match(r"[a-z+]+:", place.strip()):
        return f"{name} @ {Path(_path(place, folder)).as_uri()}"
    if at and (relative := re.match(r"file:(?!//)(?!/)(\S+)(.*)", place.strip())):
        return f"{name} @ {Path(_path(relative[1], folder)).as_uri()}{relative[2]}"
    if (egg := re.search(r"[#&]egg=([A-Za-z0-9._-]+(?:\[[^\]]*\])?)", text)) and not at:
        rest = text.replace(egg[0], "#" if egg[0][0] == "#" and text[egg.end() :].startswith("&") else "").replace("#&", "#")
        return f"{egg[1]} @ {rest}"
    if Line(text, folder, 0).is_place and "://" not in text and not _VCS.match(text):
        head = re.match(r"(?:file:)?([^\[;]+)(.*)$", text, re.DOTALL)
        if head:
            return f"{_path(head[1], folder)}{head[2]}"
    return text


def _path(text: str, folder: Path) -> str:
    # Not resolved through the file system: a line may hold anything.
    return os.path.abspath(os.path.join(folder, os.path.expanduser(text.strip())))  # noqa: PTH100, PTH111, PTH118
