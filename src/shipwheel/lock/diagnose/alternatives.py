"""What would do where a distribution has no file for a target: uv is asked, by the project's own indexes and as of its day."""

import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from shipwheel.events import Reporter, StageFinished, StageStarted
from shipwheel.lock import uv
from shipwheel.lock.diagnose.lookup import Lookup
from shipwheel.lock.inputs import LockRequest
from shipwheel.lock.no_compatible_file import Another, Instead, Missing
from shipwheel.lock.resolve import synthetic_of
from shipwheel.lock.target import Target

__all__ = ["instead_of"]

_MOST = 8
"""Distributions for which it is asked: whoever has more of them has another Python or another list to choose first."""

_ROUNDS = 4
_GLIBCS = (17, 28, *range(31, 41))
"""The minor versions of glibc 2 that uv has names of platforms for."""


def instead_of(
    missing: Mapping[Missing, Sequence[Target]], request: LockRequest, others: Sequence[Another], reporter: Reporter
) -> dict[Missing, Instead]:
    """What would do in the place of each, where the index can be asked.

    `others` are the other Pythons that there are, for each platform.
    """
    asked = {problem: where for problem, where in missing.items() if problem.version}
    asked = dict(list(asked.items())[:_MOST])
    if not asked:
        return {}
    reporter(StageStarted("nearest versions", len(asked)))
    with ExitStack() as stack:
        stack.enter_context(uv.told(request.indexes.environment))
        lookup = _lookup(request, stack)

        def one(problem: Missing) -> Instead:
            return _instead(lookup, problem, asked[problem], others)

        with ThreadPoolExecutor(4, thread_name_prefix="nearest") as pool:
            found = dict(zip(asked, pool.map(uv.told_as_here(one), asked), strict=True))
    known = {problem: instead for problem, instead in found.items() if instead.asked}
    reporter(StageFinished("nearest versions", f"for {len(known)} of {len(missing)}"))
    return known


def _lookup(request: LockRequest, stack: ExitStack) -> Lookup:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="shipwheel-near-"))).resolve()
    return Lookup(synthetic_of(request, stack, folder)[0], request.exclude_newer)


def _instead(lookup: Lookup, problem: Missing, targets: Sequence[Target], others: Sequence[Another]) -> Instead:
    listed = lookup.every_file(problem.name, f"=={problem.version}")
    older, partly_older = _nearest(lookup, problem, targets, newest=True)
    newer, partly_newer = _nearest(lookup, problem, targets, newest=False)
    partly = []
    if not older and not newer:
        for target in targets:
            near = [f"{found[target]} ({which})" for found, which in ((partly_older, "older"), (partly_newer, "newer")) if found[target]]
            partly += [f"for {target.platform} alone: {', '.join(near)}"] if near else []
    pythons = _pythons(listed, targets, others) if listed else ()
    return Instead(True, older, newer, tuple(partly), pythons) if listed or older or newer or partly else Instead()


def _nearest(lookup: Lookup, problem: Missing, targets: Sequence[Target], *, newest: bool) -> tuple[str, dict[Target, str]]:
    """The nearest version in one direction that serves all targets, "" for none; and the nearest for each."""
    from packaging.version import Version

    sign, farthest = ("<", min) if newest else (">", max)
    bound, first = f"{sign}{problem.version}", dict.fromkeys(targets, "")
    for number in range(_ROUNDS):
        found = {target: _version(lookup, problem.name, bound, target, newest=newest) for target in targets}
        first = found if not number else first
        versions = set(found.values())
        if "" in versions:
            break
        if len(versions) == 1:
            return versions.pop(), first
        bound = f"{sign}={farthest(versions, key=Version)}"
    return "", first


def _version(lookup: Lookup, name: str, bound: str, target: Target, *, newest: bool) -> str:
    """The highest, or lowest, version within the bound with a wheel for the target; "" for none."""
    options = ["--only-binary", ":all:", "--resolution", "highest" if newest else "lowest", "--python-platform", _platform(target)]
    for package in lookup.packages({name: bound}, target.python, options):
        if _serves(package, target):
            return str(package.get("version", ""))
    return ""


def _pythons(package: Mapping[str, Any], targets: Sequence[Target], others: Sequence[Another]) -> tuple[Another, ...]:
    """The other Pythons that a version has files for, with the platforms where that is not so for all in question."""
    wanted = {target.platform for target in targets}
    found: dict[tuple[str, str], list[Target]] = {}
    for another in others:
        if another.target.platform in wanted and _serves(package, another.target):
            found.setdefault((another.name, another.flags), []).append(another.target)
    return tuple(_limited(Another(*key, where[0]), where if len(where) < len(wanted) else ()) for key, where in found.items())


def _limited(another: Another, where: Sequence[Target]) -> Another:
    platforms = [str(target.platform) for target in where]
    if not platforms:
        return another
    return replace(another, name=f"{another.name} on {', '.join(platforms)}", flags=f"{another.flags} --platform {','.join(platforms)}")


def _serves(package: Mapping[str, Any], target: Target) -> bool:
    from packaging.specifiers import SpecifierSet
    from packaging.utils import parse_wheel_filename

    python = package.get("requires-python")
    if python and not SpecifierSet(python).contains(target.python, prereleases=True):
        return False
    names = [
        unquote(str(wheel.get("name") or wheel.get("url") or wheel.get("path")).rpartition("/")[2]) for wheel in package.get("wheels", ())
    ]
    tags = set(target.tags())
    return any(tag in tags for name in names for tag in parse_wheel_filename(name)[3])


def _platform(target: Target) -> str:
    """uv's name of the platform, with no newer a glibc than the target's."""
    if target.musl:
        return f"{target.platform.machine}-unknown-linux-musl"
    glibc = max((minor for minor in _GLIBCS if (2, minor) <= target.libc), default=_GLIBCS[0])
    return f"{target.platform.machine}-manylinux_2_{glibc}"
