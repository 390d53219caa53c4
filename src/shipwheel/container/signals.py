"""Signals of Linux by name and number (signal(7)), on every system: containers run Linux."""

import re

__all__ = ["signal_name", "signal_number"]

_NAMES = (
    *("SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGKILL", "SIGUSR1", "SIGSEGV", "SIGUSR2"),
    *("SIGPIPE", "SIGALRM", "SIGTERM", "SIGSTKFLT", "SIGCHLD", "SIGCONT", "SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG"),
    *("SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO", "SIGPWR", "SIGSYS"),
)
"""The signals 1 to 31."""

_RTMIN, _RTMAX = 34, 64
"""The numbers of the real-time signals as the C libraries give them to programs."""


def signal_number(text: str) -> int | None:
    """Return the number of a signal that is written as `SIGTERM`, `TERM`, `SIGRTMIN+3`, `SIGRTMAX-2` or `15`; None for any other text."""
    if re.fullmatch(r"[0-9]{1,2}", text):
        return int(text) if 0 < int(text) <= _RTMAX else None
    name = text if text.startswith("SIG") else f"SIG{text}"
    if name in _NAMES:
        return _NAMES.index(name) + 1
    if match := re.fullmatch(r"SIG(?:RTMIN(?:\+([0-9]{1,2}))?|RTMAX(?:-([0-9]{1,2}))?)", name):
        number = _RTMIN + int(match[1] or 0) if "MIN" in name else _RTMAX - int(match[2] or 0)
        return number if _RTMIN <= number <= _RTMAX else None
    return None


def signal_name(text: str) -> str | None:
    """Return a signal's name as engines accept it (`SIGTERM`, `SIGRTMIN+3`), None for a text that `signal_number` does not know."""
    number = signal_number(text)
    if number is None:
        return None
    if number <= len(_NAMES):
        return _NAMES[number - 1]
    return "SIGRTMIN" if number == _RTMIN else f"SIGRTMIN+{number - _RTMIN}" if number > _RTMIN else str(number)
