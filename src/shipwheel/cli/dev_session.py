"""The loop of `shipwheel dev`: run the processes, pass their output on, and start them again when files are saved."""

import math
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import IO, TYPE_CHECKING

from shipwheel.cli.ready import answer_line
from shipwheel.cli.terminal import Terminal
from shipwheel.dev.changes import Saved, Watched
from shipwheel.dev.seen_files import SeenFiles
from shipwheel.engine.quick_signals import QuickSignals
from shipwheel.engine.ready import answering_ports, reachable_ports
from shipwheel.errors import EngineError, ShipwheelError

if TYPE_CHECKING:
    from shipwheel.cli.dev_workbench import DevImage, Workbench
    from shipwheel.engine.interface import Container, Port

__all__ = ["DevSession"]

_STOP_GRACE_S = 3.0
_READY_TIMEOUT_S = 120.0
_STEP_MS = 15
"""Editors write a file in steps. A change is reported when nothing more comes for this long, and after `_DEBOUNCE_MS` in any case.

A program takes longer to end, and what is saved until then is one change with it.
"""

_DEBOUNCE_MS = 300
_POLL_MS = 1000
_CHECK_S = 5.0
_MAX_NAMES = 3
_SIGNALS = tuple(number for name in ("SIGINT", "SIGTERM", "SIGHUP") if (number := getattr(signal, name, None)) is not None)


class DevSession:
    """The containers of a project in development, from the first start to the signal that ends them."""

    def __init__(self, bench: "Workbench", terminal: Terminal) -> None:
        self._bench = bench
        self._terminal = terminal
        self._containers = ExitStack()
        self._running: tuple[_Running, ...] = ()
        self._watched: Watched
        self._files: SeenFiles

    def run(self, image: "DevImage") -> int:
        """Run until a signal comes; then stop the containers, and return 0. Raise EngineError if one ends by itself."""
        self._watched = Watched.of(image.project)
        self._terminal.stop()
        with _interruptible(), self._containers:
            try:
                self._start(image, SeenFiles(self._watched))
                for saved in self._changes(self._watched.root):
                    if saved.rebuilding:
                        image = self._rebuild(image, saved)
                        self._watched = Watched.of(image.project)
                    else:
                        self._restart(saved.restarting)
            except KeyboardInterrupt:
                self._terminal.note("stopping; the volumes stay")
        return 0

    def _changes(self, root: Path) -> Iterator[Saved]:
        """Yield what is saved, also during a build. Between, check that the containers still run."""
        from watchfiles import watch

        for changes in watch(
            root,
            # Another one after each build.
            watch_filter=lambda _, path: bool(self._watched.name(path)),
            debounce=_DEBOUNCE_MS,
            step=_STEP_MS,
            rust_timeout=_POLL_MS,
            yield_on_timeout=True,
            raise_interrupt=True,
        ):
            if saved := self._saved(path for _, path in changes):
                yield saved
            else:
                for running in self._running:
                    running.check()

    def _saved(self, paths: Iterable[str]) -> Saved:
        """Return what was saved. New files that a starting program wrote are not: they start only one again that has ended."""
        seen = self._files.look(self._watched.saved(paths), max((running.answered for running in self._running), default=math.inf))
        if seen.own and not seen.saved:
            for running in self._running:
                running.start_if_ended()
            self._terminal.note(f"new while the program starts, so not taken as saved: {_listed(seen.own)}")
        return seen.saved

    def _start(self, image: "DevImage", files: SeenFiles) -> None:
        bench, engine = self._bench, self._bench.engine
        self._files = files
        processes = bench.processes(image)
        width = max(len(process.name) for process in processes) if len(processes) > 1 else 0
        found = []
        for process in processes:
            spec = bench.server(image, process)
            prefix = f"{process.name.ljust(width)} | " if width else ""
            container = engine.start(spec)
            found.append(self._containers.enter_context(_Running(container, prefix, self._terminal, reloads=process.reloads)))
            debugger = bench.debugger(process)
            # debugpy ends if something connects to it and leaves before it has started.
            ports = tuple(port for port in reachable_ports(spec, engine) if debugger is None or port.container != debugger.container)
            threading.Thread(target=found[-1].say_when_ready, args=(ports,), daemon=True).start()
            if debugger is not None:
                self._terminal.note(f"an editor attaches to debugpy at {debugger.address}:{debugger.host}")
        self._running = tuple(found)
        self._terminal.note(f"watching {image.project.root}; Ctrl-C stops")

    def _restart(self, names: tuple[str, ...]) -> None:
        for running in self._running:
            running.restart()
        if not all(running.reloads for running in self._running):
            self._terminal.note(f"{_listed(names)} saved: started again")

    def _rebuild(self, before: "DevImage", saved: Saved) -> "DevImage":
        """Build the image again, and replace the containers if it is another one. An error leaves everything as it is."""
        names = _listed((*saved.rebuilding, *saved.restarting))
        self._terminal.note(f"{names} saved: building")
        # As the build reads them or older: what is saved beside it is reported later, and must differ.
        files = SeenFiles(self._watched)
        try:
            after = self._bench.build()
            self._bench.processes(after)
        except ShipwheelError as error:
            self._terminal.warn(f"not built, the containers stay as they are: {error.message}", error.hint)
            # Saved again as it is, it is built again: an error may be the network's.
            self._files.forget(saved.rebuilding)
            return before
        if after.digest == before.digest:
            self._restart((*saved.rebuilding, *saved.restarting))
        else:
            self._containers.close()
            self._terminal.note("the image is another one: the containers are replaced")
            self._start(after, files)
        return after


