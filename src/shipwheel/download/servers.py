"""The record that one stage keeps of its servers: how fast each is and how it failed. Nothing of it is stored."""

import threading
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

import msgspec

__all__ = ["CORRUPT", "SLOW", "STALLED", "Servers", "server_of"]

SLOW, STALLED, CORRUPT = 1, 2, 3
"""Severities of a failure: a server with a more severe one is asked later."""

_SPEED_RATIO = 4.0
"""A server is slow if another one is known to be this many times as fast."""

_MIN_RATE = 64_000.0
"""Bytes per second below which a server is tried that nothing is known about."""


def server_of(url: str) -> str:
    """Return scheme, host and port of a URL, without user and password: trust and speed belong to these."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2].lower()}"


class _Server(msgspec.Struct):
    severity: int = 0
    rate: float | None = None
    failures: dict[str, set[str]] = msgspec.field(default_factory=dict)
    proven: bool = False


class Servers:
    """The servers of one stage. All methods are thread-safe."""

    def __init__(self) -> None:
        self._servers: dict[str, _Server] = {}
        self._lock = threading.Lock()

    def _get(self, url: str) -> _Server:
        return self._servers.setdefault(server_of(url), _Server())

    def ranked(self, urls: Sequence[str]) -> list[str]:
        """Return the URLs in the order in which to try them: failed servers last, the fastest of the slow ones first."""
        with self._lock:
            servers = {url: self._get(url) for url in urls}
        return sorted(servers, key=lambda url: (servers[url].severity, -(servers[url].rate or 0.0) if servers[url].severity else 0.0))

    def record_failure(self, url: str, summary: str, item: str, severity: int = STALLED) -> None:
        """Record that the server failed with a file. `summary` is the predicate, for example "stalled with"."""
        with self._lock:
            server = self._get(url)
            server.severity = max(server.severity, severity)
            server.failures.setdefault(summary, set()).add(item)

    def record_missing(self, url: str, item: str) -> None:
        """Record that the server does not have a file; it may well have the next one."""
        self.record_failure(url, "does not have", item, 0)

    def record_slow(self, url: str, rate: float, item: str) -> None:
        """Record that the server was left for a faster one. `rate` in bytes per second."""
        self.record_failure(url, "was slow with", item, SLOW)
        with self._lock:
            self._get(url).rate = rate

    def record_rate(self, url: str, size: int, seconds: float) -> None:
        """Record a finished download, unless it was too short to tell the throughput."""
        if size >= 1 << 18 or seconds >= 1.0:
            with self._lock:
                self._get(url).rate = size / max(seconds, 1e-6)

    def record_success(self, url: str) -> None:
        """Record that the server sent the right bytes."""
        with self._lock:
            self._get(url).proven = True

    def is_proven(self, url: str) -> bool:
        """Return whether the server has sent right bytes and never failed."""
        with self._lock:
            server = self._get(url)
            return server.proven and not server.severity

    def is_slow(self, rate: float, alternatives: Sequence[str]) -> bool:
        """Return whether one of the alternative URLs is worth a try at this rate, in bytes per second."""
        with self._lock:
            usable = [server for server in map(self._get, alternatives) if server.severity < STALLED]
        return any(server.rate > rate * _SPEED_RATIO if server.rate is not None else rate < _MIN_RATE for server in usable)

    def warnings(self) -> Iterator[str]:
        """Yield a sentence for each server that failed where another one could help."""
        with self._lock:
            servers = sorted(self._servers.items())
        for name, server in servers:
            if server.failures:
                yield f"{name} " + ", ".join(f"{summary} {_files(items)}" for summary, items in server.failures.items())


def _files(items: set[str]) -> str:
    return next(iter(items)) if len(items) == 1 else f"{len(items)} files"
