"""`shipwheel cache`."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shipwheel.cli.amounts import parse_age
from shipwheel.cli.cache_limit import LIMIT, cache_limit
from shipwheel.cli.command import Command, option
from shipwheel.cli.terminal import Terminal
from shipwheel.cli.text import columns
from shipwheel.errors import StoreError, UsageError
from shipwheel.events import format_size

if TYPE_CHECKING:
    from shipwheel.store.contents import StoredItem
    from shipwheel.store.prune import Pruned

__all__ = ["command"]

_DEFAULT_AGE = "30d"


@click.command(
    "cache",
    cls=Command,
    help="Show or clean the cache: downloads, layers and all else that a build can make or fetch again.\n\n"
    "dir prints its directory. info shows what it holds. prune removes what was not used lately, the least recently used first. "
    f"clean removes everything. What a running build uses stays. The directory is SHIPWHEEL_CACHE; with {LIMIT}, a size such as 5GB, "
    "every build prunes the cache to that size when it ends.",
    examples=(
        "shipwheel cache info",
        "shipwheel cache prune --older-than 30d",
        "shipwheel cache prune --max-size 5GB --dry-run",
        "shipwheel cache clean --yes",
    ),
)
@click.argument("action", type=click.Choice(["dir", "info", "prune", "clean"]), default="info")
@option(
    "--older-than", metavar="TIME", help=f"Remove what was not used for so long [{_DEFAULT_AGE}, unless there is a size].", group="prune"
)
@option("--max-size", metavar="SIZE", help=f"Remove the least recently used until so much is left [{LIMIT}].", group="prune")
@option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing; also for clean.", group="prune")
@option("--yes", is_flag=True, help="Do not ask.", group="clean")
def command(terminal: Terminal, action: str, older_than: str | None, max_size: str | None, dry_run: bool, yes: bool) -> None:
    """Print the directory, a table of what there is, or of what was removed."""
    from shipwheel.store.store import default_root

    _reject_others_options(action, {"--older-than": older_than, "--max-size": max_size, "--dry-run": dry_run, "--yes": yes})
    root = default_root().absolute()
    if action == "dir":
        terminal.result(lambda: {"directory": str(root)}, [str(root)])
        return
    try:
        if action == "info":
            _show(root, terminal)
        elif action == "prune":
            _prune(root, older_than, max_size, terminal, dry_run=dry_run)
        elif dry_run or yes or _is_confirmed(root, terminal):
            _clean(root, terminal, dry_run=dry_run)
    except OSError as error:
        where = error.filename or root
        raise StoreError(f"the cache cannot be read: {where}: {error.strerror or error}", hint="Correct this, and run it again.") from error


def _reject_others_options(action: str, given: dict[str, object]) -> None:
    own = {"prune": {"--older-than", "--max-size", "--dry-run"}, "clean": {"--dry-run", "--yes"}}.get(action, set())
    for name, value in given.items():
        if value and name not in own:
            raise UsageError(f"shipwheel cache {action} has no option {name}", hint="`shipwheel cache --help` lists the options of each.")


def _show(root: Path, terminal: Terminal) -> None:
    from shipwheel.store.contents import stored_items

    items = stored_items(root)
    limit = cache_limit()

    def document() -> dict[str, Any]:
        return {"directory": str(root), "kinds": _by_kind(items), **_sum(items), "limit": limit}

    def lines() -> Iterator[str]:
        yield str(root)
        yield _table(items)
        yield f"Limit: {format_size(limit)} ({LIMIT})" if limit is not None else f"No limit is set. To set one: {LIMIT}=5GB"

    terminal.result(document, lines())


def _prune(root: Path, older_than: str | None, max_size: str | None, terminal: Terminal, *, dry_run: bool) -> None:
    from shipwheel.store.prune import prune

    limit = cache_limit(max_size, "--max-size") if max_size is not None else cache_limit() if older_than is None else None
    age = parse_age(older_than or _DEFAULT_AGE, "--older-than") if older_than is not None or limit is None else None
    _report(root, prune(root, older_than=age, max_size=limit, dry_run=dry_run), terminal, dry_run=dry_run)


def _clean(root: Path, terminal: Terminal, *, dry_run: bool) -> None:
    from shipwheel.store.prune import clean

    _report(root, clean(root, dry_run=dry_run), terminal, dry_run=dry_run)


def _is_confirmed(root: Path, terminal: Terminal) -> bool:
    """Ask on a terminal. Elsewhere nobody could answer, and --yes is needed."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("nobody can be asked whether everything is to be removed", hint="Add --yes.")
    return terminal.confirm(f"Remove everything in {root}?")


def _report(root: Path, pruned: "Pruned", terminal: Terminal, *, dry_run: bool) -> None:
    def document() -> dict[str, Any]:
        return {
            "directory": str(root),
            "dry-run": dry_run,
            "removed": {"kinds": _by_kind(pruned.removed), **_sum(pruned.removed)},
            "in-use": _sum(pruned.in_use),
            "left": pruned.left,
        }

    def lines() -> Iterator[str]:
        if pruned.removed:
            yield _table(pruned.removed)
        size = format_size(sum(item.size for item in pruned.removed))
        yield f"{'would remove' if dry_run else 'removed'} {size}, {format_size(pruned.left)} {'would be' if dry_run else 'are'} left"

    terminal.result(document, lines())
    if not pruned.removed and not pruned.in_use and pruned.left:
        terminal.note("All of it was used lately. To remove more: shipwheel cache prune --max-size SIZE, or shipwheel cache clean")
    if pruned.in_use:
        size = format_size(sum(item.size for item in pruned.in_use))
        terminal.note(f"{size} more stay: builds or containers that run may use them")
    if pruned.failures:
        first = pruned.failures[0]
        raise StoreError(
            f"{len(pruned.failures)} files cannot be removed; the first is {first.filename}: {first.strerror}",
            hint="Run the command as the user that owns the cache.",
        )


def _by_kind(items: Iterable["StoredItem"]) -> dict[str, dict[str, int]]:
    from shipwheel.store.contents import Kind

    groups = {kind: [item for item in items if item.kind is kind] for kind in Kind}
    return {kind.value.replace(" ", "-"): _sum(group) for kind, group in groups.items() if group}


def _sum(items: Iterable["StoredItem"]) -> dict[str, int]:
    sizes = [item.size for item in items]
    return {"count": len(sizes), "size": sum(sizes)}


def _table(items: Iterable["StoredItem"]) -> str:
    kinds = {**{kind.replace("-", " "): row for kind, row in _by_kind(items).items()}, "total": _sum(items)}
    return columns([(f"  {kind}", str(row["count"]), format_size(row["size"])) for kind, row in kinds.items()], left=(0,))
