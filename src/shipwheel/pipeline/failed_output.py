"""The output of programs that failed while an image was built: the whole in a file of the store, its end for people."""

from pathlib import Path

from shipwheel.store.contents import BUILD_LOGS
from shipwheel.store.store import Store

__all__ = ["last_lines", "write_log"]

_MAX_LINES = 12


def last_lines(output: str) -> str:
    """Return the last lines, indented, without those that only mark a place in the line above."""
    return "\n  ".join([line for line in output.splitlines() if line.strip(" ~^")][-_MAX_LINES:])


def write_log(store: Store, name: str, output: str) -> Path:
    """Write the output to a file, and return its path."""
    folder = store.root / BUILD_LOGS
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{name}.log"
    log.write_text(output, encoding="utf-8", errors="replace")
    return log
