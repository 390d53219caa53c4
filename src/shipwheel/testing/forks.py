"""Commands as forks of a process that has imported shipwheel: its imports take most of the time of a small command.

In: a command of a world. Out: its exit code and what it printed. The process starts with the first command, and ends with the one that
started it. It has no threads, so each fork is as a new process would be after its imports, apart from the seed of string hashes.
"""

import atexit
import gc
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile
from typing import NoReturn

import shipwheel
from shipwheel.cli.repeat import own_code
from shipwheel.download.http import trusted_authorities
from shipwheel.lazy_pattern import LazyPattern
from shipwheel.testing import offline_command

__all__ = ["CODE_UNDER_TEST", "Command", "can_run", "run", "without_start_variables"]

CODE_UNDER_TEST = {"PYTHONPATH": str(Path(shipwheel.__file__).parents[1])}
"""The variable by which a process imports this shipwheel."""

_OTHERS = """
    _strptime email.policy encodings.ascii encodings.cp437 encodings.idna encodings.utf_8_sig httpcore httpx importlib.readers installer
    installer.destinations installer.scripts installer.sources packaging.pylock packaging.requirements pathspec pysequoia rich.live tomli_w
    tomlkit uv yaml zlib_ng.zlib_ng zstandard
    """.split()  # noqa: SIM905
"""Modules that shipwheel imports inside functions, and that such modules do."""

_MAX_REQUEST = 1 << 20
_HANG_S = 600
_AT_START = ("PYTHON", "LC_", "LANG", "TZ")
"""How the names of variables begin that an interpreter reads once, when it starts."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command to run, with its whole environment. A negative umask is that of this process.

    `offline` is what a command in a world is prepared with. Without it, the command is as users have it.
    """

    offline: tuple[str, str, int] | None
    arguments: tuple[str, ...]
    directory: str
    environment: dict[str, str]
    umask: int


def without_start_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment that a fork can have: without the variables that an interpreter reads when it starts."""
    return {name: text for name, text in environment.items() if not name.startswith(_AT_START)} | CODE_UNDER_TEST


def can_run(environment: Mapping[str, str]) -> bool:
    """Return whether a fork sees what a new process with this environment would see. Forks are for Linux alone."""
    return sys.platform == "linux" and {name: text for name, text in environment.items() if name.startswith(_AT_START)} == CODE_UNDER_TEST


def run(command: Command, prefix: tuple[str, ...] = ()) -> tuple[int, str, str]:
    """Run a command to its end. Return its exit code, output and error output.

    `prefix` is a command that runs what follows it, for example in other namespaces: the process that forks starts behind it.
    Raise ChildProcessError if the command ended without an exit code, as it does if it hangs.
    """
    reading, writing = os.pipe()
    with TemporaryFile() as out, TemporaryFile() as err, os.fdopen(reading, "rb") as status:
        try:
            _server(prefix).send(command, (out.fileno(), err.fileno(), writing))
        finally:
            os.close(writing)
        code = status.read()
        out.seek(0)
        err.seek(0)
        printed, errors = out.read().decode(), err.read().decode()
    if not code:
        raise ChildProcessError(f"shipwheel {' '.join(command.arguments)} ended without an exit code:\n{printed}{errors}")
    return int(code), printed, errors


class _Server:
    """The process that forks, as its parent sees it."""

    def __init__(self, prefix: tuple[str, ...]) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [*prefix, sys.executable, "-m", __name__, str(theirs.fileno())],
                env={"PATH": os.defpath, **CODE_UNDER_TEST},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        atexit.register(self._close)

    def send(self, command: Command, files: Sequence[int]) -> None:
        """Let a fork run a command. `files` are for its output, its error output and its exit code."""
        socket.send_fds(self._socket, [json.dumps(asdict(command)).encode()], files)

    def _close(self) -> None:
        self._socket.close()
        self._process.wait()


_server = cache(_Server)


def _serve(connection: socket.socket) -> None:
    """Fork for each command, until the other end closes."""
    _import_all()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        request, files, _, _ = socket.recv_fds(connection, _MAX_REQUEST, 3)
        if not request:
            return
        if os.fork() == 0:
            connection.close()
            _run_and_exit(Command(**json.loads(request)), *files)
        for file in files:
            os.close(file)


def _import_all() -> None:
    for module in pkgutil.walk_packages(shipwheel.__path__, "shipwheel."):
        if not module.name.startswith(("shipwheel.testing.", "shipwheel.runtime.", "shipwheel.__main__")):
            import_module(module.name)
    for name in _OTHERS:
        import_module(name)
    trusted_authorities()
    own_code()
    for pattern in gc.get_objects():
        if isinstance(pattern, LazyPattern):
            pattern.compiled()
    # The forks share the memory until one writes to it, which a collection would do.
    gc.collect()
    gc.freeze()


def _run_and_exit(command: Command, out: int, err: int, status: int) -> NoReturn:
    """Become the command, and write its exit code at its end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.alarm(_HANG_S)
    os.dup2(out, 1)
    os.dup2(err, 2)
    code = 1
    try:
        os.environ.clear()
        os.environ.update(command.environment)
        os.chdir(command.directory)
        if command.umask >= 0:
            os.umask(command.umask)
        if command.offline:
            offline_command.prepare(*command.offline)
        offline_command.run(command.arguments)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    # As at the end of an interpreter, which _exit leaves out.
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os.write(status, str(code).encode())
    os._exit(code)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as inherited:
        _serve(inherited)
