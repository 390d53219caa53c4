"""Why a distribution is in the lock as it is: the lock says who asks for it and what serves it, uv what a newer one would take."""

import re
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from shipwheel.errors import UsageError
from shipwheel.events import Reporter, StageFinished, StageStarted
from shipwheel.lock import uv
from shipwheel.lock.diagnose.conflicts import chain
from shipwheel.lock.diagnose.lookup import alone
from shipwheel.lock.diagnose.suggestions import asking_of
from shipwheel.lock.inputs import LockRequest
from shipwheel.lock.preferences import Upgrade, preferred
from shipwheel.lock.pylock import Lock
from shipwheel.lock.resolve import synthetic_of
from shipwheel.lock.selection import Selection, asking_chain
from shipwheel.lock.synthetic import Synthetic
from shipwheel.project.requirements import decode
from shipwheel.versions import normalized

__all__ = ["Explanation", "Newer", "OnPlatform", "explain", "newer"]


_COMMANDS = {
    "": "shipwheel lock --upgrade-package",
    "uv.lock": "uv lock --upgrade-package",
    "poetry.lock": "poetry update",
    "pdm.lock": "pdm update",
    "Pipfile.lock": "pipenv upgrade",
}
"""Whose lock has the version -> what moves one distribution in it."""

_PATIENCE = 60.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class OnPlatform:
    """On one platform: version, file, who asks (label, or file and line), the way from the project; `note` says why there is none."""

    platform: str
    version: str = ""
    file: str = ""
    size: int | None = None
    asked_by: tuple[str, ...] = ()
    chain: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Newer:
    """What of newer versions: the `newest` that there is, the one that `possible` would be with `command`, what then moves, what stands in
    the way; `held` is another tool's lock that has the version."""

    newest: str = ""
    possible: str = ""
    moves: tuple[str, ...] = ()
    obstacles: tuple[str, ...] = ()
    note: str = ""
    held: str = ""
    command: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """One distribution of a lock."""

    name: str
    versions: tuple[str, ...]
    platforms: tuple[OnPlatform, ...]
    newer: Newer


def explain(lock: Lock, name: str, selections: Sequence[Selection], found: Newer) -> Explanation:
    """What the lock says of a distribution, with what was found of newer ones. Raises UsageError when it is not in the lock."""
    name = normalized(name)
    versions = tuple(sorted({str(it.get("version", "")) for it in lock.data.get("packages", []) if it["name"] == name}))
    if not versions:
        from difflib import get_close_matches

        near = get_close_matches(name, sorted(lock.names), 3)
        hint = f"Near to it are: {', '.join(near)}." if near else "Nothing asks for it."
        if _names(lock.path.parent / lock.origin, name):
            hint = f"{lock.origin} has it, but not for Linux and Python {lock.python} with the chosen extras and groups."
        raise UsageError(f"{name} is not in {lock.path.name}", hint=hint)
    return Explanation(name, versions, tuple(_platform(lock, name, each) for each in selections), found)


def _names(path: Path, name: str) -> bool:
    """Whether the user's file that a lock was made from has a name at all."""
    spelled = re.escape(name).replace(r"\-", "[-_.]")
    return path.is_file() and re.search(rf"(?<![\w.-]){spelled}(?![\w.-])", decode(path.read_bytes()), re.IGNORECASE) is not None


def _platform(lock: Lock, name: str, selection: Selection) -> OnPlatform:
    platform = str(selection.target.platform)
    asked, way = asking_chain(lock, selection.target, name)
    gone = next((item for item in selection.left_out if item.name == name), None)
    if gone is not None:
        return OnPlatform(platform, gone.version, asked_by=gone.wanted_by, chain=way, note=f"left out: {gone.reason}")
    item = next((item for item in selection.distributions if item.name == name), None)
    if item is None:
        return OnPlatform(platform, note="not wanted here: its markers do not hold")
    note = "" if item.kind == "wheel" else f"built from its {item.kind}"
    return OnPlatform(platform, item.version, item.filename, item.size, asked, way, note)


