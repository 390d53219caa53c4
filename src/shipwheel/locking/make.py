"""Make the lock: resolve the requirements, or take another tool's lock, and write the result in the form of PEP 751."""

from collections.abc import Container, Mapping, Sequence
from datetime import UTC, date, datetime
from itertools import product
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from shipwheel.errors import LockError
from shipwheel.events import Reporter, StageFinished, StageStarted, Warned, silent
from shipwheel.locking.allowed_files import apply_hashes
from shipwheel.locking.build_requirements import stated_requirements
from shipwheel.locking.canonical_urls import canonical
from shipwheel.locking.diagnose.suggestions import closest_bounds
from shipwheel.locking.diagnose.uv_errors import ResolutionError
from shipwheel.locking.graph import read_graph
from shipwheel.locking.inputs import LockRequest, input_parts, inputs_digest, is_current
from shipwheel.locking.kept_copies import kept_copies
from shipwheel.locking.other_locks import contents_of
from shipwheel.locking.preferences import Packages, Upgrade, pinned_packages, preferred_packages, warn_of_moved, with_pins
from shipwheel.locking.project_day import ProjectDay, day_of_code, day_of_commit, day_of_pins, moved_packages
from shipwheel.locking.prune import without_credentials
from shipwheel.locking.pylock import CREATOR, FORMAT, Lock, LockedDeb, LockedNode, check_hashes, read_lock
from shipwheel.locking.resolve import LockContents, declared_requirements, resolve
from shipwheel.project.git_history import has_changes, last_commit, old_last_commit

__all__ = ["lock_for", "make_lock", "renewed", "with_other_version"]

_MAX_MOVES = 8
"""How many versions are tried in place of pinned ones that cannot be built."""

_COPIED_KEYS = ("lock-version", "environments", "requires-python", "extras", "dependency-groups", "default-groups")


def lock_for(request: LockRequest, reporter: Reporter = silent) -> Lock:
    """Return the project's lock: the existing one if it is current, else a new one, which is written. Raises LockError."""
    found = read_lock(request.inputs.lock_path)
    lock = renewed(request, found, reporter)
    if lock is not found:
        lock.write()
    return lock


def renewed(request: LockRequest, found: Lock | None, reporter: Reporter = silent, upgrade: Upgrade | None = None) -> Lock:
    """Return the existing lock if it is current and nothing is to be upgraded; else a new one, not yet written. Raises LockError.

    The new lock keeps the versions that still satisfy the requirements, what is compiled, which modules a start imported, and the base:
    that changes only if the user asks for it.
    """
    upgrade = upgrade or Upgrade()
    if found is not None and not upgrade and is_current(found, request):
        return found
    main = read_lock(request.inputs.main_lock) if request.inputs.main_lock is not None else None
    preferred = preferred_packages(found, request.day, upgrade)
    if main is not None:
        # A variant has the versions of the project's own lock, whatever it had before.
        preferred = with_pins(preferred, request.inputs.pins)
    lock = make_lock(request, reporter, preferred, newest=upgrade.everything)
    if found is not None and preferred:
        lock = lock.with_packages_of(found.packages_of)
    if found is not None and found.imports is not None:
        lock = lock.with_imports(found.imports)
    bases: dict[str, Any] = {}
    compiled: dict[str, tuple[str, ...]] = {}
    compilers: dict[str, tuple[str, ...]] = {}
    builder: dict[tuple[str, str], LockedDeb] = {}
    build_wheels: dict[str, dict[str, tuple[str, ...]]] = {}
    node: dict[str, LockedNode] = {}
    for known in filter(None, (main, found)):
        node |= known.node if preferred else {}
        bases |= known.base
        compiled |= {name: needed for name, needed in known.compiled.items() if name in lock.names}
        compilers |= known.compilers
        builder |= {deb.place: deb for deb in known.builder}
        if preferred and known.python == lock.python:
            for architecture, pins in known.build_wheels.items():
                kept = {name: each for name, each in pins.items() if name in compiled}
                build_wheels[architecture] = {**build_wheels.get(architecture, {}), **kept}
    lock = lock.with_node(node) if node else lock
    for architecture, base in bases.items():
        lock = lock.with_base(architecture, base)
    return lock.with_compiled(compiled).with_compilers(compilers, builder.values(), build_wheels) if compiled else lock


