"""`shipwheel lock`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from shipwheel.cli.command import Command, option
from shipwheel.cli.options import request_from, some_options
from shipwheel.cli.plan import left_out
from shipwheel.cli.terminal import Terminal

if TYPE_CHECKING:
    from shipwheel.locking.diagnose.diff import Changes, LockDiff, PlatformDiff
    from shipwheel.locking.diagnose.why import PackageReport
    from shipwheel.locking.selection import Selection
    from shipwheel.pipeline.lock_project import Locked
    from shipwheel.request import Request

__all__ = ["command"]

_MAX_CHANGES = 40
"""How many changed packages are listed without --json."""


@click.command(
    "lock",
    cls=Command,
    help="Lock the packages of the project at PATH for all platforms, or check, explain or compare its lock.",
    examples=(
        "shipwheel lock .",
        "shipwheel lock --upgrade-package httpx",
        "shipwheel lock --explain pydantic",
        "shipwheel lock --diff HEAD",
    ),
)
@some_options("path", "platforms", "python", "python_builds", "as_of", "accelerator", "extras", "groups", "requirements", "base")
@option("--upgrade", is_flag=True, help="Upgrade all packages; otherwise locked versions stay where possible.", group="Lock")
@option("--upgrade-package", "names", multiple=True, metavar="NAME", help="Upgrade only this package; repeatable.", group="Lock")
@option("--check", is_flag=True, help="Exit with 1 and the reason if the lock is not current; write nothing, use no network.", group="Lock")
@option("--explain", metavar="NAME", help="Show what requires a package, why this version, and what blocks a newer one.", group="Lock")
@option(
    "--diff",
    metavar="OLD",
    help="Show what changed from OLD, a file or a git revision such as HEAD, to the lock, or to NEW.",
    group="Lock",
)
@click.argument("new", required=False, type=click.Path(path_type=Path))
@some_options("yes")
def command(terminal: Terminal, path: Path, new: Path | None, **flags: Any) -> int:
    """Lock, check, explain or compare; print the result on standard output."""
    check, explain, diff = flags.pop("check"), flags.pop("explain"), flags.pop("diff")
    upgrade, names = flags.pop("upgrade"), flags.pop("names")
    if sum(map(bool, (check, explain, diff, upgrade or names))) > 1:
        raise click.UsageError("--check, --explain, --diff and --upgrade cannot be combined.")
    if diff and new is None and path.is_file() and path.suffix == ".toml":
        path, new = Path(), path
    if new is not None and not diff:
        raise click.UsageError(f"Got unexpected extra argument ({new})")
    request = request_from(path, flags, terminal.report)
    if diff:
        return _compare(request, diff, new, terminal)
    if check:
        return _check(request, terminal)
    if explain:
        return _explain(request, explain, terminal)
    from shipwheel.api import lock

    found = lock(request, upgrade=upgrade, upgrade_packages=names)
    terminal.result(lambda: _document(found), () if terminal.quiet else _summary(found))
    return 0


def _check(request: "Request", terminal: Terminal) -> int:
    from shipwheel.pipeline.lock_project import outdated_reasons

    reasons = outdated_reasons(request)
    lines = [*reasons, "Run `shipwheel lock` to make it current."] if reasons else ["The lock is current and serves every platform."]
    terminal.result(lambda: {"current": not reasons, "reasons": list(reasons)}, lines if reasons or not terminal.quiet else ())
    return 1 if reasons else 0


def _explain(request: "Request", name: str, terminal: Terminal) -> int:
    from shipwheel.pipeline.lock_project import explain_package

    found = explain_package(request, name)
    terminal.result(lambda: msgspec.to_builtins(found), _explanation(found))
    return 0


def _explanation(found: "PackageReport") -> Iterator[str]:
    yield f"{found.name} {', '.join(found.versions)}"
    for each in found.platforms:
        size = f", {each.size / 1e6:.1f} MB" if each.size else ""
        yield f"  {each.platform:<14} " + " ".join(filter(None, (each.file and f"{each.file}{size}", each.note)))
    for asked in dict.fromkeys(asked for each in found.platforms for asked in each.asked_by):
        where = [each.platform for each in found.platforms if asked in each.asked_by]
        yield f"  required by {asked}" + ("" if len(where) == len(found.platforms) else f" on {', '.join(where)}")
    for chain in dict.fromkeys(each.chain for each in found.platforms if each.chain.count(" → ") > 1):
        yield f"  through {chain}"
    yield from _newer(found)


def _newer(found: "PackageReport") -> Iterator[str]:
    newer = found.newer
    if newer.held:
        yield f"  pinned to this version by {newer.held}"
    if newer.note:
        yield f"  {newer.note}" + (f"; the newest is {newer.newest}" if newer.newest and newer.newest not in found.versions else "")
    elif newer.possible:
        yield f"  nothing blocks {newer.possible}: {newer.command}"
        yield from (f"    also changes {move}" for move in newer.moves)
        if newer.newest != newer.possible:
            yield f"  the newest is {newer.newest}"
    elif newer.obstacles:
        yield f"  the newest is {newer.newest or 'unknown'}; a newer version is blocked by:"
        yield from (f"    {line}" for line in newer.obstacles)
    elif newer.newest:
        yield f"  the newest is {newer.newest}"


def _summary(found: "Locked") -> Iterator[str]:
    lock = found.lock
    same = found.lock is found.before
    state = "is current" if same else "was written" if found.before is None else "was updated"
    yield f"{lock.path.name} {state}: from {lock.origin}, Python {lock.python}, as of {lock.as_of}"
    for each in found.selections:
        yield from _selection(each)
    if not same and found.before is not None:
        from shipwheel.locking.diagnose.diff import lock_diff

        changes = lock_diff(found.before, lock, {}).distributions
        yield f"changes: {_count(changes)}"
        yield from _changes(changes)
    without = [str(each.target.platform) for each in found.selections if each.target.platform.architecture not in lock.base]
    if without:
        yield f"The base for {', '.join(without)} is not locked yet: the first build locks it, when it knows what the wheels need."


def _selection(each: "Selection") -> Iterator[str]:
    size = sum(item.size or 0 for item in each.distributions) / 1e6
    least = "at least " if any(item.size is None and item.kind == "wheel" for item in each.distributions) else ""
    yield f"  {each.target.platform!s:<14} {len(each.distributions)} packages, {least}{size:.1f} MB"
    for gone in each.left_out:
        yield f"    left out {left_out(gone)}"
    built = [item for item in each.distributions if item.kind != "wheel"]
    if built:
        yield f"    built from source: {', '.join(f'{item.label} ({item.kind})' for item in built)}"


def _count(changes: "Changes") -> str:
    if not changes:
        return "the same versions"
    return f"{len(changes.added)} added, {len(changes.removed)} removed, {len(changes.moved)} changed"


def _changes(changes: "Changes", indent: str = "  ") -> Iterator[str]:
    lines = [
        *(f"+ {name} {version}" for name, version in changes.added),
        *(f"- {name} {version}" for name, version in changes.removed),
        *(f"~ {name} {old} → {new}" for name, old, new in changes.moved),
    ]
    yield from (indent + line for line in lines[:_MAX_CHANGES])
    if len(lines) > _MAX_CHANGES:
        yield f"{indent}… and {len(lines) - _MAX_CHANGES} more (--json lists all)"


def _document(found: "Locked") -> dict[str, Any]:
    from shipwheel.locking.diagnose.diff import lock_diff

    lock = found.lock
    changes = lock_diff(found.before, lock, {}).distributions if found.before is not None else None
    return {
        "lock": str(lock.path),
        "written": found.lock is not found.before,
        "origin": lock.origin,
        "python": lock.python,
        "as-of": lock.as_of,
        "changes": msgspec.to_builtins(changes) if changes is not None else None,
        "platforms": [
            {
                "platform": str(each.target.platform),
                "distributions": {item.name: item.version for item in each.distributions},
                "files": {item.name: item.filename for item in each.distributions if item.filename},
                "bytes": sum(item.size or 0 for item in each.distributions),
                "left-out": [msgspec.to_builtins(gone) for gone in each.left_out],
                "built": [item.label for item in each.distributions if item.kind != "wheel"],
                "base-locked": each.target.platform.architecture in lock.base,
            }
            for each in found.selections
        ],
    }


def _compare(request: "Request", old: str, new: Path | None, terminal: Terminal) -> int:
    from shipwheel.pipeline.lock_compare import compare_locks

    found = compare_locks(request, old, new)
    terminal.result(lambda: msgspec.to_builtins(found), _difference(found))
    return 0


def _difference(found: "LockDiff") -> Iterator[str]:
    if not found:
        yield "Nothing changed."
        return
    for name, old, new in found.facts:
        yield f"{name}: {old or 'unknown'} → {new or 'unknown'}"
    yield f"packages: {_count(found.distributions)}"
    yield from _changes(found.distributions)
    for label, names in found.files.items():
        yield f"files of {label}:"
        yield from (f"  {name}" for name in names)
    for each in found.platforms:
        yield from _platform(each)


def _platform(each: "PlatformDiff") -> Iterator[str]:
    if each.gained or each.lost:
        yield f"{each.platform}: {'added' if each.gained else 'removed'}"
        return
    if each.before is None or each.after is None:
        yield f"{each.platform}: in neither lock"
        return
    yield f"{each.platform}: {each.before / 1e6:.1f} → {each.after / 1e6:.1f} MB"
    if each.base:
        yield f"  base: {_count(each.base)}"
        yield from _changes(each.base, "    ")
