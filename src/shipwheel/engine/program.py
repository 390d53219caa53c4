"""The engines' own programs: asked something, or fed an archive through their standard input."""

import contextlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

import msgspec

from shipwheel.errors import EngineError

__all__ = ["Answer", "ask", "document", "feed", "first_line", "found", "tell"]

_KEPT = 64 << 10
"""Bytes of a program's messages that are kept; what comes after is read and thrown away."""

_PATIENCE = 60.0

_ENGLISH = {"LC_ALL": "C.UTF-8"}
"""Messages that are looked at are in English."""


class Answer(msgspec.Struct, frozen=True):
    """How a program ended, and what it said."""

    status: int
    output: str
    errors: str

    @property
    def ok(self) -> bool:
        """Whether it ended well."""
        return self.status == 0


def found(program: str) -> bool:
    """Whether the program is on PATH."""
    return shutil.which(program) is not None


def ask(argv: Sequence[str], *, seconds: float = _PATIENCE, env: Mapping[str, str] | None = None, pass_fds: Sequence[int] = ()) -> Answer:
    """Runs a program to its end, without input. One that is not there, or does not end, gives an answer that is not ok."""
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            check=False,
            env=_environment() if env is None else {**env, **_ENGLISH},
            pass_fds=tuple(pass_fds),
        )
    except subprocess.TimeoutExpired:
        return Answer(124, "", f"{argv[0]} did not answer within {seconds:g} seconds")
    except OSError as error:
        return Answer(127, "", f"{argv[0]} cannot be started: {error.strerror or error}")
    return Answer(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))


def document(answer: Answer) -> dict[str, Any]:
    """The JSON object that a program printed; an empty one if it ended badly or printed anything else."""
    try:
        found = msgspec.json.decode(answer.output) if answer.ok else None
    except msgspec.MsgspecError:
        found = None
    return found if isinstance(found, dict) else {}


def tell(argv: Sequence[str]) -> int:
    """Runs a program whose messages the user sees, on standard error; its exit status."""
    try:
        return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False).returncode
    except OSError as error:
        raise EngineError(f"{argv[0]} cannot be started: {error.strerror or error}", hint="Install it again.") from error


def feed(argv: Sequence[str], chunks: Iterator[bytes]) -> Answer:
    """Runs a program and streams `chunks` into its standard input. What `chunks` raises ends the program at once, and is raised."""
    try:
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_environment())
    except OSError as error:
        return Answer(127, "", f"{argv[0]} cannot be started: {error.strerror or error}")
    assert process.stdin is not None  # noqa: S101 - asked for above
    assert process.stdout is not None  # noqa: S101 - asked for above
    assert process.stderr is not None  # noqa: S101 - asked for above
    output, errors = _Reader(process.stdout), _Reader(process.stderr)
    try:
        # A program that has had enough says why on its standard error.
        with contextlib.suppress(BrokenPipeError):
            for chunk in chunks:
                process.stdin.write(chunk)
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.wait()
    except BaseException:
        # Before its input is closed, or it would take half an archive for the whole.
        process.kill()
        process.wait()
        with contextlib.suppress(OSError):
            process.stdin.close()
        raise
    finally:
        for reader in (output, errors):
            reader.join()
    return Answer(process.returncode, output.text, errors.text)


def first_line(text: str) -> str:
    """The first line that says something, capped: for messages."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return line if len(line) <= 400 else line[:400] + "…"


def _environment() -> dict[str, str]:
    return {**os.environ, **_ENGLISH}


class _Reader:
    """Reads a stream to its end beside everything else, so that the program never waits for us."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._data = bytearray()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with self._stream:
            while data := self._stream.read(8192):
                self._data += data[: _KEPT - len(self._data)] if len(self._data) < _KEPT else b""

    def join(self) -> None:
        self._thread.join()

    @property
    def text(self) -> str:
        return self._data.decode("utf-8", "replace")
