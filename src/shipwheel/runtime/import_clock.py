"""Write down when a Python process imports which modules, for `import_log`.

Every interpreter of a trial runs this as its `sitecustomize`, which PYTHONPATH has in a directory of its own. It gets out of the way: the
image's own `sitecustomize` follows, and the directory leaves `sys.path`. Standard library only, and the syntax of Python 3.7; it imports
nothing that an interpreter has not imported when it starts. The source of `aside` travels in front of it.

Each process has a file named after its PID, whose lines are fields between tabs, and all texts are Python literals: `P` an interpreter has
started, `F` a process has forked, `M` a module that was there before, `I` an import, after those that it made. Times are nanoseconds of
the monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

import os
import sys
import time
from _thread import get_ident

from shipwheel.runtime.aside import step_aside

TYPE_CHECKING = False
if TYPE_CHECKING:
    # It would take longer to import than all the rest.
    from collections.abc import Callable, Sequence
    from typing import Any

__all__ = ["install"]

BOOTSTRAP = "<frozen importlib._bootstrap>"
MAX_LOG = 4 << 20
"""Bytes of a process's file."""

MAX_TEXT = 300
MAX_PATHS = 8192
FIND = "_find_and_load"


def text(value: object, limit: int = MAX_TEXT) -> str:
    """Return the start of a text as a literal."""
    return ascii(value[:limit] if isinstance(value, str) else "")


def line(*fields: object) -> str:
    """Return the line with these fields."""
    return "\t".join(map(str, fields)) + "\n"


def origin(module: object) -> object:
    """Return the file of a module. A lazy module, which loads when it is asked for an attribute, is not asked."""
    try:
        spec = object.__getattribute__(module, "__dict__").get("__spec__")
        return object.__getattribute__(spec, "__dict__").get("origin")
    except Exception:
        return None


class Clock:
    """The imports of this process. A stack for each thread counts how deep they are."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.depths: dict[int, int] = {}
        self.lines: dict[int, list[str]] = {}
        self.written = 0
        self.is_main_known = False

    def began(self, kind: str) -> None:
        """Write down that an interpreter or a fork has started."""
        try:
            with open("/proc/self/cmdline", "rb") as stream:  # noqa: PTH123 - pathlib is not imported
                command = stream.read(4096).replace(b"\0", b" ").decode("utf-8", "replace").strip()
        except OSError:
            command = ""
        texts = (text(command), text(os.__file__.rpartition("/")[0]), text("\n".join(sys.path), MAX_PATHS))
        self.write([line(kind, time.monotonic_ns(), time.process_time_ns(), os.getppid(), *texts)])

    def forked(self) -> None:
        """Begin the file of a process that has forked."""
        self.lines.clear()
        self.written = 0
        self.began("F")

    def write(self, lines: Sequence[str]) -> None:
        """Append to the process's file. It is opened each time: a program may close all files that it does not know."""
        data = "".join(lines).encode("ascii")
        self.written += len(data)
        if self.written > MAX_LOG:
            return
        try:
            handle = os.open(f"{self.directory}/{os.getpid()}", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                os.write(handle, data)
            finally:
                os.close(handle)
        except OSError:
            pass  # a full disk must not end the program

    def wrapped(self, find: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
        """Return importlib's function that imports a module, with its time written down."""

        def find_and_load(name: str, import_: Any) -> Any:
            if name in sys.modules:
                return find(name, import_)
            thread = get_ident()
            depth = self.depths.get(thread, 0)
            self.depths[thread] = depth + 1
            started = time.monotonic_ns()
            try:
                return find(name, import_)
            finally:
                ended = time.monotonic_ns()
                self.depths[thread] = depth
                self.imported(thread, depth, started, ended, name)

        if hasattr(find_and_load.__code__, "replace"):
            # Tracebacks, and programs that look for their importer, leave out frames of importlib.
            find_and_load.__code__ = find_and_load.__code__.replace(co_filename=BOOTSTRAP, co_name=FIND)
        return find_and_load

    def imported(self, thread: int, depth: int, started: int, ended: int, name: str) -> None:
        """Write down an import, once the outermost one is complete."""
        lines = self.lines.setdefault(thread, [])
        file = text(origin(sys.modules.get(name)))
        lines.append(line("I", thread, depth, started, ended, text(name), file))
        if depth == 0:
            self.lines[thread] = []
            if not self.is_main_known:
                main = origin(sys.modules.get("__main__"))
                if main:
                    self.is_main_known = True
                    lines.append(line("M", text("__main__"), text(main)))
            self.write(lines)


def install(directory: str) -> None:
    """Write down all imports of this process and of those that it forks from now on."""
    clock = Clock(directory)
    clock.began("P")
    # Its modules may change while they are looked at.
    clock.write([line("M", text(name), text(origin(module))) for name, module in list(sys.modules.items())])
    bootstrap = sys.modules["_frozen_importlib"]
    setattr(bootstrap, FIND, clock.wrapped(getattr(bootstrap, FIND)))
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=clock.forked)


if __name__ == "sitecustomize":
    place = __file__.rpartition("/")[0]
    try:
        install(place)
    finally:
        step_aside(place)
