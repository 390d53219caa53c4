"""Resolve a project's requirements through uv.

uv's lock of the synthetic project, for one Python version, holds for every Linux machine.
"""

import tomllib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from shipwheel.cleanup.scratch import scratch_directory
from shipwheel.errors import LockError
from shipwheel.events import Reporter, Warned, silent
from shipwheel.locking import uv
from shipwheel.locking.accelerator import accelerator_error, find_switch, record_savings, use_vendor_urls
from shipwheel.locking.allowed_files import apply_format_options
from shipwheel.locking.build_python import build_limits
from shipwheel.locking.build_requirements import BuildRequirements, missing_build_requirement
from shipwheel.locking.diagnose.conflicts import explain_conflict
from shipwheel.locking.diagnose.lookup import Lookup
from shipwheel.locking.diagnose.suggestions import Suggestion, suggestions, user_requirements
from shipwheel.locking.diagnose.uv_errors import IndexUnavailable, ResolutionError, resolution_error
from shipwheel.locking.inputs import LockRequest
from shipwheel.locking.kept_copies import drop_copies
from shipwheel.locking.next_indexes import next_indexes
from shipwheel.locking.no_wheels import package_without_wheels
from shipwheel.locking.preferences import Packages, unbuildable, write_preferences
from shipwheel.locking.prune import drop_other_pythons, note_systems, relocate
from shipwheel.locking.replaced import with_replaced
from shipwheel.locking.synthetic import Synthetic, make_synthetic
from shipwheel.project.indexes import warn_of_extra_indexes, without_login
from shipwheel.project.requirements import Requirements
from shipwheel.versions import normalized

__all__ = ["LockContents", "declared_requirements", "resolve"]


