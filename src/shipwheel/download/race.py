"""Download one file from several servers: ask the next server when one is silent or slow, and keep the fastest."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from queue import Empty, SimpleQueue

import msgspec

from shipwheel.download.attempt import Attempt, Context, PartialFile, run_attempt
from shipwheel.download.http import MAX_ATTEMPTS, TransientError, back_off, retries_exhausted
from shipwheel.download.servers import CORRUPT, server_of
from shipwheel.errors import FetchError, IntegrityError

__all__ = ["Verify", "race"]

_READ_TIMEOUT_S = 1.5
"""Seconds without a byte after which an attempt fails if there is another server; multiplied by the number of the round."""

_POLL_S = 0.2
"""Seconds between two looks at the progress."""

_START_S = 0.5
"""Seconds that a server has before another one joins, as long as no other server has proved itself."""

Verify = Callable[[str], FetchError | None]
"""Check the file that a URL has completed, and return what is wrong with it."""

_Outcome = tuple[Attempt, BaseException | None]


def race(context: Context, files: Mapping[str, PartialFile], failures: list[FetchError], verify: Verify) -> str | None:
    """Complete one of the files (URL -> file) and return a URL whose file is verified, or None if every URL failed.

    URLs that share a file complete it together. Errors that are final for a URL are appended to `failures`.
    """
    candidates = list(files)
    transient: dict[str, TransientError] = {}
    for number in range(1, MAX_ATTEMPTS + 1):
        attempts = _Round(context, files, context.servers.ranked(candidates), number, verify)
        winner = attempts.run()
        if winner is not None:
            return winner
        for url, error in attempts.errors.items():
            if isinstance(error, FetchError):
                candidates.remove(url)
                failures.append(error)
        if not candidates:
            return None
        transient = {url: error for url, error in attempts.errors.items() if isinstance(error, TransientError)}
        if number < MAX_ATTEMPTS:
            back_off([error.retry_after for error in transient.values()], number, context.progress.wait)
    failures += [retries_exhausted(url, context.label, error) for url, error in transient.items()]
    return None


class _Round(msgspec.Struct):
    """One round, in which every URL is asked at most once more, several of them side by side if the first ones are slow."""

    context: Context
    files: Mapping[str, PartialFile]
    waiting: list[str]
    number: int
    verify: Verify
    errors: dict[str, TransientError | FetchError] = msgspec.field(default_factory=dict)
    running: list[Attempt] = msgspec.field(default_factory=list)
    slow: list[Attempt] = msgspec.field(default_factory=list)
    """Attempts that were too slow when other servers joined."""
    outcomes: "SimpleQueue[_Outcome]" = msgspec.field(default_factory=SimpleQueue)
    checked_at: float = 0.0
    checked_length: int = 0

    def run(self) -> str | None:
        """Return the URL that completed a verified file, None if all failed."""
        try:
            while self.waiting or self.running:
                if not self.running:
                    self.start(self.waiting[:1])
                try:
                    attempt, error = self.outcomes.get(timeout=_POLL_S)
                except Empty:
                    self.context.progress.check()
                    self.check_pace()
                    continue
                if attempt in self.running and self.has_won(attempt, error):
                    return attempt.url
            return None
        finally:
            self.cancel(self.running)

    def start(self, urls: Sequence[str]) -> None:
        """Start an attempt for each of these waiting URLs, in a thread of its own."""
        for url in urls:
            self.waiting.remove(url)
            attempt = Attempt(url, self.files[url], time.monotonic())
            self.running.append(attempt)
            arguments = (self.context, attempt, self.read_timeout(url), self.outcomes)
            threading.Thread(target=_run_in_thread, args=arguments, daemon=True).start()
        self.reset_pace()

    def cancel(self, attempts: Sequence[Attempt]) -> None:
        """Cancel attempts; their threads end with the next bytes or when they time out."""
        for attempt in attempts:
            attempt.file.cancel(attempt)

    def read_timeout(self, url: str) -> float | None:
        """Return a short timeout in seconds if another server could help, None if there is only one."""
        servers = {server_of(each) for each in (url, *self.waiting, *(attempt.url for attempt in self.running))}
        return None if len(servers) == 1 else _READ_TIMEOUT_S * self.number

    def longest(self) -> int:
        """Return the length in bytes of the most complete file."""
        return max((attempt.file.length for attempt in self.running), default=0)

    def reset_pace(self) -> None:
        """Measure the pace from now on."""
        self.checked_at, self.checked_length = time.monotonic(), self.longest()

    def check_pace(self) -> None:
        """Start more servers if the running ones are slow; if several run at a good pace, keep only the foremost."""
        seconds, servers = time.monotonic() - self.checked_at, self.context.servers
        busy = {server_of(attempt.url) for attempt in self.running}
        idle = [url for url in self.waiting if server_of(url) not in busy]
        proven = [url for url in idle if servers.is_proven(url)]
        if seconds < (_POLL_S if proven else _START_S):
            return
        rate = (self.longest() - self.checked_length) / seconds
        if servers.is_slow(rate, idle):
            self.slow += [attempt for attempt in self.running if attempt not in self.slow]
            self.start(proven[:1] or idle)
        elif len(self.running) > 1 and rate > 0:
            self.keep_only(max(self.running, key=lambda attempt: attempt.position))

    def keep_only(self, best: Attempt) -> None:
        """Cancel all other attempts; their URLs wait again."""
        rest = [attempt for attempt in self.running if attempt is not best]
        self.cancel(rest)
        self.report_slow(best)
        self.running = [best]
        self.waiting += [attempt.url for attempt in rest]
        self.reset_pace()

    def report_slow(self, best: Attempt) -> None:
        """Record the servers that were slow, now that another one was faster."""
        for attempt in self.slow:
            if attempt is not best and server_of(attempt.url) != server_of(best.url):
                self.context.servers.record_slow(attempt.url, attempt.rate(), self.context.label)
        self.slow.clear()

    def has_won(self, attempt: Attempt, error: BaseException | None) -> bool:
        """Record how an attempt ended, and return whether it completed a verified file. Raise errors that end the whole stage."""
        self.running.remove(attempt)
        if error is None:
            self.context.servers.record_rate(attempt.url, attempt.received, time.monotonic() - attempt.started)
            error = self.verify(attempt.url)
        if error is None:
            self.report_slow(attempt)
            return True
        if isinstance(error, (FetchError, TransientError)):
            self.errors[attempt.url] = error
            self.record(attempt.url, error)
            return False
        raise error

    def record(self, url: str, error: FetchError | TransientError) -> None:
        """Record an error for the stage's warnings, unless there is only one server: then the error itself says it."""
        if len({server_of(each) for each in self.files}) == 1:
            return
        servers, label = self.context.servers, self.context.label
        if isinstance(error, TransientError):
            if error.summary:
                servers.record_failure(url, error.summary, label)
        elif isinstance(error, IntegrityError):
            servers.record_failure(url, "sent wrong bytes for", label, CORRUPT)
        elif error.not_found:
            servers.record_missing(url, label)
        else:
            servers.record_failure(url, f"answered {error.status} for" if error.status else "could not send", label)


def _run_in_thread(context: Context, attempt: Attempt, read_timeout: float | None, outcomes: "SimpleQueue[_Outcome]") -> None:
    try:
        run_attempt(context, attempt, read_timeout)
        outcomes.put((attempt, None))
    except BaseException as error:
        outcomes.put((attempt, error))
