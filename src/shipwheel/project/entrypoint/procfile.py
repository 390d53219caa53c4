"""Procfile lines as words: what a shell would have done with variables is done here, and what only a shell can do is refused."""

import re
import shlex
from collections.abc import Mapping

from shipwheel.errors import ProjectError

__all__ = ["ProcessType", "parse_command", "parse_procfile"]

ProcessType = tuple[int, str]
"""(line number, command text)"""

_LINE = re.compile(r"^\s*([A-Za-z0-9_-]+)\s*:\s*(.*?)\s*$")
_VARIABLE = re.compile(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)(?::?-([^{}$]*))?\})")
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=\[\]-]*")


def parse_procfile(text: str) -> dict[str, ProcessType]:
    """Process type -> (line number, command); lines that are no process types are passed over."""
    found: dict[str, ProcessType] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.lstrip().startswith("#") and (match := _LINE.match(line)) and match[2]:
            found.setdefault(match[1], (number, match[2]))
    return found


def parse_command(text: str, origin: str, variables: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """(environment, words) of a command line; `variables` are what $NAME may stand for, `origin` what errors call the line.

    Raises ProjectError for pipes, lists, redirections, substitutions, and variables without a value: images have no shell.
    """
    hint = 'Images have no shell. Write the command out in the settings: command = ["...", "..."], and what runs before it as before-start.'
    filled = "".join(
        part if part.startswith("'") else _filled(part, origin, variables)
        for part in re.findall(r"'[^']*'|\"(?:[^\"\\]|\\.)*\"|[^'\"]+|['\"]", text)
    )
    try:
        lexer = shlex.shlex(filled, posix=True, punctuation_chars="();<>|&")
        lexer.whitespace_split = True
        lexer.commenters = ""
        words = list(lexer)
    except ValueError as error:
        raise ProjectError(f"{origin}: cannot be split into words ({str(error).lower()})", hint=hint) from None
    quoted = re.sub(r"'[^']*'|\"(?:[^\"\\]|\\.)*\"|\\.", "", filled)
    if (feature := re.search(r"[();<>|&`]|\$\(", quoted)) or (feature := re.search(r"`|\$\(", re.sub(r"'[^']*'", "", filled))):
        raise ProjectError(f"{origin}: {feature[0]!r} needs a shell", hint=hint)
    environment: dict[str, str] = {}
    while words and (assigned := re.fullmatch(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", words[0], re.DOTALL)):
        environment[assigned[1]] = assigned[2]
        words.pop(0)
    if words[:1] == ["exec"]:
        words.pop(0)
    if not words or not words[0] or words[0] in ("cd", "source", ".", "export", "sh", "bash"):
        raise ProjectError(f"{origin}: {words[0] if words else 'nothing'!r} is no program that an image has", hint=hint)
    if any("\0" in word for word in words):
        raise ProjectError(f"{origin}: a NUL character", hint=hint)
    return environment, tuple(words)


def _filled(text: str, origin: str, variables: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        found = variables.get(name, match[3])
        if found is None:
            raise ProjectError(f"{origin}: ${name} has no value", hint=f'Give it one in the settings: env.{name} = "...".')
        if not _PLAIN.fullmatch(found):
            raise ProjectError(
                f"{origin}: the value of ${name} would be split by a shell", hint="Write the command out in the settings: command = [...]."
            )
        return found

    return _VARIABLE.sub(value, text)