@kept_copies()
def make_lock(request: LockRequest, reporter: Reporter = silent, preferred: Packages = (), *, newest: bool = False) -> Lock:
    """Make a new lock, not yet written; `preferred` packages stay at their versions if they can.

    With `newest`, the others have today's versions, however old the project is.
    Raises LockError with uv's explanation.
    """
    now = datetime.now(UTC).date()
    as_of = request.day or now.isoformat()
    reporter(StageStarted("lock"))
    other = request.other_lock
    pins = () if preferred else pinned_packages(request.inputs.pins)
    preferred = preferred or pins
    if other is not None:
        contents = contents_of(other, request, preferred, reporter)
    else:
        contents = resolve(request, declared_requirements(request), preferred=preferred, reporter=reporter)
        if not request.as_of:
            contents = _as_in_its_day(request, contents, preferred, now, reporter, keeps=newest or (not pins and bool(preferred)))
    _check_python(request, contents)
    _warn_of_moved(request, contents, preferred, reporter, chosen=not pins)
    document = _document(request, contents, as_of)
    check_hashes(document, contents.origin)
    document = canonical(document, request.indexes, reporter)
    reporter(StageFinished("lock", f"{len(document['packages'])} Python packages from {contents.origin}, as of {as_of}"))
    return Lock(request.inputs.lock_path, document)


def with_other_version(error: LockError, request: LockRequest) -> LockError:
    """Return the error of a pinned version that cannot be built with the closest versions that can be locked; others as they are.

    One version after the other moves whose build fails.
    """
    left = {name: iter(bounds) for name, bounds in closest_bounds(stated_requirements(request.inputs)).items()}
    moved: dict[str, str] = {}
    failed = error
    for _ in range(_MAX_MOVES):
        name = failed.failure.built if isinstance(failed, ResolutionError) and not failed.failure.no_solution else ""
        bounds = next(left[name], "") if name in left else ""
        if not bounds:
            break
        moved[name] = f"{name}{bounds}"
        try:
            lock = make_lock(replace(request, replaced={**request.replaced, **moved}))
        except LockError as again:
            failed = again
            continue
        versions = {package["name"]: package["version"] for package in lock.data["packages"] if package["name"] in moved}
        text = f"Tried successfully: take {', '.join(f'{name} {versions[name]}' for name in moved if name in versions)}."
        found = {name: f"{name}=={versions[name]}" for name in moved if name in versions}
        hint = f"{error.hint} {text}".strip()
        return LockError(error.message, hint=hint, hint_without_python=text, summary=error.summary, replacements=found)
    return error


def _warn_of_moved(request: LockRequest, contents: LockContents, preferred: Packages, reporter: Reporter, *, chosen: bool) -> None:
    """Warn of preferred versions that are not kept. Those of a lock that is renewed may move, unless they cannot be built."""
    inputs = request.inputs
    if chosen:
        preferred = tuple(package for package in preferred if package["name"] in contents.unbuildable)
    origin = (inputs.main_lock or inputs.lock_path).name if chosen else inputs.pins.origin
    for warning in warn_of_moved(preferred, contents.pylock.get("packages", ()), contents.unbuildable, origin, request.python):
        reporter(warning)


def _as_in_its_day(
    request: LockRequest, contents: LockContents, preferred: Packages, today: date, reporter: Reporter, *, keeps: bool
) -> LockContents:
    """Return contents with the packages of the day of an old project, where they can be resolved; else as they are.

    With `keeps`, as for a lock that is made again, they are not moved to a day.
    """
    declared = declared_requirements(request)
    table = request.inputs.tables.get("project", {})
    stated = [line.text for line in declared.lines] if declared is not None else table.get("dependencies", ())
    now = contents.pylock.get("packages", [])
    # Whoever edits the requirements today means what there is today.
    commit = None if has_changes(request.root, _requirement_files(request)) else last_commit(request.root)
    its = day_of_pins(stated, now, today, commit, contents.origin) or day_of_commit(commit, today)
    its = day_of_code(request.old_names, now, its)
    if its is not None and (keeps or not its.is_before(now)):
        missing = its.missing(now, request.python)
        return (_resolved(request, missing, preferred, (), contents) if missing else None) or contents
    # Where no list has anything, all that is added is what the code imports, and as old as that.
    added = () if declared is not None and not declared.lines else request.added
    found = _of_day(its, request, contents, added, reporter) if its is not None else None
    if found is None and not (contents.is_pinned or keeps):
        _warn_of_age(request.root, today, reporter)
    return found or contents


def _of_day(its: ProjectDay, request: LockRequest, contents: LockContents, added: Sequence[str], reporter: Reporter) -> LockContents | None:
    """Return contents with the packages of a day, but pinned versions and what the image adds, and say which ones differ.

    Return None if they cannot be resolved.
    """
    now = contents.pylock.get("packages", [])
    # A requirement may ask for what is assumed not to suit.
    for bounds, missing in dict.fromkeys(product(((*its.bounds, *its.assumed), its.bounds), (its.missing(now, request.python), ()))):
        then = _resolved(replace(request, as_of=its.day), missing, pinned_packages(request.inputs.pins), bounds, contents)
        if then is None:
            continue
        of_day = its.preferred(then.pylock.get("packages", []), now, added, request.python)
        preferred = with_pins(of_day, request.inputs.pins)
        found = _resolved(request, missing, preferred, bounds, then)
        if found is None:
            continue
        moved = moved_packages(found.pylock.get("packages", []), now)
        if moved:
            reporter(its.warning(moved))
        return replace(found, packages_of=its.day.isoformat()) if moved else contents
    # What the project requires by name may be newer than the day.
    return _resolved(request, (), (), its.bounds, contents) if its.bounds else None