def newer(request: LockRequest, lock: Lock, name: str, reporter: Reporter) -> Newer:
    """Asks uv: for the newest version alone, and for the project with a newer one than the lock has."""
    name = normalized(name)
    version = next((str(it["version"]) for it in lock.data.get("packages", []) if it["name"] == name and "version" in it), "")
    if not version:
        return Newer(note="it has no version on an index")
    reporter(StageStarted("explain"))
    # First: where there is none, looking for a way to it takes a resolver minutes.
    newest = _newest(request, name)
    held = "" if request.foreign is None else request.foreign.name
    if newest == version:
        reporter(StageFinished("explain", newest))
        day = f" on {request.as_of}" if request.as_of else ""
        return Newer(newest, note=f"it is the newest that Python {request.python} can have{day}")
    found = _with(request, lock, name, version) if held != "pylock.toml" else Newer()
    reporter(StageFinished("explain", newest))
    return replace(found, newest=newest, held=held, command=f"{_COMMANDS[held]} {name}" if held in _COMMANDS else "")


def _newest(request: LockRequest, name: str) -> str:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="shipwheel-lock-"))).resolve()
        synthetic, _ = synthetic_of(request, stack, folder)
        try:
            return _versions(_locked(alone(synthetic, [name], [name]), folder, request)).get(name, "")
        except uv.UvFailed:
            return ""


def _with(request: LockRequest, lock: Lock, name: str, version: str) -> Newer:
    """The project with a newer version of one distribution, everything else preferred as it is."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="shipwheel-lock-"))).resolve()
        synthetic, listed = synthetic_of(request, stack, folder)
        synthetic.dependencies += request.added
        synthetic.kept = preferred(lock, request.as_of, Upgrade(names=frozenset({name})))
        bound = f"{name}>{version}"
        synthetic.settings["constraint-dependencies"] = [*synthetic.settings.get("constraint-dependencies", []), bound]
        try:
            after = _versions(_locked(synthetic, folder, request))
        except uv.UvFailed as failure:
            if failure.code == uv.OUT_OF_TIME:
                return Newer(note=f"uv did not find out within {_PATIENCE:.0f} s whether a newer one is possible")
            return _obstacles(failure, asking_of(request, listed, synthetic), synthetic, bound)
    before = {str(it["name"]): str(it.get("version", "")) for it in lock.data.get("packages", [])}
    moves = [f"{other} {before[other]} → {now}" for other, now in sorted(after.items()) if other != name and before.get(other, now) != now]
    return Newer(possible=after.get(name, ""), moves=tuple(moves))


def _obstacles(failure: uv.UvFailed, asking: Sequence[Any], synthetic: Synthetic, bound: str) -> Newer:
    links, _ = chain(failure.explanation, asking, synthetic.project, least=1)
    # What is asked here, a newer version, is no line of the user's.
    links = [link for link in links if not re.search(rf"wants {re.escape(bound)}$", link)]
    if links:
        return Newer(obstacles=tuple(links))
    first = failure.explanation.strip().splitlines()
    return Newer(note=f"uv says: {' '.join(line.strip() for line in first)[:500]}")


def _locked(synthetic: Synthetic, folder: Path, request: LockRequest) -> Mapping[str, Any]:
    from shipwheel.lock.preferences import prefer

    synthetic.write(folder, everywhere=False)
    prefer(synthetic.kept, folder)
    python = uv.local_python(synthetic.python)
    graph, _ = uv.lock_project(folder, exclude_newer=request.exclude_newer, python=str(python) if python else None, timeout=_PATIENCE)
    return tomllib.loads(graph)


def _versions(graph: Mapping[str, Any]) -> dict[str, str]:
    return {str(it["name"]): str(it.get("version", "")) for it in graph.get("package", [])}
