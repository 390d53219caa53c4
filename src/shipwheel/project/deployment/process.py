"""A process that a deployment file declares: how it is started, and with what."""

import re
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Protocol

import msgspec

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.deployment.script import Script, ScriptFiles, ShellCommand, list_names
from shipwheel.project.deployment.secrets import masked
from shipwheel.project.deployment.shell import run_shell, run_words
from shipwheel.project.deployment.shell_words import ShellState
from shipwheel.user.files import UserFiles

__all__ = ["BUILD", "RELEASE", "DeploymentFile", "Process", "ProcessFiles", "ProjectFiles"]

_MAX_SHOWN = 80
_NAMED = lazy_pattern(r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))", re.ASCII)
RELEASE = "release"
"""The process that runs before a new version starts, and ends."""
BUILD = "build"
"""The commands that a platform runs where it builds: they install packages, and may write static files and change tables."""


class DeploymentFile(Enum):
    """A kind of file that declares processes."""

    PROCFILE = "Procfile"
    COMPOSE = "compose file"
    DOCKERFILE = "Dockerfile"
    PLATFORM = "platform file"
    """fly.toml, render.yaml, app.yaml, railway.toml, nixpacks.toml, heroku.yml."""
    SYSTEMD = "systemd unit"
    TASK = "task"
    """A project manager runs it for a person, so that it is no promise that production does."""

    @property
    def is_firm(self) -> bool:
        """True if what such a file declares is meant for production, so that what cannot run is worth a note."""
        return self not in (DeploymentFile.SYSTEMD, DeploymentFile.TASK)


class ProcessFiles(ScriptFiles, Protocol):
    """The files that a process sees."""

    def project_path(self, path: str) -> str | None:
        """Return the path in the project of an absolute path that the process sees; None for one that the project does not have."""


class Process(msgspec.Struct, frozen=True):
    """A process that a deployment file declares, as it is written there."""

    kind: DeploymentFile
    name: str
    """For example "web"."""
    file: str
    line: int
    files: ProcessFiles
    text: str = ""
    """The command in shell form; empty if it is in exec form."""
    words: tuple[str, ...] = ()
    """The command in exec form."""
    arguments: tuple[str, ...] = ()
    """Words after `words` that somebody who starts a container may replace."""
    directory: str = "/"
    """The working directory, absolute, as the process sees it."""
    variables: Mapping[str, str] = msgspec.field(default_factory=dict)
    """The environment that the file gives it."""
    ports: tuple[str, ...] = ()
    """TCP ports that the file declares."""
    fixed: bool = False
    """True if `words` name a program that arguments can be given to: ENTRYPOINT in exec form."""

    @property
    def place(self) -> str:
        """The position as messages name it."""
        return f"{self.file}, line {self.line}"

    @property
    def shown(self) -> str:
        """The command in one line, shortened for messages."""
        text = masked(" ".join((self.text or " ".join((*self.words, *self.arguments))).split()))
        return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 1]}…"

    def commands(self, variables: Mapping[str, str]) -> tuple[ShellCommand, ...]:
        """Return the commands that it runs, with more variables than those of the file.

        A word such as `${PORT}` of the exec form gets its value. Docker leaves it as it is, but no program can want the bare name.
        """
        known = {**self.variables, **variables}
        state = ShellState(known, (), self.directory)
        if self.text:
            return run_shell(Script(self.file, self.text.encode()), state, self.files, self.line)
        words = tuple(_with_values(word, known) for word in (*self.words, *self.arguments))
        return run_words(words, state, self.files, (self.file, self.line))


def _with_values(word: str, known: Mapping[str, str]) -> str:
    """Return a word with the values of the variables that it names, as far as they are known; what has spaces is for a shell."""
    return word if " " in word else _NAMED.sub(lambda found: known.get(found[1] or found[2], found[0]), word)


class ProjectFiles(msgspec.Struct, frozen=True):
    """The files that a process sees that starts in the project's directory, wherever that is: it is `home` for the process."""

    project: Path
    home: str = "/app"
    files: UserFiles = msgspec.field(default_factory=UserFiles)

    def project_path(self, path: str) -> str | None:
        """See `ProcessFiles`."""
        inside = path == self.home or path.startswith(f"{self.home}/")
        relative = path[len(self.home) + 1 :] or "."
        try:
            return relative if inside and (self.project / relative).exists() else None
        except (OSError, ValueError):
            return None

    def read_script(self, path: str) -> Script | None:
        """See `ScriptFiles`."""
        inside = self.project_path(path)
        try:
            if inside is None or not self.files.is_file(self.project / inside):
                return None
            return Script(inside, self.files.read_bytes(self.project / inside))
        except OSError:
            return None

    def exists(self, path: str) -> bool | None:
        """See `ScriptFiles`."""
        return True if self.project_path(path if path.startswith("/") else f"{self.home}/{path}") is not None else None

    def names_in(self, path: str) -> tuple[str, ...]:
        """See `ScriptFiles`."""
        inside = self.project_path(path)
        return list_names(self.project / inside) if inside is not None else ()
