"""uv's output, parsed into values: the only module that depends on the wording of uv's messages.

uv has no machine-readable errors, so its standard error is parsed. tests/locking/test_uv_contract.py runs the real uv for every form that
is relied on here, and pyproject.toml bounds uv's version: raise that bound only together with that test.

An error begins with `error:`; each cause follows on a line that begins with `  cause:`, and hints with `hint:`. What a build backend or
git printed stands below its cause, after a line such as `[stderr]`, and decides nothing.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum, auto
from urllib.parse import urlsplit

import msgspec

from shipwheel.digest import Sha256, as_sha256
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.locking.old_builds import older_requirement_in
from shipwheel.versions import normalized

__all__ = [
    "ROOT",
    "Failure",
    "FailureKind",
    "Premise",
    "UnusablePackage",
    "default_index_in",
    "expected_sha256_in",
    "in_users_terms",
    "is_outdated_lock",
    "lacks_upload_times",
    "missing_module_in",
    "parse_failure",
    "plain_text",
    "torch_backend_in",
]

ROOT = "shipwheel-lock"
"""The name of the project that uv locks in place of the user's. uv's messages call it by this name, or "your project"."""

_ANSI = lazy_pattern(r"\x1b\[[0-9;]*m")
_NAME = r"[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?"
_EXTRAS = r"(?:\[[^\]]*\])?"
_SPECIFIER = r"(?:[<>=!~]\S*)?"

_PRINTED_BY_OTHERS = lazy_pattern(r"\s*(\[(stderr|stdout)\]|--- (stderr|stdout))$")
_PREMISE = lazy_pattern(rf"(?:all versions of )?({_NAME}){_EXTRAS}({_SPECIFIER}) depends? on ({_NAME})({_EXTRAS})({_SPECIFIER})")
_NEXT_REQUIREMENT = lazy_pattern(rf"({_NAME})({_EXTRAS})({_SPECIFIER})$")
_NOT_FOUND = lazy_pattern(rf"({_NAME}) was not found in the package registry")
_INVALID = lazy_pattern(rf"({_NAME})(?:==(\S+))? has invalid metadata")
_NO_VERSION = lazy_pattern(rf"no versions? of ({_NAME})")
_UNUSABLE = lazy_pattern(
    rf"({_NAME}){_EXTRAS}(?:\{{[^}}]*\}})?((?:[=<>!~]=|[<>])\S+)? (?:has|have) no "
    r"(?:(`[^`]*`)-compatible )?(?:usable )?wheels( with a matching Python)?"
)

_NO_INTERPRETER = lazy_pattern(r"No interpreter found|No download found|python-build-standalone")
_UPLOAD_TIME = "is missing an upload date"
_CREDENTIALS = lazy_pattern(r"401 Unauthorized|403 Forbidden|authentication credentials")
_PYTHON = lazy_pattern(r"[Rr]equires-[Pp]ython|Python version|Python>|Python requirement")
_UNREACHABLE = lazy_pattern(
    r"Failed to (fetch|unzip|download(?! and build)|extract|read)|"
    r"error sending request|Request failed|tcp connect|dns error|timed out|HTTP status"
)
_NOT_AN_INDEX = lazy_pattern(r"unexpected (JSON|HTML|content type|response)|[Uu]nsupported `?[Cc]ontent.[Tt]ype|Couldn't parse")
_URL = lazy_pattern(r"(?:for url \(|Failed to fetch: |from )`?(https?://[^\s`)]+)")
_BUILT = lazy_pattern(rf"Failed to (?:download and )?build `({_NAME})(?:==| @ )")
_MISSING_MODULE = lazy_pattern(r"^ *ModuleNotFoundError: No module named '([\w.]+)'$", re.MULTILINE)
_BUILD = lazy_pattern(r"[Bb]uild backend|Failed to (?:download and )?build")
_RUST = lazy_pattern(r"Rust compiler\b|[Rr]ust not found|No such file or directory: '(?:cargo|rustc)'|cargo metadata`? (?:returned|failed)")
_GIT = lazy_pattern(r"Git operation failed")
_DIRECT = lazy_pattern(rf"`({_NAME}){_EXTRAS} @ (?:git\+)?(\w+://[^`]+)`")
_NO_CONNECTION = lazy_pattern(
    r"unable to access '(https?://[^']+)': (?:Could not resolve|Failed to connect|Couldn't connect|Connection timed)"
)

_USELESS_HINT = lazy_pattern(
    r"\n\s*hint: (Build failures|To update|The `requires-python`|While the active Python|You can re-run|Pre-releases are available)[^\n]*"
)
_URL_CREDENTIALS = lazy_pattern(r"(?<=://)[^/\s@'\"]+@")


class FailureKind(Enum):
    """Why uv failed, as far as its output says."""

    BUILD = auto()
    """A build backend failed."""
    CREDENTIALS = auto()
    """An index refused access."""
    GIT = auto()
    """A Git repository could not be read."""
    NO_INTERPRETER = auto()
    """There is no interpreter of the requested Python version."""
    NO_SOLUTION = auto()
    """Requirements exclude each other."""
    NO_UPLOAD_TIMES = auto()
    """The index does not say when files were uploaded, so that no file counts as old enough."""
    NO_WHEELS_FOR_LINUX = auto()
    """A package has neither a source nor a wheel for Linux and this Python version."""
    NO_WHEELS_FOR_PYTHON = auto()
    """A package has neither a source nor a wheel for this Python version, on any system."""
    NOT_AN_INDEX = auto()
    """A server answered that is not a package index."""
    NOT_FOUND = auto()
    """No index has a package, or a version of it."""
    OTHER = auto()
    """None of these."""
    PYTHON_VERSION = auto()
    """A package requires another Python version."""
    TIMED_OUT = auto()
    """uv was stopped because it took too long."""
    UNREACHABLE = auto()
    """A server gave no answer, or an incomplete one."""


class Premise(msgspec.Struct, frozen=True):
    """A requirement that uv's explanation of a conflict states: `dependent` at `version` requires `name`.

    `dependent` and `name` are normalized; `dependent` is `ROOT` for the project itself. `version` is a specifier ("==1.0", "<=1.0"),
    empty for all versions; `extras` has its brackets.
    """

    dependent: str
    version: str
    name: str
    extras: str = ""
    specifier: str = ""


class UnusablePackage(msgspec.Struct, frozen=True):
    """A package that uv refuses because it has neither a source nor a usable wheel; `dependents` are the packages that depend on it."""

    name: str
    specifier: str
    dependents: tuple[str, ...] = ()


class Failure(msgspec.Struct, frozen=True):
    """An error of uv.

    `text` is the error as uv printed it, without progress, warnings, and hints about our own project; `summary` is its first line,
    `reason` its last cause. `printed` is what came before it: warnings, and in a build the output of the build backend. `no_solution` and
    `unreachable` also hold where they are not the `kind`: resolving what a build requires can fail as well.
    """

    kind: FailureKind
    text: str
    summary: str = ""
    reason: str = ""
    printed: str = ""
    no_solution: bool = False
    unreachable: bool = False
    url: str = ""
    """The URL that gave no usable answer, without credentials; empty if uv names none."""
    not_found: frozenset[str] = frozenset()
    """Normalized names that no index has."""
    no_version: frozenset[str] = frozenset()
    """Normalized names of which no index has a version that was asked for."""
    invalid: tuple[str, ...] = ()
    """Packages with a version whose metadata uv cannot read: "pandas 0.24.2"."""
    unusable: tuple[UnusablePackage, ...] = ()
    premises: tuple[Premise, ...] = ()
    built: str = ""
    """Normalized name of the package whose build failed; empty if uv does not name it."""
    missing_module: str = ""
    """The module that a build backend, or the setup.py that it ran, could not import."""
    older_requirement: str = ""
    """The requirement with which a build that is older than its tools would have worked: "setuptools<58"."""
    direct: str = ""
    """Normalized name of the package that a requirement takes from a URL which cannot be reached; empty if it has none, or for another."""
    host: str = ""
    """The host of a repository, or of the URL of a requirement, that cannot be reached."""
    needs_rust: bool = False
    """True if a build looked for Rust, which backends such as maturin need to state metadata."""


def parse_failure(stderr: str, *, code: int = 1, timed_out: bool = False) -> Failure:
    """Parse the standard error of a run of uv that ended with exit code `code`."""
    printed, text = _split(stderr)
    text = text or (f"uv was stopped after its time limit\n{stderr}".strip() if timed_out else f"uv ended with exit code {code}")
    chain, hints = _chain(text)
    own = " ".join(chain)
    causes = [cause for cause in chain if cause.startswith("Because ")]
    unusable = tuple(_unusable(" ".join(causes)))
    not_found = frozenset(map(normalized, _NOT_FOUND.findall(own)))
    no_version = frozenset(map(normalized, _NO_VERSION.findall(own)))
    no_upload_times = bool(no_version) and lacks_upload_times(printed)
    url = _URL.search(own)
    kind = FailureKind.TIMED_OUT if timed_out else _kind(own, hints, no_upload_times=no_upload_times)
    built = _BUILT.search(own)
    direct, host = _unreached(own, text, kind)
    return Failure(
        kind=kind,
        text=_USELESS_HINT.sub("", text).rstrip(),
        summary=chain[0],
        reason=chain[-1],
        printed=printed,
        no_solution="No solution found" in own,
        unreachable=_is_unreachable(own),
        url=_URL_CREDENTIALS.sub("", url[1]) if url else "",
        not_found=not_found,
        no_version=no_version,
        invalid=tuple(dict.fromkeys(f"{normalized(name)} {version}".strip() for name, version in _INVALID.findall(own))),
        unusable=unusable,
        premises=tuple(premise for cause in causes for premise in _premises(cause)),
        built=normalized(built[1]) if built else "",
        direct=direct,
        host=host,
        missing_module=missing_module_in(stderr) if kind is FailureKind.BUILD else "",
        older_requirement=older_requirement_in(stderr) if kind is FailureKind.BUILD else "",
        needs_rust=kind is FailureKind.BUILD and _RUST.search(stderr) is not None,
    )


def _split(stderr: str) -> tuple[str, str]:
    """Return what was printed before uv's error, and the error: a build backend's own `error:` lines come before uv's."""
    lines = stderr.rstrip().splitlines()
    start = max((number for number, line in enumerate(lines) if line.startswith("error: ")), default=None)
    if start is None:
        return "", stderr.strip()
    return "\n".join(lines[:start]), "\n".join(lines[start:]).removeprefix("error: ")


