"""Scripts, the commands that they run, and the files that they find."""

from dataclasses import dataclass
from typing import Protocol

__all__ = ["NoFiles", "Script", "ScriptFiles", "ShellCommand"]


@dataclass(frozen=True, slots=True)
class ShellCommand:
    """A command that a shell runs."""

    words: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    """The variables that the script gives it."""
    directory: str = ""
    """The working directory, absolute; empty if it is not known."""
    file: str = ""
    line: int = 0
    text: str = ""
    """The command as it is written."""
    doubt: str = ""
    """The reason why it may not run, or not with these words; empty if it does."""
    background: bool = False

    @property
    def place(self) -> str:
        """The position as messages name it."""
        return f"{self.file}, line {self.line}"


@dataclass(frozen=True, slots=True)
class Script:
    """A script of the repository: its name for messages, and its content."""

    name: str
    data: bytes


class ScriptFiles(Protocol):
    """The files that a script finds where it runs."""

    def read_script(self, path: str) -> Script | None:
        """Return the script at an absolute path; None if it is not one of the repository's."""

    def exists(self, path: str) -> bool | None:
        """Return whether an absolute path exists; None if that is not known."""


class NoFiles:
    """The files of a script that runs where nothing is known about files."""

    def read_script(self, path: str) -> Script | None:
        """Return None."""

    def exists(self, path: str) -> bool | None:
        """Return None."""