class LockContents(msgspec.Struct, frozen=True):
    """The contents of a lock: a pylock.toml, the graph (a uv.lock), and where the requirements come from.

    `project` is the user's own package, which is not in the lock. `roots` maps a direct requirement to the place that states it;
    `exact_roots` tells that it has all of them. `hashes` are the sha256 hashes that the user allows for a package. `build_requirements` are
    what builds need beyond what they state, `stated` the packages whose builds fail nevertheless. `unbuildable` are preferred packages
    whose versions were given up. `packages_of` is the day of an old project's packages ("2021-04-05").
    """

    pylock: Mapping[str, Any]
    uv_lock: Mapping[str, Any]
    origin: str
    project: str = ""
    roots: Mapping[str, str] = msgspec.field(default_factory=dict)
    exact_roots: bool = False
    is_pinned: bool = False
    hashes: Mapping[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    accelerator: Mapping[str, Any] = msgspec.field(default_factory=dict)
    packages_of: str = ""
    build_requirements: BuildRequirements = msgspec.field(default_factory=dict)
    stated: tuple[str, ...] = ()
    unbuildable: frozenset[str] = frozenset()


def declared_requirements(request: LockRequest) -> Requirements | None:
    """Return the requirements in the user's requirements files or Pipfile; None where a script or metadata decides. Raises LockError."""
    inputs = request.inputs
    if inputs.requirements is None and inputs.pipfile is not None:
        return inputs.pipfile.requirements(request.groups)
    return inputs.requirements


def resolve(
    request: LockRequest,
    requirements: Requirements | None,
    *,
    preferred: Packages = (),
    constraints: Sequence[str] = (),
    override: bool = False,
    reporter: Reporter = silent,
    known: LockContents | None = None,
) -> LockContents:
    """Resolve requirements, or the script or the project where they are None, within `constraints`.

    `preferred` packages stay at their versions if those satisfy and can be built. With `override`, the requirements overrule the metadata
    of packages. A build that lacks a module, or an older setuptools, is tried again with it; of one that fails otherwise, what its source
    states counts. What the builds of an earlier resolution needed, `known`, those of the same versions get at once. Raises LockError with
    uv's explanation.
    """
    work = partial(_with_builds, request, requirements, preferred, constraints, override=override, reporter=reporter)
    if known is not None and (known.build_requirements or known.stated):
        with suppress(ResolutionError):
            found = work(known.build_requirements, known.stated)
            if _builds_same_versions(found, known):
                return found
    return work({}, ())


def _builds_same_versions(contents: LockContents, known: LockContents) -> bool:
    now, before = ({it["name"]: it.get("version") for it in each.pylock.get("packages", ())} for each in (contents, known))
    return all(now.get(name) == before.get(name) for name in {*contents.build_requirements, *contents.stated})


def _with_builds(
    request: LockRequest,
    requirements: Requirements | None,
    preferred: Packages,
    constraints: Sequence[str],
    found: BuildRequirements,
    stated: tuple[str, ...],
    *,
    override: bool,
    reporter: Reporter,
) -> LockContents:
    given_up: set[str] = set()
    while True:
        try:
            bounds = (*constraints, *request.bounds)
            contents = _resolve(request, requirements, preferred, bounds, found, stated, override=override, reporter=reporter)
        except ResolutionError as error:
            drop_copies()
            more = missing_build_requirement(error.failure, request.inputs, found)
            if more is not None:
                found = more
            elif name := unbuildable(error, preferred):
                given_up.add(name)
                preferred = tuple(package for package in preferred if package["name"] != name)
            elif (name := error.failure.built) and name not in stated:
                stated = (*stated, name)
            else:
                raise
        else:
            found = {name: needed for name, needed in found.items() if name not in given_up}
            for name, needed in found.items():
                reporter(_warn_of_build(name, needed))
            if stated:
                what = f"this machine's Python cannot ask {', '.join(stated)} for requirements: what the source of each states counts"
                reporter(Warned(what))
            return replace(contents, build_requirements=found, stated=stated, unbuildable=frozenset(given_up))


def _warn_of_build(name: str, needed: Sequence[str]) -> Warned:
    what = f"the build of {name} needs what it does not require: {', '.join(needed)} is installed for it"
    return Warned(what, 'Name it in [build-system] requires of its pyproject.toml, or in "extra-build-dependencies" of [tool.uv].')


def _resolve(
    request: LockRequest,
    requirements: Requirements | None,
    preferred: Packages,
    constraints: Sequence[str],
    build_requirements: BuildRequirements,
    stated: Sequence[str],
    *,
    override: bool,
    reporter: Reporter,
) -> LockContents:
    with ExitStack() as stack:
        limits = build_limits(request.build_network, request.build_bounds, stated)
        versions = {**request.inputs.locked_version, **request.inputs.pretended_version}
        stack.enter_context(uv.extra_environment({**request.indexes.environment, **versions, **limits}))
        folder = stack.enter_context(scratch_directory("shipwheel-lock-"))
        synthetic = replace(make_synthetic(request, requirements, stack, folder, build_requirements), preferred=preferred)
        if requirements is not None and requirements.extra_index_urls:
            reporter(warn_of_extra_indexes(synthetic.origin, requirements.extra_index_urls))
        if override:
            synthetic = synthetic.extended("override-dependencies", synthetic.dependencies)
        synthetic = replace(synthetic, dependencies=(*synthetic.dependencies, *request.added))
        synthetic = with_replaced(synthetic, request.replaced)
        if constraints:
            synthetic = synthetic.extended("constraint-dependencies", constraints)
        try:
            uv_lock, pylock, accelerator = _resolve_accelerated(request, synthetic, folder, requirements)
        except LockError as error:
            failure = error.failure if isinstance(error, ResolutionError) else None
            following = next_indexes(request.indexes, failure, synthetic.settings.get("index", ()))
            hint = request.indexes.replacement_hint
            if following is None and hint and failure is not None and failure.unreachable and _is_of(failure.url, request.indexes.default):
                raise IndexUnavailable(error.message, hint=hint) from None
            if following is None:
                raise _explain_conflict(error, request, requirements, synthetic, reporter) from None
            reporter(following[1])
        else:
            if requirements is not None and requirements.is_pinned:
                note_systems(pylock, Lookup(synthetic, request.exclude_newer).every_file)
            drop_other_pythons(pylock, request.python)
            relocate(pylock, folder, request.root, synthetic.copies)
            return _contents(pylock, uv_lock, synthetic, requirements, accelerator, frozenset(map(normalized, request.replaced)))
    again = replace(request, indexes=following[0])
    return _resolve(again, requirements, preferred, constraints, build_requirements, stated, override=override, reporter=reporter)


def _is_of(url: str, index: str) -> bool:
    """Return whether a URL is one of a package index."""
    return bool(index) and url.startswith(without_login(index).rstrip("/"))


def _contents(
    pylock: dict[str, Any],
    uv_lock: Mapping[str, Any],
    synthetic: Synthetic,
    requirements: Requirements | None,
    accelerator: Mapping[str, Any],
    replaced: frozenset[str],
) -> LockContents:
    if requirements is None:
        return LockContents(pylock, uv_lock, synthetic.origin, synthetic.project, accelerator=accelerator)
    named = [(name, line) for line in requirements.lines if (name := synthetic.name_of(line))]
    hashes: dict[str, tuple[str, ...]] = {}
    for name, line in named:
        if line.hashes and name not in replaced:  # they are those of another version
            hashes[name] = (*hashes.get(name, ()), *line.hashes)
    packages = apply_format_options(pylock.get("packages", []), requirements.no_binary, requirements.only_binary)
    return LockContents(
        {**pylock, "packages": packages},
        uv_lock,
        synthetic.origin,
        synthetic.project,
        roots={name: line.place for name, line in reversed(named)},
        is_pinned=requirements.is_pinned,
        hashes=hashes,
        accelerator=accelerator,
    )


def _explain_conflict(
    error: LockError, request: LockRequest, requirements: Requirements | None, synthetic: Synthetic, reporter: Reporter
) -> LockError:
    def suggest(names: Sequence[str]) -> Sequence[Suggestion]:
        return tuple(suggestions(request, synthetic, names))

    return explain_conflict(error, user_requirements(request, requirements, synthetic), synthetic.project, suggest, reporter)


def _resolve_accelerated(
    request: LockRequest, synthetic: Synthetic, folder: Path, requirements: Requirements | None
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Resolve, and again if builds for another accelerator are wanted than the index has.

    Returns the uv.lock, the pylock.toml, and what the lock records of the accelerator.
    """
    limit = request.exclude_newer
    pinned = requirements is not None and requirements.is_pinned
    uv_lock, pylock = _lock(synthetic, folder, limit, pinned=pinned)
    hashed = [synthetic.name_of(line) for line in requirements.lines if line.hashes] if requirements is not None else []
    bound = {**request.inputs.workspace.sources, **synthetic.sources, **dict.fromkeys(hashed)}
    change = find_switch(request.accelerator, request.accelerator_index, pylock, bound)
    if change is None:
        return uv_lock, pylock, {}
    while True:
        changed = replace(synthetic, settings=change.settings(synthetic.settings), sources={**synthetic.sources, **change.sources})
        try:
            uv_lock, after = _lock(changed, folder, limit, pinned=pinned, without_wheels=False)
            break
        except LockError as error:
            fewer = change.without_missing(error)
            if fewer is None:
                raise accelerator_error(error, change, pylock, request.indexes.default) from None
            change = fewer
    use_vendor_urls(after, request.accelerator_index)
    return uv_lock, after, record_savings(pylock, after, change)


def _lock(
    synthetic: Synthetic, folder: Path, limit: str | None, *, pinned: bool, without_wheels: bool = True
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Lock for Linux; if that fails, for all operating systems.

    A package that only another system can use is then in the lock: a pinned list leaves it out, and the selection of any other list
    reports it. With `without_wheels`, packages without any file for this Python are in the lock too, with the files that they have.
    """
    try:
        uv_lock, pylock = _lock_once(synthetic, folder, limit, everywhere=False)
    except uv.UvFailed as error:
        # A build that fails is one for every system: where a wheel of any has the metadata, nothing is built.
        if not error.failure.unusable and (not pinned or error.failure.built):
            raise _explained(error, synthetic, folder) from None
    else:
        _add_wheels_of_other_systems(pylock, Lookup(synthetic, limit), synthetic.python)
        return uv_lock, pylock
    try:
        return _lock_once(synthetic, folder, limit, everywhere=True)
    except uv.UvFailed as error:
        found = package_without_wheels(error.failure, Lookup(synthetic, limit)) if without_wheels else None
        without = found.removed_from(synthetic) if found is not None else synthetic
        if found is None or without == synthetic:
            raise _explained(error, synthetic, folder) from None
    uv_lock, pylock = _lock(without, folder, limit, pinned=pinned)
    return found.added_to(uv_lock, pylock)


def _explained(failed: uv.UvFailed, synthetic: Synthetic, folder: Path) -> LockError:
    return resolution_error(failed.failure, synthetic.origin, {str(folder): "", **synthetic.copies}, synthetic.python)


def _lock_once(synthetic: Synthetic, folder: Path, limit: str | None, *, everywhere: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    synthetic.write(folder, everywhere=everywhere)
    write_preferences(synthetic.preferred, folder)
    options, readable = synthetic.export_options, synthetic.readable()
    uv_lock, pylock = uv.lock_project(folder, synthetic.python, exclude_newer=limit, export=options, readable=readable)
    return tomllib.loads(uv_lock), tomllib.loads(pylock)


def _add_wheels_of_other_systems(pylock: dict[str, Any], lookup: Lookup, minor: str) -> None:
    """Add wheels of other systems to packages that have a source only: a lock for Linux hides them.

    Without them, a package with wheels for Windows alone looks like one in pure Python.
    """
    bare = {
        it["name"]: it
        for it in pylock.get("packages", [])
        if "sdist" in it and not it.get("wheels") and "version" in it and "url" in it["sdist"]
    }
    for package in lookup.packages({name: f"=={it['version']}" for name, it in bare.items()}, minor) if bare else ():
        mine = bare.get(package["name"])
        if mine is not None and package.get("version") == mine["version"] and package.get("wheels"):
            mine["wheels"] = package["wheels"]
