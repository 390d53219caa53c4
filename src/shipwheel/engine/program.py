"""Run the engines' own programs: to the end, with their messages shown, or with an archive streamed into them."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum, auto
from typing import IO, Any

import msgspec

from shipwheel.cleanup.kill import kill_with_children
from shipwheel.decoding import InvalidDocument, decode_json
from shipwheel.errors import EngineError

__all__ = ["EngineFailure", "ProgramResult", "is_installed", "run_program", "run_with_input", "run_with_messages"]

_MAX_OUTPUT = 64 << 10
"""Bytes of a streamed-to program's output that are kept; the rest is read and dropped."""

_MAX_REASON = 400
_TIMEOUT_S = 60.0

_ENGLISH = {"LC_ALL": "C.UTF-8"}
"""Keeps the messages that are parsed in English."""


class EngineFailure(Enum):
    """Why an engine's program failed, as far as its message says."""

    NAME_TAKEN = auto()
    """A container of that name exists."""
    NO_PERMISSION = auto()
    """The user may not use the engine."""
    NOT_RUNNING = auto()
    """The engine's daemon, or its virtual machine, does not answer."""
    OTHER = auto()


_FAILURE_SIGNS = (
    # "by": a port is "already in use", too.
    (EngineFailure.NAME_TAKEN, ("already in use by", "already used by", "already exists")),
    # podman's advice about its virtual machine may follow a "permission denied" of the connection to it.
    (EngineFailure.NOT_RUNNING, ("connect to podman", "machine")),
    (EngineFailure.NO_PERMISSION, ("permission denied", "newuidmap")),
    (EngineFailure.NOT_RUNNING, ("cannot connect", "daemon running")),
)
"""The engines' programs give no error codes, so their messages are searched, and only here."""


class ProgramResult(msgspec.Struct, frozen=True):
    """A program's exit status and its output."""

    program: str
    status: int
    stdout: str
    stderr: str

    @property
    def ok(self) -> bool:
        """True if it succeeded."""
        return self.status == 0

    @property
    def reason(self) -> str:
        """Why it failed, on one line: the first line of its messages with what a colon at its end announces, or its status."""
        lines = filter(None, (line.strip() for text in (self.stderr, self.stdout) for line in text.splitlines()))
        line = next(lines, f"{self.program} exited with status {self.status}")
        if line.endswith(":"):
            line = f"{line} {next(lines, '')}".rstrip()
        return line if len(line) <= _MAX_REASON else line[:_MAX_REASON] + "…"

    @property
    def failure(self) -> EngineFailure:
        """Why it failed, from its messages."""
        text = self.stderr.lower()
        return next((failure for failure, signs in _FAILURE_SIGNS if any(sign in text for sign in signs)), EngineFailure.OTHER)

    @property
    def task_exit_code(self) -> int:
        """The exit code of a task that `ctr tasks delete` deleted: it warns of one that is not zero."""
        code = re.search(r"non-zero exit code (\d+)", self.stderr)
        return int(code[1]) if code else 0

    def json_object(self) -> dict[str, Any]:
        """Return the JSON object that it printed; an empty one if it failed or printed anything else."""
        try:
            value = decode_json(self.stdout, object) if self.ok else None
        except InvalidDocument:
            value = None
        return value if isinstance(value, dict) else {}


def is_installed(program: str) -> bool:
    """Return whether a program is on PATH."""
    return shutil.which(program) is not None


def run_program(
    argv: Sequence[str],
    *,
    timeout: float = _TIMEOUT_S,
    env: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
    merge: bool = False,
    output: IO[bytes] | None = None,
    own_group: bool = False,
) -> ProgramResult:
    """Run a program without input and return its result. A program that is missing, or exceeds `timeout` seconds, gives a failed one.

    With `merge`, what it writes to standard error is in `stdout`, in order. With `output`, its standard output goes to that file. With
    `own_group`, Ctrl-C in a terminal does not reach it: it is killed with its children, as it is at the end of its time.
    """
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output or subprocess.PIPE,
            stderr=subprocess.STDOUT if merge else subprocess.PIPE,
            env=_environment() if env is None else {**env, **_ENGLISH},
            pass_fds=tuple(pass_fds),
            process_group=0 if own_group else None,
        )
    except OSError as error:
        return ProgramResult(argv[0], 127, "", f"cannot start {argv[0]}: {error.strerror or error}")
    with process:
        try:
            stdout, stderr = ((stream or b"").decode("utf-8", "replace") for stream in process.communicate(timeout=timeout))
        except subprocess.TimeoutExpired:
            kill_with_children(process)
            return ProgramResult(argv[0], 124, "", f"{argv[0]} did not answer within {timeout:g} seconds")
        except BaseException:
            kill_with_children(process)
            raise
    return ProgramResult(argv[0], process.returncode, stdout, stderr)


def run_with_messages(argv: Sequence[str]) -> int:
    """Run a program with its output on standard error, for the user to read, and return its exit status."""
    try:
        return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False).returncode
    except OSError as error:
        raise EngineError(f"cannot start {argv[0]}: {error.strerror or error}", hint="Install it again.") from error


def run_with_input(argv: Sequence[str], chunks: Iterator[bytes]) -> ProgramResult:
    """Run a program and stream `chunks` into its standard input. An error raised by `chunks` kills the program and is raised."""
    try:
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_environment())
    except OSError as error:
        return ProgramResult(argv[0], 127, "", f"cannot start {argv[0]}: {error.strerror or error}")
    assert process.stdin is not None  # noqa: S101 - a pipe
    assert process.stdout is not None  # noqa: S101 - a pipe
    assert process.stderr is not None  # noqa: S101 - a pipe
    stdout, stderr = _Reader(process.stdout), _Reader(process.stderr)
    try:
        # A program that stops reading says why on its standard error.
        with contextlib.suppress(BrokenPipeError):
            for chunk in chunks:
                process.stdin.write(chunk)
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.wait()
    except BaseException:
        # Kill it before closing its input, or it takes half an archive for a whole one.
        process.kill()
        process.wait()
        with contextlib.suppress(OSError):
            process.stdin.close()
        raise
    finally:
        for reader in (stdout, stderr):
            reader.join()
    return ProgramResult(argv[0], process.returncode, stdout.text, stderr.text)


def _environment() -> dict[str, str]:
    return {**os.environ, **_ENGLISH}


class _Reader:
    """Reads a stream to its end in a thread, so that the program never blocks on a full pipe."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._data = bytearray()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with self._stream:
            while data := self._stream.read(8192):
                self._data += data[: _MAX_OUTPUT - len(self._data)] if len(self._data) < _MAX_OUTPUT else b""

    def join(self) -> None:
        self._thread.join()

    @property
    def text(self) -> str:
        return self._data.decode("utf-8", "replace")
