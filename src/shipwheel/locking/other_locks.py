"""Locks of other tools as the source of a lock: their versions stay, and what they lack comes from the package index."""

import tomllib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from msgspec.structs import replace

from shipwheel.errors import LockError
from shipwheel.events import Reporter, Warned
from shipwheel.locking import uv
from shipwheel.locking.allowed_files import add_missing_files, add_missing_wheels
from shipwheel.locking.diagnose.uv_errors import resolution_error
from shipwheel.locking.formats.read import read_tool_lock
from shipwheel.locking.formats.tool_lock import requirements_for_linux
from shipwheel.locking.inputs import LockRequest
from shipwheel.locking.preferences import Packages
from shipwheel.locking.project_day import day_of_lock
from shipwheel.locking.pylock import Lock
from shipwheel.locking.resolve import LockContents, declared_requirements, resolve
from shipwheel.locking.uv_output import is_outdated_lock
from shipwheel.project.lock_inputs import OtherLock
from shipwheel.user.files import table_at
from shipwheel.versions import normalized

__all__ = ["contents_of"]

_OF_INDEX = frozenset({"name", "specifier", "extras", "marker", "index"})
"""The keys of what a project requires in its uv.lock, if that comes from an index."""


def contents_of(other: OtherLock, request: LockRequest, preferred: Packages, reporter: Reporter) -> LockContents:
    """Return the contents for a lock with the versions of another tool's lock. Raises LockError."""
    name = other.path.name
    if name in ("pylock.toml", "uv.lock") and (request.added or request.replaced):
        pins = _pins(_from_uv_lock(other, request, reporter).pylock if name == "uv.lock" else _read_pylock(other), request.replaced)
        return resolve(request, declared_requirements(request), preferred=preferred, constraints=pins, reporter=reporter)
    if name == "pylock.toml":
        return LockContents(add_missing_files(_read_pylock(other), request, reporter), {}, name)
    if name == "uv.lock":
        return _from_uv_lock(other, request, reporter)
    return _from_tool_lock(other, request, preferred, reporter)


def _from_uv_lock(other: OtherLock, request: LockRequest, reporter: Reporter) -> LockContents:
    """Take the versions of the user's own uv.lock; where the project changed after it, those that still satisfy."""
    # uv cannot tell without the index that the project names.
    outdated = uv.lock_is_outdated(request.root, request.python) or _states_others(_parse(_text(other), other), request)
    chosen = [*(f"--extra={name}" for name in request.extras), *(f"--group={name}" for name in request.groups)]
    try:
        pylock = uv.export_project(request.root, chosen)
    except uv.UvFailed as error:
        # Without an interpreter that the project allows, the check cannot tell.
        outdated = outdated or is_outdated_lock(error.failure.text)
        if not outdated:
            raise resolution_error(error.failure, "uv.lock", {}) from None
        pylock = ""
    if outdated:
        reporter(Warned("uv.lock does not match pyproject.toml: its versions are kept where they still satisfy", "Run `uv lock`."))
        known = tuple(_parse(pylock, other).get("packages", ())) or _versions(_parse(_text(other), other))
        return replace(resolve(request, declared_requirements(request), preferred=known), origin="uv.lock")
    return LockContents(_parse(pylock, other), _parse(_text(other), other), "uv.lock", request.inputs.project.name)


