"""The last stage of a Dockerfile: its command, ports, variables and directories.

Implements the parts of the Dockerfile reference that say how a container starts. Parser libraries leave out what matters here: values of
variables, stages, and where the project's directory is copied to.
"""

import json
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = [
    "MAX_INSTRUCTION",
    "Stage",
    "exec_form",
    "has_credentials",
    "is_secret_variable",
    "parse_last_stage",
    "parse_port",
    "variable_names",
]

MAX_INSTRUCTION = 8192
"""Characters of an instruction; longer ones are no command that a person wrote."""
_TOO_LONG = "\0"
"""Takes the place of an instruction that is too long. No command can contain it."""
_UNKNOWN_DIRECTORY = "/\0"

_PAIR = re.compile(r"""(?<!\w)([A-Za-z_]\w*)=("[^"]*"|'[^']*'|\S*)""", re.ASCII)
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?::-([^{}$]*))?\})", re.ASCII)
_HEREDOC = re.compile(r"""(?<!\S)\d*<<(-?)(["']?)([^\s<"']+)\2""")
_ESCAPE_DIRECTIVE = re.compile(r"(?:#[ \t]*\w+[ \t]*=.*\n)*?#[ \t]*escape[ \t]*=[ \t]*([`\\])[ \t]*\r?\n", re.IGNORECASE)
_SECRET = re.compile(
    r"secret|token(?!iz)|passw|passphrase|pwd|credential|private|apikey|(^|_)(key|pass|pat|auth|dsn|salt|cert)s?(_|$)|key$", re.IGNORECASE
)
_CREDENTIALS = re.compile(r"://[^/\s]*@")


def is_secret_variable(name: str) -> bool:
    """Return whether a variable's name suggests that its value is secret."""
    return _SECRET.search(name) is not None


def has_credentials(text: str) -> bool:
    """Return whether a text contains a URL with a user name or password."""
    return _CREDENTIALS.search(text) is not None


def variable_names(text: str) -> Iterator[str]:
    """Yield the names of the variables in a text."""
    return (match[1] or match[2] for match in _VARIABLE.finditer(text))


def parse_port(word: str) -> str:
    """Return the number of a TCP port, written as 80 or 80/tcp; empty if it is none."""
    word = word.removesuffix("/tcp")
    return word if re.fullmatch(r"[1-9][0-9]{0,4}", word) and int(word) < 1 << 16 else ""


def exec_form(text: str) -> tuple[str, ...] | None:
    """Return the words of an instruction in exec form, a JSON list; None for shell form and empty lists."""
    try:
        words = json.loads(text) if text.startswith("[") else None
    except (ValueError, RecursionError):
        return None
    return tuple(words) if isinstance(words, list) and words and all(isinstance(word, str) for word in words) else None


@dataclass(frozen=True, slots=True)
class Stage:
    """The last stage of a Dockerfile."""

    entrypoint: str = ""
    """The arguments of ENTRYPOINT, as written."""
    command: str = ""
    """The arguments of CMD, as written."""
    ports: tuple[str, ...] = ()
    """The TCP ports of EXPOSE."""
    variables: tuple[tuple[str, str], ...] = ()
    """(name, value) of ENV. Those of ARG do not exist when the command starts."""
    secrets: tuple[str, ...] = ()
    """Names of ENV variables whose values may be secret; `variables` lacks them."""
    workdir: str = ""
    project_directory: str = ""
    """The directory that the project is copied to."""

    def project_path(self, path: str) -> str | None:
        """Return the path relative to the project's directory; None for a path outside it."""
        home = self.project_directory or self.workdir
        full = posixpath.normpath(posixpath.join(self.workdir or home, path))
        if ".." in path.split("/") or not path:
            return None
        if home in ("", "."):
            return None if full.startswith("/") else full
        inside = full == home or full.startswith(home.rstrip("/") + "/")
        return posixpath.relpath(full, home) if inside else None


def parse_last_stage(text: str) -> Stage:
    """Return the last stage of a Dockerfile, without what it inherits from the stages before it."""
    builder, defaults = _StageBuilder(), None
    for line in _instructions(text):
        keyword, _, rest = line.strip().replace("\t", " ").partition(" ")
        keyword, rest = keyword.upper(), rest.strip() if len(rest) <= MAX_INSTRUCTION else _TOO_LONG
        if keyword == "FROM":
            # An ARG before the first stage is a default for stages that declare it again.
            defaults = builder.arguments if defaults is None else defaults
            builder = _StageBuilder()
        elif keyword == "ARG" and defaults and rest in defaults:
            builder.arguments[rest] = defaults[rest]
        else:
            builder.add(keyword, rest)
    return builder.stage()


