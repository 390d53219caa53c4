"""Run an image's command, watch it from inside the container, and print what was seen as one line of JSON.

The program travels as an argument of the image's own Python (`python -c`): it needs no shell, no mount and no tool in the image, and it
sees the same under every engine. Standard library only, and the syntax of Python 3.7, since base images may have an old one. The sources of
`pages` and `import_log` travel in front of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from shipwheel.runtime.import_log import ImportLog
from shipwheel.runtime.pages import Caller

__all__ = ["main"]

LOG_HEAD, LOG_TAIL = 16 << 10, 64 << 10
POLL_S = 0.1
FINE_POLL_S = 0.02
"""Seconds between two looks at a start whose time is measured."""

SETTLE_S = 0.5
OTHERS_S = 5.0
"""Seconds after the first socket listens in which the ports that the image exposes may follow: only then are others asked."""

WORK_S = 0.1
IDLE_S = 3.0
"""A program that uses less than WORK_S of the processor within IDLE_S waits for something."""

PRIVATE = ("/.", "/pymp-")
"""Parts of the paths of Unix sockets that a program's own processes talk over: hidden files, Python's multiprocessing."""

MAX_WRITTEN = 200
MAX_DEPTH = 60
LISTEN = "0A"
UNCONNECTED = "07"
ACCEPTS = 0x10000
"""The flag of a Unix socket that listens (__SO_ACCEPTCON)."""

NOT_DISKS = ("/proc", "/sys", "/dev", "/run/secrets")
COARSE_CLOCK = 5
"""CLOCK_REALTIME_COARSE (clock_gettime(2)): the clock of the times that the kernel gives to files. It is some milliseconds behind."""

EPHEMERAL = (32768, 60999)
"""The kernel's default for ports of clients (ip(7), ip_local_port_range)."""


class Log:
    """The beginning and the end of a process's output, read by a thread so that it never blocks on a full pipe."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.head, self.tail = bytearray(), bytearray()
        self.stream = stream
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self) -> None:
        """Read to the end."""
        while self.take():
            select.select([self.stream], [], [])

    def take(self) -> bool:
        """Take what is in the pipe. Return False at its end."""
        with self.lock:
            has_some = bool(select.select([self.stream], [], [], 0)[0])
            data = os.read(self.stream.fileno(), 65536) if has_some else b""
            room = LOG_HEAD - len(self.head)
            self.head += data[:room]
            self.tail += data[room:] if room > 0 else data
            del self.tail[:-LOG_TAIL]
            return bool(data) or not has_some

    def text(self) -> str:
        """Return the text so far, with a mark where lines are left out. What was printed before an answer is in it."""
        if self.thread.is_alive():
            self.take()
        gap = b"\n[...]\n" if len(self.tail) == LOG_TAIL else b""
        return (bytes(self.head) + gap + bytes(self.tail)).decode("utf-8", "replace")


def processes() -> list[int]:
    """Return the process IDs of the container, without this program's and its parent's."""
    own = (os.getpid(), os.getppid())
    with contextlib.suppress(OSError):
        return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit() and int(path.name) not in own]
    return []


def status_of(pid: int) -> dict[str, str]:
    """Return a process's status fields (proc(5)); empty if it has ended."""
    try:
        # A process may have any bytes for a name.
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def processor_time(pids: Sequence[int]) -> float:
    """Return the seconds of processor time that processes have used (proc(5), stat)."""
    ticks = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            # A process may have any bytes for a name, which stands in brackets.
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def sockets_of(pids: Sequence[int]) -> set[str] | None:
    """Return the inodes of the sockets that processes hold, None if none of them lets us look."""
    found: set[str] = set()
    looked = False
    for pid in pids:
        with contextlib.suppress(OSError):
            for handle in Path(f"/proc/{pid}/fd").iterdir():
                looked = True
                with contextlib.suppress(OSError):
                    target = os.readlink(str(handle))  # noqa: PTH115 - Path.readlink is newer than Python 3.7
                    if target.startswith("socket:["):
                        found.add(target[8:-1])
    return found if looked or not pids else None


def address_of(text: str) -> str:
    """Return the address of a line in /proc/net: groups of four bytes in the machine's byte order."""
    data = bytes.fromhex(text)
    words = [data[start : start + 4] for start in range(0, len(data), 4)]
    if sys.byteorder == "little":
        words = [word[::-1] for word in words]
    return socket.inet_ntop(socket.AF_INET if len(data) == 4 else socket.AF_INET6, b"".join(words))


def client_ports() -> range:
    """Return the ports that the kernel gives to clients, which have to receive answers to their datagrams somewhere."""
    first, last = EPHEMERAL
    with contextlib.suppress(OSError, ValueError):
        first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split())
    return range(first, last + 1)


