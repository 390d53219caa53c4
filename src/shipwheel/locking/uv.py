"""Run uv: resolve, build wheels in isolation, find interpreters. No other module runs it.

uv reads its own configuration (its environment variables, the user's uv.toml), so mirrors and credentials work as the user expects.
It gets no other secrets of the environment, and no variables that would tie it to another project or change the result. The build backends
that it starts get even less: they run in the sandbox, where there is one.
"""

import os
import re
import sys
import tarfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import msgspec

from shipwheel.cleanup.scratch import scratch_directory
from shipwheel.digest import Sha256
from shipwheel.errors import BuildError
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.locking.build_python import build_python, hook_variables
from shipwheel.locking.environment import uv_environment
from shipwheel.locking.path_python import python_on_path
from shipwheel.locking.process import Finished, run_process
from shipwheel.locking.sandbox import is_available
from shipwheel.locking.uv_output import (
    Failure,
    default_index_in,
    expected_sha256_in,
    is_outdated_lock,
    lacks_upload_times,
    parse_failure,
    torch_backend_in,
)
from shipwheel.project.git_history import repository_root

__all__ = [
    "PythonDownload",
    "UvFailed",
    "add_requirements",
    "default_index",
    "detected_backend",
    "export_project",
    "extra_environment",
    "find_python",
    "foreign_python",
    "index_variables",
    "install_command",
    "install_files",
    "install_for",
    "install_wheels",
    "list_files",
    "list_wheels",
    "local_python",
    "lock_is_outdated",
    "lock_project",
    "make_environment",
    "python_downloads",
    "python_sha256",
    "run",
    "try_lock",
    "usable_python",
    "version",
    "with_extra_environment",
]

T = TypeVar("T")
R = TypeVar("R")

_REMOVED = lazy_pattern(
    r"UV_(PROJECT|WORKING|PYTHON$|FROZEN|LOCKED|ISOLATED|NO_SYNC|EXCLUDE|RESOLUTION|PRERELEASE|FORK|CONSTRAINT|OVERRIDE|BUILD_CONSTRAINT|DEV|"
    r"NO_DEV|GROUP|NO_GROUP|NO_SOURCES|NO_BINARY|NO_BUILD|REQUIRE|NO_REQUIRE|ENV_FILE|CUSTOM|NO_EDITABLE|SYSTEM_PYTHON|TORCH|COLOR|NO_INSTALL)"
)
"""Variables of uv that would change what is locked or built."""

_INDEX_VARIABLE = lazy_pattern(
    r"UV_(DEFAULT_INDEX|INDEX|INDEX_URL|EXTRA_INDEX_URL|INDEX_STRATEGY|OFFLINE|INSECURE_HOST|HTTP_\w+|NO_PROGRESS)|NO_COLOR"
)

_EXTRA: ContextVar[Mapping[str, str]] = ContextVar("extra_environment", default=MappingProxyType({}))

_COMMON_FOLDERS = ("/usr/bin", "/usr/local/bin", "/opt/homebrew/bin")
"""Directories in which operating systems install Python."""


class PythonDownload(msgspec.Struct, frozen=True):
    """A standalone CPython for Linux in uv's list: `key` is uv's name for it, `arch` the machine (x86_64, aarch64)."""

    key: str
    version: str
    url: str
    arch: str
    os: str = ""
    libc: str = ""
    variant: str = ""
    implementation: str = ""


class UvFailed(Exception):
    """uv ended with an error, which `failure` describes."""

    def __init__(self, finished: Finished) -> None:
        self.failure = parse_failure(finished.stderr, code=finished.code, timed_out=finished.timed_out)
        super().__init__(self.failure.text)


_FINDING = threading.Lock()
"""Finding the program fills a table of the standard library, which two threads must not do at the same time."""


def _binary() -> str:
    with _FINDING:
        return _found_binary()


@lru_cache(maxsize=1)
def _found_binary() -> str:
    import uv

    try:
        return str(uv.find_uv_bin())
    except FileNotFoundError as error:
        raise BuildError("uv's program is missing", hint="Install shipwheel again: uv is one of its dependencies.") from error


@lru_cache(maxsize=1)
def version() -> str:
    """Return uv's version, for example 0.13.9."""
    from importlib.metadata import version as installed

    return installed("uv")


@lru_cache(maxsize=1)
def default_index() -> str:
    """Return the URL of the index that uv uses unless it is configured otherwise; empty if uv's help does not name one."""
    return default_index_in(run(["lock", "--help"], timeout=30).stdout)


def detected_backend() -> str:
    """Return the kind of torch builds that uv considers right for this machine ("cpu", "cu126"); empty if it names none."""
    with scratch_directory() as folder:
        requirements = folder / "torch.in"
        requirements.write_text("torch\n", encoding="utf-8")
        # Offline: only the URL that uv would ask matters.
        command = ["pip", "compile", "--offline", "--no-cache", "--no-config", "--verbose", "--torch-backend", "auto", str(requirements)]
        return torch_backend_in(run(command, cwd=Path(folder), timeout=60).stderr)


