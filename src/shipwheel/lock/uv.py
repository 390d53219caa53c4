"""The only caller of uv: resolving, building wheels in isolation, finding interpreters.

uv reads its own configuration (its environment variables, the user's uv.toml), so that mirrors and credentials work as the user
is used to; what would tie it to another project or change the answer is taken out of its environment.
"""

import os
import re
import signal
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import IO, TypeVar

import msgspec

from shipwheel.errors import BuildError

__all__ = [
    "OUT_OF_TIME",
    "Finished",
    "PythonDownload",
    "UvFailed",
    "add_requirements",
    "build_wheel",
    "default_index",
    "detected_backend",
    "find_python",
    "list_files",
    "local_python",
    "lock_is_stale",
    "lock_project",
    "python_digest",
    "python_downloads",
    "run",
    "told",
    "told_as_here",
    "try_lock",
    "version",
]

T = TypeVar("T")
R = TypeVar("R")

_FOREIGN = re.compile(
    r"VIRTUAL_ENV|CONDA_|PYTHON(PATH|HOME|STARTUP|HASHSEED)$|SOURCE_DATE_EPOCH$|FORCE_COLOR$|"
    r"UV_(PROJECT|WORKING|PYTHON$|FROZEN|LOCKED|ISOLATED|NO_SYNC|EXCLUDE|RESOLUTION|PRERELEASE|FORK|CONSTRAINT|OVERRIDE|BUILD_CONSTRAINT|DEV|"
    r"NO_DEV|GROUP|NO_GROUP|NO_SOURCES|NO_BINARY|NO_BUILD|REQUIRE|NO_REQUIRE|ENV_FILE|CUSTOM|NO_EDITABLE|SYSTEM_PYTHON|TORCH|COLOR|NO_INSTALL)"
)
"""Environment variables that would change what is locked or built."""

_TOLD: ContextVar[Mapping[str, str]] = ContextVar("told", default=MappingProxyType({}))

OUT_OF_TIME = -9
"""The code of a run that was killed since it took too long."""

_LOOK = 0.02
"""Seconds between two looks at a process that can be stopped."""

_USUAL = ("/usr/bin", "/usr/local/bin", "/opt/homebrew/bin")
"""Where systems have their interpreters."""

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_MISSING_TIME = "is missing an upload date"


class Finished(msgspec.Struct, frozen=True):
    """What a run of uv said."""

    code: int
    stdout: str
    stderr: str


class PythonDownload(msgspec.Struct, frozen=True):
    """A standalone CPython for Linux as `uv python list` has it: `key` is uv's name of it, `arch` the machine (x86_64, aarch64)."""

    key: str
    version: str
    url: str
    arch: str
    os: str = ""
    libc: str = ""
    variant: str = ""
    implementation: str = ""


class UvFailed(Exception):
    """uv did not do what was asked; `explanation` is its own, without its progress and warnings."""

    def __init__(self, finished: Finished) -> None:
        self.code = finished.code
        self.stderr = finished.stderr
        self.explanation = _explanation(finished.stderr) or f"uv ended with exit code {finished.code}"
        super().__init__(self.explanation)


_FINDING = threading.Lock()
"""Looking for the program fills the standard library's table of paths, which two threads at once must not do."""


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
    """uv's version, for example 0.8.3."""
    from importlib.metadata import version as installed

    return installed("uv")


@lru_cache(maxsize=1)
def default_index() -> str:
    """The address of the index that uv asks when nobody says otherwise, as its own help has it; empty when that no longer says it."""
    found = re.search(r"default:\s*<?(https://[^\s>\])]+)", run(["lock", "--help"], timeout=30).stdout)
    return found[1].rstrip("/") if found else ""


def detected_backend() -> str:
    """The kind of torch builds that fits this machine's accelerator, by uv's own judgement ("cpu", "cu126"); empty when it does not say."""
    with tempfile.TemporaryDirectory() as folder:
        asked = Path(folder) / "asked.in"
        asked.write_text("torch\n", encoding="utf-8")
        # Offline: only the address that it would ask is looked at.
        command = ["pip", "compile", "--offline", "--no-cache", "--no-config", "--verbose", "--torch-backend", "auto", str(asked)]
        found = re.search(r"/whl/([a-z0-9.]+)/torch", run(command, cwd=Path(folder), timeout=60).stderr)
    return found[1] if found else ""


