"""Commands of deployment files as our image runs them: their paths and programs translated, and whether the image can run them at all."""

import posixpath
from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.deployment.process import ProcessFiles
from shipwheel.project.deployment.script import ShellCommand
from shipwheel.project.entrypoint.command_address import is_server, tool_of, without_flags
from shipwheel.project.entrypoint.development import (
    as_own_user,
    in_foreground,
    is_development_server,
    with_logs_on_output,
    without_development_options,
)
from shipwheel.project.entrypoint.evidence import Evidence
from shipwheel.project.entrypoint.project_paths import is_within
from shipwheel.project.entrypoint.servers import PROGRAM_PACKAGES
from shipwheel.versions import normalized

__all__ = ["DEVELOPMENT", "SERVE_FILES", "Runnable", "is_encodable"]

DEVELOPMENT = "it starts a development server"
_DISTRIBUTIONS = {
    "django-admin": "django",
    "huey_consumer": "huey",
    "rqworker": "rq",
    "rqscheduler": "rq-scheduler",
    "pybabel": "babel",
    "pserve": "pyramid",
    "twistd": "twisted",
    "supervisord": "supervisor",
    "ddtrace-run": "ddtrace",
    "newrelic-admin": "newrelic",
    "opentelemetry-instrument": "opentelemetry-instrumentation",
    "faust": "faust-streaming",
}
"""Program -> the Python package that contains it, if that has another name."""
_PYTHON = lazy_pattern(r"python(3(\.\d+)?)?|pypy3?")
_IN_BIN = lazy_pattern(r"(?:(?:/[^/\0]+)*/|(?:[^/\0]+/)*\.?v?env[^/\0]*/)s?bin/([^/\0]+)")
"""A program of a system, or of a virtual environment in the working directory."""
_TARGET = lazy_pattern(r"(?!(?:python|file):)[\w.]+:\w[\w.]*(\(.*\))?")
"""module:variable, but not gunicorn's `python:` and `file:` before the name of its configuration."""
_MODULE = lazy_pattern(r"[A-Za-z_]\w*(\.\w+)+")
_MODULE_OPTIONS = frozenset({"-A", "--app", "-m", "--module"})
SERVE_FILES = frozenset({"streamlit", "chainlit", "panel", "bokeh", "marimo", "shiny", "solara", "mesop", "fastapi", "taipy"})
"""Programs that serve a file which they are given."""
_ALEMBIC_CONFIG = "ALEMBIC_CONFIG"
"""The variable that names alembic's settings."""
_SEARCH_OPTIONS = frozenset({"--chdir", "--pythonpath", "--app-dir", "-d"})
"""Options with a directory that a server imports from."""
_SETTINGS_OPTIONS = frozenset({"-c", "--config", "--ini", "--yaml", "--json"})
"""Options with the file of a server's settings."""


