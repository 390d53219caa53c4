"""What a Dockerfile says of the command: its CMD and ENTRYPOINT, where they name something that the image has."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from shipwheel.config import read_text
from shipwheel.errors import ProjectError
from shipwheel.python.launch import Evidence, Launch
from shipwheel.python.metadata import normalized
from shipwheel.python.procfile import parse_command
from shipwheel.python.scan import Module

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
_SERVERS = frozenset({"gunicorn", "uvicorn", "hypercorn", "daphne", "granian", "waitress-serve", "uwsgi", "fastapi", "celery", "streamlit"})
_OWNED_BY = {"waitress-serve": "waitress", "alembic": "alembic", "django-admin": "django", "jupyter": "notebook", "huey_consumer": "huey"}
_INTERPRETER = re.compile(r"(/usr(/local)?/bin/)?python(3(\.\d+)?)?")


@dataclass(frozen=True, slots=True)
class Stage:
    """The last stage of a Dockerfile: its words as they stand, and the ports and variables that it names."""

    entrypoint: str = ""
    command: str = ""
    ports: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()


def launch_dockerfile(evidence: Evidence, modules: tuple[Module, ...] = ()) -> Launch | None:
    """The command that a Dockerfile starts; None where it is a shell's, a development server's, or names what is not there."""
    path = evidence.root / "Dockerfile"
    if evidence.only or not path.is_file():
        return None
    stage = last_stage(read_text(path))
    variables = {**dict(stage.variables), **({"PORT": evidence.port or stage.ports[0]} if stage.ports or evidence.port else {})}
    try:
        env, words = _words(stage, variables)
    except ProjectError:
        return None
    words = _unwrapped(words)
    if not words or not _usable(evidence, words):
        return None
    words = ("python", *words[1:]) if _INTERPRETER.fullmatch(words[0]) else words
    named = next((module for module in modules if module.file in words), None)
    ports = tuple(f"{port}/tcp" for port in stage.ports or (named.ports[:1] if named is not None else ()))
    program = bool(stage.entrypoint) and not ports
    return Launch(words, program, ports=ports, env=env, needs_source=evidence.kind == "app", reason="The Dockerfile's command.")


def last_stage(text: str) -> Stage:
    """What the last stage says; what it inherits of stages before it is passed over."""
    stage = Stage()
    for line in re.sub(r"\\[ \t]*\n(?:[ \t]*#.*\n)*", " ", text).splitlines():
        keyword, _, rest = line.strip().partition(" ")
        rest = rest.strip()
        match keyword.upper():
            case "FROM":
                stage = Stage()
            case "CMD":
                stage = Stage(stage.entrypoint, rest, stage.ports, stage.variables)
            case "ENTRYPOINT":
                # An entrypoint takes back the command that stood before it.
                stage = Stage(rest, "", stage.ports, stage.variables)
            case "EXPOSE":
                ports = tuple(found for word in rest.split() if (found := word.removesuffix("/tcp")).isdecimal())
                stage = Stage(stage.entrypoint, stage.command, (*stage.ports, *ports), stage.variables)
            case "ENV" | "ARG":
                pairs = re.findall(r"""([A-Za-z_]\w*)=("[^"]*"|'[^']*'|\S+)""", rest) or re.findall(r"^([A-Za-z_]\w*)\s+(.+)$", rest)
                given = tuple((name, value.strip("\"'")) for name, value in pairs)
                stage = Stage(stage.entrypoint, stage.command, stage.ports, (*stage.variables, *given))
    return stage


def _words(stage: Stage, variables: dict[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    entry, command = _exec_form(stage.entrypoint), _exec_form(stage.command)
    if entry is not None:
        # A command in shell form behind an entrypoint would be arguments of a shell.
        return {}, (*entry, *(command or ()))
    if stage.entrypoint:
        return parse_command(stage.entrypoint, "Dockerfile", variables)
    if command is not None and command[:2] not in (("sh", "-c"), ("bash", "-c"), ("/bin/sh", "-c"), ("/bin/bash", "-c")):
        return {}, command
    return parse_command(command[2] if command and len(command) == 3 else stage.command, "Dockerfile", variables)


def _exec_form(text: str) -> tuple[str, ...] | None:
    try:
        words = json.loads(text) if text.startswith("[") else None
    except ValueError:
        return None
    return tuple(words) if isinstance(words, list) and words and all(isinstance(word, str) for word in words) else None


def _unwrapped(words: tuple[str, ...]) -> tuple[str, ...]:
    for wrapper in _WRAPPERS * 2:
        if words[: len(wrapper)] == wrapper:
            words = words[len(wrapper) :]
    return words


def _usable(evidence: Evidence, words: tuple[str, ...]) -> bool:
    """Whether a command can be had in the image: its program, and the file or module that it names."""
    if _DEVELOPMENT & set(words[1:]) or (len(words) > 1 and words[0] == "flask") or words[1:3] == ("-m", "flask"):
        return False
    if _INTERPRETER.fullmatch(words[0]):
        return _names_something(evidence, words[1:])
    if words[0] in evidence.scripts:
        return True
    if normalized(_OWNED_BY.get(words[0], words[0])) not in evidence.dependencies:
        return False
    targets = [word for word in words[1:] if re.fullmatch(r"[\w.]+:\w[\w.]*(\(.*\))?", word) and not word[0].isdecimal()]
    return words[0] not in _SERVERS or all(_module(evidence, target.partition(":")[0]) for target in targets)


def _names_something(evidence: Evidence, words: tuple[str, ...]) -> bool:
    words = tuple(word for word in words if word not in ("-u", "-OO", "-O", "-B"))
    if len(words) > 1 and words[0] == "-m":
        return _module(evidence, words[1]) or normalized(words[1].split(".")[0]) in evidence.dependencies
    return bool(words) and words[0].endswith(".py") and (evidence.root / words[0]).is_file()


def _module(evidence: Evidence, name: str) -> bool:
    path = Path(*name.split("."))
    if name.split(".")[0] in evidence.packaged:
        return True
    return any((evidence.root / form).exists() for form in (path.with_suffix(".py"), path / "__init__.py", path / "__main__.py"))
