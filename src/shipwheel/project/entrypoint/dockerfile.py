"""What a Dockerfile says of the command: its CMD and ENTRYPOINT, where they name something that the image has."""

import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from shipwheel.errors import ProjectError
from shipwheel.project.entrypoint.launch import Evidence, Launch
from shipwheel.project.entrypoint.procfile import parse_command
from shipwheel.project.entrypoint.scan import Module
from shipwheel.versions import normalized

__all__ = ["Stage", "last_stage", "launch_dockerfile"]

_WRAPPERS = (
    ("poetry", "run"),
    ("uv", "run"),
    ("pipenv", "run"),
    ("pdm", "run"),
    ("hatch", "run"),
    ("tini", "--"),
    ("dumb-init", "--"),
    ("exec",),
)
_DEVELOPMENT = frozenset({"runserver", "--reload", "--debug", "dev"})
_SERVERS = {
    **dict.fromkeys(("gunicorn", "uvicorn", "hypercorn", "daphne", "granian", "fastapi"), "8000"),
    "waitress-serve": "8080",
    "streamlit": "8501",
    "uwsgi": "",
    "celery": "",
}
"""The port that each listens on where its arguments name none."""
_OWNED_BY = {"waitress-serve": "waitress", "alembic": "alembic", "django-admin": "django", "jupyter": "notebook", "huey_consumer": "huey"}
_INTERPRETER = re.compile(r"(/usr(/local)?/bin/)?python(3(\.\d+)?)?")
_SHELLS = (("sh", "-c"), ("bash", "-c"), ("/bin/sh", "-c"), ("/bin/bash", "-c"))

_LARGEST = 1 << 20
_LONGEST = 8192
"""Characters of an instruction that is looked at: longer ones are no command that a person wrote."""
_UNREADABLE = "\0"
"""In place of what is too long: no command has it."""

_PAIR = re.compile(r"""(?<!\w)([A-Za-z_]\w*)=("[^"]*"|'[^']*'|\S*)""", re.ASCII)
_VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?::-([^{}$]*))?\})", re.ASCII)
_HEREDOC = re.compile(r"""(?<!\S)\d*<<(-?)(["']?)([^\s<"']+)\2""")
_PORT_OPTION = re.compile(r"(?:--?(?:b|bind|p|port|server\.port|listen|http|http-socket))")
_SECRET = re.compile(
    r"secret|token(?!iz)|passw|passphrase|pwd|credential|private|apikey|(^|_)(key|pass|pat|auth|dsn|salt|cert)s?(_|$)|key$", re.IGNORECASE
)
_SIGNED = re.compile(r"://[^/\s]*@")
_OF_THE_IMAGE = re.compile(r"PYTHON.*|(PIP|PIPENV|POETRY|PDM|UV|LD|LC)_.*|PATH|HOME|USER|SHELL|LANG|LANGUAGE|VIRTUAL_ENV|DEBIAN_FRONTEND")
"""Variables that speak of how the other image is made, or of what is in it."""


@dataclass(frozen=True, slots=True)
class Stage:
    """The last stage of a Dockerfile: its words as they stand, and the ports and variables that it names."""

    entrypoint: str = ""
    command: str = ""
    ports: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    """Of ENV: those of ARG are not there when the command starts."""
    secrets: tuple[str, ...] = ()
    """Names of variables whose values may be secret, and stay out of the image."""
    workdir: str = ""
    home: str = ""
    """Where the project's directory is copied to."""

    def place(self, word: str) -> str | None:
        """The path below the project's directory that a path means; None for what is elsewhere."""
        home = self.home or self.workdir
        full = posixpath.normpath(posixpath.join(self.workdir or home, word))
        if ".." in word.split("/") or not word:
            return None
        if home in ("", "."):
            return None if full.startswith("/") else full
        inside = full == home or full.startswith(home.rstrip("/") + "/")
        return posixpath.relpath(full, home) if inside else None


