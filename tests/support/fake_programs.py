"""Tiny programs on PATH that answer as engines do, and note how they were called."""

import json
import os
import sys
from pathlib import Path

__all__ = ["Programs"]


class Programs:
    """A directory that is the whole PATH, of programs written in Python."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._log = folder / "calls"
        folder.mkdir()

    def add(self, name: str, body: str = "") -> None:
        """A program; `args` are its arguments, `said(text)` writes a file that tests read. Every call is noted."""
        path = self.folder / name
        path.write_text(
            f"#!{sys.executable} -I\n"
            "import json, os, signal, sys, time\n"
            "args = sys.argv[1:]\n"
            f"with open({str(self._log)!r}, 'a') as log: log.write(json.dumps([{name!r}, *args]) + '\\n')\n"
            f"def said(name, text):\n    open(os.path.join({str(self.folder)!r}, name), 'w').write(text)\n" + body,
            encoding="utf-8",
        )
        path.chmod(0o755)

    @property
    def calls(self) -> list[list[str]]:
        """Every call, in order: the program's name and its arguments."""
        return [json.loads(line) for line in self._log.read_text().splitlines()] if self._log.exists() else []

    def called(self, *words: str) -> list[list[str]]:
        """The calls that begin with these words."""
        return [call for call in self.calls if call[: len(words)] == list(words)]

    def read(self, name: str) -> str:
        """What a program said."""
        path = self.folder / name
        return path.read_text() if path.exists() else ""

    def environment(self) -> dict[str, str]:
        """This environment with these programs alone."""
        return {**os.environ, "PATH": str(self.folder)}
