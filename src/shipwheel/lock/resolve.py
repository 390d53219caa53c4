"""Making the lock: the project's requirements become a small project of their own, which uv locks.

uv's lock of that project, for one Python version, holds for every Linux machine. Nothing but the lock is written beside the user's files.
"""

import sys
import tempfile
import tomllib
from collections.abc import Container, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shipwheel.errors import LockError
from shipwheel.events import Reporter, StageFinished, StageStarted, Warned, silent
from shipwheel.lock import uv
from shipwheel.lock.accelerator import accelerator_error, find_switch, record_savings, use_vendor_urls
from shipwheel.lock.allowed_files import allowed, completed, formats, lenient
from shipwheel.lock.canonical_urls import canonical
from shipwheel.lock.diagnose.conflicts import explain_conflict
from shipwheel.lock.diagnose.lookup import Lookup
from shipwheel.lock.diagnose.suggestions import Suggestion, suggestions, user_requirements
from shipwheel.lock.diagnose.uv_errors import ResolutionError, resolution_error
from shipwheel.lock.formats.read import read_tool_lock
from shipwheel.lock.formats.tool_lock import active_lines
from shipwheel.lock.inputs import LockRequest, input_parts, inputs_digest
from shipwheel.lock.no_wheels import package_without_wheels
from shipwheel.lock.preferences import Upgrade, prefer, preferred
from shipwheel.lock.prune import note_systems, relocate, tidy_wheels, without_credentials
from shipwheel.lock.pylock import CREATOR, FORMAT, Lock, check_hashes, lock_path, read_lock
from shipwheel.lock.synthetic import SYNTHETIC, Synthetic, from_project, from_requirements, from_script
from shipwheel.project.indexes import confusable
from shipwheel.project.last_commit import rotted
from shipwheel.project.pipfile import read_pipfile
from shipwheel.project.requirements import Requirements, read_requirements
from shipwheel.project.workspace import project_name, sources

_KEPT = ("lock-version", "environments", "requires-python", "extras", "dependency-groups", "default-groups")

Kept = tuple[Mapping[str, Any], ...]
KEEP = Upgrade()

__all__ = ["LockRequest", "inputs_digest", "lock_for", "make_lock", "renewed", "synthetic_of"]


def lock_for(request: LockRequest, reporter: Reporter = silent) -> Lock:
    """The project's lock: the one that is there if it is current, else a new one, written beside the project. Raises LockError."""
    found = read_lock(lock_path(request.root))
    lock = renewed(request, found, reporter)
    if lock is not found:
        lock.write()
    return lock


def renewed(request: LockRequest, found: Lock | None, reporter: Reporter = silent, upgrade: Upgrade = KEEP) -> Lock:
    """The lock that was found, if it is current and nothing is to be upgraded; else a new one, not yet written. Raises LockError.

    Of the one that was found, the new one keeps the versions that still satisfy, and the base.
    """
    if found is not None and not upgrade and found.is_current(inputs_digest(request)):
        return found
    lock = make_lock(request, reporter, preferred(found, request.as_of, upgrade))
    for architecture, base in (found.base if found is not None else {}).items():
        # The base moves when it is told to, not when a dependency does.
        lock = lock.with_base(architecture, base)
    return lock


def make_lock(request: LockRequest, reporter: Reporter = silent, kept: Kept = ()) -> Lock:
    """A new lock, not yet written; what is in `kept` stays at its version where it can.

    Raises LockError with uv's explanation, UsageError for a day that is none.
    """
    today = datetime.now(UTC).date().isoformat()
    reporter(StageStarted("lock"))
    foreign = request.foreign
    if foreign is not None and request.added and foreign.name in ("pylock.toml", "uv.lock"):
        made = _resolved(request, kept, pins=_pins(request, foreign), reporter=reporter)
    elif foreign is not None and foreign.name == "pylock.toml":
        made = _Made(completed(_pylock(foreign), request, reporter), {}, foreign.name)
    elif foreign is not None and foreign.name != "uv.lock":
        made = _from_tool_lock(request, foreign, kept, reporter)
    else:
        made = _resolved(request, kept, reporter=reporter) if foreign is None else _from_uv_lock(request, foreign)
    _check_python(request, made)
    if foreign is None and not (request.as_of or kept or made.frozen):
        _note_age(request.root, reporter)
    data = _document(request, made, request.as_of or today)
    check_hashes(data, made.origin)
    data = canonical(data, request.indexes, reporter)
    reporter(StageFinished("lock", f"{len(data['packages'])} distributions from {made.origin}, as of {request.as_of or today}"))
    return Lock(lock_path(request.root), data)