@dataclass(slots=True)
class _Reading:
    """A stage while its instructions are read."""

    entrypoint: str = ""
    command: str = ""
    workdir: str = ""
    home: str = ""
    ports: dict[str, None] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, None] = field(default_factory=dict)

    def filled(self, text: str) -> str | None:
        """The text with what its variables stand for; None where one is not known, or may be secret."""
        if "$" not in text:
            return text
        values = [self.variables.get(name := it[1] or it[2], self.arguments.get(name, it[3])) for it in _VARIABLE.finditer(text)]
        if None in values or text.count("$") != len(values):
            return None
        given = iter(values)
        return _VARIABLE.sub(lambda _: next(given) or "", text)

    def take(self, keyword: str, rest: str) -> None:
        match keyword:
            case "CMD":
                self.command = rest
            case "ENTRYPOINT":
                # An entrypoint takes back the command that stood before it.
                self.entrypoint, self.command = "" if re.fullmatch(r"\[\s*\]", rest) else rest, ""
            case "EXPOSE":
                self.ports.update(dict.fromkeys(port for word in rest.split() if (port := _port(self.filled(word) or ""))))
            case "ENV" | "ARG":
                for name, value in _pairs(rest):
                    self._name(self.variables if keyword == "ENV" else self.arguments, name, value)
            case "WORKDIR":
                self.workdir = _joined(self.workdir, self.filled(rest))
            case "COPY" | "ADD":
                words = [word for word in _exec_form(rest) or rest.split() if not word.startswith("--")]
                if "--from=" not in rest and len(words) == 2 and words[0] in (".", "./"):
                    self.home = _joined(self.workdir, self.filled(words[1]))

    def _name(self, kept: dict[str, str], name: str, value: str) -> None:
        plain = value if value.startswith("'") else self.filled(value)
        kept.pop(name, None)
        if plain is None or "\\" in plain:
            return
        plain = plain[1:-1] if plain[:1] in ("'", '"') and plain[-1:] == plain[:1] and len(plain) > 1 else plain
        if _SECRET.search(name) or _SIGNED.search(plain):
            self.secrets.update({name: None} if kept is self.variables else {})
        else:
            kept[name] = plain

    def stage(self) -> Stage:
        return Stage(
            self.entrypoint, self.command, tuple(self.ports), tuple(self.variables.items()), tuple(self.secrets), self.workdir, self.home
        )


def launch_dockerfile(evidence: Evidence, modules: tuple[Module, ...] = ()) -> Launch | None:
    """The command that a Dockerfile starts; None where it is a shell's, a development server's, or names what is not there."""
    text = None if evidence.only else _text(evidence.root / "Dockerfile")
    if text is None:
        return None
    stage = last_stage(text)
    named = dict(stage.variables)
    port = evidence.port or named.get("PORT") or next(iter(stage.ports), None)
    variables = {**named, **({"PORT": port} if port else {}), **evidence.settings.env}
    try:
        env, entry, arguments = _words(stage, variables)
    except ProjectError:
        return None
    entry, words = (tuple(_placed(evidence, stage, _unwrapped(it))) for it in (entry, (*entry, *arguments)))
    secret = any(_SECRET.search(name) for name in env) or any(_SIGNED.search(word) for word in (*words, *env.values()))
    if secret or not _sound(words) or not _usable(evidence, stage, words):
        return None
    found = next((module for module in modules if module.file in words), None)
    ports = stage.ports or _listening(words) or (found.ports[:1] if found is not None else ())
    program = bool(stage.entrypoint) and not ports and _tool(words) not in _SERVERS
    # What a user gives takes the place of the arguments, as long as what is before them can start alone.
    apart = program and bool(arguments) and bool(entry) and words[: len(entry)] == entry and _usable(evidence, stage, entry)
    given = ", ".join(name for name in stage.secrets if name not in evidence.settings.env)
    return Launch(
        entry if apart else words,
        program,
        arguments=words[len(entry) :] if apart else (),
        ports=tuple(f"{port}/tcp" for port in ports),
        env={**_environment(named, variables), **env},
        needs_source=evidence.kind == "app",
        reason="The Dockerfile's command.",
        notes=(f"Of the Dockerfile's variables, {given} may be secret, and stay out: give them to the container.",) if given else (),
    )


