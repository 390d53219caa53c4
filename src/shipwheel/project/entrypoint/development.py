"""Commands that are for developing or for a machine: with options that a container leaves out, or with a server that it does not use."""

import posixpath
from collections.abc import Collection, Sequence

from shipwheel.project.entrypoint.command_address import tool_of, without_flags

__all__ = ["as_own_user", "in_foreground", "is_development_server", "with_logs_on_output", "without_development_options"]

_SERVERS = frozenset({"runserver", "runserver_plus", "dev"})
_OPTIONS = frozenset("--reload --debug --dev --auto-reload --autoreload --use-reloader --with-reload --watch".split())  # noqa: SIM905
_OPTIONS_WITH_VALUE = frozenset(
    """
    --reload-dir --reload-dirs --reload-include --reload-exclude --reload-delay --reload-engine --reload-extra-file --reload-paths
    """.split()  # noqa: SIM905
)
_WATCH_DIRECTORIES = frozenset({"arq", "dramatiq"})
"""Programs whose `--watch` has a directory behind it."""
_DEVICES = ("/dev/", "/proc/")
_LOG_FILES = frozenset({"--access-logfile", "--error-logfile", "--log-file"})
_DAEMONS = {"gunicorn": ("-D", "--daemon"), "celery": ("-D", "--detach"), "uwsgi": ("--daemonize", "--daemonize2")}
"""Servers -> their options for leaving the terminal. Those of uwsgi have a file behind them."""
_USERS = {"gunicorn": ("-u", "--user", "-g", "--group"), "celery": ("--uid", "--gid"), "uwsgi": ("--uid", "--gid")}
"""Servers -> their options for the user that they become, which only root may. The image has a user of its own."""
_TRUTHS = frozenset({"true", "false", "yes", "no", "on", "off", "0", "1"})


def without_development_options(words: Sequence[str]) -> tuple[str, ...]:
    """Return a command as production starts it: it restarts for no changed file, and shows no debugger."""
    found = list(words[:1])
    values = 0
    for number, word in enumerate(words[1:], 1):
        option, equals, _ = word.partition("=")
        if values:
            values -= 1
        elif option in _OPTIONS_WITH_VALUE or (option == "--watch" and tool_of(words) in _WATCH_DIRECTORIES):
            values = 0 if equals else 1
        elif option in _OPTIONS:
            following = words[number + 1].lower() if number + 1 < len(words) else ""
            values = 1 if not equals and following in _TRUTHS else 0
        else:
            found.append(word)
    command = tuple(found)
    cut = _subcommand_at(command)
    return (*command[:cut], "run", *command[cut + 1 :]) if tool_of(command) == "fastapi" and command[cut : cut + 1] == ("dev",) else command


def in_foreground(words: Sequence[str]) -> tuple[str, ...]:
    """Return a command of a server that stays in the foreground: a container ends with its first process."""
    tool = posixpath.basename(tool_of(words))
    return _without(words, _DAEMONS.get(tool, ()), has_value=tool == "uwsgi")


def as_own_user(words: Sequence[str]) -> tuple[str, ...]:
    """Return a command of a server that stays the user that it is started as."""
    return _without(words, _USERS.get(posixpath.basename(tool_of(words)), ()), has_value=True)


def _without(words: Sequence[str], options: Collection[str], *, has_value: bool) -> tuple[str, ...]:
    found, is_value = list[str](), False
    for word in words:
        option, equals, _ = word.partition("=")
        if option in options:
            is_value = has_value and not equals
        elif is_value:
            is_value = False
        else:
            found.append(word)
    return tuple(found)


def with_logs_on_output(words: Sequence[str]) -> tuple[str, ...]:
    """Return a command of gunicorn that writes its logs where a container's are read, in place of files that no image can write."""
    found = list(words)
    for number, word in enumerate(words[1:], 1) if tool_of(words) == "gunicorn" else ():
        option, equals, value = word.partition("=")
        if option in _LOG_FILES and equals:
            found[number] = f"{option}=-" if "/" in value and not value.startswith(_DEVICES) else word
        elif words[number - 1] in _LOG_FILES and "/" in word and not word.startswith(_DEVICES):
            found[number] = "-"
    return tuple(found)


def is_development_server(words: Sequence[str]) -> bool:
    """Return whether a command starts a server that is only for developing."""
    return not _SERVERS.isdisjoint(words[1:]) or (tool_of(words) == "flask" and "run" in words)


def _subcommand_at(words: tuple[str, ...]) -> int:
    """Return the position after the program, or after the module that Python runs as one."""
    command = without_flags(words)
    return len(words) - len(command) + (3 if command[1:2] == ("-m",) else 1)