def _note_age(root: Path, reporter: Reporter) -> None:
    """Unpinned requirements that nobody has touched for long bring versions that the project never ran with."""
    day = rotted(root, datetime.now(UTC).date())
    if day is not None:
        what = f"the last commit here is of {day.isoformat()}, and what is not pinned is taken in today's versions"
        reporter(Warned(what, f"If it no longer works so: --as-of {day.isoformat()} takes what there was on that day."))


@dataclass(slots=True)
class _Made:
    """What uv gave: its pylock.toml, its uv.lock (the graph), and what the lock records of where it came from."""

    pylock: dict[str, Any]
    graph: dict[str, Any]
    origin: str
    project: str = ""
    """The name of the user's own project, which is not in the lock."""
    roots: dict[str, str] = field(default_factory=dict)
    frozen: bool = False
    exact: bool = False
    """Whether `roots` are all that the project itself asks for."""
    hashes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    accelerator: dict[str, Any] = field(default_factory=dict)


def _check_python(request: LockRequest, made: _Made) -> None:
    """A lock of another tool may be for other Python versions."""
    from packaging.specifiers import SpecifierSet

    wanted = SpecifierSet(made.pylock.get("requires-python", ""))
    if not any(wanted.contains(f"{request.python}.{patch}") for patch in (0, 99)):
        hint = "Choose a Python version that it is for (--python)."
        raise LockError(f"{made.origin} is for Python {wanted}, not {request.python}", hint=hint, hint_without_python="")


def _document(request: LockRequest, made: _Made, as_of: str) -> dict[str, Any]:
    """PEP 751, `created-by` and [tool.shipwheel] ours."""
    edges, asked = _graph(made, request)
    packages = [_package(package, edges) for package in without_credentials(made.pylock.get("packages", []))]
    packages = [_closed(package, {one["name"] for one in packages}) for package in packages]
    # What a pinned list asks for is everything in it; the project behind it asks for less.
    roots = made.roots if made.exact else {**dict.fromkeys(asked, made.origin), **made.roots}
    tool: dict[str, Any] = {
        "format": FORMAT,
        "inputs": inputs_digest(request),
        "python": request.python,
        "as-of": as_of,
        "origin": made.origin,
        "frozen": made.frozen,
    }
    if made.accelerator:
        tool["accelerator"] = made.accelerator
    tool |= {name: list(value) for name, value in (("extras", request.extras), ("groups", request.groups)) if value}
    top: dict[str, Any] = {key: made.pylock[key] for key in _KEPT if key in made.pylock}
    tools = {**made.pylock.get("tool", {}), "shipwheel": {**tool, "parts": input_parts(request), "roots": dict(sorted(roots.items()))}}
    return {**top, "created-by": CREATOR, "packages": [allowed(package, made.hashes) for package in packages], "tool": tools}


def _package(package: dict[str, Any], edges: Mapping[str, list[dict[str, Any]]]) -> dict[str, Any]:
    if "dependencies" not in package and edges.get(package["name"]):
        package = {**package, "dependencies": edges[package["name"]]}
    return package


def _closed(package: dict[str, Any], names: Container[str]) -> dict[str, Any]:
    """Without dependencies that are for other systems, or are the project itself: PEP 751 wants entries of the lock there."""
    edges = [edge for edge in package.get("dependencies", ()) if edge.get("name") in names]
    return {**{key: value for key, value in package.items() if key != "dependencies"}, **({"dependencies": edges} if edges else {})}


