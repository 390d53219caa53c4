"""Command lines of Procfiles and Dockerfiles as words, without a shell: variables are filled in, what needs a shell is refused."""

import re
import shlex
from collections.abc import Mapping

from shipwheel.errors import ProjectError

__all__ = ["parse_command"]

_HINT = (
    'Images have no shell. Write the command in the settings: command = ["...", "..."],'
    " and commands that must run before it as before-start."
)
_SETTING_HINT = "Write the command in the settings: command = [...]."
_VARIABLE = re.compile(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)(?::?-([^{}$]*))?\})")
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_PARTS = re.compile(r"'[^']*'|\"(?:[^\"\\]|\\.)*\"|[^'\"]+|['\"]")
"""Single-quoted, double-quoted and unquoted parts."""
_QUOTED = re.compile(r"'[^']*'|\"(?:[^\"\\]|\\.)*\"|\\.")
_SINGLE_QUOTED = re.compile(r"'[^']*'")
_OPERATOR = re.compile(r"[();<>|&`]|\$\(")
_SUBSTITUTION = re.compile(r"`|\$\(")
_PLAIN_VALUE = re.compile(r"[A-Za-z0-9_./:@%+,=\[\]-]*")
"""Values that a shell would neither split nor expand."""
_SHELL_COMMANDS = frozenset({"cd", "source", ".", "export", "sh", "bash"})


def parse_command(text: str, origin: str, variables: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return (environment, words) of a command line.

    Args:
        text: The command line.
        origin: The file and line, for errors.
        variables: The values that `$NAME` and `${NAME}` stand for.

    Raises ProjectError for pipes, lists, redirections, substitutions and variables without a value, since images have no shell.
    """
    filled = "".join(part if part.startswith("'") else _filled(part, origin, variables) for part in _PARTS.findall(text))
    try:
        words = _split(filled)
    except ValueError as error:
        raise ProjectError(f"{origin}: cannot be split into words ({str(error).lower()})", hint=_HINT) from None
    operator = _OPERATOR.search(_QUOTED.sub("", filled)) or _SUBSTITUTION.search(_SINGLE_QUOTED.sub("", filled))
    if operator:
        raise ProjectError(f"{origin}: {operator[0]!r} needs a shell", hint=_HINT)
    environment: dict[str, str] = {}
    while words and (assigned := _ASSIGNMENT.fullmatch(words[0])):
        environment[assigned[1]] = assigned[2]
        words.pop(0)
    if words[:1] == ["exec"]:
        words.pop(0)
    if not words or not words[0]:
        raise ProjectError(f"{origin}: the command is empty", hint=_HINT)
    if words[0] in _SHELL_COMMANDS:
        raise ProjectError(f"{origin}: {words[0]!r} is not a program in the image", hint=_HINT)
    if any("\0" in word for word in words):
        raise ProjectError(f"{origin}: the command contains a NUL character", hint=_HINT)
    return environment, tuple(words)


def _split(text: str) -> list[str]:
    lexer = shlex.shlex(text, posix=True, punctuation_chars="();<>|&")
    lexer.whitespace_split = True
    lexer.commenters = ""
    return list(lexer)


def _filled(text: str, origin: str, variables: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        found = variables.get(name, match[3])
        if found is None:
            raise ProjectError(f"{origin}: ${name} has no value", hint=f'Set it in the settings: env.{name} = "...".')
        if not _PLAIN_VALUE.fullmatch(found):
            raise ProjectError(f"{origin}: a shell would split or expand the value of ${name}", hint=_SETTING_HINT)
        return found

    return _VARIABLE.sub(value, text)
