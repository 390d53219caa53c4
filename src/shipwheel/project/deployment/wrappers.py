"""Programs that only start another one: an init, another user, an environment manager, a wait for a companion."""

import posixpath
import re

from shipwheel.lazy_pattern import lazy_pattern

__all__ = ["unwrapped"]

_MAX_WRAPPERS = 6
_RUNNERS = frozenset({"poetry", "uv", "pipenv", "pdm", "hatch", "rye", "pixi"})
"""`RUNNER run COMMAND` runs a command in the project's environment, which is the image's."""
_RUN_OPTIONS_WITH_VALUE = frozenset(
    {"--group", "--extra", "--with", "--package", "--python", "-p", "--directory", "--project", "--env-file", "--only-group", "--no-group"}
)
_CONDA = frozenset({"conda", "mamba", "micromamba"})
_CONDA_OPTIONS_WITH_VALUE = frozenset({"-n", "--name", "-p", "--prefix", "--cwd", "-e"})
_INITS = frozenset({"tini", "tini-static", "dumb-init", "catatonit"})
_OTHER_USER = frozenset({"gosu", "su-exec", "setpriv", "setuidgid"})
_WAITS = lazy_pattern(r"wait[-_]?(for|4)|dockerize|wtfc")
_ASSIGNMENT = lazy_pattern(r"[A-Za-z_]\w*=", re.ASCII)


def unwrapped(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the command that is started in the end; empty if there is none."""
    for _ in range(_MAX_WRAPPERS):
        inner = _inner(words)
        if inner == words:
            break
        words = inner
    return words


def _inner(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words without one wrapper."""
    name = posixpath.basename(words[0]) if words else ""
    rest = words[1:]
    if name in ("exec", "nohup", "time", "command", "builtin"):
        return rest
    if name in _INITS:
        return _after_options(rest)
    if name in _OTHER_USER:
        return _after_options(rest)[1:]
    if name == "env":
        return tuple(rest[next((number for number, word in enumerate(rest) if not _ASSIGNMENT.match(word)), len(rest)) :])
    if name == "sudo":
        return _after_options(rest, frozenset({"-u", "--user", "-g", "--group"}))
    if name in _RUNNERS and rest[:1] == ("run",):
        return _after_options(rest[1:], _RUN_OPTIONS_WITH_VALUE)
    if name in _CONDA and rest[:1] == ("run",):
        return _after_options(rest[1:], _CONDA_OPTIONS_WITH_VALUE)
    if _WAITS.match(name) and "--" in rest:
        return rest[rest.index("--") + 1 :]
    return words


def _after_options(words: tuple[str, ...], with_value: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """Return the words after leading options, and after the `--` that ends them."""
    position = 0
    while position < len(words) and words[position].startswith("-"):
        if words[position] == "--":
            return words[position + 1 :]
        position += 2 if _takes_value(words[position], with_value) else 1
    return words[position:]


def _takes_value(option: str, with_value: frozenset[str]) -> bool:
    """Return whether the word behind an option is its value, also behind several in one: `-EHu`, but not `-uapp`."""
    letters = "" if option.startswith("--") else option[1:]
    return option in with_value or (f"-{letters[-1:]}" in with_value and not any(f"-{letter}" in with_value for letter in letters[:-1]))