def run(
    arguments: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
    stop: threading.Event | None = None,
) -> Finished:
    """Run uv to its end and return its output. Kill it and its children when interrupted, or after `timeout` seconds.

    In a thread, which no signal interrupts, setting `stop` has the same effect as the timeout.
    """
    return run_process([_binary(), *arguments], env=_environment(env or {}, cwd), cwd=cwd, timeout=timeout, stop=stop)


def _run_with_builds(
    command: Sequence[str], *, cwd: Path, python: str, readable: Iterable[str] = (), timeout: float | None = None
) -> Finished:
    """Run a command of uv that may start build backends, with an interpreter. Where there is a sandbox, they run in it.

    `readable` are directories of the user: a build in one of them may read all of it.
    """
    if not is_available():
        return run([*command, "--python", python], cwd=cwd, timeout=timeout)
    with scratch_directory() as scratch:
        # Links into uv's cache would lead nowhere in the sandbox.
        env = {**hook_variables(_environment({}, cwd), readable, scratch), "UV_LINK_MODE": "clone"}
        return run([*command, "--python", str(build_python(python))], cwd=cwd, env=env, timeout=timeout)


def usable_python(minor: str) -> str:
    """Return an interpreter of a minor version ("3.11") on this machine, else the running one.

    Any will do for uv; one of the right version gives the right answers where a build backend is asked for metadata. Looking for one can
    take longer than what uv is asked, so the answer holds as long as the environment is the same and the interpreter is there.
    """
    environment = tuple(uv_environment(os.environ, None).items())
    if not os.access(found := _usable_python(minor, environment), os.X_OK):
        _usable_python.cache_clear()
        found = _usable_python(minor, environment)
    return found


@lru_cache(maxsize=16)
def _usable_python(minor: str, _: tuple[tuple[str, str], ...]) -> str:
    return str(local_python(minor) or sys.executable)


@contextmanager
def extra_environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set further environment variables for the runs of uv in this block and this thread, in place of those of an outer block.

    They name indexes together with their passwords, which must not appear on a command line.
    """
    token = _EXTRA.set(dict(variables))
    try:
        yield
    finally:
        _EXTRA.reset(token)


def with_extra_environment(work: Callable[[T], R]) -> Callable[[T], R]:
    """Return `work` for use in other threads: uv has the same extra environment there as in the calling thread."""
    variables = _EXTRA.get()

    def in_thread(item: T) -> R:
        with extra_environment(variables):
            return work(item)

    return in_thread


def _environment(variables: Mapping[str, str], directory: Path | None = None) -> dict[str, str]:
    inherited = {name: value for name, value in uv_environment(os.environ, directory).items() if not _REMOVED.match(name)}
    return {**inherited, "NO_COLOR": "1", "UV_NO_PROGRESS": "1", "UV_NO_ENV_FILE": "1", **_EXTRA.get(), **variables}


def _checked(finished: Finished) -> Finished:
    if finished.code != 0:
        raise UvFailed(finished)
    return finished


def lock_project(
    directory: Path,
    python: str,
    *,
    exclude_newer: str | None,
    export: Sequence[str] = (),
    readable: Iterable[str] = (),
    timeout: float | None = None,
) -> tuple[str, str]:
    """Lock the project in `directory` and return the texts of its uv.lock and of the pylock.toml that uv exports from it.

    `python` is a minor version ("3.11"), `exclude_newer` an RFC 3339 instant, `export` are further options of `uv export`, `readable`
    directories that the build of a source in them may read, `timeout` is in seconds. Raise UvFailed.
    """
    _checked(_lock(directory, python, exclude_newer, readable, timeout))
    return (directory / "uv.lock").read_text(encoding="utf-8"), export_project(directory, export)


def export_project(directory: Path, options: Sequence[str] = ()) -> str:
    """Return the uv.lock of a project as the text of a pylock.toml, with further options of `uv export`. Raise UvFailed."""
    command = ["export", "--frozen", "--format", "pylock.toml", "--no-header", "--no-editable", "--no-default-groups"]
    return _checked(run([*command, "--no-emit-project", *options], cwd=directory)).stdout


def try_lock(directory: Path, python: str, *, exclude_newer: str | None, readable: Iterable[str] = (), timeout: float) -> str | Failure:
    """Return the text of the uv.lock of a project, or why uv finds no solution within `timeout` seconds."""
    finished = _lock(directory, python, exclude_newer, readable, timeout)
    return (directory / "uv.lock").read_text(encoding="utf-8") if finished.code == 0 else UvFailed(finished).failure


def _lock(directory: Path, python: str, exclude_newer: str | None, readable: Iterable[str], timeout: float | None) -> Finished:
    command = ["lock", *_limit(exclude_newer)]
    return _run_with_builds(command, cwd=directory, python=usable_python(python), readable=readable, timeout=timeout)


def _limit(exclude_newer: str | None) -> tuple[str, ...]:
    return ("--exclude-newer", exclude_newer) if exclude_newer else ()


def lock_is_outdated(directory: Path, python: str) -> bool:
    """Return whether the uv.lock of a project no longer fits its pyproject.toml; False if uv cannot tell."""
    around = repository_root(directory) or directory
    finished = _run_with_builds(["lock", "--check"], cwd=directory, python=usable_python(python), readable=(str(around),), timeout=120)
    return finished.code != 0 and is_outdated_lock(finished.stderr)


def add_requirements(directory: Path, requirements: Path, python: str, *, readable: Iterable[str] = ()) -> None:
    """Add requirements without a name (directories, URLs, repositories) to the project in `directory`. Raise UvFailed."""
    command = ["add", "--frozen", "--raw", "-r", str(requirements)]
    _checked(_run_with_builds(command, cwd=directory, python=usable_python(python), readable=readable))


def list_files(
    directory: Path,
    requirements: Path,
    python: str,
    *,
    exclude_newer: str | None,
    options: Sequence[str] = ("--no-deps", "--universal"),
    timeout: float | None = None,
) -> str:
    """Return a pylock.toml of requirements, by default without their dependencies and with the files for every operating system.

    `python` is a version, minor or full; `options` are further options of `uv pip compile`; `timeout` is in seconds. Raise UvFailed.
    """
    command = ["pip", "compile", "--no-header", "--format", "pylock.toml", "--python-version", python, "--no-python-downloads"]
    command += [*_limit(exclude_newer), *options, str(requirements)]
    # Nothing is built for a list of files, so that any interpreter will do.
    return _checked(_run_with_builds(command, cwd=directory, python=sys.executable, timeout=timeout)).stdout


def make_environment(directory: Path, python: str) -> None:
    """Make an empty virtual environment with an interpreter. Raise UvFailed."""
    _checked(run(["venv", "--no-project", "--no-config", "--python", python, str(directory)], cwd=directory.parent))


def install_wheels(
    environment: Path, requirements: Path, exclude_newer: str | None, *, cwd: Path, stop: threading.Event | None = None
) -> None:
    """Install the wheels of a list of requirements into a virtual environment; build nothing. Raise UvFailed. `cwd` has uv's settings."""
    _run_as_of(exclude_newer, ["pip", "install", "--no-build", *_install_options(environment, requirements)], cwd=cwd, stop=stop)


