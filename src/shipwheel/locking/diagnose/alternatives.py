"""Find alternatives to packages that have no file for a target, or do not fit: other versions and Pythons, in the project's own indexes."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import msgspec

from shipwheel.cleanup.scratch import scratch_directory
from shipwheel.events import Reporter, StageFinished, StageStarted
from shipwheel.locking import uv
from shipwheel.locking.diagnose.lookup import Lookup
from shipwheel.locking.inputs import LockRequest
from shipwheel.locking.no_compatible_file import Alternatives, MissingFile, OtherPython
from shipwheel.locking.pylock import file_name
from shipwheel.locking.resolve import declared_requirements
from shipwheel.locking.synthetic import make_synthetic
from shipwheel.locking.target import Target
from shipwheel.versions import normalized

__all__ = ["find_alternatives", "siblings_for", "version_of_day"]

_MAX_PACKAGES = 8
"""With more missing files than this, another Python or another list of requirements is the better choice."""

_MAX_ROUNDS = 4
_GLIBCS = (17, 28, *range(31, 41))
"""The minor versions of glibc 2 for which uv has names of platforms."""


def find_alternatives(
    missing: Mapping[MissingFile, Sequence[Target]],
    request: LockRequest,
    pythons: Sequence[OtherPython],
    reporter: Reporter,
    *,
    versions: bool = True,
) -> dict[MissingFile, Alternatives]:
    """Return the alternatives to each missing file, as far as the index can be asked; `pythons` are the other Pythons of each platform.

    Without `versions`, the index is asked for other Pythons alone, in a tenth of the time.
    """
    versioned = {file: targets for file, targets in missing.items() if file.version}
    asked = dict(list(versioned.items())[:_MAX_PACKAGES])
    if not asked:
        return {}
    reporter(StageStarted("nearest versions", len(asked), detail=True))
    with ExitStack() as stack:
        stack.enter_context(uv.extra_environment(request.indexes.environment))
        lookup = _lookup(request, stack)

        def find(file: MissingFile) -> Alternatives:
            return _alternatives(lookup, file, asked[file], pythons, versions=versions)

        with ThreadPoolExecutor(4, thread_name_prefix="alternatives") as pool:
            found = dict(zip(asked, pool.map(uv.with_extra_environment(find), asked), strict=True))
    known = {file: alternatives for file, alternatives in found.items() if alternatives.known}
    reporter(StageFinished("nearest versions", f"for {len(known)} of {len(missing)}"))
    return known


def version_of_day(name: str, request: LockRequest) -> str:
    """Return the version of a package that a request for it alone gets, as of its day; empty if there is none."""
    with ExitStack() as stack:
        stack.enter_context(uv.extra_environment(request.indexes.environment))
        packages = _lookup(request, stack).packages({name: ""}, request.python)
    return next((str(package.get("version", "")) for package in packages if package["name"] == normalized(name)), "")


def siblings_for(name: str, version: str, locked: Mapping[str, str], request: LockRequest, target: Target) -> dict[str, str]:
    """Return the locked packages that a version of another one requires in other versions, with the lowest newer ones that have wheels.

    `locked` maps all names to their versions. A package that the index has in no such version is left out.
    """
    options = ("--only-binary", ":all:", "--python-platform", _platform(target))
    with ExitStack() as stack:
        stack.enter_context(uv.extra_environment(request.indexes.environment))
        lookup = _lookup(request, stack)

        def resolved(*more: str, **bounds: str) -> dict[str, str]:
            versions = {name: f"=={version}", **bounds}
            packages = lookup.packages(versions, target.python, (*options, *more), dependencies=True)
            return {each["name"]: str(each.get("version", "")) for each in packages}

        others = [other for other in resolved() if other in locked and other != normalized(name)]
        # To ask for each by itself takes a resolution for each.
        if not others or resolved(**{other: f"=={locked[other]}" for other in others}):
            return {}
        refused = [other for other in others if not resolved(**{other: f"=={locked[other]}"})]
        found = {other: resolved("--resolution", "lowest-direct", **{other: f">{locked[other]}"}).get(other, "") for other in refused}
    return {other: newer for other, newer in found.items() if newer}


def _lookup(request: LockRequest, stack: ExitStack) -> Lookup:
    folder = stack.enter_context(scratch_directory("shipwheel-near-"))
    return Lookup(make_synthetic(request, declared_requirements(request), stack, folder), request.exclude_newer)


def _alternatives(
    lookup: Lookup, file: MissingFile, targets: Sequence[Target], pythons: Sequence[OtherPython], *, versions: bool
) -> Alternatives:
    package = lookup.every_file(file.name, f"=={file.version}")
    usable = _usable_pythons(package, targets, pythons) if package else ()
    if not versions:
        return Alternatives(bool(package), pythons=usable)
    older, older_by_target = _nearest(lookup, file.name, f"<{file.version}", targets)
    newer, newer_by_target = _nearest(lookup, file.name, f">{file.version}", targets)
    by_platform = []
    if not older and not newer:
        for target in targets:
            nearest = [f"{it[target]} ({which})" for it, which in ((older_by_target, "older"), (newer_by_target, "newer")) if it[target]]
            by_platform += [f"for {target.platform} alone: {', '.join(nearest)}"] if nearest else []
    known = bool(package or older or newer or by_platform)
    sibling = _sibling(lookup, file, targets) if known else ""
    return Alternatives(known, older, newer, tuple(by_platform), usable, sibling)


def _sibling(lookup: Lookup, file: MissingFile, targets: Sequence[Target]) -> str:
    """Return the package that by its name brings the wheels of another, and its version; "" if there is none with files for all targets."""
    name = f"{normalized(file.name)}-binary"
    version, _ = _nearest(lookup, name, f">={file.version}", targets)
    return f"{name} {version}" if version else ""


def _nearest(lookup: Lookup, name: str, bound: str, targets: Sequence[Target]) -> tuple[str, dict[Target, str]]:
    """Return the version nearest to a bound ("<2.0") with files for all targets, "" for none, and the nearest for each target."""
    from packaging.version import Version

    newest = bound.startswith("<")
    sign, farthest, first = bound[0], min if newest else max, dict.fromkeys(targets, "")
    for number in range(_MAX_ROUNDS):
        found = {target: _version(lookup, name, bound, target, newest=newest) for target in targets}
        first = found if not number else first
        versions = set(found.values())
        if "" in versions:
            break
        if len(versions) == 1:
            return versions.pop(), first
        bound = f"{sign}={farthest(versions, key=Version)}"
    return "", first


def _version(lookup: Lookup, name: str, bound: str, target: Target, *, newest: bool) -> str:
    """Return the highest or lowest version within the bound that has a wheel for the target, "" for none."""
    options = ["--only-binary", ":all:", "--resolution", "highest" if newest else "lowest", "--python-platform", _platform(target)]
    for package in lookup.packages({name: bound}, target.python, options):
        if _serves(package, target):
            return str(package.get("version", ""))
    return ""


def _usable_pythons(package: Mapping[str, Any], targets: Sequence[Target], pythons: Sequence[OtherPython]) -> tuple[OtherPython, ...]:
    """Return the Pythons for which a version has files; one with files for some of the targets' platforms is limited to these."""
    platforms = {target.platform for target in targets}
    found: dict[tuple[str, str], list[OtherPython]] = {}
    for python in pythons:
        if python.target.platform in platforms and _serves(package, python.target):
            found.setdefault((python.name, python.flags), []).append(python)
    return tuple(some[0] if len(some) == len(platforms) else _limited(some) for some in found.values())


def _limited(pythons: Sequence[OtherPython]) -> OtherPython:
    only = tuple(python.target.platform for python in pythons)
    platforms = [str(platform) for platform in only]
    name, flags = f"{pythons[0].name} on {', '.join(platforms)}", f"{pythons[0].flags} --platform {','.join(platforms)}"
    return msgspec.structs.replace(pythons[0], name=name, flags=flags, only=only)


def _serves(package: Mapping[str, Any], target: Target) -> bool:
    """Return whether a package of a pylock.toml has a wheel for the target."""
    from packaging.specifiers import SpecifierSet
    from packaging.utils import parse_wheel_filename

    python = package.get("requires-python")
    if python and not SpecifierSet(python).contains(target.python, prereleases=True):
        return False
    names = [file_name(wheel) for wheel in package.get("wheels", ())]
    tags = set(target.tags())
    return any(tag in tags for name in names for tag in parse_wheel_filename(name)[3])


def _platform(target: Target) -> str:
    """Return uv's name of the platform, with a glibc that is not newer than the target's."""
    if target.musl:
        return f"{target.platform.machine}-unknown-linux-musl"
    glibc = max((minor for minor in _GLIBCS if (2, minor) <= target.libc), default=_GLIBCS[0])
    return f"{target.platform.machine}-manylinux_2_{glibc}"
