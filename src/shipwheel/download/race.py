"""A file's bytes from whichever servers give them: where one is silent or slow, the next one is asked as well, and the quickest stays."""

import os
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, BinaryIO, Protocol

from shipwheel.download.local_file import is_local, local_file, pieces
from shipwheel.download.servers import LIED, Servers, server_of
from shipwheel.download.transfer import Passing, begins, check, passing, redacted
from shipwheel.errors import FetchError, IntegrityError

if TYPE_CHECKING:
    import httpx

__all__ = ["ATTEMPTS", "Accept", "Job", "Meter", "Partial", "Request", "exhausted", "gathered", "pause"]

ATTEMPTS = 5
"""How often one address is tried, when what went wrong may pass."""

PATIENCE = 1.5
"""Seconds without a byte after which a request ends, when there is another server; more with every round."""

LOOK = 0.2
"""Seconds between looks at the pace of a download that other servers could give as well."""

GRACE = 0.5
"""Seconds that a server has to begin when none of the others has given anything yet."""

_LONGEST_WAIT = 30.0

Accept = Callable[[str], FetchError | None]
"""What is wrong with the file that an address completed."""


class _Stopped(Exception):
    """Nobody waits for this request any more."""


class Meter(Protocol):
    """Is told how many bytes there are. Each of its methods raises when the whole stage ends."""

    def __call__(self, done: int) -> None: ...

    def check(self) -> None: ...

    def wait(self, seconds: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Job:
    """One download: how it is fetched, and what is known of the servers. `size` in bytes, None when unknown."""

    client: "httpx.Client"
    label: str
    size: int | None
    servers: Servers
    meter: Meter


@dataclass(slots=True, eq=False)
class Request:
    """One request for a file: `at` is how far it is, `came` how many bytes it brought."""

    url: str
    partial: "Partial"
    begun: float
    at: int = 0
    came: int = 0
    stopped: bool = False

    def rate(self) -> float:
        return self.came / max(time.monotonic() - self.begun, 1e-6)


class Partial:
    """The file in which a download's bytes come together, from one request or several. `givers` are the addresses that gave some.

    Any thread may use it.
    """

    def __init__(self, stream: BinaryIO, size: int | None) -> None:
        self.stream, self.size = stream, size
        self.have = stream.seek(0, os.SEEK_END)
        self.givers = [""] if self.have else []
        self._lock = threading.Lock()
        if size is not None and self.have > size:
            self.restart()

    def restart(self, request: Request | None = None) -> None:
        """Begins again from nothing, unless that is the wish of a request from which nothing is taken any more."""
        with self._lock:
            if request is not None and request.stopped:
                raise _Stopped
            self._clear()

    def _clear(self) -> None:
        self.stream.seek(0)
        self.stream.truncate()
        self.have = 0
        self.givers.clear()

    def drop(self, request: Request) -> None:
        """Takes no more from a request."""
        with self._lock:
            request.stopped = True

    def put(self, request: Request, data: bytes, label: str) -> None:
        """Takes what a request brings, as far as it is new. Raises IntegrityError when it is more than there can be."""
        with self._lock:
            if request.stopped:
                raise _Stopped
            begin, request.at = request.at, request.at + len(data)
            request.came += len(data)
            if self.size is not None and request.at > self.size:
                self._clear()
                raise IntegrityError(f"{label}: {redacted(request.url)} gave more than {self.size} bytes", hint="Do not trust that server.")
            if begin > self.have:
                # Another request's doing: nobody is to blame.
                raise Passing("what came before is gone", wait=0.0, what="")
            if request.at > self.have:
                self.stream.write(data[self.have - begin :] if begin < self.have else data)
                self.have = request.at
                if request.url not in self.givers:
                    self.givers.append(request.url)


def gathered(job: Job, partials: Mapping[str, Partial], problems: list[FetchError], accept: Accept) -> str | None:
    """Completes one of the partial files from the addresses that are its keys; an address whose file is accepted, or None.

    Addresses with one file in common complete it together. `problems` grows by what is final for an address.
    """
    alive = list(partials)
    for number in range(1, ATTEMPTS + 1):
        contest = _Contest(job, partials, job.servers.order(alive), number, accept)
        winner = contest.held()
        if winner is not None:
            return winner
        for url, error in contest.failed.items():
            if isinstance(error, FetchError):
                alive.remove(url)
                problems.append(error)
        again = {url: error for url, error in contest.failed.items() if isinstance(error, Passing)}
        if not alive:
            return None
        if number < ATTEMPTS:
            pause([error.wait for error in again.values()], number, job.meter.wait)
    problems += [exhausted(url, job.label, error) for url, error in again.items()]
    return None


def exhausted(url: str, label: str, problem: Passing) -> FetchError:
    """What is said when an address was tried often enough."""
    error = FetchError(
        f"{label}: {redacted(url)}: {problem} ({ATTEMPTS} attempts)",
        hint="Check the network or the proxy, or use another index or mirror; what was fetched is kept, so try again.",
    )
    error.__cause__ = problem
    return error


def pause(asked: Sequence[float | None], number: int, wait: Callable[[float], None]) -> None:
    """Never less than a server asks for, and not all clients at the same moment."""
    if not asked:
        return
    seconds, told = min((0.125 * 2**number if some is None else some, some is not None) for some in asked)
    wait(min(seconds, _LONGEST_WAIT) * random.uniform(1.0, 1.1 if told else 2.0))  # noqa: S311 - jitter, not a secret


@dataclass(slots=True)
class _Contest:
    """One round: each address is asked, the next one when none is at work, or none quick enough, until it fails."""

    job: Job
    partials: Mapping[str, Partial]
    waiting: list[str]
    number: int
    accept: Accept
    failed: dict[str, Exception] = field(default_factory=dict)
    running: list[Request] = field(default_factory=list)
    suspects: list[Request] = field(default_factory=list)
    ended: "SimpleQueue[tuple[Request, BaseException | None]]" = field(default_factory=SimpleQueue)
    looked: float = 0.0
    had: int = 0

    def held(self) -> str | None:
        """The address that completed a file which is accepted, None when all have failed."""
        try:
            while self.waiting or self.running:
                if not self.running:
                    self.start(self.waiting[:1])
                try:
                    request, error = self.ended.get(timeout=LOOK)
                except Empty:
                    self.job.meter.check()
                    self.look()
                    continue
                if request in self.running and self.is_over(request, error):
                    return request.url
            return None
        finally:
            self.stop(self.running)

    def start(self, urls: Sequence[str]) -> None:
        """Asks these as well."""
        for url in urls:
            self.waiting.remove(url)
            request = Request(url, self.partials[url], time.monotonic())
            self.running.append(request)
            threading.Thread(target=_attempt, args=(self.job, request, self.patience(url), self.ended), daemon=True).start()
        self.looked, self.had = time.monotonic(), self.most()

    def stop(self, requests: Sequence[Request]) -> None:
        """Their threads end with the next bytes, or when these do not come."""
        for request in requests:
            request.partial.drop(request)

    def patience(self, url: str) -> float | None:
        """Who has a choice need not be patient, at first."""
        alone = len({server_of(other) for other in (url, *self.waiting, *(it.url for it in self.running))}) == 1
        return None if alone else PATIENCE * self.number

    def most(self) -> int:
        """The bytes of the file that is most complete."""
        return max((request.partial.have for request in self.running), default=0)

    def look(self) -> None:
        """Asks more servers when those at work are slow; of several at work, only the foremost stays when it is not."""
        seconds, servers = time.monotonic() - self.looked, self.job.servers
        rest = [url for url in self.waiting if server_of(url) not in {server_of(request.url) for request in self.running}]
        proven = [url for url in rest if servers.is_proven(url)]
        if seconds < (LOOK if proven else GRACE):
            return
        rate = (self.most() - self.had) / seconds
        if servers.is_slow(rate, rest):
            self.suspects += [request for request in self.running if request not in self.suspects]
            self.start(proven[:1] or rest)
        elif len(self.running) > 1 and rate > 0:
            self.settle(max(self.running, key=lambda request: request.at))

    def settle(self, best: Request) -> None:
        """Leaves the others to a later time."""
        others = [request for request in self.running if request is not best]
        self.stop(others)
        self.blame(best)
        self.running = [best]
        self.waiting += [request.url for request in others]
        self.looked, self.had = time.monotonic(), self.most()

    def blame(self, best: Request) -> None:
        """What was slow, or silent, is known as such when another one was better."""
        for request in self.suspects:
            if request is not best and server_of(request.url) != server_of(best.url):
                self.job.servers.slow(request.url, request.rate(), self.job.label)
        self.suspects.clear()

    def is_over(self, request: Request, error: BaseException | None) -> bool:
        """Notes how an attempt ended; whether it was the last one."""
        self.running.remove(request)
        if error is None:
            self.job.servers.gave(request.url, request.came, time.monotonic() - request.begun)
            error = self.accept(request.url)
        if error is None:
            self.blame(request)
            return True
        if isinstance(error, (FetchError, Passing)):
            self.failed[request.url] = error
            self.note(request.url, error)
            return False
        raise error

    def note(self, url: str, error: Exception) -> None:
        """What went wrong is news where another server could help, and no end."""
        if len({server_of(other) for other in self.partials}) == 1:
            return
        servers, label = self.job.servers, self.job.label
        if isinstance(error, IntegrityError):
            servers.failed(url, "gave other bytes than the lock says for", label, LIED)
        elif isinstance(error, Passing):
            if error.what:
                servers.failed(url, error.what, label)
        elif isinstance(error, FetchError) and error.status in (404, 410):
            servers.lacks(url, label)
        elif isinstance(error, FetchError):
            servers.failed(url, f"answered {error.status} for" if error.status else "could not give", label)


def _attempt(job: Job, request: Request, patience: float | None, ended: "SimpleQueue[tuple[Request, BaseException | None]]") -> None:
    """Asks for the rest of the file, and tells how that ended."""
    try:
        if is_local(request.url):
            request.partial.restart(request)
            for data in pieces(local_file(request.url, job.label), job.label):
                request.partial.put(request, data, job.label)
        else:
            _download(job, request, patience)
        ended.put((request, None))
    except BaseException as error:
        ended.put((request, error))


def _download(job: Job, request: Request, patience: float | None) -> None:
    import httpx

    partial, size = request.partial, job.size
    have = partial.have
    if have and have == size:
        return
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    limit = job.client.timeout if patience is None else httpx.Timeout(patience)
    with passing(request.url, job.label), job.client.stream("GET", request.url, headers=headers, timeout=limit) as response:
        if response.status_code == 416:
            partial.restart(request)
            raise Passing("the server has less than was fetched before", wait=0.0)
        check(response, job.label)
        request.at = begins(response)
        # Raw, because a file that is compressed must be kept as it is, whatever the server calls that; and in the pieces in which it
        # comes, because what httpx collects to make larger ones is lost when the connection breaks.
        for data in response.iter_raw():
            partial.put(request, data, job.label)
            job.meter(request.at)
    if size is not None and request.at < size:
        raise Passing(f"only {request.at} of {size} bytes came", what="cut off")
