"""What one stage learns of the servers that it downloads from: which is quick, which went wrong, and how. Nothing of it is kept."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

__all__ = ["LIED", "SLOW", "STALLED", "Servers", "server_of"]

SLOW, STALLED, LIED = 1, 2, 3
"""How bad a thing is: a server that did a worse one is asked later."""

MARGIN = 4.0
"""A server is slow when another one is known to be so many times as fast."""

CRAWL = 64_000.0
"""Bytes a second below which another server is tried although nothing is known of it."""


def server_of(url: str) -> str:
    """Scheme, host and port of an address, without user and password: what trust and speed belong to."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2].lower()}"


@dataclass(slots=True)
class _Server:
    rank: int = 0
    rate: float | None = None
    problems: dict[str, set[str]] = field(default_factory=dict)
    proven: bool = False


class Servers:
    """Any thread may use it."""

    def __init__(self) -> None:
        self._known: dict[str, _Server] = {}
        self._lock = threading.Lock()

    def _get(self, url: str) -> _Server:
        return self._known.setdefault(server_of(url), _Server())

    def order(self, urls: Sequence[str]) -> list[str]:
        """The addresses, those of servers that went wrong last; of slow ones the quickest first."""
        with self._lock:
            known = {url: self._get(url) for url in urls}
        return sorted(known, key=lambda url: (known[url].rank, -(known[url].rate or 0.0) if known[url].rank else 0.0))

    def failed(self, url: str, what: str, item: str, rank: int = STALLED) -> None:
        """The server did `what` to a file."""
        with self._lock:
            server = self._get(url)
            server.rank = max(server.rank, rank)
            server.problems.setdefault(what, set()).add(item)

    def lacks(self, url: str, item: str) -> None:
        """The server does not have a file: that says nothing of the next one."""
        self.failed(url, "does not have", item, 0)

    def gave(self, url: str, size: int, seconds: float) -> None:
        """A download came to its end."""
        if size >= 1 << 18 or seconds >= 1.0:
            with self._lock:
                self._get(url).rate = size / max(seconds, 1e-6)

    def proved(self, url: str) -> None:
        """What it gave was right."""
        with self._lock:
            self._get(url).proven = True

    def is_proven(self, url: str) -> bool:
        """Whether the server gave something that was right, and did nothing wrong."""
        with self._lock:
            server = self._get(url)
            return server.proven and not server.rank

    def slow(self, url: str, rate: float, item: str) -> None:
        """The server gave so many bytes a second, and is left for another one."""
        self.failed(url, "was slow with", item, SLOW)
        with self._lock:
            self._get(url).rate = rate

    def is_slow(self, rate: float, others: Sequence[str]) -> bool:
        """Whether one of these servers is worth a change."""
        with self._lock:
            good = [server for server in map(self._get, others) if server.rank < STALLED]
        return any(server.rate > rate * MARGIN if server.rate is not None else rate < CRAWL for server in good)

    def troubles(self) -> Iterator[str]:
        """A sentence for each server that went wrong where another one could help."""
        with self._lock:
            known = sorted(self._known.items())
        for name, server in known:
            if server.problems:
                yield f"{name} " + ", ".join(f"{what} {_files(items)}" for what, items in server.problems.items())


def _files(items: set[str]) -> str:
    return next(iter(items)) if len(items) == 1 else f"{len(items)} files"
