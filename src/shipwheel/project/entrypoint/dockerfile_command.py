"""The command in a Dockerfile, if the image that shipwheel builds can run it."""

import posixpath
import re
from collections.abc import Iterator, Mapping

from shipwheel.errors import ProjectError
from shipwheel.project.entrypoint.command_line import parse_command
from shipwheel.project.entrypoint.dockerfile import (
    MAX_INSTRUCTION,
    Stage,
    exec_form,
    has_credentials,
    is_secret_variable,
    parse_last_stage,
    parse_port,
    variable_names,
)
from shipwheel.project.entrypoint.evidence import Evidence
from shipwheel.project.entrypoint.launch import Launch
from shipwheel.project.entrypoint.scan import Scan
from shipwheel.versions import normalized

__all__ = ["find_dockerfile_command", "find_dockerfile_script"]

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
"""Programs that only start another one, which the image starts without them."""
_MAX_WRAPPERS = 2
_DEVELOPMENT_WORDS = frozenset({"runserver", "--reload", "--debug", "dev"})
_SERVER_PORTS = {
    **dict.fromkeys(("gunicorn", "uvicorn", "hypercorn", "daphne", "granian", "fastapi"), "8000"),
    "waitress-serve": "8080",
    "streamlit": "8501",
    "uwsgi": "",
    "celery": "",
}
"""Program -> the port that it listens on unless its arguments name one."""
_DISTRIBUTIONS = {
    "waitress-serve": "waitress",
    "alembic": "alembic",
    "django-admin": "django",
    "jupyter": "notebook",
    "huey_consumer": "huey",
}
"""Program -> the Python package that contains it, if that has another name."""
_INTERPRETER = re.compile(r"(/usr(/local)?/bin/)?python(3(\.\d+)?)?")
_INTERPRETER_FLAGS = frozenset({"-u", "-OO", "-O", "-B"})
_SHELLS = (("sh", "-c"), ("bash", "-c"), ("/bin/sh", "-c"), ("/bin/bash", "-c"))
_PORT_OPTION = re.compile(r"(?:--?(?:b|bind|p|port|server\.port|listen|http|http-socket))")
_TARGET = re.compile(r"[\w.]+:\w[\w.]*(\(.*\))?")
"""module:variable"""
_IMAGE_VARIABLE = re.compile(r"PYTHON.*|(PIP|PIPENV|POETRY|PDM|UV|LD|LC)_.*|PATH|HOME|USER|SHELL|LANG|LANGUAGE|VIRTUAL_ENV|DEBIAN_FRONTEND")
"""Variables that describe the Dockerfile's own image or how it is built."""
_ABSOLUTE_PATH = re.compile(r"(^|[:,=\s])/(?!/)|////")


def find_dockerfile_script(evidence: Evidence, scan: Scan) -> Launch | None:
    """Return the Dockerfile's command if it is one of the package's console scripts: it names the right one, with its arguments."""
    launch = find_dockerfile_command(evidence, scan) if evidence.scripts else None
    return launch if launch is not None and launch.command[0] in evidence.scripts else None


def find_dockerfile_command(evidence: Evidence, scan: Scan) -> Launch | None:
    """Return the Dockerfile's command; None if it needs a shell, starts a development server, or names something the image lacks."""
    if scan.dockerfile is None:
        return None
    stage = parse_last_stage(scan.dockerfile)
    declared = dict(stage.variables)
    port = evidence.port or declared.get("PORT") or next(iter(stage.ports), None)
    variables = {**declared, **({"PORT": port} if port else {}), **evidence.settings.env}
    try:
        env, program, arguments = _command(stage, variables)
    except ProjectError:
        return None
    entry = _in_image(evidence, stage, program)
    words = _in_image(evidence, stage, (*program, *arguments))
    secret = any(map(is_secret_variable, env)) or any(map(has_credentials, (*words, *env.values())))
    if secret or not _is_encodable(words) or not _is_runnable(evidence, stage, words):
        return None
    module = next((module for module in scan.modules if module.file in words), None)
    ports = stage.ports or _listening_port(words) or (module.ports[:1] if module is not None else ())
    is_program = bool(stage.entrypoint) and not ports and _tool(words) not in _SERVER_PORTS
    # Arguments that a user gives replace CMD, if what ENTRYPOINT names can start without it.
    split = is_program and bool(arguments) and bool(entry) and words[: len(entry)] == entry
    replaceable = split and _is_runnable(evidence, stage, entry)
    return Launch(
        entry if replaceable else words,
        is_program,
        arguments=words[len(entry) :] if replaceable else (),
        ports=tuple(f"{port}/tcp" for port in ports),
        env={**_environment(declared, variables), **env},
        needs_source=evidence.kind == "app",
        reason="The Dockerfile names it.",
        notes=_secret_notes(evidence, stage),
    )


def _secret_notes(evidence: Evidence, stage: Stage) -> tuple[str, ...]:
    names = ", ".join(name for name in stage.secrets if name not in evidence.settings.env)
    if not names:
        return ()
    return (f"Variables of the Dockerfile that may be secret are not in the image: {names}. Set them when you start the container.",)


