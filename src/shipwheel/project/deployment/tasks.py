"""Tasks of project managers: the command that a person runs to start the app, as `pdm run start` or `pixi run serve` does.

Read are the tasks of pixi, PDM, Hatch's default environment, Poe, taskipy, Rye and Pipenv. Only a name that means the app counts: the
others test it, check it, or start it for developing.
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from shipwheel.errors import ProjectError
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.deployment.process import DeploymentFile, Process, ProjectFiles
from shipwheel.user.files import UserFiles, table_at

__all__ = ["read_tasks"]

_TABLES = {
    "pixi.toml": ("tasks",),
    "pyproject.toml": (
        "tool.pixi.tasks",
        "tool.pdm.scripts",
        "tool.hatch.envs.default.scripts",
        "tool.poe.tasks",
        "tool.taskipy.tasks",
        "tool.rye.scripts",
    ),
    "hatch.toml": ("envs.default.scripts",),
    "Pipfile": ("scripts",),
}
_NAMES = ("web", "prod", "production", "start", "serve", "server", "app", "run")
"""The likeliest first."""
_ARGUMENTS = lazy_pattern(r"\{args(?::([^{}]*))?\}")


def read_tasks(root: Path, files: UserFiles) -> tuple[Process, ...]:
    """Return the task that starts the app; empty without one. A file with a syntax error has none: reading the project reports it."""
    found = ((name, file, rule) for file, table in _tables(root, files) for name in _NAMES if (rule := table.get(name)) is not None)
    ranked = sorted(found, key=lambda each: _NAMES.index(each[0]))
    return next(((process,) for name, file, rule in ranked if (process := _process(name, file, rule, root, files)) is not None), ())


def _tables(root: Path, files: UserFiles) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for file, places in _TABLES.items():
        try:
            tables = files.read_toml(root / file) if files.is_file(root / file) else {}
        except ProjectError:
            continue
        yield from ((file, table_at(tables, *place.split("."))) for place in places)


def _process(name: str, file: str, rule: object, root: Path, files: UserFiles) -> Process | None:
    table: Mapping[str, Any] = rule if isinstance(rule, Mapping) else {"cmd": rule}
    command = next((table[key] for key in ("cmd", "shell") if key in table), None)
    if isinstance(command, list):
        # Hatch runs such a list one after the other; the others take it as one command's words.
        words = [word for word in command if isinstance(word, str)]
        command = " && ".join(words) if file == "hatch.toml" or any(" " in word for word in words) else shlex.join(words)
    if not isinstance(command, str) or not command.strip():
        return None
    seen = ProjectFiles(root, files=files)
    folder = table.get("cwd", table.get("working_dir"))
    return Process(
        DeploymentFile.TASK,
        "web",
        file,
        _line(files.read_text(root / file), name, command),
        seen,
        _ARGUMENTS.sub(lambda match: match[1] or "", command),
        directory=f"{seen.home}/{folder}" if isinstance(folder, str) and not folder.startswith("/") else seen.home,
        variables={str(key): value for key, value in table_at(table, "env").items() if isinstance(value, str)},
    )


def _line(text: str, name: str, command: str) -> int:
    start = command.split("\n", 1)[0][:40]
    key = re.compile(rf"[\s\"']*{name}[\"']?\s*[=.]|\s*\[[^\]]*\.[\"']?{name}[\"']?\s*\]")
    named = [(number, line) for number, line in enumerate(text.splitlines(), 1) if key.match(line)]
    return next((number for number, line in named if start in line), named[0][0] if named else 1)
