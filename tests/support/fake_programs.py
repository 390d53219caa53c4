"""Small programs on PATH that imitate engines and record their calls."""

import json
import os
import sys
from pathlib import Path

__all__ = ["Programs"]


class Programs:
    """A directory of Python programs that is the whole PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._log = folder / "calls"
        folder.mkdir()

    def add(self, name: str, body: str = "") -> None:
        """Add a program that runs `body`, where `args` are its arguments and `report(name, text)` writes a file for `read`."""
        path = self.folder / name
        path.write_text(
            f"#!{sys.executable} -I\n"
            "import json, os, signal, sys, time\n"
            "args = sys.argv[1:]\n"
            f"with open({str(self._log)!r}, 'a') as log: log.write(json.dumps([{name!r}, *args]) + '\\n')\n"
            f"def report(name, text):\n    open(os.path.join({str(self.folder)!r}, name), 'w').write(text)\n" + body,
            encoding="utf-8",
        )
        path.chmod(0o755)

    @property
    def calls(self) -> list[list[str]]:
        """All calls in order: the name of the program and its arguments."""
        return [json.loads(line) for line in self._log.read_text().splitlines()] if self._log.exists() else []

    def called(self, *words: str) -> list[list[str]]:
        """Return the calls that begin with these words."""
        return [call for call in self.calls if call[: len(words)] == list(words)]

    def read(self, name: str) -> str:
        """Return what a program reported, or ""."""
        path = self.folder / name
        return path.read_text() if path.exists() else ""

    def environment(self) -> dict[str, str]:
        """Return this process's environment with these programs only."""
        return {**os.environ, "PATH": str(self.folder)}