def _states_others(uv_lock: Mapping[str, Any], request: LockRequest) -> bool:
    """Return whether a project states a version of a package otherwise than its uv.lock says that it did."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    tables = table_at(request.inputs.tables, "project")
    name = normalized(str(tables.get("name", "")))
    own = (it for it in uv_lock.get("package", ()) if it.get("name") == name and "registry" not in it.get("source", {}))
    stated = next((it.get("metadata", {}).get("requires-dist", ()) for it in own), ())
    known: set[tuple[str, SpecifierSet]] = set()
    for it in stated:
        with suppress(InvalidSpecifier):
            known.add((str(it.get("name")), SpecifierSet(str(it.get("specifier", "")))))
    # Of what comes from a directory or a repository, the lock does not say what version was stated.
    names = {each for each, _ in known} - {str(it.get("name")) for it in stated if not it.keys() <= _OF_INDEX}
    for text in tables.get("dependencies", ()) if known else ():
        with suppress(InvalidRequirement):
            requirement = Requirement(text)
            required = normalized(requirement.name)
            if required in names and not requirement.url and (required, requirement.specifier) not in known:
                return True
    return False


def _versions(uv_lock: Mapping[str, Any]) -> Packages:
    """Return the versions in a uv.lock whose graph is of no use: the project was renamed, or came from a workspace."""
    found = [it for it in uv_lock.get("package", ()) if "registry" in it.get("source", {}) and "version" in it]
    return _single((package["name"], package["version"]) for package in found)


def _single(versions: Iterable[tuple[str, str]]) -> Packages:
    """Return the packages that have one version: which of several is meant, no preference can tell."""
    found = list(versions)
    names = [name for name, _ in found]
    return tuple({"name": name, "version": version, "wheels": ()} for name, version in found if names.count(name) == 1)


def _from_tool_lock(other: OtherLock, request: LockRequest, preferred: Packages, reporter: Reporter) -> LockContents:
    """Take the versions of a poetry.lock, pdm.lock or Pipfile.lock, and report what it lacks."""
    name = other.path.name
    lock = read_tool_lock(other, request)
    if lock.lacking:
        what = f"{name} lacks {', '.join(lock.lacking)} of {lock.changed}: its versions are kept where they still satisfy"
        reporter(Warned(what, "Lock again with the tool that wrote it."))
        known = _single((entry.name, entry.version) for entry in lock.entries if entry.version and not entry.url)
        return replace(resolve(request, declared_requirements(request), preferred=known, reporter=reporter), origin=name)
    if lock.changed:
        reporter(Warned(f"{name} is used, although {lock.changed} changed after it was made", "Lock again with the tool that wrote it."))
    requirements = requirements_for_linux(lock, request.python, request.extras)
    contents = resolve(request, requirements, preferred=preferred, override=True)
    roots = {key: place for key, place in lock.locations.items() if key in contents.roots} if lock.locations else contents.roots
    pinned = {line.requirement.name for line in requirements.lines if line.requirement is not None}
    packages = contents.pylock.get("packages", [])
    new = sorted(package["name"] for package in packages if package["name"] not in pinned)
    if new and not request.added:
        reporter(Warned(f"{name} lacks dependencies of its packages, which come from the index: {', '.join(new)}"))
    its = day_of_lock(package for package in packages if package["name"] in pinned)
    if more := its.missing(packages) if its is not None else ():
        contents = resolve(replace(request, added=(*request.added, *more)), requirements, preferred=preferred, override=True)
        packages = contents.pylock.get("packages", [])
    packages = [add_missing_wheels(package, contents.hashes, request.python, reporter, name) for package in packages]
    return replace(contents, pylock={**contents.pylock, "packages": packages}, roots=roots, exact_roots=bool(lock.locations), hashes={})


def _pins(pylock: Mapping[str, Any], replaced: Iterable[str]) -> list[str]:
    """Return the versions in a lock as constraints, but for packages that others replace."""
    names = set(map(normalized, replaced))
    versions: dict[str, set[str]] = {}
    for package in pylock.get("packages", []):
        if "version" in package and ("wheels" in package or "sdist" in package):
            versions.setdefault(package["name"], set()).add(package["version"])
    return [f"{name}=={found.pop()}" for name, found in sorted(versions.items()) if len(found) == 1 and name not in names]


def _read_pylock(other: OtherLock) -> dict[str, Any]:
    """Parse another tool's pylock.toml. Raises LockError for anything else, such as an empty file."""
    data = _parse(_text(other), other)
    _ = Lock(other.path, data).packages
    return data


def _text(other: OtherLock) -> str:
    return other.content.decode(errors="replace")


def _parse(text: str, other: OtherLock) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise LockError(f"{other.path}: {error}", hint="Make this lock again with the tool that wrote it.") from None
