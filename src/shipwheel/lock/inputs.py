"""What a lock is made from: its checksum, and what of it changed since a lock was made."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from shipwheel.errors import UsageError
from shipwheel.lock.pylock import FORMAT, is_foreign
from shipwheel.project.indexes import Indexes
from shipwheel.project.requirements import read_requirements
from shipwheel.project.workspace import input_files, relative_path, relevant, workspace_root
from shipwheel.versions import end_of_day

__all__ = ["LockRequest", "changed_parts", "input_parts", "inputs_digest"]

_METADATA = ("pyproject.toml", "setup.py", "setup.cfg")
_SHOWN = 12
"""Hex digits of a part's checksum: enough to see that it changed."""


@dataclass(frozen=True, slots=True)
class LockRequest:
    """What a lock is made from.

    `requirements` are requirements files; without any, the project in `root` says what it needs. `python` is a minor version
    ("3.11"), `as_of` the user's day ("2024-09-15") or "", `extras` and `groups` the chosen optional dependencies and dependency groups.
    `script` is a single-file script with inline metadata (PEP 723); `added` are requirements that the image's command brings along.
    `accelerator` is the setting, empty when it is not given; `accelerator_index` and `indexes` say where files may come from, which
    decides nothing of what is locked.
    """

    root: Path
    python: str
    requirements: tuple[Path, ...] = ()
    as_of: str = ""
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    script: Path | None = None
    added: tuple[str, ...] = ()
    accelerator: str = ""
    accelerator_index: str = field(default="", compare=False)
    indexes: Indexes = field(default_factory=Indexes, compare=False)

    @property
    def exclude_newer(self) -> str | None:
        """The instant (RFC 3339) after which files no longer count; None for no day. Raises UsageError when `as_of` is not a day."""
        if not self.as_of:
            return None
        try:
            return end_of_day(date.fromisoformat(self.as_of))
        except ValueError:
            raise UsageError(f"as-of {self.as_of!r} is not a day", hint="Write it as 2024-09-15.") from None

    @property
    def foreign(self) -> Path | None:
        """Another tool's lock, which is honoured unless a day is asked for: pylock.toml, or a project's uv.lock, poetry.lock, pdm.lock
        or Pipfile.lock."""
        if self.as_of or self.script is not None:
            return None
        if is_foreign(self.root / "pylock.toml"):
            return self.root / "pylock.toml"
        if self.requirements:
            return None
        if self.pipfile is not None:
            return next((path for path in (self.root / "Pipfile.lock",) if path.is_file()), None)
        if not (self.root / "pyproject.toml").is_file():
            return None
        top = workspace_root(self.root) or self.root
        return next((path for path in (top / "uv.lock", self.root / "poetry.lock", self.root / "pdm.lock") if path.is_file()), None)

    @property
    def pipfile(self) -> Path | None:
        """The Pipfile, where it is what says what the project needs."""
        if self.requirements or self.script is not None or any((self.root / name).is_file() for name in _METADATA):
            return None
        return self.root / "Pipfile" if (self.root / "Pipfile").is_file() else None


def inputs_digest(request: LockRequest) -> str:
    """`sha256:<hex>` over everything that decides what is locked."""
    facts: dict[str, Any] = {
        "format": FORMAT,
        "python": request.python,
        "as-of": request.as_of,
        "extras": sorted(request.extras),
        "groups": sorted(request.groups),
    }
    if request.foreign is not None:
        facts["lock"] = hashlib.sha256(request.foreign.read_bytes()).hexdigest()
    if request.accelerator:
        facts["accelerator"] = request.accelerator
    if request.added:
        facts["added"] = sorted(request.added)
    if request.script is not None:
        from shipwheel.lock.synthetic import script_requirements

        facts["script"] = script_requirements(request.script)
        return _digest(facts)
    if request.requirements:
        # Which bytes the list is written in does not matter, what the files say does.
        facts["files"] = [hashlib.sha256(path.read_bytes()).hexdigest() for path in _listed(request)]
    if request.pipfile is not None:
        facts["pipfile"] = hashlib.sha256(request.pipfile.read_bytes()).hexdigest()
    if not request.requirements or (request.root / "pyproject.toml").is_file() or _lists_itself(request):
        facts["projects"] = [relevant(path) for path in input_files(request.root)]
    return _digest(facts)


def _digest(facts: Any) -> str:
    return f"sha256:{hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()}"


def _lists_itself(request: LockRequest) -> bool:
    return read_requirements(request.requirements).itself(request.root) is not None


def _listed(request: LockRequest) -> list[Path]:
    return read_requirements(request.requirements).files


def input_parts(request: LockRequest) -> dict[str, str]:
    """The same, part by part: what a user calls it -> its value or a short checksum. It is kept in the lock to say later what changed."""
    parts = {"Python": request.python, "as-of": request.as_of, "extras": ", ".join(request.extras), "groups": ", ".join(request.groups)}
    parts["accelerator"] = request.accelerator
    parts["what the command needs"] = ", ".join(request.added)
    if request.foreign is not None:
        parts[relative_path(request.foreign, request.root)] = _short(hashlib.sha256(request.foreign.read_bytes()).hexdigest())
    if request.script is not None:
        from shipwheel.lock.synthetic import script_requirements

        parts[f"the inline metadata of {request.script.name}"] = _short(script_requirements(request.script))
    for path in _listed(request) if request.requirements else ():
        parts[relative_path(path, request.root)] = _short(hashlib.sha256(path.read_bytes()).hexdigest())
    if request.pipfile is not None:
        parts["Pipfile"] = _short(hashlib.sha256(request.pipfile.read_bytes()).hexdigest())
    if request.script is None and (not request.requirements or (request.root / "pyproject.toml").is_file()):
        for path in input_files(request.root):
            parts.update(_project_parts(relative_path(path, request.root), relevant(path)))
    return {name: value for name, value in parts.items() if value}


def _project_parts(name: str, facts: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(facts, Mapping):
        yield name, _short(facts)
        return
    for key, value in facts.get("project", {}).items():
        yield f"{name}: {key}", _short(value)
    named = {"groups": "dependency-groups", "build-system": "build-system", "uv": "[tool.uv]", "backends": "what its build backend reads"}
    for key, words in named.items():
        if facts.get(key):
            yield f"{name}: {words}", _short(facts[key])


def _short(value: Any) -> str:
    return (value if isinstance(value, str) else _digest(value).partition(":")[2])[:_SHOWN]


def changed_parts(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """What is different, a few words each: `requirements.txt changed`, `Python was 3.11 and is 3.13`; empty when `before` is not known."""
    found = []
    for name in dict.fromkeys([*before, *after]) if before else ():
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if name in ("Python", "as-of", "extras", "groups", "what the command needs"):
            found.append(f"{name} was {old or 'not given'} and is {new or 'not given'}")
        else:
            found.append(f"{name} {'is new' if old is None else 'is gone' if new is None else 'changed'}")
    return found