def _text(path: Path) -> str | None:
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST:
            return None
        return path.read_bytes().decode("utf-8-sig", "replace")
    except OSError:
        return None


def last_stage(text: str) -> Stage:
    """What the last stage says; what it inherits of stages before it is passed over."""
    reading, common = _Reading(), None
    for line in _instructions(text):
        keyword, _, rest = line.strip().replace("\t", " ").partition(" ")
        rest = rest.strip() if len(rest) <= _LONGEST else _UNREADABLE
        if keyword.upper() == "FROM":
            # What stands before the first stage is a default for those that name it.
            common = reading.arguments if common is None else common
            reading = _Reading()
        elif keyword.upper() == "ARG" and common and rest in common:
            reading.arguments[rest] = common[rest]
        else:
            reading.take(keyword.upper(), rest)
    return reading.stage()


def _instructions(text: str) -> Iterator[str]:
    """Each instruction in one line, without comments and here-documents."""
    lines = iter(text.replace("\r\n", "\n").split("\n"))
    directive = re.match(r"(?:#[ \t]*\w+[ \t]*=.*\n)*?#[ \t]*escape[ \t]*=[ \t]*([`\\])[ \t]*\r?\n", text, re.IGNORECASE)
    escape = directive[1] if directive else "\\"
    for line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        parts = [line.rstrip(" \t")]
        while parts[-1].endswith(escape):
            parts[-1] = parts[-1][:-1]
            following = next((it for it in lines if it.strip() and not it.lstrip().startswith("#")), "")
            parts.append(following.rstrip(" \t"))
        whole = " ".join(parts) if len(parts) > 1 else parts[0]
        if whole.lstrip()[:4].upper().strip() in ("RUN", "COPY", "ADD"):
            for dash, _, end in _HEREDOC.findall(whole):
                next((it for it in lines if (it.lstrip("\t") if dash else it) == end), None)
        yield whole


def _pairs(text: str) -> list[tuple[str, str]]:
    """The names and values of an ENV or ARG, in its older form as well."""
    if "=" in text.partition(" ")[0]:
        return _PAIR.findall(text)
    name, _, value = text.partition(" ")
    return [(name, value.strip())] if value and re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) else []


def _port(word: str) -> str:
    word = word.removesuffix("/tcp")
    return word if re.fullmatch(r"[1-9][0-9]{0,4}", word) and int(word) < 1 << 16 else ""


def _joined(before: str, path: str | None) -> str:
    """A directory from another; one that is not known is nowhere in the project."""
    return posixpath.normpath(posixpath.join(before, (path or "/\0").strip("\"'")))


def _words(stage: Stage, variables: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...], tuple[str, ...]]:
    """(environment, what is started, arguments that stand apart from it)."""
    entry, command = _exec_form(stage.entrypoint), _exec_form(stage.command)
    if entry is not None:
        # A command in shell form behind an entrypoint would be arguments of a shell.
        return {}, entry, command or ()
    if stage.entrypoint:
        return *_shell(stage.entrypoint, variables), ()
    if command is not None and command[:2] not in _SHELLS:
        return {}, command, ()
    return *_shell(command[2] if command and len(command) == 3 else stage.command, variables), ()


