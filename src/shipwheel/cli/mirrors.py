"""`shipwheel mirrors`."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from shipwheel.cli.command import Command
from shipwheel.cli.terminal import Terminal

if TYPE_CHECKING:
    from shipwheel.download.mirrors import Choice, Measurement

__all__ = ["command"]

_KINDS = {"index": "package index", "debian": "Debian archive", "pythons": "Pythons"}


@click.command(
    "mirrors",
    cls=Command,
    help="Measure public mirrors of the package index, the Debian archive and standalone Pythons, and choose some.",
    examples=(
        "shipwheel mirrors",
        "shipwheel mirrors --use auto",
    ),
)
@click.option("--use", metavar="auto|NAME|URL|none", help="Save a choice: the best mirrors, one by name or address, or none.")
@click.option("--days", type=click.IntRange(1, 365), default=7, show_default=True, help="How long to keep the choice.")
def command(terminal: Terminal, use: str | None, days: int) -> None:
    """Print the measurements as a table. `--use` with a name or an address measures nothing."""
    from shipwheel.base.standalone_builds import newest_path
    from shipwheel.download.mirrors import choose, delete_choice, load_choice, measure, save_choice
    from shipwheel.store.store import default_root

    root = default_root()
    measured: Sequence[Measurement] = ()
    if use is None or use == "auto":
        measured = measure(python=newest_path(Path.cwd()))
    if use == "none":
        delete_choice(root)
    elif use is not None:
        save_choice(root, choose(use, lambda: measured, days=days, before=load_choice(root)))
    choice = load_choice(root)
    terminal.result(lambda: _document(measured, choice), (*_table(measured, choice), *_summary(choice)))


def _document(measured: "Sequence[Measurement]", choice: "Choice") -> dict[str, Any]:

    rows = [{**msgspec.structs.asdict(it), "cost": it.cost if it.rate else None} for it in measured]
    return {"mirrors": rows, "choice": msgspec.structs.asdict(choice), "used": _used(choice)}


def _table(measured: "Sequence[Measurement]", choice: "Choice") -> Iterator[str]:
    for kind, title in _KINDS.items():
        rows = sorted((it for it in measured if it.kind == kind), key=lambda it: (bool(it.problem), it.cost))
        if rows:
            yield f"{title:<16} {'first byte':>10} {'throughput':>12}  fresh"
        for it in rows:
            mark = "*" if it.address in choice.addresses(kind) else " "
            if it.problem:
                yield f"{mark} {it.name:<14} {'':>10} {'':>12}  {it.problem}"
            else:
                yield f"{mark} {it.name:<14} {it.first * 1000:>7.0f} ms {it.rate / 1e6:>7.1f} MB/s  {it.fresh[:16].replace('T', ' ')}"
    if measured:
        yield ""


def _used(choice: "Choice") -> dict[str, dict[str, str]]:
    """Return the mirror of each kind that is used now, and where the choice comes from."""
    from shipwheel.base.standalone_builds import uv_mirror
    from shipwheel.debian.mirror import MIRROR_VARIABLE, apt_mirror
    from shipwheel.project.indexes import read_indexes, without_login
    from shipwheel.project.workspace import read_workspace
    from shipwheel.user.files import UserFiles

    settings = read_workspace(UserFiles(), Path.cwd()).settings
    indexes, pythons = read_indexes(settings, choice=lambda: choice), uv_mirror(settings, os.environ)
    variable, apt = os.environ.get(MIRROR_VARIABLE), apt_mirror(Path("/etc/apt"))
    debian = (
        (variable, MIRROR_VARIABLE)
        if variable
        else (apt.debian, "apt's settings")
        if apt
        else (choice.debian[0], "the saved choice")
        if choice.debian
        else ("", "the fastest public mirror, measured at every build")
    )
    return {
        "index": {"address": without_login(indexes.default), "origin": indexes.origin or "uv's default"},
        "debian": {"address": without_login(debian[0]), "origin": debian[1]},
        "pythons": {
            "address": without_login(pythons or next(iter(choice.pythons), "")),
            "origin": "uv's settings" if pythons else "the saved choice" if choice.pythons else "uv's default",
        },
    }


def _summary(choice: "Choice") -> Iterator[str]:
    for kind, used in _used(choice).items():
        yield f"{_KINDS[kind]}: {used['address'] or 'the default'} ({used['origin']})"
    if choice.until:
        yield f"The choice is valid until {choice.until}. To remove it: shipwheel mirrors --use none"
    else:
        yield "No choice is saved. To save the best mirrors: shipwheel mirrors --use auto"
