"""Parsing what compilers, linkers, pkg-config and build backends print when something is missing. No other module does it."""

import re
from collections.abc import Iterator
from enum import Enum, auto

import msgspec

from shipwheel.lazy_pattern import lazy_pattern

__all__ = ["Lack", "LackKind", "lacks_in", "last_useful_lines", "needs_newer_rust", "needs_rust", "ran_foreign_program"]


class LackKind(Enum):
    """The kind of a missing thing."""

    HEADER = auto()
    """A file that C or C++ code includes, as it names it: `ldap.h`, `curl/curl.h`."""
    LIBRARY = auto()
    """A library that the linker is told to take, without `lib` and `.so`: `sasl2`."""
    NAMED = auto()
    """A library or program by the name that people give it: that of its file, module of pkg-config or header, in lower case: `zlib`."""
    CMAKE = auto()
    """A file by which CMake finds a package: `Eigen3Config.cmake`."""
    MODULE = auto()
    """A module of pkg-config: `libffi`."""
    PROGRAM = auto()
    """A program: `pg_config`."""


class Lack(msgspec.Struct, frozen=True):
    """A thing that a build misses."""

    kind: LackKind
    name: str


_NAME = r"[A-Za-z0-9][A-Za-z0-9+._-]*"
_FORMS = (
    (LackKind.HEADER, r"fatal error: ([\w+./-]+\.\w+|[\w+./-]+): No such file or directory"),
    (LackKind.HEADER, r"""['"]([\w+./-]+\.h(?:pp)?)['"] file not found"""),
    (LackKind.HEADER, r"(?i:unable|cannot|could not|can't) (?i:to )?(?i:find|locate) (?:the )?([\w+./-]+\.h)\b"),
    (LackKind.LIBRARY, r"cannot find -l([\w+.-]+?)(?::|$|\s)"),
    (LackKind.NAMED, rf"(?i:headers or library files could not be found for) ({_NAME})"),
    (LackKind.NAMED, rf"\b(?:lib)?({_NAME})(?: and (?:lib)?({_NAME}))? (?:development|-dev) packages? (?:are|is|must)"),
    (LackKind.NAMED, rf"CMake Error at .*:\n\s+Could NOT find (?!Python)({_NAME}) \(missing"),
    (LackKind.CMAKE, rf"^    ({_NAME}(?:C|-c)onfig\.cmake)$"),
    (LackKind.MODULE, rf"({_NAME}) is not installed or not in path"),
    (LackKind.MODULE, rf"Package '?({_NAME})'?(?:, required by '[^']+',)? (?:was )?not found"),
    (LackKind.MODULE, rf"No package '({_NAME})' found"),
    (LackKind.MODULE, rf"pkg-config (?:--[\w-]+ )+'?({_NAME})'?' (?:returned|died|failed)"),
    (LackKind.MODULE, rf"'pkg-config', (?:'--[\w-]+', )+'({_NAME})'"),
    (LackKind.MODULE, rf"Dependency \"({_NAME})\" not found"),
    (LackKind.PROGRAM, rf"({_NAME}[_-]config)(?:\.exe)? (?:executable )?(?:is )?(?:not found|required)"),
    (LackKind.PROGRAM, rf"(?:No such file or directory|not found): '({_NAME})'"),
    (LackKind.PROGRAM, rf"(?:^|: )({_NAME}): (?:command )?not found"),
    (LackKind.PROGRAM, rf"(?:command|unable to execute) '({_NAME})'(?: failed)?: No such file or directory$"),
    (LackKind.PROGRAM, rf"Could not run ({_NAME})"),
    # Of crates that compile C, or start a program while they are compiled.
    (LackKind.MODULE, rf"The system library `({_NAME})` required by crate"),
    (LackKind.PROGRAM, rf"is `({_NAME})` not installed\?"),
    (LackKind.PROGRAM, rf"Could not find `({_NAME})`\. If "),
    (LackKind.PROGRAM, rf"Program '({_NAME})' not found|[Uu]nable to find (?:program )?'({_NAME}[_-]config)'"),
)
_PATTERNS = tuple((kind, lazy_pattern(form, re.MULTILINE)) for kind, form in _FORMS)
_ERROR = lazy_pattern(r"(?i)\berror\b|\bfatal\b|not found|No such file|cannot find|undefined reference|unable to|requires rustc")
_FOREIGN = lazy_pattern(r"cannot run C\S* compiled programs|Exec format error|binary or interpreter not executable")
_RUST = lazy_pattern(r"\b(?:cargo|rustc|rustup|maturin)\b|\bRust compiler\b")
_NEWER_RUST = lazy_pattern(
    r"requires rustc \d|rustc [\d.]+ is not supported by|newer than the currently active|older than the `\d+` edition|"
    r"lock file version .{0,9}requires|lock file version `?\d+`? was found|feature `edition\d+` is required|requires rust-version|"
    r"rust-version [\d.]+ or newer|[Mm]inimum supported [Rr]ust|MSRV"
)
_NOISE = lazy_pattern(r'\s*(?:File "|\^+$|raise |\+ )')
_COMMAND = lazy_pattern(r"^\s*(?:\S*/)?(?:[\w-]+-)?(?:gcc|g\+\+|cc|c\+\+)(?:-\d+)? ")
_MAX_LINES = 25


def lacks_in(output: str) -> tuple[Lack, ...]:
    """Return what a failed build misses by its output, in the order in which it is named."""
    found: list[tuple[int, Lack]] = []
    for kind, pattern in _PATTERNS:
        named = ((match.start(), name) for match in pattern.finditer(output) for name in filter(None, match.groups()))
        found += [(place, Lack(kind, name.lower() if kind is LackKind.NAMED else name)) for place, name in named]
    return tuple(dict.fromkeys(lack for _, lack in sorted(found, key=lambda each: each[0])))


def needs_rust(output: str) -> bool:
    """Return whether a failed build asked for Rust's compiler or its package manager."""
    return _RUST.search(output) is not None


def needs_newer_rust(output: str) -> bool:
    """Return whether a failed build refused the version of Rust's compiler or of cargo."""
    return _NEWER_RUST.search(output) is not None


def ran_foreign_program(output: str) -> bool:
    """Return whether a failed build started a program that it had compiled for another machine."""
    return _FOREIGN.search(output) is not None


def last_useful_lines(output: str) -> tuple[str, ...]:
    """Return the lines of a failed build's output that explain it: those with errors first, without the compiler's long commands."""
    lines = [line.rstrip() for line in output.splitlines() if line.strip() and not (_COMMAND.match(line) or _NOISE.match(line))]
    errors = list(dict.fromkeys(_errors(lines)))
    rest = [line for line in lines[-_MAX_LINES:] if line not in errors]
    return (*errors[:_MAX_LINES], *rest[-max(5, _MAX_LINES - len(errors)) :])


def _errors(lines: list[str]) -> Iterator[str]:
    yield from (line for line in lines if _ERROR.search(line) and not line.lstrip().startswith("warning"))