def _run_as_of(exclude_newer: str | None, command: Sequence[str], *, cwd: Path, stop: threading.Event | None = None) -> Finished:
    """Run a command with a limit, or without it if the index tells no times of uploads: no file counts as older then. Raise UvFailed."""
    finished = run([*command, *_limit(exclude_newer)], cwd=cwd, stop=stop)
    if finished.code != 0 and exclude_newer and lacks_upload_times(finished.stderr):
        finished = run(command, cwd=cwd, stop=stop)
    return _checked(finished)


def install_files(environment: Path, requirements: Path, directory: Path, *, cwd: Path, stop: threading.Event | None = None) -> None:
    """Install a list of requirements from the wheels in a directory, without a network. Raise UvFailed."""
    command = ["pip", "install", "--no-build", *_install_options(environment, requirements), "--no-config", "--offline", "--no-index"]
    _checked(run([*command, "--find-links", str(directory)], cwd=cwd, stop=stop))


def list_wheels(python: Sequence[str], requirements: Path, exclude_newer: str | None) -> str:
    """Return a pylock.toml of requirements and of what they depend on. Raise UvFailed if one has no wheel.

    `python` are uv's options for the interpreter. uv looks for its settings beside `requirements`.
    """
    command = ["pip", "compile", "--no-build", "--no-header", "--format", "pylock.toml", *python, str(requirements)]
    return _run_as_of(exclude_newer, command, cwd=requirements.parent).stdout


def install_for(
    directory: Path,
    requirements: Path,
    minor: str,
    platform: str,
    exclude_newer: str | None,
    *,
    constraints: Path,
    cwd: Path,
    stop: threading.Event | None = None,
    wheels: Path | None = None,
) -> None:
    """Install the wheels of a list of requirements into a directory, for a Python that need not be on this machine. Raise UvFailed.

    `minor` is its version ("3.13"), `platform` uv's name for what it runs on ("x86_64-manylinux_2_36"). If a directory has the `wheels`, no
    index is asked.
    """
    python = foreign_python(minor, platform, constraints)
    command = ["pip", "install", "--no-build", "--target", str(directory), *python, "--requirements", str(requirements)]
    if wheels is not None:
        _checked(run([*command, "--no-config", "--offline", "--no-index", "--find-links", str(wheels)], cwd=cwd, stop=stop))
    else:
        _run_as_of(exclude_newer, command, cwd=cwd, stop=stop)


