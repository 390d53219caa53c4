"""`shipwheel build --all`: every application of a workspace, one after the other, over one store."""

import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from shipwheel.cli.terminal import Terminal
from shipwheel.cli.text import columns
from shipwheel.errors import NoCommand, ShipwheelError, UsageError

if TYPE_CHECKING:
    from shipwheel.pipeline.deliver import Delivered

__all__ = ["build_all", "parse_shard"]

BuildOne = Callable[[Path, dict[str, Any]], "tuple[Delivered, str]"]
"""Builds a project with the flags of the command, and returns its reference."""


class _Outcome(msgspec.Struct, frozen=True):
    """The end of one project's build: what was delivered, or the error."""

    path: str
    seconds: float
    delivered: "Delivered | None" = None
    reference: str = ""
    error: ShipwheelError | None = None

    def row(self) -> tuple[str, str, str, str]:
        """The row of the table."""
        if self.delivered is None:
            return self.path, "failed", "", f"{self.seconds:.1f}"
        built = self.delivered.built
        size = sum(image.size for image in built.index.images)
        return self.path, built.index.digest[:19], f"{size / 1e6:.1f}", f"{self.seconds:.1f}"


def parse_shard(text: str) -> tuple[int, int]:
    """Return (number, count) of `2/5`, from 1. Raise UsageError."""
    found = re.fullmatch(r"(\d{1,4})/(\d{1,4})", text)
    number, count = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= number <= count:
        raise UsageError(f"--shard {text} is not a part of a whole", hint="Write --shard 1/3, 2/3 and 3/3 in three jobs.")
    return number, count


def build_all(
    root: Path,
    shard: tuple[int, int],
    flags: dict[str, Any],
    build: BuildOne,
    document: "Callable[[Delivered, str, float], dict[str, Any]]",
    terminal: Terminal,
) -> int:
    """Build the applications of a workspace that belong to a shard. One that fails is named, and the others go on.

    Return the exit status: 0, or that of the first error. Raise UsageError for flags that cannot hold for several projects.
    """
    from shipwheel.project.applications import applications

    if str(flags["output"] or "").endswith(".tar"):
        raise UsageError("--all writes a layout for each project", hint="Name a directory for them: -o DIR.")
    if flags["tag"] is not None and "{" not in flags["tag"]:
        hint = 'Write -t "registry.example/team/{name}:1", or -t "{repository}:1" for the tags in the settings with another version.'
        raise UsageError(f"--all would give every image the name {flags['tag']}", hint=hint)
    number, count = shard
    top = root.resolve()
    outcomes = []
    for path in applications(root)[number - 1 :: count]:
        terminal.note(f"{path.relative_to(top)}:")
        outcome = _build(path, path.relative_to(top).as_posix(), flags, build)
        if outcome is None:
            terminal.note("left out: it has no command to start")
            continue
        if outcome.error is not None:
            terminal.failure(outcome.error)
        outcomes.append(outcome)
    _show(outcomes, document, terminal)
    return next((it.error.exit_code for it in outcomes if it.error is not None), 0)


def _build(path: Path, name: str, flags: dict[str, Any], build: BuildOne) -> _Outcome | None:
    """Build one project. Return None for one whose dependencies show only now that it has no command."""
    started = time.monotonic()
    try:
        delivered, reference = build(path, _flags_of(path, flags))
    except NoCommand:
        return None
    except ShipwheelError as error:
        return _Outcome(name, time.monotonic() - started, error=error)
    return _Outcome(name, time.monotonic() - started, delivered, reference)


def _flags_of(path: Path, flags: dict[str, Any]) -> dict[str, Any]:
    """Return the flags for one project: its own tag and its own layout. Raise UsageError for a placeholder that has no value."""
    from shipwheel.oci.reference import Reference
    from shipwheel.project.read import find_settings, read_project

    if flags["tag"] is None and flags["output"] is None:
        return dict(flags)
    settings = find_settings(path)
    name = read_project(path, settings, launch=False).name
    values = {"name": name, "repository": Reference.parse(settings.tag).name if settings.tag is not None else ""}
    tag = flags["tag"]
    if tag is not None:
        if "{repository}" in tag and not values["repository"]:
            hint = f'Set tag = "registry.example/team/{name}:1" in its settings.'
            raise UsageError(f"{path} has no tag for {{repository}}", hint=hint)
        for key, value in values.items():
            tag = tag.replace(f"{{{key}}}", value)
    output = str(Path(flags["output"]) / f"{name}.oci") if flags["output"] is not None else None
    return {**flags, "tag": tag, "output": output}


def _show(outcomes: Sequence[_Outcome], document: "Callable[[Delivered, str, float], dict[str, Any]]", terminal: Terminal) -> None:
    failed = [it.path for it in outcomes if it.error is not None]
    if not terminal.as_json:
        rows = [("project", "digest", "MB", "seconds"), *(it.row() for it in outcomes)]
        total = f"built {len(outcomes) - len(failed)} of {len(outcomes)} projects"
        terminal.note("\n".join((columns(rows, left=(0, 1)), f"{total}{'; failed: ' + ', '.join(failed) if failed else ''}")))

    def described(it: _Outcome) -> dict[str, Any]:
        if it.delivered is not None:
            return {"path": it.path, **document(it.delivered, it.reference, it.seconds)}
        return {"path": it.path, "error": terminal.details(it.error)} if it.error is not None else {"path": it.path}

    terminal.result(lambda: {"projects": list(map(described, outcomes))}, [it.reference for it in outcomes if it.reference])