class Runnable(msgspec.Struct, frozen=True):
    """Translates commands from where a deployment file runs them into our image, where the project is in the working directory."""

    evidence: Evidence
    files: ProcessFiles
    python_path: str = ""
    """The PYTHONPATH of the command; the image gets its directories."""

    def directory(self, command: ShellCommand) -> str | None:
        """Return the command's working directory in the project, empty for the project's own; None for one outside it."""
        found = self.files.project_path(command.directory)
        return "" if found == "." else found

    def words(self, command: ShellCommand) -> tuple[str, ...]:
        """Return the command's words as our image runs them."""
        return self.translated(command.words, command.directory)

    def translated(self, words: Sequence[str], directory: str) -> tuple[str, ...]:
        """Return words that a process in `directory` is started with as our image starts it, from the same directory of the project."""
        if not words:
            return ()
        inside = self.files.project_path(directory) or "."
        found = (*self._program(words[0], directory, inside), *(self._path(word, directory, inside) for word in words[1:]))
        found = with_logs_on_output(as_own_user(in_foreground(without_development_options(found))))
        return self._as_console_script(found, inside) or found

    def value(self, text: str) -> str:
        """Return the value of a variable with paths as they are in our image."""
        return ":".join(self._absolute(part) for part in text.split(":")) if "://" not in text else text

    def obstacle(self, words: tuple[str, ...], directory: str | None, variables: Iterable[str] = ()) -> str:
        """Return why the image cannot run translated words, or should not; empty if it can. `variables` are set for them."""
        if not is_encodable(words):
            return "it is no command"
        if is_development_server(words):
            return DEVELOPMENT
        given = {_ALEMBIC_CONFIG} & {*variables, *self.evidence.settings.env}
        if tool_of(words) == "alembic" and not given and not self._has_alembic_settings(words, directory):
            return "there is no alembic.ini where it runs"
        if words[0] == "python":
            return "" if self._names_project_code(without_flags(words)[1:], directory) else f"the image lacks what `{' '.join(words)}` runs"
        if words[0] in self.evidence.scripts:
            return ""
        if words[0] not in PROGRAM_PACKAGES and not self._is_installed(words[0]):
            return f"{words[0]} is not in the image"
        missing = [
            it for it in self._targets(words) if not (self._has_module(it, directory, words) or self._is_installed(it.split(".")[0]))
        ]
        if missing:
            return f"the project has no module {missing[0]}"
        if settings := self._missing_settings(words):
            return f"the image lacks {settings}"
        file = self._missing_file(words) if tool_of(words) in SERVE_FILES else ""
        return f"the project has no file {file}" if file else ""

    def _as_console_script(self, words: tuple[str, ...], inside: str) -> tuple[str, ...]:
        """Return words that run a console script's file, or its module's, as that console script; none if there is not exactly one."""
        command = without_flags(words)
        if self.evidence.kind != "package" or words[0] != "python" or len(command) < 2:
            return ()
        if (in_bin := _IN_BIN.fullmatch(command[1])) and in_bin[1] in self.evidence.scripts:
            return (in_bin[1], *command[2:])
        runs_module = command[1] == "-m" and len(command) > 2
        file = posixpath.normpath(posixpath.join(inside, command[1])).removeprefix("src/")
        module = command[2] if runs_module else file.removesuffix(".py").replace("/", ".")
        same = [name for name, target in self.evidence.scripts.items() if target.partition(":")[0] == module]
        return (same[0], *command[3 if runs_module else 2 :]) if len(same) == 1 else ()

    def _is_installed(self, program: str) -> bool:
        name = program.removesuffix(".py")
        return self.evidence.has_installed(normalized(_DISTRIBUTIONS.get(name, name)))

    def _program(self, word: str, directory: str, inside: str) -> tuple[str, ...]:
        path = posixpath.normpath(posixpath.join(directory or "/", word))
        file = self.files.project_path(path) if "/" in word or not word.startswith("-") else None
        if file is not None and ("/" in word or word.endswith(".py")) and self.evidence.has_file(file):
            return ("python", _relative(file, inside)) if self._is_python(file) else (word,)
        in_bin = _IN_BIN.fullmatch(word)
        name = in_bin[1] if in_bin else word
        return ("python",) if _PYTHON.fullmatch(name) else (name,)

    def _is_python(self, file: str) -> bool:
        first = self.evidence.read_text(file).partition("\n")[0]
        return "python" in first if first.startswith("#!") else file.endswith(".py")

    def _path(self, word: str, directory: str, inside: str) -> str:
        """Return a word with the path in the project that it names, as a process finds it there."""
        option, equals, value = word.partition("=") if word.startswith("-") else ("", "", word)
        if value.endswith(".py") and not value.startswith("/"):
            value = posixpath.normpath(posixpath.join(directory, value))
        path = self.files.project_path(value) if value.startswith("/") and value != "/" else None
        return option + equals + (self._seen_from(path, inside) if path is not None else value)

    def _seen_from(self, path: str, inside: str) -> str:
        relative = _relative(path, inside)
        return posixpath.normpath(posixpath.join(self.evidence.workdir or "/", path)) if relative.startswith("..") else relative

    def _absolute(self, text: str) -> str:
        path = self.files.project_path(text) if text.startswith("/") and text != "/" else None
        return posixpath.normpath(posixpath.join(self.evidence.workdir or "/", path)) if path is not None else text

    def _names_project_code(self, arguments: Sequence[str], directory: str | None) -> bool:
        """Return whether Python's arguments name a module or a script that the image has."""
        if len(arguments) > 1 and arguments[0] == "-m":
            return self._can_be_run(arguments[1], directory) or self._is_installed(arguments[1].split(".")[0])
        script = arguments[0] if arguments else ""
        inside = bool(script) and not script.startswith(("/", "-")) and ".." not in script.split("/")
        return (
            inside and self.evidence.has_file(posixpath.join(directory or "", script)) and self._is_python(f"{directory or '.'}/{script}")
        )

    def _has_alembic_settings(self, words: tuple[str, ...], directory: str | None) -> bool:
        """Return whether alembic finds its settings: where its option says, in alembic.ini, or in pyproject.toml from version 1.16 on."""
        if any(word.startswith(("-c", "--config")) for word in words[1:]):
            return True
        inside = posixpath.join(directory or "", "pyproject.toml")
        return self.evidence.has_file(posixpath.join(directory or "", "alembic.ini")) or (
            self.evidence.has_file(inside) and "[tool.alembic" in self.evidence.read_text(inside)
        )

    def _targets(self, words: tuple[str, ...]) -> list[str]:
        """Return the modules that a server's arguments name."""
        if not is_server(words):
            return []
        found = [word.partition(":")[0] for word in words[1:] if _TARGET.fullmatch(word) and not word[0].isdecimal()]
        found += [words[number + 1].partition(":")[0] for number, word in enumerate(words[:-1]) if word in _MODULE_OPTIONS and number > 1]
        if tool_of(words) == "gunicorn" and not found:
            found += [word for word in words[1:] if _MODULE.fullmatch(word) and word.endswith((".wsgi", ".asgi"))]
        return [name for name in found if name]

    def _missing_file(self, words: tuple[str, ...]) -> str:
        """Return the Python file that an argument names and the project lacks; such a path was left absolute. Empty without one."""
        named = (
            posixpath.relpath(word, self.evidence.workdir or "/") for word in words[1:] if word.startswith("/") and word.endswith(".py")
        )
        return next((file for file in named if not self.evidence.has_file(file)), "")

    def _missing_settings(self, words: tuple[str, ...]) -> str:
        """Return the file with a server's settings that is none of the project's, as one made at the start: its path was left absolute."""
        pairs = [(word, following) for word, following in pairwise(words) if word in _SETTINGS_OPTIONS]
        pairs += [(option, value) for option, equals, value in (word.partition("=") for word in words) if equals]
        named = (value for option, value in pairs if option in _SETTINGS_OPTIONS and value.startswith("/"))
        settings = self.evidence.settings
        inside = (self.evidence.workdir or "/", "/dev", *settings.copy, *settings.volumes)
        outside = (value for value in named if not is_within(value, inside))
        # Another image may have the file.
        reads_them = is_server(words) or posixpath.basename(words[0]) == "supervisord"
        return next(outside, "") if reads_them and not settings.base else ""

    def _has_module(self, name: str, directory: str | None, words: tuple[str, ...] = ()) -> bool:
        """Return whether a module can be imported from the directory that the command starts in, or that its options name."""
        if not all(part.isidentifier() for part in name.split(".")):
            return False
        path = name.replace(".", "/")
        if (top := path.partition("/")[0]) in self.evidence.packaged:
            # A wheel may take its packages from anywhere: from src, python or backend, beside other things of the package's name.
            return self._is_in(path, ("", *self.evidence.directories())) or not any(map(self.evidence.has_directory, (top, f"src/{top}")))
        bases = [posixpath.join(directory, base) for base in ("", *_search_directories(words))] if directory is not None else []
        named = (self.files.project_path(part) for part in self.python_path.split(":"))
        return self._is_in(path, (*bases, *(part for part in named if part is not None))) or self._is_in_src(path)

    def import_path(self, words: tuple[str, ...], directory: str | None) -> tuple[str, ...]:
        """Return the directory that has to be on the import path for translated words: src, from which the project would be installed."""
        command = without_flags(words)
        names = [*self._targets(words), *(command[2:3] if command[:2] == ("python", "-m") else ())]
        paths = [name.replace(".", "/") for name in names]
        here = [posixpath.join(directory or "", base) for base in ("", *_search_directories(words))]
        return ("src",) if any(self._is_in_src(path) and not self._is_in(path, here) for path in paths) else ()

    def _is_in_src(self, path: str) -> bool:
        """Return whether an app that its Dockerfile installs has a module in a package in src: a file there may be named with src."""
        is_project = any(map(self.evidence.has_file, ("pyproject.toml", "setup.py", "setup.cfg")))
        is_packaged = is_project and self.evidence.has_file(f"src/{path.partition('/')[0]}/__init__.py")
        return self.evidence.kind == "app" and is_packaged and self._is_in(path, ["src"])

    def _can_be_run(self, name: str, directory: str | None) -> bool:
        """Return whether `python -m` can run a module: a package of the project needs a `__main__` for that."""
        return self._has_module(name, directory) and (
            self._has_module(f"{name}.__main__", directory) or not self._has_module(f"{name}.__init__", directory)
        )

    def _is_in(self, path: str, bases: Iterable[str]) -> bool:
        ends = (".py", "/__init__.py", "/__main__.py")
        return any(self.evidence.exists(posixpath.join(base, path + end)) for base in bases for end in ends)


def is_encodable(words: Sequence[str]) -> bool:
    """Return whether the words can be a command of an image at all."""
    try:
        text = "".join(words).encode()
    except UnicodeEncodeError:
        return False
    return bool(words) and bool(words[0]) and b"\0" not in text and "\ufffd".encode() not in text


def _relative(path: str, inside: str) -> str:
    return posixpath.relpath(path, inside)


def _search_directories(words: Sequence[str]) -> list[str]:
    found: list[str] = []
    for word, following in zip(words, (*words[1:], ""), strict=False):
        option, equals, value = word.partition("=")
        if option in _SEARCH_OPTIONS:
            value = value if equals else following
            found.append(value if not value.startswith("/") else "")
    return found
