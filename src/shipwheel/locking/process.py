"""Run a program to its end, in a process group of its own that dies with an interruption."""

import os
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol

import msgspec

from shipwheel.cleanup.kill import kill_with_children
from shipwheel.locking.bounds import Bounds, BoundsWatch, OverBounds
from shipwheel.locking.uv_output import plain_text

__all__ = ["Finished", "StopSignal", "run_bounded", "run_process"]

_POLL_S = 0.02
_PIECE = 1 << 16
_MAX_PIECES = 1 << 10


class StopSignal(Protocol):
    """The part of `threading.Event` that ends a program."""

    def wait(self, timeout: float) -> bool:
        """Return True, within `timeout` seconds or soon after, if the program is to be stopped."""


class Finished(msgspec.Struct, frozen=True):
    """The exit code and the output of a program. A run that was stopped has a negative code, as in `subprocess`.

    Of output without an end, only the last 64 MiB or less are there.
    """

    code: int
    stdout: str
    stderr: str
    timed_out: bool = False


def run_process(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    timeout: float | None = None,
    stop: StopSignal | None = None,
) -> Finished:
    """Run a program with exactly this environment, and return its output.

    Kill it and its children when interrupted, or after `timeout` seconds. In a thread, which no signal interrupts, setting `stop` has the
    same effect as the timeout. Raise OSError if the program cannot be started.
    """
    output: dict[str, bytes] = {}
    readers: list[threading.Thread] = []
    timed_out = False
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        umask=0o022,
        start_new_session=True,
    )
    # Nothing comes between the start and this block: an interruption there would leave the program running.
    try:
        assert process.stdout is not None and process.stderr is not None  # noqa: S101
        readers += [_reader("stdout", process.stdout, output), _reader("stderr", process.stderr, output)]
        _wait(process, timeout, stop)
    except subprocess.TimeoutExpired:
        timed_out = True
        kill_with_children(process)
    except BaseException:
        kill_with_children(process)
        raise
    finally:
        for reader in readers:
            reader.join(5)
    return Finished(process.returncode, plain_text(output.get("stdout", b"")), plain_text(output.get("stderr", b"")), timed_out)


def run_bounded(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    stop: threading.Event,
    bounds: Bounds,
    directories: Sequence[Path] = (),
    usage: Callable[[], int] | None = None,
) -> Finished:
    """Run a program as `run_process` does; raise OverBounds if it had to be killed at the bounds.

    It writes to `directories`, or `usage` returns the bytes that it has written.
    """
    watch = BoundsWatch(stop, bounds, directories, usage)
    finished = run_process(command, env=env, cwd=cwd, stop=watch)
    if watch.reason:
        raise OverBounds(watch.reason)
    return finished


def _wait(process: "subprocess.Popen[bytes]", timeout: float | None, stop: StopSignal | None) -> None:
    if stop is None:
        process.wait(timeout)
        return
    while process.poll() is None:
        if stop.wait(_POLL_S):
            raise subprocess.TimeoutExpired(process.args, 0)


def _reader(name: str, pipe: IO[bytes], output: dict[str, bytes]) -> threading.Thread:
    def read() -> None:
        last: deque[bytes] = deque(maxlen=_MAX_PIECES)
        with pipe:
            last.extend(iter(lambda: os.read(pipe.fileno(), _PIECE), b""))
        output[name] = b"".join(last)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread
