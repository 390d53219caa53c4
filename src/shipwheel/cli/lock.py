"""`shipwheel lock`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shipwheel.cli.options import request_from, some_options
from shipwheel.cli.progress import progress

if TYPE_CHECKING:
    from shipwheel.lock.diagnose.diff import Changes, LockDiff, PlatformDiff
    from shipwheel.lock.diagnose.why import Explanation
    from shipwheel.lock.selection import Selection
    from shipwheel.pipeline.locking import Locked
    from shipwheel.request import Request

__all__ = ["command"]

_SHOWN = 40
"""Changed distributions that are listed without --json."""


@click.command("lock", help="Lock the project at PATH for every platform, or say what a lock holds. No image is made.")
@some_options("path", "platforms", "python", "python_builds", "as_of", "accelerator", "extras", "groups", "requirements", "base")
@click.option("--upgrade", is_flag=True, help="Take the newest versions that satisfy; else those that were locked stay where they can.")
@click.option("--upgrade-package", "names", multiple=True, metavar="NAME", help="Let this distribution alone move; can be repeated.")
@click.option("--check", is_flag=True, help="Write nothing, ask nobody: exit code 1, with the reason, when the lock is not current.")
@click.option("--explain", metavar="NAME", help="Say who asks for a distribution, why this version, and what stands in a newer one's way.")
@click.option("--diff", metavar="OLD", help="Say what changed from OLD, a lock or a revision of git such as HEAD, to the lock, or to NEW.")
@click.argument("new", required=False, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on standard output.")
@some_options("quiet")
def command(path: Path, new: Path | None, quiet: bool, as_json: bool, **flags: Any) -> int:
    """Does one of four things: locks, checks, explains, compares; prints the result on standard output."""
    check, explain, diff = flags.pop("check"), flags.pop("explain"), flags.pop("diff")
    upgrade, names = flags.pop("upgrade"), flags.pop("names")
    if sum(map(bool, (check, explain, diff, upgrade or names))) > 1:
        raise click.UsageError("--check, --explain, --diff and --upgrade are four different things: give one of them.")
    if diff and new is None and path.is_file() and path.suffix == ".toml":
        path, new = Path(), path
    if new is not None and not diff:
        raise click.UsageError(f"Got unexpected extra argument ({new})")
    with progress(quiet) as reporter:
        if diff:
            return _compare(path, diff, new, flags, reporter, as_json)
        request: Request = request_from(path, flags, reporter)
        if check:
            return _check(request, as_json, quiet)
        if explain:
            return _explain(request, explain, as_json)
        from shipwheel.lock.preferences import Upgrade
        from shipwheel.pipeline.locking import made_lock

        found = made_lock(request, Upgrade(upgrade, frozenset(names)))
    if as_json:
        click.echo(json.dumps(_document(found), indent=2))
    elif not quiet:
        click.echo("\n".join(_summary(found)))
    return 0


def _check(request: "Request", as_json: bool, quiet: bool) -> int:
    from shipwheel.pipeline.locking import stale

    reasons = stale(request)
    if as_json:
        click.echo(json.dumps({"current": not reasons, "reasons": list(reasons)}, indent=2))
    elif reasons:
        click.echo("\n".join((*reasons, "Run `shipwheel lock` to make it current.")))
    elif not quiet:
        click.echo("The lock is current, and serves every platform.")
    return 1 if reasons else 0


def _explain(request: "Request", name: str, as_json: bool) -> int:
    from dataclasses import asdict

    from shipwheel.pipeline.locking import explained_name

    found = explained_name(request, name)
    if as_json:
        click.echo(json.dumps(asdict(found), indent=2))
    else:
        click.echo("\n".join(_explanation(found)))
    return 0


def _explanation(found: "Explanation") -> Iterator[str]:
    yield f"{found.name} {', '.join(found.versions)}"
    for each in found.platforms:
        size = f", {each.size / 1e6:.1f} MB" if each.size else ""
        yield f"  {each.platform:<14} " + " ".join(filter(None, (each.file and f"{each.file}{size}", each.note)))
    for asked in dict.fromkeys(asked for each in found.platforms for asked in each.asked_by):
        where = [each.platform for each in found.platforms if asked in each.asked_by]
        yield f"  asked for by {asked}" + ("" if len(where) == len(found.platforms) else f" on {', '.join(where)}")
    for way in dict.fromkeys(each.chain for each in found.platforms if each.chain.count(" → ") > 1):
        yield f"  by way of {way}"
    yield from _newer(found)


def _newer(found: "Explanation") -> Iterator[str]:
    newer = found.newer
    if newer.held:
        yield f"  {newer.held} holds it at this version"
    if newer.note:
        yield f"  {newer.note}" + (f"; the newest is {newer.newest}" if newer.newest and newer.newest not in found.versions else "")
    elif newer.possible:
        yield f"  nothing stands in the way of {newer.possible}: {newer.command}"
        yield from (f"    then also {move}" for move in newer.moves)
        if newer.newest != newer.possible:
            yield f"  the newest is {newer.newest}"
    elif newer.obstacles:
        yield f"  the newest is {newer.newest or 'not known'}; in the way of a newer one:"
        yield from (f"    {line}" for line in newer.obstacles)
    elif newer.newest:
        yield f"  the newest is {newer.newest}"


def _summary(found: "Locked") -> Iterator[str]:
    lock = found.lock
    same = found.lock is found.before
    state = "is current" if same else "was written" if found.before is None else "was made again"
    yield f"{lock.path.name} {state}: from {lock.origin}, Python {lock.python}, as of {lock.as_of}"
    for each in found.selections:
        yield from _selection(each)
    if not same and found.before is not None:
        from shipwheel.lock.diagnose.diff import lock_diff

        changes = lock_diff(found.before, lock, {}).distributions
        yield f"against the lock before: {_counted(changes)}"
        yield from _changes(changes)
    without = [str(each.target.platform) for each in found.selections if each.target.platform.architecture not in lock.base]
    if without:
        yield f"The base of {', '.join(without)} is not locked yet: the first build does that, knowing what the wheels need."


def _selection(each: "Selection") -> Iterator[str]:
    size = sum(item.size or 0 for item in each.distributions) / 1e6
    least = "at least " if any(item.size is None and item.kind == "wheel" for item in each.distributions) else ""
    yield f"  {each.target.platform!s:<14} {len(each.distributions)} distributions, {least}{size:.1f} MB"
    for gone in each.left_out:
        asked = f" (asked for by {', '.join(gone.wanted_by)})" if gone.wanted_by else ""
        yield f"    left out {gone.name} {gone.version}: {gone.reason}{asked}"
    built = [item for item in each.distributions if item.kind != "wheel"]
    if built:
        yield f"    to be built: {', '.join(f'{item.label} ({item.kind})' for item in built)}"


def _counted(changes: "Changes") -> str:
    if not changes:
        return "the same versions"
    return f"{len(changes.added)} added, {len(changes.removed)} removed, {len(changes.moved)} with another version"


def _changes(changes: "Changes", indent: str = "  ") -> Iterator[str]:
    lines = [
        *(f"+ {name} {version}" for name, version in changes.added),
        *(f"- {name} {version}" for name, version in changes.removed),
        *(f"~ {name} {old} → {new}" for name, old, new in changes.moved),
    ]
    yield from (indent + line for line in lines[:_SHOWN])
    if len(lines) > _SHOWN:
        yield f"{indent}… and {len(lines) - _SHOWN} more (--json has them all)"


def _document(found: "Locked") -> dict[str, Any]:
    from dataclasses import asdict

    from shipwheel.lock.diagnose.diff import lock_diff

    lock = found.lock
    changes = lock_diff(found.before, lock, {}).distributions if found.before is not None else None
    return {
        "lock": str(lock.path),
        "written": found.lock is not found.before,
        "origin": lock.origin,
        "python": lock.python,
        "as-of": lock.as_of,
        "changes": asdict(changes) if changes is not None else None,
        "platforms": [
            {
                "platform": str(each.target.platform),
                "distributions": {item.name: item.version for item in each.distributions},
                "files": {item.name: item.filename for item in each.distributions if item.filename},
                "bytes": sum(item.size or 0 for item in each.distributions),
                "left-out": [asdict(gone) for gone in each.left_out],
                "built": [item.label for item in each.distributions if item.kind != "wheel"],
                "base-locked": each.target.platform.architecture in lock.base,
            }
            for each in found.selections
        ],
    }


def _compare(path: Path, old: str, new: Path | None, flags: dict[str, Any], reporter: Any, as_json: bool) -> int:
    from dataclasses import asdict

    from shipwheel.pipeline.lock_compare import compared

    found = compared(request_from(path, flags, reporter), old, new)
    if as_json:
        click.echo(json.dumps(asdict(found), indent=2))
    else:
        click.echo("\n".join(_difference(found)))
    return 0


def _difference(found: "LockDiff") -> Iterator[str]:
    if not found:
        yield "Nothing changed."
        return
    for name, old, new in found.facts:
        yield f"{name}: {old or 'unknown'} → {new or 'unknown'}"
    yield f"distributions: {_counted(found.distributions)}"
    yield from _changes(found.distributions)
    for label, names in found.files.items():
        yield f"files of {label}:"
        yield from (f"  {name}" for name in names)
    for each in found.platforms:
        yield from _platform(each)


def _platform(each: "PlatformDiff") -> Iterator[str]:
    if each.gained or each.lost:
        yield f"{each.platform}: {'gained' if each.gained else 'lost'}"
        return
    if each.before is None or each.after is None:
        yield f"{each.platform}: served by neither"
        return
    yield f"{each.platform}: {each.before / 1e6:.1f} → {each.after / 1e6:.1f} MB"
    if each.base:
        yield f"  base: {_counted(each.base)}"
        yield from _changes(each.base, "    ")