def _chain(text: str) -> tuple[list[str], list[str]]:
    """Return the error with its causes, and the hints, each in one line and without what other programs printed."""
    chain: list[str] = []
    hints: list[str] = []
    current, skipping = chain, False
    for line in text.splitlines():
        if line.startswith("  cause: "):
            current, skipping = chain, False
            chain.append(line.removeprefix("  cause: ").strip())
        elif line.startswith("hint: "):
            current, skipping = hints, False
            hints.append(line.removeprefix("hint: ").strip())
        elif not current:
            current.append(line.strip())
        elif _PRINTED_BY_OTHERS.match(line):
            skipping = True
        elif not skipping:
            current[-1] = f"{current[-1]} {line.strip()}".strip()
    return chain or [""], hints


def _kind(own: str, hints: Sequence[str], *, no_upload_times: bool) -> FailureKind:
    """Return the first kind that applies: the more specific ones come first."""
    unusable = _UNUSABLE.findall(own)
    tests = (
        (FailureKind.NO_INTERPRETER, _NO_INTERPRETER.search(own)),
        (FailureKind.NO_UPLOAD_TIMES, no_upload_times),
        (FailureKind.NO_WHEELS_FOR_PYTHON, any(by_tag or (marker and "sys_platform" not in marker) for _, _, marker, by_tag in unusable)),
        (FailureKind.CREDENTIALS, any(map(_CREDENTIALS.search, (own, *hints)))),
        (FailureKind.NO_WHEELS_FOR_LINUX, unusable),
        (FailureKind.GIT, _GIT.search(own)),
        (FailureKind.UNREACHABLE, _is_unreachable(own)),
        (FailureKind.PYTHON_VERSION, _PYTHON.search(own)),
        (FailureKind.NOT_FOUND, _NOT_FOUND.search(own) or _NO_VERSION.search(own) or "was not found" in own),
        (FailureKind.NO_SOLUTION, "No solution found" in own),
        (FailureKind.BUILD, _BUILD.search(own)),
        (FailureKind.NOT_AN_INDEX, _NOT_AN_INDEX.search(own)),
    )
    return next((kind for kind, applies in tests if applies), FailureKind.OTHER)


