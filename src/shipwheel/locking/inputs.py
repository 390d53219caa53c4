"""The inputs of a lock: their checksum, and their changes since a lock was made."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec

from shipwheel.locking.bounds import Bounds
from shipwheel.locking.pylock import FORMAT, Lock
from shipwheel.project.indexes import Indexes
from shipwheel.project.lock_inputs import LockInputs, OtherLock, relative_path
from shipwheel.project.old_names import OldName
from shipwheel.versions import end_of_day

__all__ = ["LockRequest", "changed_parts", "input_parts", "inputs_digest", "is_current"]

_SHORT_DIGEST = 12
"""Hex digits of a part's checksum: enough to see that it changed."""
_VALUES = frozenset({"Python", "as-of", "extras", "groups", "what settings and command add", "what settings replace"})
"""The parts that are written out; the others are checksums."""


class LockRequest(msgspec.Struct, frozen=True, eq=False):
    """The inputs of one lock: the user's directory, as it was read, and the user's choices.

    `python` is a minor version ("3.11"). `as_of` is the day whose packages count. `extras` and `groups` are the chosen optional
    dependencies and dependency groups; `added` are requirements of the image's command. `accelerator` is the setting, empty if not set.
    `accelerator_index` and `indexes` say where files come from, which does not change what is locked. `build_network` names the packages
    whose builds may use the network, `build_bounds` are those of each program of a build. `replaced` maps names to requirements that take
    their place. `old_names` are those of old versions that the code uses, which open requirements should bring. `bounds` are constraints
    of what was compiled.
    """

    inputs: LockInputs
    python: str
    as_of: date | None = None
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    accelerator: str = ""
    accelerator_index: str = ""
    build_network: tuple[str, ...] = ()
    build_bounds: Bounds = msgspec.field(default_factory=Bounds)
    replaced: Mapping[str, str] = msgspec.field(default_factory=dict)
    indexes: Indexes = msgspec.field(default_factory=Indexes)
    old_names: tuple[OldName, ...] = ()
    bounds: tuple[str, ...] = ()

    @property
    def root(self) -> Path:
        """The project's directory."""
        return self.inputs.root

    @property
    def day(self) -> str:
        """`as_of` in ISO 8601 ("2024-09-15"); empty if the user chose no day."""
        return self.as_of.isoformat() if self.as_of else ""

    @property
    def exclude_newer(self) -> str | None:
        """The instant (RFC 3339) after which files no longer count; None if the user chose no day."""
        return end_of_day(self.as_of) if self.as_of else None

    @property
    def other_lock(self) -> OtherLock | None:
        """Another tool's lock, which is honoured unless the user chose a day."""
        return None if self.as_of else self.inputs.other_lock


def is_current(lock: Lock, request: LockRequest) -> bool:
    """Return whether a lock was made from the request's inputs, and keeps its bounds."""
    return lock.is_current(inputs_digest(request)) and not lock.exceeded(request.bounds)


def _added(request: LockRequest) -> list[str]:
    """Return the added requirements, with paths relative to the project: the lock is current wherever that lies."""
    parts = [requirement.partition(" @ file://") for requirement in request.added]
    return [f"{name} @ {relative_path(Path(unquote(path)), request.root)}" if at else name for name, at, path in parts]


def inputs_digest(request: LockRequest) -> str:
    """Return `sha256:<hex>` over everything that decides what is locked."""
    inputs = request.inputs
    facts: dict[str, Any] = {
        "format": FORMAT,
        "python": request.python,
        "as-of": request.day,
        "extras": sorted(request.extras),
        "groups": sorted(request.groups),
    }
    if request.other_lock is not None:
        facts["lock"] = request.other_lock.sha256
    if request.accelerator:
        facts["accelerator"] = request.accelerator
    if request.replaced:
        facts["replaced"] = sorted(request.replaced.items())
    if request.added:
        facts["added"] = sorted(_added(request))
    if inputs.script is not None:
        facts["script"] = list(inputs.script.dependencies)
        return _digest(facts)
    if inputs.requirements is not None:
        facts["files"] = list(inputs.requirements.files.values())
    if inputs.pipfile is not None:
        facts["pipfile"] = inputs.pipfile.sha256
    if inputs.pins:
        facts["pins"] = [list(pin) for pin in inputs.pins.versions]
    if inputs.requirements is None or inputs.has_pyproject or inputs.own_line is not None:
        facts["projects"] = [file.facts for file in inputs.files]
    return _digest(facts)


def input_parts(request: LockRequest) -> dict[str, str]:
    """Return the inputs one by one: the user's name for a part -> its value or a short checksum.

    The lock keeps them, to tell later what changed.
    """
    inputs = request.inputs
    parts = {
        "Python": request.python,
        "as-of": request.day,
        "extras": ", ".join(request.extras),
        "groups": ", ".join(request.groups),
        "accelerator": request.accelerator,
        "what settings and command add": ", ".join(_added(request)),
        "what settings replace": ", ".join(f"{name} by {text}" for name, text in sorted(request.replaced.items())),
    }
    if request.other_lock is not None:
        parts[relative_path(request.other_lock.path, request.root)] = _short(request.other_lock.sha256)
    if inputs.script is not None:
        parts[f"the inline metadata of {inputs.script.origin}"] = _short(list(inputs.script.dependencies))
    for path, sha256 in inputs.requirements.files.items() if inputs.requirements is not None else ():
        parts[relative_path(path, request.root)] = _short(sha256)
    if inputs.pins:
        parts["the versions pinned beside the requirements"] = _short([list(pin) for pin in inputs.pins.versions])
    if inputs.pipfile is not None:
        parts["Pipfile"] = _short(inputs.pipfile.sha256)
    if inputs.script is None and (inputs.requirements is None or inputs.has_pyproject):
        for file in inputs.files:
            parts.update(_file_parts(file.name, file.facts))
    return {name: value for name, value in parts.items() if value}


def changed_parts(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Return what is different, a few words each: `requirements.txt changed`, `Python was 3.11 and is 3.13`.

    Empty if `before` is not known, as for a lock of an older format.
    """
    found = []
    for name in dict.fromkeys([*before, *after]) if before else ():
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if name in _VALUES:
            found.append(f"{name} was {old or 'not set'} and is {new or 'not set'}")
        else:
            found.append(f"{name} {'is new' if old is None else 'is gone' if new is None else 'changed'}")
    return found


def _file_parts(name: str, facts: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(facts, Mapping):
        yield name, _short(facts)
        return
    for key, value in facts.get("project", {}).items():
        yield f"{name}: {key}", _short(value)
    named = {"groups": "dependency-groups", "build-system": "build-system", "uv": "[tool.uv]", "backends": "what its build backend reads"}
    for key, words in named.items():
        if facts.get(key):
            yield f"{name}: {words}", _short(facts[key])


def _digest(facts: Any) -> str:
    return f"sha256:{hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()}"


def _short(value: Any) -> str:
    return (value if isinstance(value, str) else _digest(value).partition(":")[2])[:_SHORT_DIGEST]
