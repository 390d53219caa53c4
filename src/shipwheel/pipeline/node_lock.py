"""The node of each front end in the lock: chosen once, from the package index, as of the lock's day."""

import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import cache
from typing import Any

from shipwheel.cleanup.scratch import scratch_directory
from shipwheel.digest import as_sha256
from shipwheel.errors import LockError
from shipwheel.events import Reporter, StageFinished, StageStarted, Warned
from shipwheel.locking import uv
from shipwheel.locking.canonical_urls import canonical
from shipwheel.locking.diagnose.uv_errors import resolution_error
from shipwheel.locking.next_indexes import next_indexes
from shipwheel.locking.node_choice import NODE_HINT, NODE_PACKAGE, choose_node, machine_of, number_of
from shipwheel.locking.pylock import Lock, LockedFile, LockedNode, file_name
from shipwheel.project.indexes import indexes_of
from shipwheel.project.node_wish import NodeWish, node_wish, package_ranges
from shipwheel.project.npm_range import LIMIT, Interval, allows, version_of
from shipwheel.project.project import Project
from shipwheel.request import LockMode, Request
from shipwheel.settings.build import AssetSettings
from shipwheel.versions import end_of_day
from shipwheel.wheels.frontend import write_index_settings
from shipwheel.wheels.isolated_build import INDEX_SETTINGS

__all__ = ["lacking_node", "with_node"]

_ODD = tuple(range(21, 27, 2))
"""The lines that never had long-term support. From 27 on, each has."""


def lacking_node(lock: Lock, project: Project) -> str:
    """Return what a lock lacks to build the front ends, as the rest of a sentence; empty if it has it."""
    missing = [wish for wishes in _by_range(project).values() for wish in wishes if wish.range not in lock.node]
    named = "; ".join(f"node {wish.range} of {wish.place}" if wish.place else "node" for wish in missing)
    return f"lacks {named}, which builds a front end" if missing else ""


def with_node(lock: Lock, project: Project, request: Request) -> Lock:
    """Return the lock with the node of each front end, and no other; the same lock if it has them and may not change.

    Raise LockError if the request forbids to change the lock, or the index has no node, and any error of the index.
    """
    wished = _by_range(project)
    missing = {text: wishes for text, wishes in wished.items() if text not in lock.node}
    may_change = request.lock_mode is LockMode.UPDATE
    if missing and not may_change:
        hint = f"Run `shipwheel lock` and commit {lock.path.name}, or leave out --{request.lock_mode.value}."
        raise LockError(f"{lock.path.name} {lacking_node(lock, project)}", hint=hint)
    locked = {text: lock.node[text] for text in wished if text not in missing}
    if missing:
        locked |= _found(missing, lock, project, request.reporter)
    for wish in (wish for wishes in wished.values() for wish in wishes):
        _warn_of_another(wish, locked[wish.range], request.reporter)
    return lock.with_node(locked) if may_change and locked != lock.node else lock


def _by_range(project: Project) -> dict[str, dict[NodeWish, list[AssetSettings]]]:
    """Return the front ends by what they ask for, and that by its range of versions: those with the same range get one node."""
    found: dict[str, dict[NodeWish, list[AssetSettings]]] = {}
    for front_end in (each for each in project.assets if not each.image):
        wish = node_wish(project.files, project.root, front_end)
        found.setdefault(wish.range, {}).setdefault(wish, []).append(front_end)
    return found


def _warn_of_another(wish: NodeWish, node: LockedNode, reporter: Reporter) -> None:
    if not allows(wish.range, number_of(node)):
        what = f"{wish.place} asks for node {wish.range}, and the front end is built with {node.version}, the nearest of the package index"
        line = _newest_line(wish.intervals[0])
        hint = f'An image has it: image = "node:{line}-slim@sha256:…" below [[tool.shipwheel.assets]].'
        reporter(Warned(what, hint, lasting=True))


def _newest_line(wanted: Interval) -> int:
    """Return the newest major version in an interval; the oldest if it has no end."""
    (oldest, _, _), (end, *rest) = wanted
    if wanted[1] == LIMIT:
        return oldest
    return end if any(rest) else end - 1


def _found(
    wished: Mapping[str, Mapping[NodeWish, Sequence[AssetSettings]]], lock: Lock, project: Project, reporter: Reporter
) -> dict[str, LockedNode]:
    """Return the node for each range of versions. Raise LockError, and any error of the index."""
    index = _Index(project, lock, reporter)
    reporter(StageStarted("node"))
    newest, found = cache(index.newest), dict[str, LockedNode | None]()
    for text, wishes in wished.items():
        of_them = (package_ranges(project.files, project.root, each) for front_ends in wishes.values() for each in front_ends)
        found[text] = choose_node(next(iter(wishes)), {each for ranges in of_them for each in ranges}, newest)
    known = {text: node for text, node in found.items() if node is not None}
    if len(known) < len(found):
        raise LockError(f"the package index has no {NODE_PACKAGE} as of {lock.as_of}, which builds front ends", hint=NODE_HINT)
    reporter(StageFinished("node", f"node {', '.join(sorted({node.version for node in known.values()}))}"))
    return known


class _Index:
    """The package index of a project, as of the lock's day."""

    def __init__(self, project: Project, lock: Lock, reporter: Reporter) -> None:
        self._settings = {key: value for key, value in project.inputs.workspace.settings.items() if key in INDEX_SETTINGS}
        self._indexes = indexes_of(project)
        self._limit = end_of_day(date.fromisoformat(lock.as_of))
        self._reporter = reporter

    def newest(self, wanted: Interval) -> LockedNode | None:
        """Return the newest version in an interval, None if there is none. Raise LockError."""
        while True:
            try:
                return self._node(_requirement(wanted))
            except uv.UvFailed as error:
                failure = error.failure
                following = next_indexes(self._indexes, failure, self._settings.get("index", ()))
                if following is None and (failure.no_solution or failure.not_found):
                    return None
                if following is None:
                    raise resolution_error(failure, "the node of front ends", {}) from None
                self._indexes = following[0]
                self._reporter(following[1])

    def _node(self, requirement: str) -> LockedNode | None:
        with scratch_directory("shipwheel-node-") as folder, uv.extra_environment(self._indexes.environment):
            (folder / "node.txt").write_text(f"{requirement}\n", encoding="utf-8")
            write_index_settings(folder, self._settings)
            options = ("--python", sys.executable, "--universal", "--no-deps", "--prerelease", "disallow")
            found = tomllib.loads(uv.list_wheels(options, folder / "node.txt", self._limit))
        package = canonical(found, self._indexes, self._reporter)["packages"][0]
        return LockedNode(package["version"], tuple(_wheels(package))) if version_of(package["version"]) is not None else None


def _requirement(wanted: Interval) -> str:
    low, high = (".".join(map(str, version)) for version in wanted)
    several = wanted[1][0] - wanted[0][0] > 1
    parts = [f">={low}", *([f"<{high}"] if wanted[1] != LIMIT else []), *(f"!={line}.*" for line in _ODD if several)]
    return f"{NODE_PACKAGE}{','.join(parts)}"


def _wheels(package: Mapping[str, Any]) -> Iterator[LockedFile]:
    """Yield the wheels of a package for the machines that build front ends, in the order of their names."""
    for wheel in sorted(package.get("wheels", ()), key=file_name):
        sha256 = as_sha256(wheel.get("hashes", {}).get("sha256", ""))
        if "url" in wheel and sha256 is not None and machine_of(file_name(wheel)):
            yield LockedFile(wheel["url"], sha256, wheel.get("size"))
