"""Report why a package is in the lock at its version: what requires it, which files serve it, and what a newer version would take."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from shipwheel.cleanup.scratch import scratch_directory
from shipwheel.errors import UsageError
from shipwheel.events import Reporter, StageFinished, StageStarted
from shipwheel.locking import uv
from shipwheel.locking.diagnose.conflicts import conflict_lines
from shipwheel.locking.diagnose.lookup import only
from shipwheel.locking.diagnose.suggestions import UserRequirement, user_requirements
from shipwheel.locking.inputs import LockRequest
from shipwheel.locking.preferences import Upgrade, preferred_packages, write_preferences
from shipwheel.locking.pylock import Lock
from shipwheel.locking.resolve import declared_requirements
from shipwheel.locking.selection import Selection, requirers
from shipwheel.locking.synthetic import Synthetic, make_synthetic
from shipwheel.locking.uv_output import ROOT, Failure, FailureKind
from shipwheel.project.requirements import decode
from shipwheel.similar import did_you_mean
from shipwheel.versions import normalized

__all__ = ["NewerVersions", "PackageReport", "PlatformReport", "find_newer_versions", "report_package"]

_COMMANDS = {
    "": "shipwheel lock --upgrade-package",
    "uv.lock": "uv lock --upgrade-package",
    "poetry.lock": "poetry update",
    "pdm.lock": "pdm update",
    "Pipfile.lock": "pipenv upgrade",
}
"""The command that moves one package, by the name of the lock that decides about its version; "" is shipwheel's own."""

_TIMEOUT_S = 60.0


class PlatformReport(msgspec.Struct, frozen=True):
    """A package on one platform: its version and file (`size` in bytes), the lines and packages that require it, the path from the project.

    `note` says why there is no file, or that it is built from a source.
    """

    platform: str
    version: str = ""
    file: str = ""
    size: int | None = None
    asked_by: tuple[str, ...] = ()
    chain: str = ""
    note: str = ""


class NewerVersions(msgspec.Struct, frozen=True):
    """The newer versions of a package: the `newest` one, and the one that is `possible` and that `command` would lock.

    `moves` are the other packages that would change with it, `obstacles` the requirements in the way of a newer one. `held` is the lock
    of another tool that decides about the version; `note` says what else is known.
    """

    newest: str = ""
    possible: str = ""
    moves: tuple[str, ...] = ()
    obstacles: tuple[str, ...] = ()
    note: str = ""
    held: str = ""
    command: str = ""


class PackageReport(msgspec.Struct, frozen=True):
    """One package of a lock, on all platforms."""

    name: str
    versions: tuple[str, ...]
    platforms: tuple[PlatformReport, ...]
    newer: NewerVersions


def report_package(lock: Lock, name: str, selections: Sequence[Selection], newer: NewerVersions, origin_text: bytes = b"") -> PackageReport:
    """Return what the lock says about a package, together with its newer versions. Raise UsageError if it is not in the lock.

    `origin_text` is the content of the user's file from which the lock was made.
    """
    name = normalized(name)
    versions = tuple(sorted({str(it.get("version", "")) for it in lock.data.get("packages", []) if it["name"] == name}))
    if not versions:
        hint = did_you_mean(name, lock.names).strip() or "No package in the lock requires it."
        if _mentions(origin_text, name):
            hint = f"{lock.origin} has it, but not for Linux and Python {lock.python} with the chosen extras and groups."
        raise UsageError(f"{name} is not in {lock.path.name}", hint=hint)
    return PackageReport(name, versions, tuple(_platform(lock, name, each) for each in selections), newer)


def _mentions(text: bytes, name: str) -> bool:
    """Return whether the user's file from which a lock was made contains a name."""
    spelled = re.escape(name).replace(r"\-", "[-_.]")
    return re.search(rf"(?<![\w.-]){spelled}(?![\w.-])", decode(text), re.IGNORECASE) is not None


def _platform(lock: Lock, name: str, selection: Selection) -> PlatformReport:
    platform = str(selection.target.platform)
    required_by, chain = requirers(lock, selection.target, name)
    left_out = next((item for item in selection.left_out if item.name == name), None)
    if left_out is not None:
        note = f"left out: {left_out.reason}"
        return PlatformReport(platform, left_out.version, asked_by=left_out.wanted_by, chain=chain, note=note)
    item = next((item for item in selection.distributions if item.name == name), None)
    if item is None:
        return PlatformReport(platform, note="not needed here: its markers do not hold")
    note = "" if item.kind == "wheel" else f"built from its {item.kind}"
    return PlatformReport(platform, item.version, item.filename, item.size, required_by, chain, note)