def _graph(made: _Made, request: LockRequest) -> tuple[dict[str, list[dict[str, Any]]], set[str]]:
    """Name -> whom it asks for (name, marker), with the extras that are asked for anywhere; and the names the project itself asks for."""
    packages: dict[str, list[dict[str, Any]]] = {}
    for package in made.graph.get("package", []):
        packages.setdefault(package["name"], []).append(package)
    tops = [SYNTHETIC, *([made.project] if made.project else [])]
    chosen: dict[str, set[str]] = {tops[-1]: set(request.extras)}
    queue = [*tops, *packages]
    for name in queue:
        for edge in _edges(packages.get(name, []), chosen.get(name, set()), set(request.groups)):
            new = set(edge.get("extra", ())) - chosen.get(edge["name"], set())
            if new:
                chosen.setdefault(edge["name"], set()).update(new)
                queue.append(edge["name"])
    edges: dict[str, list[dict[str, Any]]] = {}
    for name, versions in packages.items():
        found = {(edge["name"], edge.get("marker", "")): edge for edge in _edges(versions, chosen.get(name, set()), set(request.groups))}
        edges[name] = [{key: edge[key] for key in ("name", "marker") if key in edge} for edge in found.values()]
    asked = {edge["name"] for top in tops for edge in edges.get(top, [])} - set(tops)
    return edges, asked


def _edges(versions: list[dict[str, Any]], extras: set[str], groups: set[str]) -> list[dict[str, Any]]:
    found = []
    for package in versions:
        found += package.get("dependencies", [])
        for name, some in package.get("optional-dependencies", {}).items():
            found += some if name in extras else []
        for name, some in package.get("dev-dependencies", {}).items():
            found += some if name in groups else []
    return found


def _from_uv_lock(request: LockRequest, lock: Path) -> _Made:
    """The versions of the user's own uv.lock, one by one."""
    if uv.lock_is_outdated(request.root):
        raise LockError(
            f"{lock} no longer fits pyproject.toml",
            hint="Run `uv lock` and build again, or give a day (--as-of) to resolve without it.",
        )
    chosen = [*(f"--extra={name}" for name in request.extras), *(f"--group={name}" for name in request.groups)]
    try:
        graph, pylock = uv.lock_project(request.root, exclude_newer=None, export=chosen, frozen=True)
    except uv.UvFailed as error:
        raise resolution_error(error.failure, "uv.lock", {}) from None
    return _Made(_toml(pylock, lock), _toml(graph, lock), "uv.lock", project_name(request.root))


def _pylock(foreign: Path) -> dict[str, Any]:
    """Another tool's pylock.toml; raises LockError when it is none, an empty file for example."""
    data = _toml(_text(foreign), foreign)
    _ = Lock(foreign, data).packages
    return data


def _pins(request: LockRequest, foreign: Path) -> list[str]:
    """The versions of another tool's lock, as constraints for a resolution that adds something to it."""
    pylock = _from_uv_lock(request, foreign).pylock if foreign.name == "uv.lock" else _pylock(foreign)
    versions: dict[str, set[str]] = {}
    for package in pylock.get("packages", []):
        if "version" in package and ("wheels" in package or "sdist" in package):
            versions.setdefault(package["name"], set()).add(package["version"])
    return [f"{name}=={found.pop()}" for name, found in sorted(versions.items()) if len(found) == 1]


