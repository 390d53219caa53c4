"""Run an image's command, watch it from inside the container, and print what was seen as one line of JSON.

The program travels as an argument of the image's own Python (`python -c`): it needs no shell, no mount and no tool in the image, and it
sees the same under every engine. Standard library only, and the syntax of Python 3.7, since base images may have an old one.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

__all__ = ["main"]

LOG_HEAD, LOG_TAIL = 16 << 10, 64 << 10
BODY = 400
POLL_S = 0.1
SETTLE_S = 0.5
PATIENCE_S = 15.0
"""Seconds after the first socket listens in which an answer may still change: servers open the port before they are ready."""

MAX_WRITTEN = 200
LISTEN = "0A"
UNCONNECTED = "07"
NOT_DISKS = ("/proc", "/sys", "/dev", "/run/secrets")
LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - the address at which to ask a server that listens on all


class Log:
    """The beginning and the end of a process's output, read by a thread so that it never blocks on a full pipe."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.head, self.tail = bytearray(), bytearray()
        self.stream = stream
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self) -> None:
        """Read to the end."""
        while True:
            data = os.read(self.stream.fileno(), 65536)
            if not data:
                return
            room = LOG_HEAD - len(self.head)
            self.head += data[:room]
            self.tail += data[room:] if room > 0 else data
            del self.tail[:-LOG_TAIL]

    def text(self) -> str:
        """Return the text, with a mark where lines are left out."""
        gap = b"\n[...]\n" if len(self.tail) == LOG_TAIL else b""
        return (bytes(self.head) + gap + bytes(self.tail)).decode("utf-8", "replace")


def processes() -> list[int]:
    """Return the process IDs of the container, without this program's and its parent's."""
    own = (os.getpid(), os.getppid())
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit() and int(path.name) not in own]


def status_of(pid: int) -> dict[str, str]:
    """Return a process's status fields (proc(5)); empty if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def sockets_of(pids: Iterable[int]) -> set[str] | None:
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
    return found if looked else None


def address_of(text: str) -> str:
    """Return the address of a line in /proc/net: groups of four bytes in the machine's byte order."""
    data = bytes.fromhex(text)
    words = [data[start : start + 4] for start in range(0, len(data), 4)]
    if sys.byteorder == "little":
        words = [word[::-1] for word in words]
    return socket.inet_ntop(socket.AF_INET if len(data) == 4 else socket.AF_INET6, b"".join(words))


def listeners(pids: Iterable[int]) -> list[tuple[str, str, int]]:
    """Return the sorted (protocol, address, port) on which the container's processes wait for callers."""
    own = sockets_of(pids)
    found: set[tuple[str, str, int]] = set()
    for name, state in (("tcp", LISTEN), ("tcp6", LISTEN), ("udp", UNCONNECTED), ("udp6", UNCONNECTED)):
        with contextlib.suppress(OSError):
            for line in Path("/proc/net", name).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == state and (own is None or fields[9] in own):
                    address, port = fields[1].split(":")
                    found.add((name[:3], address_of(address), int(port, 16)))
    return sorted(found)


def ask(address: str, port: int, path: str, host: str, timeout: float) -> dict[str, Any]:
    """Send one GET request, and return what came back: a status, or the error's name."""
    started = time.monotonic()
    answer: dict[str, Any] = {"port": port, "path": path}
    connection = http.client.HTTPConnection(LOOPBACK.get(address, address), port, timeout=timeout)
    try:
        connection.request("GET", path, headers={"Host": host, "Accept": "text/html,*/*", "User-Agent": "shipwheel-check"})
        response = connection.getresponse()
        answer["status"] = response.status
        answer["location"] = response.getheader("Location", "")[:BODY]
        answer["type"] = response.getheader("Content-Type", "")[:BODY]
        answer["server"] = response.getheader("Server", "")[:BODY]
        answer["body"] = response.read(BODY).decode("utf-8", "replace")
    except Exception as error:  # whatever a server sends is an observation
        answer["error"] = type(error).__name__
    finally:
        connection.close()
    answer["seconds"] = round(time.monotonic() - started, 3)
    return answer


