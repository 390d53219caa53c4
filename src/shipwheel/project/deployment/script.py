"""Scripts, the commands that they run, and the files that they find."""

from pathlib import Path
from typing import Protocol

import msgspec

__all__ = ["NoFiles", "Script", "ScriptFiles", "ShellCommand", "list_names"]


class ShellCommand(msgspec.Struct, frozen=True):
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
    program: str = ""
    """The name that supervisord knows it by; empty if that does not start it."""
    derived: tuple[str, ...] = ()
    """Variables that the script gives it too, with values that it makes of variables of the container."""

    @property
    def place(self) -> str:
        """The position as messages name it."""
        return f"{self.file}, line {self.line}"


class Script(msgspec.Struct, frozen=True):
    """A script of the repository: its name for messages, and its content."""

    name: str
    data: bytes

    def is_for_a_shell(self, started_as: str) -> bool:
        """Return whether a shell runs it when it is started by a name."""
        first = self.data[:200].split(b"\n", 1)[0]
        return b"sh" in first.rpartition(b"/")[2] if first.startswith(b"#!") else started_as.endswith(".sh")


class ScriptFiles(Protocol):
    """The files that a script finds where it runs."""

    def read_script(self, path: str) -> Script | None:
        """Return the script at an absolute path; None if it is not one of the repository's."""

    def exists(self, path: str) -> bool | None:
        """Return whether an absolute path exists; None if that is not known."""

    def names_in(self, path: str) -> tuple[str, ...]:
        """Return the names in the directory at an absolute path, as far as they are the repository's."""


def list_names(directory: Path) -> tuple[str, ...]:
    """Return the sorted names in a directory of this machine; none if it cannot be read."""
    try:
        return tuple(sorted(entry.name for entry in directory.iterdir()))
    except (OSError, ValueError):
        return ()


class NoFiles:
    """The files of a script that runs where nothing is known about files."""

    def read_script(self, path: str) -> Script | None:
        """Return None."""

    def exists(self, path: str) -> bool | None:
        """Return None."""

    def names_in(self, path: str) -> tuple[str, ...]:  # noqa: ARG002 - the protocol's
        """Return nothing."""
        return ()