def _shell(text: str, variables: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """A line of a shell's; not where it wants a secret, which would be seen in the image's command."""
    if len(text) > _LONGEST or any(_SECRET.search(it[1] or it[2]) and (it[1] or it[2]) not in variables for it in _VARIABLE.finditer(text)):
        raise ProjectError("Dockerfile: a secret in the command")
    return parse_command(text, "Dockerfile", variables)


def _exec_form(text: str) -> tuple[str, ...] | None:
    try:
        words = json.loads(text) if text.startswith("[") else None
    except (ValueError, RecursionError):
        return None
    return tuple(words) if isinstance(words, list) and words and all(isinstance(word, str) for word in words) else None


def _unwrapped(words: tuple[str, ...]) -> tuple[str, ...]:
    for wrapper in _WRAPPERS * 2:
        if words[: len(wrapper)] == wrapper:
            words = words[len(wrapper) :]
    return words


def _placed(evidence: Evidence, stage: Stage, words: tuple[str, ...]) -> Iterator[str]:
    """The same words, with the project's files named by their paths in it."""
    for word in words[:1]:
        yield "python" if _INTERPRETER.fullmatch(word) else word
    for word in words[1:]:
        path = None if word.startswith("-") or word == "/" else stage.place(word)
        if path is None and word.endswith(".py"):
            yield posixpath.join(stage.workdir, word)
        else:
            yield path if path is not None and _exists(evidence, path) else word


def _exists(evidence: Evidence, path: str) -> bool:
    try:
        return (evidence.root / path).exists()
    except (OSError, ValueError):
        return False


def _sound(words: tuple[str, ...]) -> bool:
    """Whether these can be a command at all."""
    try:
        text = "".join(words).encode()
    except UnicodeEncodeError:
        return False
    return bool(words) and bool(words[0]) and b"\0" not in text and "\ufffd".encode() not in text


def _environment(named: Mapping[str, str], variables: Mapping[str, str]) -> dict[str, str]:
    """What the Dockerfile gives the command, but for what speaks of the other image, and paths in it."""
    return {
        name: variables[name]
        for name, value in named.items()
        if not _OF_THE_IMAGE.fullmatch(name)
        and not re.search(r"(^|[:,=\s])/(?!/)|////", value)
        and "\0" not in value
        and _sound((value or "x",))
    }


def _tool(words: tuple[str, ...]) -> str:
    """The program, or the module that is run as one."""
    words = tuple(word for word in words if word not in ("-u", "-OO", "-O", "-B"))
    return words[2] if words[:2] == ("python", "-m") and len(words) > 2 else next(iter(words), "")


def _listening(words: tuple[str, ...]) -> tuple[str, ...]:
    """The port that a server's arguments name, or its usual one."""
    usual = _SERVERS.get(_tool(words), "")
    for option, value in zip(words, (*words[1:], ""), strict=True):
        option, _, inside = option.partition("=")
        if usual and _PORT_OPTION.fullmatch(option) and (port := _port((inside or value).rpartition(":")[2])):
            return (port,)
    return (usual,) if usual else ()


def _usable(evidence: Evidence, stage: Stage, words: tuple[str, ...]) -> bool:
    """Whether a command can be had in the image: its program, and the file or module that it names."""
    if _DEVELOPMENT & set(words[1:]) or (len(words) > 1 and words[0] == "flask") or words[1:3] == ("-m", "flask"):
        return False
    if words[0] == "python":
        return _names_something(evidence, stage, words[1:])
    if words[0] in evidence.scripts:
        return True
    if normalized(_OWNED_BY.get(words[0], words[0])) not in evidence.dependencies:
        return False
    targets = [word for word in words[1:] if re.fullmatch(r"[\w.]+:\w[\w.]*(\(.*\))?", word) and not word[0].isdecimal()]
    return words[0] not in _SERVERS or all(_module(evidence, stage, target.partition(":")[0]) for target in targets)


def _names_something(evidence: Evidence, stage: Stage, words: tuple[str, ...]) -> bool:
    words = tuple(word for word in words if word not in ("-u", "-OO", "-O", "-B"))
    if len(words) > 1 and words[0] == "-m":
        return _module(evidence, stage, words[1]) or normalized(words[1].split(".")[0]) in evidence.dependencies
    script = words[0] if words else ""
    inside = not script.startswith("/") and ".." not in script.split("/")
    return script.endswith(".py") and inside and _exists(evidence, script)


def _module(evidence: Evidence, stage: Stage, name: str) -> bool:
    """Whether there is such a module where the command starts."""
    if not all(part.isidentifier() for part in name.split(".")):
        return False
    if name.split(".")[0] in evidence.packaged:
        return True
    path = name.replace(".", "/")
    return stage.place(".") == "." and any(_exists(evidence, path + end) for end in (".py", "/__init__.py", "/__main__.py"))