def _is_unreachable(own: str) -> bool:
    # uv also says "Failed to download" of a repository that Git could not clone.
    return _UNREACHABLE.search(own) is not None and _GIT.search(own) is None


def _unreached(own: str, text: str, kind: FailureKind) -> tuple[str, str]:
    """Return (the package, the host) of a requirement whose own URL cannot be reached, both empty for any other failure."""
    direct, repository = _DIRECT.search(own), _NO_CONNECTION.search(text) if kind is FailureKind.GIT else None
    url = repository[1] if repository else direct[2] if direct and kind is FailureKind.UNREACHABLE else ""
    return (normalized(direct[1]) if direct and url else "", urlsplit(url).hostname or "" if url else "")


def _unusable(explanation: str) -> Iterator[UnusablePackage]:
    for package, specifier, *_ in _UNUSABLE.findall(explanation):
        spelled = re.escape(normalized(package)).replace(r"\-", "[-_.]+")
        stated = explanation.replace("your project", ROOT)
        found = re.finditer(rf"({_NAME}){_EXTRAS}{_SPECIFIER} depends? on {spelled}(?![\w-])", stated, re.IGNORECASE)
        dependents = dict.fromkeys(name for match in found if (name := normalized(match[1])) != ROOT)
        yield UnusablePackage(normalized(package), specifier, tuple(dependents))