def _command(stage: Stage, variables: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...], tuple[str, ...]]:
    """Return (environment, program, arguments that a user may replace). Raises ProjectError as `parse_command`."""
    entrypoint, command = exec_form(stage.entrypoint), exec_form(stage.command)
    if entrypoint is not None:
        # Docker would pass a CMD in shell form to the entrypoint as the arguments of a shell.
        return {}, entrypoint, command or ()
    if stage.entrypoint:
        return *_shell_form(stage.entrypoint, variables), ()
    if command is not None and command[:2] not in _SHELLS:
        return {}, command, ()
    return *_shell_form(command[2] if command and len(command) == 3 else stage.command, variables), ()


def _shell_form(text: str, variables: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return (environment, words). Raises ProjectError, also if a secret would become visible in the image's command."""
    if len(text) > MAX_INSTRUCTION or any(is_secret_variable(name) and name not in variables for name in variable_names(text)):
        raise ProjectError("Dockerfile: the command contains a secret")
    return parse_command(text, "Dockerfile", variables)


def _in_image(evidence: Evidence, stage: Stage, words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words without wrappers, with the paths that files of the project have in our image."""
    for wrapper in _WRAPPERS * _MAX_WRAPPERS:
        if words[: len(wrapper)] == wrapper:
            words = words[len(wrapper) :]
    program = tuple("python" if _INTERPRETER.fullmatch(word) else word for word in words[:1])
    return (*program, *_translated(evidence, stage, words[1:]))


def _translated(evidence: Evidence, stage: Stage, words: tuple[str, ...]) -> Iterator[str]:
    for word in words:
        path = None if word.startswith("-") or word == "/" else stage.project_path(word)
        if path is None and word.endswith(".py"):
            yield posixpath.join(stage.workdir, word)
        else:
            yield path if path is not None and evidence.exists(path) else word


def _is_encodable(words: tuple[str, ...]) -> bool:
    """Return whether the words can be a command of an image at all."""
    try:
        text = "".join(words).encode()
    except UnicodeEncodeError:
        return False
    return bool(words) and bool(words[0]) and b"\0" not in text and "\ufffd".encode() not in text


def _environment(declared: Mapping[str, str], variables: Mapping[str, str]) -> dict[str, str]:
    """Return the declared variables with their values, without those about the Dockerfile's own image and paths in it."""
    return {
        name: variables[name]
        for name, value in declared.items()
        if not _IMAGE_VARIABLE.fullmatch(name) and not _ABSOLUTE_PATH.search(value) and "\0" not in value and _is_encodable((value or "x",))
    }


def _without_flags(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word for word in words if word not in _INTERPRETER_FLAGS)


def _tool(words: tuple[str, ...]) -> str:
    """Return the program, or the module that is run as one."""
    words = _without_flags(words)
    return words[2] if words[:2] == ("python", "-m") and len(words) > 2 else next(iter(words), "")


def _listening_port(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the port in a server's arguments, or its default."""
    default = _SERVER_PORTS.get(_tool(words), "")
    if not default:
        return ()
    for word, following in zip(words, (*words[1:], ""), strict=True):
        option, _, value = word.partition("=")
        if _PORT_OPTION.fullmatch(option) and (port := parse_port((value or following).rpartition(":")[2])):
            return (port,)
    return (default,)


def _is_runnable(evidence: Evidence, stage: Stage, words: tuple[str, ...]) -> bool:
    """Return whether the image has the program of a production command, and the file or module that it names."""
    if _DEVELOPMENT_WORDS & set(words[1:]) or (len(words) > 1 and words[0] == "flask") or words[1:3] == ("-m", "flask"):
        return False
    if words[0] == "python":
        return _names_project_code(evidence, stage, words[1:])
    if words[0] in evidence.scripts:
        return True
    if normalized(_DISTRIBUTIONS.get(words[0], words[0])) not in evidence.dependencies:
        return False
    targets = [word for word in words[1:] if _TARGET.fullmatch(word) and not word[0].isdecimal()]
    return words[0] not in _SERVER_PORTS or all(_has_module(evidence, stage, target.partition(":")[0]) for target in targets)


def _names_project_code(evidence: Evidence, stage: Stage, arguments: tuple[str, ...]) -> bool:
    """Return whether Python's arguments name a module or a script that the image has."""
    arguments = _without_flags(arguments)
    if len(arguments) > 1 and arguments[0] == "-m":
        return _has_module(evidence, stage, arguments[1]) or normalized(arguments[1].split(".")[0]) in evidence.dependencies
    script = arguments[0] if arguments else ""
    inside = not script.startswith("/") and ".." not in script.split("/")
    return script.endswith(".py") and inside and evidence.exists(script)


def _has_module(evidence: Evidence, stage: Stage, name: str) -> bool:
    """Return whether a module can be imported from the directory that the command starts in."""
    if not all(part.isidentifier() for part in name.split(".")):
        return False
    if name.split(".")[0] in evidence.packaged:
        return True
    path = name.replace(".", "/")
    return stage.project_path(".") == "." and any(evidence.exists(path + end) for end in (".py", "/__init__.py", "/__main__.py"))