def listeners(own: set[str] | None, exposed: Collection[int]) -> list[tuple[str, str, int]]:
    """Return the sorted (protocol, address, port) on which the container's processes wait for callers; `own` are their sockets.

    A UDP socket on a client's port is a client's, unless the image exposes it.
    """
    clients = client_ports()
    found: set[tuple[str, str, int]] = set()
    for name, state in (("tcp", LISTEN), ("tcp6", LISTEN), ("udp", UNCONNECTED), ("udp6", UNCONNECTED)):
        with contextlib.suppress(OSError):
            for line in Path("/proc/net", name).read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                address, _, port = fields[1].partition(":")
                number = int(port, 16)
                is_client = state == UNCONNECTED and number in clients and number not in exposed
                if fields[3] == state and not is_client and (own is None or fields[9] in own):
                    found.add((name[:3], address_of(address), number))
    return sorted(found)


def unix_listeners(own: set[str] | None) -> list[str]:
    """Return the paths of the Unix sockets on which the container's processes wait for callers (proc(5): /proc/net/unix)."""
    found: set[str] = set()
    with contextlib.suppress(OSError):
        for line in Path("/proc/net/unix").read_text(encoding="utf-8", errors="replace").splitlines()[1:]:
            fields = line.split(maxsplit=7)
            if len(fields) == 8 and int(fields[3], 16) & ACCEPTS and (own is None or fields[6] in own):
                found.add(fields[7])
    return sorted(path for path in found if not any(mark in path for mark in PRIVATE))


class Watch:
    """All that was seen of the running command so far."""

    def __init__(self, process: subprocess.Popen[bytes], options: Mapping[str, Any], imports: ImportLog | None = None) -> None:
        self.process = process
        self.options = options
        self.imports = imports
        self.started = time.monotonic()
        self.sockets: dict[tuple[str, str, int], float] = {}
        self.unix: list[str] = []
        self.caller = Caller(options)
        self.ready: float | None = None
        self.memory = self.zombies = self.count = 0
        self.worked = self.used = 0.0
        self.eager = False

    def elapsed(self) -> float:
        """Return the seconds since the start."""
        return round(time.monotonic() - self.started, 3)

    def look(self) -> None:
        """Look once at processes and sockets, and ask the new sockets, until something answers well."""
        pids = processes()
        if self.imports is not None:
            self.imports.look(pids)
        states = [status_of(pid) for pid in pids]
        self.count = max(self.count, len(pids))
        self.zombies = sum(state.get("State", "").startswith("Z") for state in states)
        self.memory = max(self.memory, sum(int(state.get("VmRSS", "0 kB").split()[0]) << 10 for state in states))
        used = processor_time(pids)
        # On a busy machine, a program that would compute or read gets little time for it: it can run, or waits for the disk.
        eager = any(state.get("State", "S").startswith(("R", "D")) for state in states)
        if not 0 <= used - self.used < WORK_S or (eager and self.eager):
            self.worked, self.used = self.elapsed(), used
        self.eager = eager
        own = sockets_of(pids)
        self.sockets = {found: self.sockets.get(found, self.elapsed()) for found in listeners(own, self.options["ports"])}
        self.unix = unix_listeners(own)
        if self.ready is None:
            for _, address, port in self.to_ask():
                if self.caller.is_answered(address, port):
                    self.ready = self.elapsed()
                    return

    def since_first(self) -> float:
        """Return the seconds since the first socket listens."""
        return self.elapsed() - min(self.sockets.values())

    def to_ask(self) -> list[tuple[str, str, int]]:
        """Return the sockets to ask: those of ports that the image exposes, and all if none of those listens for some time."""
        found = [each for each in self.sockets if each[0] == "tcp"]
        exposed = [each for each in found if each[2] in self.options["ports"]]
        is_early = found and self.options["ports"] and self.since_first() < min(OTHERS_S, self.options["patience"])
        return exposed if exposed or is_early else found

    def follow(self) -> None:
        """Ask for what shows more of a server that answers."""
        self.ready = self.elapsed() if self.caller.follow() else self.ready

    def is_settled(self) -> bool:
        """Return whether nothing more is to be expected: something answers, or nothing has for long enough."""
        if self.ready is not None:
            return True
        if self.sockets:
            return self.since_first() > self.caller.patience()
        if self.unix and self.elapsed() > 2 * float(self.options["patience"]):
            # What listens on a Unix socket mostly listens nowhere else.
            return True
        # A server that computes is still starting: on a busy machine, under an emulator, with much to import.
        is_starting = self.elapsed() - self.worked < IDLE_S
        return self.elapsed() > float(self.options["starting" if is_starting else "timeout"])


def signal_of(text: str) -> int:
    """Return the number of a signal as an image's config has it: "SIGTERM", "SIGRTMIN+3" or "15" (image-spec, config.md, StopSignal)."""
    name, sign, offset = text.partition("+") if "+" in text else text.partition("-")
    number = int(name) if name.isdigit() else int(getattr(signal, name, signal.SIGTERM))
    return number + int(sign + offset) if offset else number


