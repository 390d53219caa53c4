"""systemd units: how a service starts on a machine of its own (systemd.service, systemd.exec)."""

import os
import posixpath
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from shipwheel.project.deployment.process import DeploymentFile, Process, ProjectFiles
from shipwheel.project.deployment.secrets import is_secret
from shipwheel.user.files import UserFiles

__all__ = ["read_units"]

_FOLDERS = (
    "",
    "systemd",
    "deploy",
    "deployment",
    "contrib",
    "conf",
    "config",
    "etc",
    "extra",
    "scripts",
    "deploy/systemd",
    "extra/systemd",
    "contrib/systemd",
)
_MAX_BYTES = 1 << 16
_MAX_UNITS = 20


def read_units(root: Path, files: UserFiles) -> tuple[Process, ...]:
    """Return the processes that the units in a project's usual folders start; the first of them is called web if it is the only one."""
    found: list[Process] = []
    for path in _units(root):
        try:
            if path.stat().st_size <= _MAX_BYTES:
                found += _process(files.read_bytes(path).decode("utf-8", "replace"), path, root, files)
        except OSError:
            continue
    return tuple(found[:_MAX_UNITS])


def _units(root: Path) -> Iterator[Path]:
    for folder in _FOLDERS:
        try:
            names = sorted(entry.name for entry in os.scandir(root / folder))
        except OSError:
            continue
        yield from (root / folder / name for name in names if name.endswith(".service") and "@" not in name)


def _process(text: str, path: Path, root: Path, files: UserFiles) -> Iterator[Process]:
    name = path.relative_to(root).as_posix()
    values: dict[str, list[tuple[str, int]]] = {}
    section = ""
    for number, line in _lines(text):
        if line.startswith("["):
            section = line.strip()
        elif section == "[Service]" and "=" in line:
            key, _, value = line.partition("=")
            values.setdefault(key.strip(), []).append((value.strip(), number))
    command, number = values.get("ExecStart", [("", 0)])[-1]
    directory = values.get("WorkingDirectory", [("", 0)])[-1][0].lstrip("-~")
    if not command or "%" in command.replace("%%", ""):
        return
    home = posixpath.normpath(directory) if directory.startswith("/") else "/app"
    steps = [step for step, _ in values.get("ExecStartPre", [])]
    text = "\n".join(line.lstrip("-@:+!") for line in (*steps, command))
    yield Process(
        DeploymentFile.SYSTEMD,
        path.name.removesuffix(".service"),
        name,
        number,
        ProjectFiles(root, home, files),
        text.replace("%%", "%"),
        directory=home,
        variables=dict(_variables(values.get("Environment", []))),
    )


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield (number, line) without comments; a backslash at the end of a line continues it."""
    pending, start = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith(("#", ";")):
            continue
        pending, start = pending + line.rstrip(), start or number
        if pending.endswith("\\"):
            pending = pending[:-1] + " "
            continue
        yield start, pending.strip()
        pending, start = "", 0


def _variables(values: list[tuple[str, int]]) -> Iterator[tuple[str, str]]:
    for value, _ in values:
        try:
            words = shlex.split(value)
        except ValueError:
            continue
        for word in words:
            name, equals, text = word.partition("=")
            if equals and re.fullmatch(r"[A-Za-z_]\w*", name) and not is_secret(name, text):
                yield name, text