class _Running:
    """A container, and the program that prints its output. As a context manager, it is stopped and removed at the end."""

    def __init__(self, container: "Container", prefix: str, terminal: Terminal, *, reloads: bool) -> None:
        self.reloads = reloads
        self._container = container
        self._signals = QuickSignals(container)
        self._terminal = terminal
        self._ended = threading.Event()
        self.answered = math.inf
        """When it first answered on its ports, in seconds since 1970."""
        self._next_check = 0.0
        words = shlex.split(container.commands.logs)
        self._printer = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, process_group=0)
        assert self._printer.stdout is not None  # noqa: S101 - it is a pipe
        self._reader = threading.Thread(target=self._pass_on, args=(self._printer.stdout, prefix), daemon=True)
        self._reader.start()

    def __enter__(self) -> "_Running":
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._signals.close()
        with suppress(ShipwheelError):
            self._container.stop(_STOP_GRACE_S)
        with suppress(ShipwheelError):
            self._container.remove()
        self._printer.terminate()
        self._printer.wait()
        self._reader.join(1)

    def restart(self) -> None:
        """Start the process in the container again, unless it loads saved files itself."""
        if not self.reloads:
            self._signals.send("SIGURG")

    def start_if_ended(self) -> None:
        """Start the process in the container again if it has ended."""
        if not self.reloads:
            self._signals.send("SIGWINCH")

    def check(self) -> None:
        """Raise EngineError if the container has ended.

        Asking an engine starts a program: if nothing suggests an end, only each `_CHECK_S` seconds.
        """
        if self._reader.is_alive() and time.monotonic() < self._next_check:
            return
        self._next_check = time.monotonic() + _CHECK_S
        code = self._container.state().exit_code
        if code is not None:
            lines = "\n".join(f"  {line}" for line in self._container.logs().splitlines()[-15:])
            name = self._container.spec.name
            raise EngineError(f"{name} ended with status {code}:\n{lines}".rstrip(":\n"), hint="Correct what it says, and start again.")

    def say_when_ready(self, ports: "tuple[Port, ...]") -> None:
        """Say at which addresses the container answers."""
        for port in answering_ports(ports, _READY_TIMEOUT_S, self._ended.is_set):
            # First, since a person who reads the line may save something.
            self.answered = min(self.answered, time.time())
            self._terminal.note(answer_line(self._container.spec, port))
        self.answered = min(self.answered, time.time())

    def _pass_on(self, stream: IO[bytes], prefix: str) -> None:
        for line in stream:
            if self._ended.is_set() and not line.strip():
                continue
            self._terminal.line(prefix + line.decode("utf-8", "replace").rstrip("\r\n"))


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let signals raise KeyboardInterrupt in the block, once: its end must stop containers, whatever comes meanwhile."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    came = threading.Event()

    def handle(_number: int, _frame: FrameType | None) -> None:
        if not came.is_set():
            came.set()
            raise KeyboardInterrupt

    for number, handler in before.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:_MAX_NAMES])
    return shown if len(names) <= _MAX_NAMES else f"{shown} and {len(names) - _MAX_NAMES} more"
