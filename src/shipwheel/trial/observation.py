"""Frozen values for the observer's result (runtime/observer.py prints it)."""

from collections.abc import Container

import msgspec

from shipwheel.trial.import_record import ImportRecord

__all__ = ["Answer", "Observation", "Socket", "Stop"]

LOOPBACK = ("127.", "::1", "::ffff:127.")
EPHEMERAL = range(32768, 61000)
"""Ports that the kernel gives to programs that ask for none (ip(7), ip_local_port_range)."""


class Socket(msgspec.Struct, frozen=True):
    """A socket that waits for callers: `protocol` is tcp or udp, `seconds` when it was first seen."""

    protocol: str
    address: str
    port: int
    seconds: float = 0.0

    @property
    def is_loopback(self) -> bool:
        """True if nothing outside the container can reach it."""
        return self.address.startswith(LOOPBACK)

    @property
    def is_ephemeral(self) -> bool:
        """True if the program probably did not choose the port."""
        return self.port in EPHEMERAL


class Answer(msgspec.Struct, frozen=True):
    """The answer to a GET request for a `host`. `status` is 0 if none came, and `error` then names the exception.

    `body` and `end` are the first and the last characters of a page, `links` files of the same server that it names.
    """

    port: int
    path: str
    address: str = ""
    host: str = ""
    status: int = 0
    location: str = ""
    type: str = ""
    server: str = ""
    body: str = ""
    end: str = ""
    links: tuple[str, ...] = ()
    forwarded: bool = False
    """True if it redirects callers to the same page, and was asked as a proxy with TLS asks."""
    error: str = ""
    seconds: float = 0.0
    declared: bool = False
    """True for a page that the source names, and that was asked since none of the usual ones was there."""

    @property
    def is_good(self) -> bool:
        """True for a status below 400."""
        return 0 < self.status < 400


class Stop(msgspec.Struct, frozen=True):
    """How the command ended after the stop signal."""

    seconds: float
    killed: bool


class Observation(msgspec.Struct, frozen=True):
    """One run of an image's command.

    `ended` is the exit status of a command that ended by itself, negative for a signal. Times in seconds from the start, `memory` in bytes.
    `written` are paths that were made or changed; a directory ends in a slash.
    """

    program_error: str = msgspec.field(default="", name="program-error")
    python: str = ""
    ended: int | None = None
    left: int = 0
    """Processes that ran on when the command ended."""
    seconds: float = 0.0
    stop: Stop | None = None
    log: str = ""
    ready: float | None = None
    memory: int = 0
    zombies: int = 0
    processes: int = 0
    sockets: tuple[Socket, ...] = ()
    unix: tuple[str, ...] = ()
    """The Unix sockets on which it waits for callers."""
    answers: tuple[Answer, ...] = ()
    pages: tuple[Answer, ...] = ()
    """Answers to what is asked once it serves: files that its first page links to, a page that nothing has, a debugger's script."""
    written: tuple[str, ...] = ()
    imports: ImportRecord | None = None
    """The imports of its processes, if they were asked for."""

    @property
    def answer(self) -> Answer | None:
        """The first good answer."""
        return next((answer for answer in self.answers if answer.is_good), None)

    @property
    def reachable(self) -> tuple[Socket, ...]:
        """The sockets that others can reach."""
        return tuple(found for found in self.sockets if not found.is_loopback)

    def inside(self, exposed: Container[str]) -> tuple[Socket, ...]:
        """Return the TCP sockets that nothing outside can reach, without a program's private ones. `exposed` has "8000/tcp"."""
        found = (each for each in self.sockets if each.is_loopback and each.protocol == "tcp")
        return tuple(each for each in found if not each.is_ephemeral or f"{each.port}/tcp" in exposed)
