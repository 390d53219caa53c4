"""The command line for a world without a network: with the keyring of its archive, and without waiting for the disk or before another try.

    python -m shipwheel.testing.offline_command KEYRING PYTHONS WORKERS PAUSE ARGUMENTS...

No setting or environment variable must be able to replace the archive's keyring, so it is replaced inside the process.
"""

import os
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import FrameType

__all__ = ["prepare", "run"]


def prepare(keyring: str, pythons: str, workers: int, pause: float = 0) -> None:
    """Give this process what a world has: a keyring, and a directory for the programs that stand for interpreters.

    0 workers are as many as the machine has. `pause` is in seconds, after each blob of a layout; a signal ends it, which leaves a test time
    to send it, however busy the machine is.
    """
    import shipwheel.debian.release
    import shipwheel.download.http
    import shipwheel.locking.build_python
    import shipwheel.registry.transport

    data = Path(keyring).read_bytes()
    _replace(shipwheel.debian.release, "archive_keyring", lambda: data)
    _replace(shipwheel.locking.build_python, "default_root", lambda: Path(pythons))
    _replace(shipwheel.download.http, "_MAX_WAIT_S", 0.01)
    _replace(shipwheel.registry.transport, "_FIRST_WAIT_S", 0.001)
    # The store of a test need not survive a power failure.
    _replace(os, "fsync", lambda _: None)
    if workers:
        _replace(os, "cpu_count", lambda: workers)
    if pause:
        _pause_after_blobs(pause)


def run(arguments: Sequence[str]) -> None:
    """Run a command. Raise SystemExit."""
    from shipwheel.cli import main

    sys.argv[:] = ["shipwheel", *arguments]
    # Otherwise the help names this module as the program.
    sys.modules["__main__"].__package__ = None
    main()


def _replace(owner: object, name: str, value: object) -> None:
    """Replace an attribute, which must exist."""
    getattr(owner, name)
    setattr(owner, name, value)


def _pause_after_blobs(pause: float) -> None:
    from shipwheel.cli.interruption import Interruption
    from shipwheel.oci import layout

    write, handle = layout._write, Interruption._handle
    signals: list[int] = []

    def write_and_pause(path: Path, chunks: Iterable[bytes]) -> None:
        write(path, chunks)
        end = time.monotonic() + pause
        while not signals and time.monotonic() < end:
            time.sleep(0.01)

    def note_and_handle(self: Interruption, number: int, frame: FrameType | None) -> None:
        signals.append(number)
        handle(self, number, frame)

    _replace(layout, "_write", write_and_pause)
    _replace(Interruption, "_handle", note_and_handle)


if __name__ == "__main__":
    prepare(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
    run(sys.argv[5:])