def _from_tool_lock(request: LockRequest, foreign: Path, kept: Kept, reporter: Reporter) -> _Made:
    """The versions of a poetry.lock, pdm.lock or Pipfile.lock, one by one; what it lacks comes from the index, and is said."""
    lock = read_tool_lock(foreign, request)
    if lock.stale:
        reporter(Warned(f"{foreign.name} is honoured, but {lock.stale}", "Lock again with the tool that wrote it."))
    listed = active_lines(lock, request.python, request.extras)
    made = _resolved(request, kept, listed, exact=True)
    if lock.places:
        made.roots, made.exact = {name: place for name, place in lock.places.items() if name in made.roots}, True
    pinned = {line.requirement.name for line in listed.lines if line.requirement is not None}
    packages = made.pylock.get("packages", [])
    if new := sorted(package["name"] for package in packages if package["name"] not in pinned) if not request.added else []:
        reporter(Warned(f"{foreign.name} lacks what its distributions ask for, which comes from the index: {', '.join(new)}"))
    made.pylock["packages"] = [lenient(package, made.hashes, request.python, reporter, foreign.name) for package in packages]
    made.hashes = {}
    return made


def _listed(request: LockRequest) -> Requirements | None:
    if request.requirements:
        return read_requirements(request.requirements)
    return read_pipfile(request.pipfile, request.groups) if request.pipfile is not None else None


def _resolved(
    request: LockRequest,
    kept: Kept,
    listed: Requirements | None = None,
    *,
    pins: Sequence[str] = (),
    exact: bool = False,
    reporter: Reporter = silent,
) -> _Made:
    """Resolves anew, within the given constraints: the lines where there are any. `exact` ones overrule what metadata says."""
    limit = request.exclude_newer
    with ExitStack() as stack:
        stack.enter_context(uv.extra_environment(request.indexes.environment))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="shipwheel-lock-"))).resolve()
        synthetic, listed = synthetic_of(request, stack, folder, listed)
        if listed is not None and listed.extra_index_urls:
            reporter(confusable(synthetic.origin, listed.extra_index_urls))
        synthetic.kept = kept
        if exact:
            synthetic.settings["override-dependencies"] = [*synthetic.settings.get("override-dependencies", []), *synthetic.dependencies]
        synthetic.dependencies += request.added
        if pins:
            synthetic.settings["constraint-dependencies"] = [*synthetic.settings.get("constraint-dependencies", []), *pins]
        try:
            graph, pylock, accelerator = _accelerated(request, synthetic, folder, limit, listed)
        except LockError as error:
            failure = error.failure if isinstance(error, ResolutionError) else None
            following = request.indexes.following() if failure is not None and failure.unreachable else None
            if failure is not None and following is not None:
                reporter(request.indexes.left(failure.reason))
                return _resolved(replace(request, indexes=following), kept, listed, pins=pins, exact=exact, reporter=reporter)
            requirements = user_requirements(request, listed, synthetic)

            def suggest(names: Sequence[str]) -> Sequence[Suggestion]:
                return tuple(suggestions(request, synthetic, limit, names))

            raise explain_conflict(error, requirements, synthetic.project, suggest, reporter) from None
        if listed is not None and listed.frozen:
            note_systems(pylock)
        tidy_wheels(pylock, request.python)
        relocate(pylock, folder, request.root, synthetic.moved)
    made = _Made(pylock, graph, synthetic.origin, synthetic.project, accelerator=accelerator)
    if listed is not None:
        pylock["packages"] = formats(pylock.get("packages", []), listed.no_binary, listed.only_binary)
        _note_lines(made, listed, synthetic)
    return made


def synthetic_of(
    request: LockRequest, stack: ExitStack, folder: Path, listed: Requirements | None = None
) -> tuple[Synthetic, Requirements | None]:
    """The project that uv locks in the user's place, and the lines that it was made from, if it was. Raises LockError, ProjectError."""
    listed = listed or _listed(request)
    if listed is not None:
        return from_requirements(request.root, listed, request.python, stack, folder), listed
    if request.script is not None:
        return from_script(request.script, request.python), None
    return from_project(request.root, request.python, request.extras, request.groups, stack), None


def _note_lines(made: _Made, listed: Requirements, synthetic: Synthetic) -> None:
    named = [(name, line) for line in listed.lines if (name := synthetic.name_of(line))]
    made.roots = {name: line.place for name, line in reversed(named)}
    made.frozen = listed.frozen
    for name, line in named:
        if line.hashes:
            made.hashes[name] = (*made.hashes.get(name, ()), *line.hashes)


