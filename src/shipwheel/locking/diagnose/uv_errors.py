"""Errors for the user from uv's failures: the user's own files and lines instead of temporary paths, and a next step."""

from collections.abc import Mapping

import msgspec

from shipwheel.errors import FetchError, LockError
from shipwheel.locking.uv_output import Failure, FailureKind, in_users_terms

__all__ = ["IndexUnavailable", "ResolutionError", "resolution_error"]

_MAX_TEXT = 6000


class _Hint(msgspec.Struct, frozen=True):
    text: str
    another_python: bool = False
    """True if the text is about another Python version."""


_HINTS = {
    FailureKind.BUILD: _Hint(
        "Its build failed, in isolation, for the reason above: try another version of it, an older Python (--python) or day (--as-of). "
        "If it needs the network, name it in build-network.",
        another_python=True,
    ),
    FailureKind.CREDENTIALS: _Hint(
        "Check the index's user name and password: in its URL, in UV_INDEX_<NAME>_USERNAME and _PASSWORD, or in .netrc."
    ),
    FailureKind.GIT: _Hint("Check the repository's URL, that git is installed, and that you may read the repository."),
    FailureKind.NO_INTERPRETER: _Hint("Install that Python version, or choose another (--python).", another_python=True),
    FailureKind.NO_SOLUTION: _Hint("Loosen one of these requirements, or resolve as of another day (--as-of)."),
    FailureKind.NO_UPLOAD_TIMES: _Hint("The index does not say when files were uploaded: remove as-of, or use another index."),
    FailureKind.NO_WHEELS_FOR_LINUX: _Hint(
        "It has no wheel for Linux: give it a marker (; sys_platform == 'win32') if only Windows needs it, or remove it."
    ),
    FailureKind.NO_WHEELS_FOR_PYTHON: _Hint(
        "Choose another version of it, or another Python version (--python).",
        another_python=True,
    ),
    FailureKind.NOT_AN_INDEX: _Hint(
        "What answers is not a package index: check the URL (UV_DEFAULT_INDEX), and whether a login page is in between."
    ),
    FailureKind.NOT_FOUND: _Hint("Check the name and the version; the index may not have it, or not on that day (--as-of)."),
    FailureKind.OTHER: _Hint("Change the requirements, then run it again."),
    FailureKind.PYTHON_VERSION: _Hint("Choose another Python version (--python).", another_python=True),
    FailureKind.TIMED_OUT: _Hint("Run it again; if it takes as long, pin more versions."),
    FailureKind.UNREACHABLE: _Hint("Check the network and the package index (UV_DEFAULT_INDEX); try again."),
}


_RUST_HINT = _Hint(
    "Its build backend needs Rust to state its name, version and dependencies, and no build has Rust while the lock is made: "
    "write them into [project] in its pyproject.toml, or choose a version that has a wheel."
)


def _hint_of(failure: Failure) -> _Hint:
    """Return the next step for a failure."""
    if failure.needs_rust:
        return _RUST_HINT
    if not failure.host:
        return _HINTS[failure.kind]
    name = failure.direct
    instead = f' If the index has the same {name}, replace = {{{name} = "{name}"}} takes it from there.' if name else ""
    return _Hint(f"{failure.host} cannot be reached from here: check the network, and the proxy (HTTPS_PROXY).{instead}")


class ResolutionError(LockError):
    """uv could not lock the user's file `origin`; `failure` says why."""

    def __init__(self, failure: Failure, origin: str, *, details: str, summary: str) -> None:
        hint = _hint_of(failure)
        super().__init__(
            f"{origin} cannot be locked: {details}",
            hint=hint.text,
            hint_without_python="" if hint.another_python else None,
            summary=f"{origin} cannot be locked: {summary}",
        )
        self.failure = failure
        self.origin = origin


_OF_SERVERS = (FailureKind.CREDENTIALS, FailureKind.NOT_AN_INDEX, FailureKind.UNREACHABLE)


class IndexUnavailable(FetchError, LockError):
    """An index could not be reached, or refused what it was asked, so there is no lock."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        LockError.__init__(self, message, hint=hint)
        self.status, self.not_found = None, False


class _IndexFailed(IndexUnavailable, ResolutionError):
    """An IndexUnavailable that uv reported."""

    def __init__(self, failure: Failure, origin: str, *, details: str, summary: str) -> None:
        ResolutionError.__init__(self, failure, origin, details=details, summary=summary)
        self.status, self.not_found = None, False


def resolution_error(failure: Failure, origin: str, paths: Mapping[str, str], python: str = "") -> ResolutionError:
    """Return the error for a failure to lock the user's file `origin`.

    `paths` maps temporary paths to what the user knows them as; `python` is the minor version that was locked for.
    """
    details, summary = (in_users_terms(text, origin, paths, python).strip() for text in (failure.text, failure.summary))
    if len(details) > _MAX_TEXT:
        details = f"{details[: _MAX_TEXT // 2]}\n  …\n{details[-_MAX_TEXT // 2 :]}"
    kind = _IndexFailed if failure.kind in _OF_SERVERS else ResolutionError
    return kind(failure, origin, details=details, summary=summary)