def find_newer_versions(request: LockRequest, lock: Lock, name: str, reporter: Reporter) -> NewerVersions:
    """Ask uv for the newest version of a package on its own, and for the newest one that the project allows."""
    name = normalized(name)
    version = next((str(it["version"]) for it in lock.data.get("packages", []) if it["name"] == name and "version" in it), "")
    if not version:
        return NewerVersions(note="it has no version on an index")
    reporter(StageStarted("explain"))
    # The newest version first: if there is no newer one, uv would search for a solution for minutes.
    newest = _newest(request, name)
    held = "" if request.other_lock is None else request.other_lock.path.name
    if newest == version:
        reporter(StageFinished("explain", newest))
        day = f" as of {request.day}" if request.day else ""
        return NewerVersions(newest, note=f"it is the newest version for Python {request.python}{day}")
    found = _newer_in_project(request, lock, name, version) if held != "pylock.toml" else NewerVersions()
    reporter(StageFinished("explain", newest))
    return replace(found, newest=newest, held=held, command=f"{_COMMANDS[held]} {name}" if held in _COMMANDS else "")


def _newest(request: LockRequest, name: str) -> str:
    with ExitStack() as stack:
        folder = stack.enter_context(scratch_directory("shipwheel-lock-"))
        synthetic = make_synthetic(request, declared_requirements(request), stack, folder)
        try:
            return _versions(_lock(only(synthetic, [name], [name]), folder, request)).get(name, "")
        except uv.UvFailed:
            return ""


def _newer_in_project(request: LockRequest, lock: Lock, name: str, version: str) -> NewerVersions:
    """Lock the project with a newer version of one package and a preference for the locked versions of all the other ones."""
    with ExitStack() as stack:
        folder = stack.enter_context(scratch_directory("shipwheel-lock-"))
        requirements = declared_requirements(request)
        synthetic = make_synthetic(request, requirements, stack, folder)
        dependencies = (*synthetic.dependencies, *request.added)
        others = preferred_packages(lock, request.day, Upgrade(names=frozenset({name})))
        synthetic = replace(synthetic, dependencies=dependencies, preferred=others)
        synthetic = synthetic.extended("constraint-dependencies", [f"{name}>{version}"])
        try:
            after = _versions(_lock(synthetic, folder, request))
        except uv.UvFailed as failed:
            return _obstacles(failed.failure, user_requirements(request, requirements, synthetic), synthetic.project, (name, f">{version}"))
    before = {str(it["name"]): str(it.get("version", "")) for it in lock.data.get("packages", [])}
    moves = [f"{other} {before[other]} → {now}" for other, now in sorted(after.items()) if other != name and before.get(other, now) != now]
    return NewerVersions(possible=after.get(name, ""), moves=tuple(moves))


def _obstacles(failure: Failure, requirements: Sequence[UserRequirement], project: str, constraint: tuple[str, str]) -> NewerVersions:
    if failure.kind is FailureKind.TIMED_OUT:
        return NewerVersions(note=f"uv did not find out within {_TIMEOUT_S:.0f} s whether a newer version is possible")
    # The constraint that asks for a newer version is ours, and no obstacle.
    premises = [it for it in failure.premises if it.dependent in (ROOT, project) or (it.name, it.specifier) != constraint]
    lines, _ = conflict_lines(premises, requirements, project, at_least=1)
    if lines:
        return NewerVersions(obstacles=tuple(lines))
    return NewerVersions(note=f"uv says: {' '.join(failure.text.split())[:500]}")


def _lock(synthetic: Synthetic, folder: Path, request: LockRequest) -> Mapping[str, Any]:
    synthetic.write(folder, everywhere=False)
    write_preferences(synthetic.preferred, folder)
    limit, readable = request.exclude_newer, synthetic.readable()
    graph, _ = uv.lock_project(folder, synthetic.python, exclude_newer=limit, readable=readable, timeout=_TIMEOUT_S)
    return tomllib.loads(graph)


def _versions(graph: Mapping[str, Any]) -> dict[str, str]:
    return {str(it["name"]): str(it.get("version", "")) for it in graph.get("package", [])}