def _accelerated(
    request: LockRequest, synthetic: Synthetic, folder: Path, limit: str | None, listed: Requirements | None
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Resolves, and once more where builds for another accelerator than the index has are wanted; the lock, and what that changed."""
    frozen = listed is not None and listed.frozen
    graph, pylock = _lock(synthetic, folder, limit, frozen=frozen)
    hashed = [synthetic.name_of(line) for line in listed.lines if line.hashes] if listed is not None else []
    kept = {**sources(request.root), **synthetic.sources, **dict.fromkeys(hashed)}
    found = find_switch(request.accelerator, request.accelerator_index, pylock, kept)
    if found is None:
        return graph, pylock, {}
    settings, own = synthetic.settings, synthetic.sources
    while True:
        synthetic.settings, synthetic.sources = found.settings(settings), {**own, **found.sources}
        try:
            graph, after = _lock(synthetic, folder, limit, frozen=frozen, bare=False)
            break
        except LockError as error:
            fewer = found.without_missing(error)
            if fewer is None:
                raise accelerator_error(error, found, pylock, request.indexes.default) from None
            found = fewer
    use_vendor_urls(after, request.accelerator_index)
    return graph, after, record_savings(pylock, after, found)


def _lock(
    synthetic: Synthetic, folder: Path, limit: str | None, *, frozen: bool, bare: bool = True
) -> tuple[dict[str, Any], dict[str, Any]]:
    """For Linux; if that fails, for all systems: what only another one has is left out of a frozen list, or missed by whoever selects.

    With `bare`, what has no file for this Python at all is in the lock too, with the files that it has.
    """
    # Any interpreter does; one of the version gives what metadata is built the right answers.
    python = str(uv.local_python(synthetic.python) or sys.executable)
    try:
        graph, pylock = _locked(synthetic, folder, limit, python, everywhere=False)
    except uv.UvFailed as error:
        if not frozen and not error.failure.unusable:
            raise _explained(error, synthetic, folder) from None
    else:
        _add_foreign_files(pylock, Lookup(synthetic, limit), synthetic.python)
        return graph, pylock
    try:
        return _locked(synthetic, folder, limit, python, everywhere=True)
    except uv.UvFailed as error:
        found = package_without_wheels(error.failure, Lookup(synthetic, limit)) if bare else None
        if found is None:
            raise _explained(error, synthetic, folder) from None
    graph, pylock = _lock(found.removed_from(synthetic), folder, limit, frozen=frozen)
    return found.added_to(graph, pylock)


def _explained(failed: uv.UvFailed, synthetic: Synthetic, folder: Path) -> LockError:
    return resolution_error(failed.failure, synthetic.origin, {str(folder): "", **synthetic.moved}, synthetic.python)


def _locked(
    synthetic: Synthetic, folder: Path, limit: str | None, python: str, *, everywhere: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    synthetic.write(folder, everywhere=everywhere)
    prefer(synthetic.kept, folder)
    graph, pylock = uv.lock_project(folder, exclude_newer=limit, export=synthetic.export, python=python)
    return tomllib.loads(graph), tomllib.loads(pylock)


def _add_foreign_files(pylock: dict[str, Any], lookup: Lookup, minor: str) -> None:
    """A lock for Linux shows no wheels of other systems: without them, what has wheels for Windows alone looks like pure Python."""
    bare = {
        it["name"]: it
        for it in pylock.get("packages", [])
        if "sdist" in it and not it.get("wheels") and "version" in it and "url" in it["sdist"]
    }
    for package in lookup.packages({name: f"=={it['version']}" for name, it in bare.items()}, minor) if bare else ():
        mine = bare.get(package["name"])
        if mine is not None and package.get("version") == mine["version"] and package.get("wheels"):
            mine["wheels"] = package["wheels"]


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _toml(text: str, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise LockError(f"{path}: {error}", hint="Make this lock again with the tool that wrote it.") from None