def _resolved(
    request: LockRequest, more: Sequence[str], preferred: Packages, bounds: Sequence[str], known: LockContents
) -> LockContents | None:
    """Return the contents for a request with more requirements, within bounds; None if they cannot be resolved."""
    wanted = replace(request, added=(*request.added, *more))
    try:
        return resolve(wanted, declared_requirements(request), preferred=preferred, constraints=bounds, known=known)
    except LockError:
        return None


def _requirement_files(request: LockRequest) -> tuple[str, ...]:
    """Return the files that state requirements, without those that shipwheel writes: its lock, and what its settings are in."""
    inputs = request.inputs
    own = {inputs.lock_path.name, *(["pyproject.toml"] if "shipwheel" in inputs.tables.get("tool", {}) else [])}
    return tuple(name for name in inputs.texts if name not in own)


def _warn_of_age(root: Path, today: date, reporter: Reporter) -> None:
    """Warn of unpinned requirements in an old project: today's versions may differ from all that it ever ran with."""
    day = old_last_commit(root, today)
    if day is not None:
        message = f"the last commit is of {day.isoformat()}, but requirements that are not pinned get today's versions"
        reporter(Warned(message, f"If the app does not work with them, --as-of {day.isoformat()} takes the versions of that day."))


def _check_python(request: LockRequest, contents: LockContents) -> None:
    """Raise LockError if another tool's lock is for other Python versions."""
    from packaging.specifiers import SpecifierSet

    supported = SpecifierSet(contents.pylock.get("requires-python", ""))
    if not any(supported.contains(f"{request.python}.{micro}") for micro in (0, 99)):
        hint = "Choose a Python version that it is for (--python)."
        raise LockError(f"{contents.origin} is for Python {supported}, not {request.python}", hint=hint, hint_without_python="")


def _document(request: LockRequest, contents: LockContents, as_of: str) -> dict[str, Any]:
    """Return the lock as a TOML document: PEP 751, with shipwheel's `created-by` and [tool.shipwheel]."""
    dependencies, direct = read_graph(contents.uv_lock, contents.project, request.extras, request.groups)
    packages = [_with_dependencies(package, dependencies) for package in without_credentials(contents.pylock.get("packages", []))]
    names = {package["name"] for package in packages}
    packages = [_with_locked_dependencies(package, names) for package in packages]
    # A pinned list requires every package in it; the project that it was made from requires fewer.
    roots = contents.roots if contents.exact_roots else {**dict.fromkeys(direct, contents.origin), **contents.roots}
    tool: dict[str, Any] = {
        **({"packages-of": contents.packages_of} if contents.packages_of else {}),
        "format": FORMAT,
        "inputs": inputs_digest(request),
        "python": request.python,
        "as-of": as_of,
        "origin": contents.origin,
        "frozen": contents.is_pinned,
    }
    if contents.build_requirements:
        tool["build-requirements"] = {name: list(needed) for name, needed in contents.build_requirements.items()}
    if contents.accelerator:
        tool["accelerator"] = contents.accelerator
    tool |= {name: list(value) for name, value in (("extras", request.extras), ("groups", request.groups)) if value}
    tool |= {"parts": input_parts(request), "roots": dict(sorted(roots.items()))}
    top = {key: contents.pylock[key] for key in _COPIED_KEYS if key in contents.pylock}
    tools = {**contents.pylock.get("tool", {}), "shipwheel": tool}
    return {**top, "created-by": CREATOR, "packages": [apply_hashes(package, contents.hashes) for package in packages], "tool": tools}


def _with_dependencies(package: dict[str, Any], dependencies: Mapping[str, list[dict[str, Any]]]) -> dict[str, Any]:
    if "dependencies" in package or not dependencies.get(package["name"]):
        return package
    return {**package, "dependencies": dependencies[package["name"]]}


def _with_locked_dependencies(package: dict[str, Any], names: Container[str]) -> dict[str, Any]:
    """Drop dependencies that are for other systems, or are the project itself: PEP 751 allows only entries of the lock."""
    edges = [edge for edge in package.get("dependencies", ()) if edge.get("name") in names]
    return {**{key: value for key, value in package.items() if key != "dependencies"}, **({"dependencies": edges} if edges else {})}