def run(
    arguments: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
    stop: threading.Event | None = None,
) -> Finished:
    """Runs uv to its end, reading both pipes; kills it and all its children when interrupted or after `timeout` seconds (code -9).

    In a thread, which no signal interrupts, `stop` does.
    """
    process = subprocess.Popen(
        [_binary(), *arguments],
        cwd=cwd,
        env=_environment(env or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        umask=0o022,
        start_new_session=True,
    )
    assert process.stdout is not None and process.stderr is not None  # noqa: S101
    heard: dict[str, bytes] = {}
    readers = [_reader("stdout", process.stdout, heard), _reader("stderr", process.stderr, heard)]
    try:
        _wait(process, timeout, stop)
    except subprocess.TimeoutExpired:
        _kill(process)
    except BaseException:
        _kill(process)
        raise
    finally:
        for reader in readers:
            reader.join(5)
    return Finished(process.returncode, _text(heard.get("stdout", b"")), _text(heard.get("stderr", b"")))


def _wait(process: "subprocess.Popen[bytes]", timeout: float | None, stop: threading.Event | None) -> None:
    if stop is None:
        process.wait(timeout)
        return
    while process.poll() is None:
        if stop.wait(_LOOK):
            raise subprocess.TimeoutExpired(process.args, 0)


def _reader(name: str, pipe: IO[bytes], heard: dict[str, bytes]) -> threading.Thread:
    def read() -> None:
        with pipe:
            heard[name] = pipe.read()

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread


def _kill(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def told(environment: Mapping[str, str]) -> Iterator[None]:
    """In this block, and this thread, uv has these variables as well, and no others that it was told before.

    They are indexes with their passwords, which no command line may show.
    """
    token = _TOLD.set(dict(environment))
    try:
        yield
    finally:
        _TOLD.reset(token)


def told_as_here(work: Callable[[T], R]) -> Callable[[T], R]:
    """The work, for other threads: uv has there what it was told here."""
    environment = _TOLD.get()

    def there(item: T) -> R:
        with told(environment):
            return work(item)

    return there


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not _FOREIGN.match(name)}
    return {**kept, "NO_COLOR": "1", "UV_NO_PROGRESS": "1", "UV_NO_ENV_FILE": "1", **_TOLD.get(), **extra}


def _text(data: bytes) -> str:
    return _ANSI.sub("", data.decode(errors="replace")).replace("\r\n", "\n")


def _explanation(stderr: str) -> str:
    lines = stderr.rstrip().splitlines()
    for number, line in enumerate(lines):
        if re.match(r"error: |\s*×", line):
            return "\n".join(lines[number:]).removeprefix("error: ")
    return stderr.strip()


def _checked(finished: Finished) -> Finished:
    if finished.code != 0:
        raise UvFailed(finished)
    return finished


def lock_project(
    directory: Path,
    *,
    exclude_newer: str | None,
    export: Sequence[str] = (),
    frozen: bool = False,
    python: str | None = None,
    timeout: float | None = None,
) -> tuple[str, str]:
    """Locks the project in `directory` and returns (uv.lock, pylock.toml) as text; `frozen` takes its uv.lock as it is and writes nothing.

    `exclude_newer` is an RFC 3339 instant; `export` are further options of `uv export`; `timeout` in seconds. Raises UvFailed.
    """
    if not frozen:
        limit = ("--exclude-newer", exclude_newer) if exclude_newer else ()
        _checked(run(["lock", *limit, *(("--python", python) if python else ())], cwd=directory, timeout=timeout))
    command = ["export", "--frozen", "--format", "pylock.toml", "--no-header", "--no-editable", "--no-default-groups"]
    exported = _checked(run([*command, "--no-emit-project", *export], cwd=directory))
    return _found_lock(directory).read_text(encoding="utf-8"), exported.stdout


def try_lock(directory: Path, *, exclude_newer: str | None, python: str | None, timeout: float) -> str | None:
    """The uv.lock of a project as text, or None when there is none to be had within `timeout` seconds."""
    limit = ("--exclude-newer", exclude_newer) if exclude_newer else ()
    finished = run(["lock", *limit, *(("--python", python) if python else ())], cwd=directory, timeout=timeout)
    return (directory / "uv.lock").read_text(encoding="utf-8") if finished.code == 0 else None


def _found_lock(directory: Path) -> Path:
    for folder in (directory, *directory.parents):
        if (folder / "uv.lock").is_file():
            return folder / "uv.lock"
    raise FileNotFoundError(directory / "uv.lock")


def lock_is_stale(directory: Path) -> bool:
    """Whether uv says that the uv.lock of a project no longer fits its pyproject.toml; False when it cannot tell."""
    finished = run(["lock", "--check"], cwd=directory, timeout=120)
    return finished.code != 0 and "needs to be updated" in finished.stderr


def add_requirements(directory: Path, requirements: Path) -> None:
    """Adds requirements that do not say a name (directories, addresses, repositories) to the project in `directory`. Raises UvFailed."""
    _checked(run(["add", "--frozen", "--raw", "-r", str(requirements)], cwd=directory))


def list_files(
    directory: Path,
    requirements: Path,
    python: str,
    *,
    exclude_newer: str | None,
    options: Sequence[str] = ("--universal",),
    timeout: float | None = None,
) -> str:
    """A pylock.toml of requirements alone, without what they depend on: with the files of every operating system, or as `options` say.

    `python` is a version, minor or full; `timeout` in seconds. Raises UvFailed.
    """
    command = ["pip", "compile", "--no-deps", "--no-header", "--format", "pylock.toml", "--python-version", python, "--no-python-downloads"]
    limit = ("--exclude-newer", exclude_newer) if exclude_newer else ()
    return _checked(run([*command, *limit, *options, str(requirements)], cwd=directory, timeout=timeout)).stdout


def build_wheel(
    source: Path,
    out: Path,
    python: str,
    exclude_newer: str | None,
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    stop: threading.Event | None = None,
) -> tuple[Path, str]:
    """Builds one wheel of a directory or sdist into `out`, isolated; returns it and what the build said. Raises UvFailed.

    uv's settings are looked for in `cwd`. An index that does not say when files were uploaded has nothing before
    `exclude_newer`: the build's own requirements are then taken without it.
    """
    command = ["build", "--wheel", "--out-dir", str(out), "--python", python]
    limit = ["--exclude-newer", exclude_newer] if exclude_newer else []
    finished = run([*command, *limit, str(source)], cwd=cwd, env=env, stop=stop)
    if finished.code != 0 and limit and _MISSING_TIME in finished.stderr:
        finished = run([*command, str(source)], cwd=cwd, env=env, stop=stop)
    _checked(finished)
    wheels = sorted(out.glob("*.whl"))
    if len(wheels) != 1:
        raise UvFailed(Finished(finished.code, finished.stdout, f"error: the build made {len(wheels)} wheels"))
    return wheels[0], finished.stderr


def find_python(minor: str, *, timeout: float = 300) -> Path | None:
    """An interpreter of that minor version on this machine, fetched by uv if it must be; None when it cannot be had."""
    found = local_python(minor)
    if found is None:
        # Short waits, few tries: a machine without network must not hang here.
        patience = {"UV_HTTP_TIMEOUT": "20", "UV_HTTP_RETRIES": "1"}
        run(["python", "install", "--no-bin", minor], env=patience, timeout=timeout)
        found = local_python(minor)
    return found


def local_python(minor: str) -> Path | None:
    """An interpreter of that minor version on this machine, or None."""
    usual = (Path(folder, f"python{minor}") for folder in _USUAL)
    # uv starts each that it finds, which takes as long as making a lock.
    if (found := next((path for path in usual if os.access(path, os.X_OK)), None)) is not None:
        return found
    finished = run(["python", "find", "--no-project", "--no-python-downloads", f"cpython@{minor}"], timeout=60)
    path = Path(finished.stdout.strip() or "/nonexistent")
    return path if finished.code == 0 and path.is_file() else None


def python_downloads(directory: Path, mirror: str | None = None) -> tuple[PythonDownload, ...]:
    """The released CPythons for Linux with glibc that uv knows where to fetch, by its own list or the one that its settings name.

    Its settings are looked for in `directory`; `mirror` takes the place of the mirror that they name. Raises UvFailed.
    """
    command = ["python", "list", "--all-versions", "--all-platforms", "--all-arches", "--only-downloads", "--output-format", "json"]
    env = {"UV_PYTHON_DOWNLOADS": "manual", **({"UV_PYTHON_INSTALL_MIRROR": mirror} if mirror else {})}
    finished = _checked(run(command, cwd=directory, env=env, timeout=120))
    try:
        listed = msgspec.json.decode(finished.stdout, type=list[PythonDownload])
    except msgspec.MsgspecError as error:
        raise UvFailed(msgspec.structs.replace(finished, stderr=f"error: its list of Pythons is not understood: {error}")) from error
    return tuple(
        item
        for item in listed
        if (item.implementation, item.os, item.libc, item.variant) == ("cpython", "linux", "gnu", "default")
        and re.fullmatch(r"3\.\d+\.\d+", item.version)
    )


def python_digest(key: str, release: str, filename: str) -> str:
    """The digest that uv's own list has of a standalone CPython, without asking anybody; empty when it does not say.

    uv shows its list without the hashes. It says the right one when it is given something else for that file.
    """
    with tempfile.TemporaryDirectory() as folder:
        wrong = Path(folder, "mirror", release, filename)
        wrong.parent.mkdir(parents=True)
        with tarfile.open(wrong, "w:gz") as tar:
            tar.addfile(tarfile.TarInfo("python"))
        # A cache of its own, so that what is wrong is never taken for what is right.
        env = {"UV_PYTHON_CACHE_DIR": f"{folder}/cache", "UV_HTTP_RETRIES": "0", "UV_PYTHON_DOWNLOADS": "manual"}
        where = ["--install-dir", f"{folder}/out", "--mirror", f"file://{folder}/mirror"]
        finished = run(["python", "install", "--no-config", "--no-bin", *where, key], cwd=Path(folder), env=env, timeout=60)
    found = re.search(r"Expected:\s*([0-9a-f]{64})\b", finished.stderr)
    return f"sha256:{found[1]}" if found else ""