def _premises(explanation: str) -> Iterator[Premise]:
    """Yield the requirements that are stated, and not those that are concluded from them."""
    for sentence in re.split(r"(?<=\.) (?=And because|Because)", explanation):
        premise = sentence.partition(", we can conclude")[0].replace("your project", ROOT)
        dependent = version = ""
        # "a depends on b<2 and c>1 and d depends on e": what follows an `and` may have the same dependent.
        for part in re.split(r"\band (?=\S)", premise):
            if edge := _PREMISE.search(part.strip()):
                dependent, version = normalized(edge[1]), edge[2]
                yield Premise(dependent, version, normalized(edge[3]), edge[4], edge[5].rstrip(",."))
            elif dependent and (another := _NEXT_REQUIREMENT.match(part.strip().rstrip(",."))):
                yield Premise(dependent, version, normalized(another[1]), another[2], another[3])


def in_users_terms(text: str, origin: str, paths: Mapping[str, str], python: str) -> str:
    """Return an error's text with the user's file `origin` in place of our project, and without what is ours alone.

    `paths` maps temporary paths to what the user knows them as; `python` is the minor version that is locked for.
    """
    for temporary, known in sorted(paths.items(), key=lambda item: -len(item[0])):
        text = text.replace(f"{temporary}/", f"{known}/" if known else "").replace(temporary, known or origin)
    text = _URL_CREDENTIALS.sub("", text)
    text = re.sub(r" for split \(markers: .*\)$", "", text, flags=re.MULTILINE)
    text = re.sub(r"`[^`]*sys_platform == 'linux'[^`]*`-compatible", "Linux-compatible", text)
    text = re.sub(r"`python_full_version == '([0-9.]+)\.\*'`-compatible", r"Python-\1-compatible", text)
    text = re.sub(r"requested Python version \([^)]*\)", f"Python version {python}", text)
    text = text.replace("your project's requirements are", f"the requirements in {origin} are").replace("your project", origin)
    return re.sub(rf"\b{ROOT}(==0|\s*@\s*\S+)?", origin, text)


def plain_text(data: bytes) -> str:
    """Return what uv wrote to a pipe as text, without terminal colours."""
    return _ANSI.sub("", data.decode(errors="replace")).replace("\r\n", "\n")


def lacks_upload_times(stderr: str) -> bool:
    """Return whether uv warned that an index does not say when a file was uploaded."""
    return _UPLOAD_TIME in stderr


def missing_module_in(text: str) -> str:
    """Return the module that the last traceback of a build ends with lacking; empty if there is none."""
    return next(reversed(_MISSING_MODULE.findall(text)), "")


def is_outdated_lock(stderr: str) -> bool:
    """Return whether `uv lock --check` failed because the lock no longer fits the project."""
    return "needs to be updated" in stderr


def default_index_in(help_text: str) -> str:
    """Return the URL of the default index in the text of `uv lock --help`, without a slash at its end; empty if there is none."""
    found = re.search(r"default:\s*<?(https://[^\s>\])]+)", help_text)
    return found[1].rstrip("/") if found else ""


def torch_backend_in(verbose: str) -> str:
    """Return the kind of torch builds ("cpu", "cu126") whose index uv asks, from its verbose output; empty if it asks none."""
    found = re.search(r"/whl/([a-z0-9.]+)/torch", verbose)
    return found[1] if found else ""


def expected_sha256_in(stderr: str) -> Sha256 | None:
    """Return the hash that uv expected of a file with other contents, None if it names none."""
    found = re.search(r"Expected:\s*([0-9a-f]{64})\b", stderr)
    return as_sha256(found[1]) if found else None