def foreign_python(minor: str, platform: str, constraints: Path) -> tuple[str, ...]:
    """Return uv's options for a Python that need not be on this machine, and for a file of constraints."""
    options = ("--python-version", minor, "--python-platform", platform, "--python", sys.executable)
    return (*options, "--constraints", str(constraints))


def install_command(environment: Path, requirements: Path, exclude_newer: str | None) -> list[str]:
    """Return the command that installs requirements and builds those without a wheel, to be run where builds may run."""
    return [_binary(), "pip", "install", *_install_options(environment, requirements), *_limit(exclude_newer)]


def _install_options(environment: Path, requirements: Path) -> tuple[str, ...]:
    return "--python", str(environment / "bin" / "python"), "--requirements", str(requirements)


def index_variables() -> dict[str, str]:
    """Return the variables that name uv's indexes, without user names and passwords."""
    variables = {name: value for name, value in _environment({}).items() if _INDEX_VARIABLE.fullmatch(name)}
    return {name: re.sub(r"(?<=://)[^/@\s]+@", "", value) for name, value in variables.items()}


def find_python(minor: str, *, timeout: float = 300) -> Path | None:
    """Return an interpreter of a minor version ("3.11"), which uv downloads if this machine has none; None if that fails."""
    found = local_python(minor)
    if found is None:
        # Short timeouts and few retries, so that a machine without network does not hang here.
        env = {"UV_HTTP_TIMEOUT": "20", "UV_HTTP_RETRIES": "1"}
        run(["python", "install", "--no-bin", minor], env=env, timeout=timeout)
        found = local_python(minor)
    return found


def local_python(minor: str) -> Path | None:
    """Return an interpreter of a minor version ("3.11") on this machine, or None."""
    candidates = (Path(folder, f"python{minor}") for folder in _COMMON_FOLDERS)
    # uv would start every interpreter on PATH, which takes longer than making a lock.
    if (found := next((path for path in candidates if os.access(path, os.X_OK)), None)) is not None:
        return found
    finished = run(["python", "find", "--managed-python", "--no-project", "--no-python-downloads", f"cpython@{minor}"], timeout=60)
    path = Path(finished.stdout.strip() or "/nonexistent")
    return path if finished.code == 0 and path.is_file() else python_on_path(minor, _environment({}))


def python_downloads(directory: Path, mirror: str | None = None, version: str = "") -> tuple[PythonDownload, ...]:
    """Return the released CPythons for Linux with glibc that uv can download, all or those of one full version.

    uv looks for its settings in `directory`; `mirror` replaces the mirror that they name. Raise UvFailed.
    """
    command = ["python", "list", "--all-versions", "--all-platforms", "--all-arches", "--only-downloads", "--output-format", "json"]
    command += [version] if version else []
    env = {"UV_PYTHON_DOWNLOADS": "manual", **({"UV_PYTHON_INSTALL_MIRROR": mirror} if mirror else {})}
    finished = _checked(run(command, cwd=directory, env=env, timeout=120))
    try:
        downloads = msgspec.json.decode(finished.stdout, type=list[PythonDownload])
    except msgspec.MsgspecError as error:
        raise UvFailed(msgspec.structs.replace(finished, stderr=f"error: its list of Pythons is not understood: {error}")) from error
    return tuple(
        item
        for item in downloads
        if (item.implementation, item.os, item.libc, item.variant) == ("cpython", "linux", "gnu", "default")
        and re.fullmatch(r"3\.\d+\.\d+", item.version)
    )


def python_sha256(key: str, release: str, filename: str) -> Sha256 | None:
    """Return the hash of a standalone CPython in uv's built-in list, without network; None if it has none.

    uv does not print the hashes of its list, but it names the expected one when a file has other contents.
    """
    with scratch_directory() as folder:
        wrong = folder.joinpath("mirror", release, filename)
        wrong.parent.mkdir(parents=True)
        with tarfile.open(wrong, "w:gz") as tar:
            tar.addfile(tarfile.TarInfo("python"))
        # A cache of its own, so that uv never uses the wrong file later.
        env = {"UV_PYTHON_CACHE_DIR": f"{folder}/cache", "UV_HTTP_RETRIES": "0", "UV_PYTHON_DOWNLOADS": "manual"}
        options = ["--install-dir", f"{folder}/out", "--mirror", f"file://{folder}/mirror"]
        finished = run(["python", "install", "--no-config", "--no-bin", *options, key], cwd=Path(folder), env=env, timeout=60)
    return expected_sha256_in(finished.stderr)