class Watch:
    """What was seen of the running command so far."""

    def __init__(self, process: subprocess.Popen[bytes], options: Mapping[str, Any]) -> None:
        self.process = process
        self.options = options
        self.started = time.monotonic()
        self.sockets: dict[tuple[str, str, int], float] = {}
        self.answers: dict[tuple[int, str], dict[str, Any]] = {}
        self.ready: float | None = None
        self.memory = 0
        self.zombies = 0
        self.count = 0

    def elapsed(self) -> float:
        """Return the seconds since the start."""
        return round(time.monotonic() - self.started, 3)

    def look(self) -> None:
        """Look once at processes and sockets, and ask the new sockets, until something answers well."""
        pids = processes()
        states = [status_of(pid) for pid in pids]
        self.count = max(self.count, len(pids))
        self.zombies = sum(state.get("State", "").startswith("Z") for state in states)
        self.memory = max(self.memory, sum(int(state.get("VmRSS", "0 kB").split()[0]) << 10 for state in states))
        for found in listeners(pids):
            self.sockets.setdefault(found, self.elapsed())
        if self.ready is None:
            for _, address, port in [found for found in self.sockets if found[0] == "tcp"]:
                if self.is_answered(address, port):
                    self.ready = self.elapsed()
                    return

    def is_answered(self, address: str, port: int) -> bool:
        """Return whether a path of a port answers with a status below 400; every answer is kept."""
        for path in self.options["paths"]:
            answer = ask(address, port, path, self.options["host"], self.options["patience"])
            answer["address"] = address
            self.answers[(port, path)] = answer
            if answer.get("status", 999) < 400:
                return True
            if "status" not in answer:
                return False
        return False

    def is_settled(self) -> bool:
        """Return whether nothing more is to be expected: something answers, or nothing has for long enough."""
        if self.ready is not None:
            return True
        if self.sockets:
            return self.elapsed() - min(self.sockets.values()) > float(self.options["patience"])
        return self.elapsed() > float(self.options["timeout"])


def stop(process: subprocess.Popen[bytes], options: Mapping[str, Any]) -> dict[str, Any]:
    """Stop the command as an engine does. Return the seconds that it took, and whether it had to be killed."""
    started = time.monotonic()
    process.send_signal(getattr(signal, options["signal"], signal.SIGTERM))
    try:
        process.wait(options["grace"])
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return {"seconds": round(time.monotonic() - started, 3), "killed": True}
    return {"seconds": round(time.monotonic() - started, 3), "killed": False}


def written(tops: Iterable[str], since: float, skip: Iterable[str]) -> list[str]:
    """Return what is newer than `since` below `tops`, by its change time: files, and directories that had nothing older in them."""
    found: list[str] = []
    for top in tops:
        _visit(top, since, frozenset(skip), found)
    return sorted(found)[:MAX_WRITTEN]


def _visit(directory: str, since: float, skip: frozenset[str], found: list[str]) -> bool:
    """Add what is new below a directory. Return whether something in it is old."""
    has_old = False
    with contextlib.suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            if entry.path in skip:
                has_old = True
                continue
            with contextlib.suppress(OSError):
                facts = entry.stat(follow_symlinks=False)
                is_new = facts.st_ctime >= since
                if stat.S_ISDIR(facts.st_mode):
                    is_new = not _visit(entry.path, since, skip, found) and is_new
                if is_new:
                    found.append(entry.path + ("/" if stat.S_ISDIR(facts.st_mode) else ""))
                else:
                    has_old = True
    return has_old


def observe(options: Mapping[str, Any]) -> dict[str, Any]:
    """Run the command until it has settled, stop it, and return what was seen."""
    since = time.time()
    seen: dict[str, Any] = {"program_error": "", "python": sys.version.split()[0]}
    try:
        process = subprocess.Popen(
            options["command"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a server that ends its process group must not end this program
        )
    except OSError as error:
        seen["program_error"] = f"{options['command'][0]}: {error.strerror}"
        return seen
    assert process.stdout is not None  # noqa: S101 - a pipe
    log = Log(process.stdout)
    watch = Watch(process, options)
    while process.poll() is None and not watch.is_settled():
        watch.look()
        time.sleep(POLL_S)
    if process.poll() is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(SETTLE_S)
        watch.look()
    seen["ended"] = process.poll()
    seen["seconds"] = watch.elapsed()
    if seen["ended"] is None:
        seen["stop"] = stop(process, options)
    log.thread.join(1)
    seen.update(
        log=log.text(),
        ready=watch.ready,
        memory=watch.memory,
        zombies=watch.zombies,
        processes=watch.count,
        sockets=[{"protocol": key[0], "address": key[1], "port": key[2], "seconds": when} for key, when in sorted(watch.sockets.items())],
        answers=list(watch.answers.values()),
        written=written(options["look_in"], since, (*NOT_DISKS, *options["skip"])),
    )
    return seen


def main() -> None:
    """Read the options from the first argument, and print the observation."""
    print(json.dumps(observe(json.loads(sys.argv[1]))))  # noqa: T201 - its output


if __name__ == "__main__":
    main()