@dataclass(slots=True)
class _StageBuilder:
    """Collects the instructions of one stage."""

    entrypoint: str = ""
    command: str = ""
    workdir: str = ""
    project_directory: str = ""
    ports: dict[str, None] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, None] = field(default_factory=dict)

    def add(self, keyword: str, rest: str) -> None:
        match keyword:
            case "CMD":
                self.command = rest
            case "ENTRYPOINT":
                # An ENTRYPOINT resets a CMD that was set before it.
                self.entrypoint, self.command = "" if re.fullmatch(r"\[\s*\]", rest) else rest, ""
            case "EXPOSE":
                self.ports.update(dict.fromkeys(port for word in rest.split() if (port := parse_port(self._expanded(word) or ""))))
            case "ENV":
                for name, value in _pairs(rest):
                    self._set(self.variables, name, value)
            case "ARG":
                for name, value in _pairs(rest):
                    self._set(self.arguments, name, value)
            case "WORKDIR":
                self.workdir = _directory(self.workdir, self._expanded(rest))
            case "COPY" | "ADD":
                words = [word for word in exec_form(rest) or rest.split() if not word.startswith("--")]
                if "--from=" not in rest and len(words) == 2 and words[0] in (".", "./"):
                    self.project_directory = _directory(self.workdir, self._expanded(words[1]))

    def stage(self) -> Stage:
        return Stage(
            self.entrypoint,
            self.command,
            tuple(self.ports),
            tuple(self.variables.items()),
            tuple(self.secrets),
            self.workdir,
            self.project_directory,
        )

    def _set(self, target: dict[str, str], name: str, value: str) -> None:
        plain = value if value.startswith("'") else self._expanded(value)
        target.pop(name, None)
        if plain is None or "\\" in plain:
            return
        if len(plain) > 1 and plain[0] in "'\"" and plain[-1] == plain[0]:
            plain = plain[1:-1]
        if not is_secret_variable(name) and not has_credentials(plain):
            target[name] = plain
        elif target is self.variables:
            self.secrets[name] = None

    def _expanded(self, text: str) -> str | None:
        """Return the text with the values of its variables; None if one is unknown or may be secret."""
        if "$" not in text:
            return text
        values = [self.variables.get(name := it[1] or it[2], self.arguments.get(name, it[3])) for it in _VARIABLE.finditer(text)]
        if None in values or text.count("$") != len(values):
            return None
        remaining = iter(values)
        return _VARIABLE.sub(lambda _: next(remaining) or "", text)


def _instructions(text: str) -> Iterator[str]:
    """Yield each instruction as one line, without comments and here-documents."""
    lines = iter(text.replace("\r\n", "\n").split("\n"))
    directive = _ESCAPE_DIRECTIVE.match(text)
    escape = directive[1] if directive else "\\"
    for line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        parts = [line.rstrip(" \t")]
        while parts[-1].endswith(escape):
            parts[-1] = parts[-1][:-1]
            following = next((it for it in lines if it.strip() and not it.lstrip().startswith("#")), "")
            parts.append(following.rstrip(" \t"))
        instruction = " ".join(parts) if len(parts) > 1 else parts[0]
        if instruction.lstrip()[:4].upper().strip() in ("RUN", "COPY", "ADD"):
            for dash, _, end in _HEREDOC.findall(instruction):
                next((it for it in lines if (it.lstrip("\t") if dash else it) == end), None)
        yield instruction


def _pairs(text: str) -> list[tuple[str, str]]:
    """Return the names and values of an ENV or ARG, also in the older form without an equals sign."""
    if "=" in text.partition(" ")[0]:
        return _PAIR.findall(text)
    name, _, value = text.partition(" ")
    return [(name, value.strip())] if value and _NAME.fullmatch(name) else []


def _directory(base: str, path: str | None) -> str:
    """Return a directory relative to another. One with an unknown variable is outside every project."""
    return posixpath.normpath(posixpath.join(base, (path or _UNKNOWN_DIRECTORY).strip("\"'")))