def stop(process: subprocess.Popen[bytes], options: Mapping[str, Any]) -> dict[str, Any]:
    """Stop the command as an engine does. Return the seconds that it took, and whether it had to be killed."""
    started = time.monotonic()
    process.send_signal(signal_of(options["signal"]))
    try:
        process.wait(options["grace"])
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return {"seconds": round(time.monotonic() - started, 3), "killed": True}
    return {"seconds": round(time.monotonic() - started, 3), "killed": False}


class Written:
    """A search for what is written below some directories from now on. `skip` are directories that do not count."""

    def __init__(self, tops: Iterable[str], skip: Iterable[str]) -> None:
        self.tops = tuple(tops)
        self.skip = frozenset(skip)
        self.since = time.clock_gettime_ns(COARSE_CLOCK)
        self.before = {path for top in self.tops for path in self.files(top)}
        self.here = str(Path.cwd())

    def entries(self, directory: str) -> list[os.DirEntry[str]]:
        """Return what is in a directory. Raise OSError if it cannot be read, or is very deep."""
        if directory in self.skip or directory.count("/") > MAX_DEPTH:
            raise PermissionError
        with os.scandir(directory) as entries:
            return list(entries)

    def files(self, directory: str) -> Iterator[str]:
        """Yield the paths of all that is no directory."""
        with contextlib.suppress(OSError):
            for entry in self.entries(directory):
                if entry.is_dir(follow_symlinks=False):
                    yield from self.files(entry.path)
                else:
                    yield entry.path

    def paths(self) -> list[str]:
        """Return what was written: files, and directories, which end in a slash, in place of their files if all of those are new."""
        found: list[str] = []
        for top in self.tops:
            self.add(top, found)
        return sorted(found)[:MAX_WRITTEN]

    def add(self, directory: str, found: list[str]) -> bool:
        """Add what was written below a directory. Return whether all in it is new."""
        try:
            entries = self.entries(directory)
        except OSError:
            return False
        all_new = True
        for entry in entries:
            with contextlib.suppress(OSError):
                facts = entry.stat(follow_symlinks=False)
                is_changed = facts.st_ctime_ns >= self.since
                is_new = is_changed and entry.path not in self.before
                if stat.S_ISDIR(facts.st_mode):
                    inside = len(found)
                    # The working directory may be empty at first, and is no directory of the program's own.
                    is_new = self.add(entry.path, found) and is_new and entry.path != self.here
                    if is_new:
                        found[inside:] = [entry.path + "/"]
                elif is_changed:
                    found.append(entry.path)
                all_new = all_new and is_new
        return all_new


def import_log(options: Mapping[str, Any]) -> ImportLog | None:
    """Return where the processes write down their imports, if that is asked for and there is a place for it."""
    if options.get("clock"):
        with contextlib.suppress(OSError):
            return ImportLog(options["clock"], options["scratch"])
    return None


def observe(options: Mapping[str, Any]) -> dict[str, Any]:
    """Run the command until it has settled, stop it, and return what was seen."""
    written = Written(options["look_in"], (*NOT_DISKS, *options["skip"]))
    seen: dict[str, Any] = {"program-error": "", "python": sys.version.split()[0]}
    imports = import_log(options)
    started = time.monotonic()
    try:
        process = subprocess.Popen(
            options["command"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=imports.environment(os.environ) if imports is not None else None,
            start_new_session=True,  # a server that ends its process group must not end this program
        )
    except OSError as error:
        seen["program-error"] = f"{options['command'][0]}: {error.strerror}"
        return seen
    assert process.stdout is not None  # noqa: S101 - a pipe
    log = Log(process.stdout)
    watch = Watch(process, options, imports)
    while process.poll() is None and not watch.is_settled():
        watch.look()
        time.sleep(POLL_S if imports is None else FINE_POLL_S)
    if process.poll() is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(SETTLE_S)
        watch.look()
        watch.follow()
    seen["ended"] = process.poll()
    seen["left"] = len(processes()) if seen["ended"] is not None else 0
    seen["seconds"] = watch.elapsed()
    before_stop = ""
    if seen["ended"] is None:
        # What it prints when it is stopped is no reason why it does not serve.
        before_stop = log.text()
        seen["stop"] = stop(process, options)
    log.thread.join(1)
    seen.update(
        log=before_stop or log.text(),
        ready=watch.ready,
        memory=watch.memory,
        zombies=watch.zombies,
        processes=watch.count,
        sockets=[{"protocol": key[0], "address": key[1], "port": key[2], "seconds": when} for key, when in sorted(watch.sockets.items())],
        unix=watch.unix,
        answers=list(watch.caller.answers.values()),
        pages=watch.caller.pages,
        written=written.paths(),
        imports=imports.read(started) if imports is not None else None,
    )
    return seen


def main() -> None:
    """Read the options from the first argument, and print the observation on a line of its own."""
    print("\n" + json.dumps(observe(json.loads(sys.argv[1]))), flush=True)  # noqa: T201 - its output


if __name__ == "__main__":
    main()
