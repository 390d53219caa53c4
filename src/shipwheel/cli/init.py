"""`shipwheel init`."""

import difflib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec
from msgspec.structs import replace

from shipwheel.cli.command import Command, option
from shipwheel.cli.options import request_from, some_options
from shipwheel.cli.terminal import Terminal
from shipwheel.cli.trial_options import engine_option, network_option, timeout_option

if TYPE_CHECKING:
    from shipwheel.engine.interface import Engine
    from shipwheel.project.settings_file import SettingsEdit
    from shipwheel.request import Request
    from shipwheel.settings.settings import Settings
    from shipwheel.trial.improve import Improved, Round, Try
    from shipwheel.trial.mend import Change

__all__ = ["command"]

_MAX_OUTPUT = 8
"""Lines of the output of a program that failed that are shown."""
_MAX_LINE = 400


@click.command(
    "init",
    cls=Command,
    help="Find out the settings that the project at PATH needs to serve: build it, try it, change them, and write those that help.",
    examples=(
        "shipwheel init .",
        "shipwheel init . --dry-run",
    ),
)
@click.argument("path", type=click.Path(path_type=Path), default=".")
@engine_option
@option("-e", "--env", "env", multiple=True, metavar="NAME[=VALUE]", help="Environment variable for the trial; repeatable.", group="Trial")
@network_option
@timeout_option
@option("--dry-run", is_flag=True, help="Show what would be written, and write nothing.", group="Trial")
@some_options("yes")
def command(terminal: Terminal, path: Path, yes: bool, dry_run: bool, **flags: Any) -> int:
    """Print each step and the diff of the settings; return 0 if the project serves, 12 if it does not."""
    import os

    from shipwheel.engine.find import find
    from shipwheel.engine.run_options import parse_env
    from shipwheel.errors import TrialError
    from shipwheel.trial.improve import improve

    engine = find(flags["engine"], terminal.report, bwrap=True)
    request = request_from(path, {"platforms": (str(engine.host()),), "yes": yes}, terminal.report)
    with _locks_kept(request.path) if dry_run else nullcontext():
        env, first = parse_env(flags["env"], os.environ), _front_ends(request)
        improved = improve(_try(request, engine, flags), request.settings, terminal.note, env, first)
    proposal = _proposal(request, improved, written=not dry_run)
    if proposal.edit is not None and not dry_run:
        proposal.edit.write()
    if improved.rejected and not dry_run:
        _lock_again(request, proposal.settings)
    terminal.result(lambda: _document(improved, proposal), _lines(improved, proposal))
    return 0 if improved.trial.verdict.is_good and not proposal.by_hand else TrialError.exit_code


def _front_ends(request: "Request") -> "list[Change]":
    """Return the settings for front ends that are not built, and that the project's files show how to build."""
    from shipwheel.errors import NoRequirements
    from shipwheel.project.read import read_project
    from shipwheel.trial.finding import Setting
    from shipwheel.trial.mend import Change

    try:
        launch = read_project(request.path, request.settings, files=request.files()).launch
    except NoRequirements:
        # They are proposed first.
        return []
    found = launch.front_ends if launch is not None else ()
    return [Change(Setting("assets", (front.settings,)), front.reason) for front in found]


class _Proposal(msgspec.Struct, frozen=True):
    """The changes that stayed: all of them as settings, the edit of the file, and what is left to a person.

    `by_hand` is the command to write in place of the one that a person wrote, empty if that stays.
    """

    settings: "Settings"
    edit: "SettingsEdit | None"
    by_hand: tuple[str, ...]
    written: bool


@contextmanager
def _locks_kept(project: Path) -> Iterator[None]:
    """Put every lock of a project back at the end of the block: building writes them."""
    folder = project if project.is_dir() else project.parent
    before = {path: path.read_bytes() for path in folder.glob("*pylock*.toml")}
    try:
        yield
    finally:
        for path in {*before, *folder.glob("*pylock*.toml")}:
            if path not in before:
                path.unlink()
            elif path.read_bytes() != before[path]:
                path.write_bytes(before[path])


def _lock_again(request: "Request", settings: "Settings") -> None:
    """Lock for the settings that stayed: the last lock may be that of a change that did not help."""

    from shipwheel.pipeline.build import resolve_request

    resolve_request(replace(request, settings=settings))


def _document(improved: "Improved", proposal: _Proposal) -> dict[str, Any]:
    from shipwheel.trial.report import to_json

    return {
        "trial": to_json(improved.trial),
        "changes": [_change(change) for change in improved.changes],
        "rejected": [{**_change(each.change), "result": "\n".join((each.result, *each.output))} for each in improved.rejected],
        "by-hand": {"command": list(proposal.by_hand)} if proposal.by_hand else {},
        "file": str(proposal.edit.path) if proposal.edit is not None else None,
        "written": proposal.written,
        "variables": list(improved.variables),
        "with-placeholders": improved.with_placeholders,
        "example": improved.example,
        "rounds": improved.rounds,
    }


def _change(change: "Change") -> dict[str, Any]:
    return {"key": change.setting.key, "value": _plain(change.setting.value), "reason": change.reason}


def _plain(value: Any) -> Any:
    """Return a value as a settings file has it."""
    from shipwheel.settings.build import AssetSettings, StepSettings, stated

    return (
        [stated(item) if isinstance(item, (AssetSettings, StepSettings)) else item for item in value] if isinstance(value, tuple) else value
    )


def _lines(improved: "Improved", proposal: _Proposal) -> Iterator[str]:
    from shipwheel.trial.report import to_lines

    yield from to_lines(improved.trial)
    for each in improved.rejected:
        yield f"  tried     {each.change.setting.key} = {_plain(each.change.setting.value)!r}: {each.result}"
        yield from (f"    {line}" for line in each.output[-_MAX_OUTPUT:])
    if (edit := proposal.edit) is not None:
        yield from _difference(edit)
        yield f"wrote {edit.path}" if proposal.written else f"{edit.path} was not written (--dry-run)"
    elif improved.trial.verdict.is_good and not proposal.by_hand:
        yield "no settings are needed"
    if proposal.by_hand:
        yield f"change the command that you wrote, which init leaves as it is: command = {json.dumps(proposal.by_hand)}"
    for name in improved.variables:
        yield f"it wants {name}: give it a value where the container runs (-e {name}=…)"
    if improved.example:
        yield f"it had the values of {improved.example}: give it those of its own where the container runs (--env-file FILE)"
    if improved.with_placeholders:
        yield f"with made-up values it does not serve either: {improved.with_placeholders[:_MAX_LINE]}"


def _try(request: "Request", engine: "Engine", flags: Mapping[str, Any]) -> "Try":
    """Return the function that builds, loads and tries the project with some settings."""

    from shipwheel.cli.advice import ProjectAdvisor
    from shipwheel.cli.source_facts import source_facts
    from shipwheel.locking.no_compatible_file import NoCompatibleFile, SlowSources
    from shipwheel.pipeline.alternatives import with_newer_versions, with_replacements
    from shipwheel.pipeline.build import build, retry_damaged
    from shipwheel.project.read import read_project
    from shipwheel.trial.improve import Round
    from shipwheel.trial.observe import Conditions, Subject, trial_name
    from shipwheel.trial.paths import USUAL_PATHS
    from shipwheel.trial.trial import try_image

    pythons: dict[tuple[object, ...], tuple[str, ...]] = {}

    def attempt(settings: "Settings", env: Mapping[str, str]) -> "Round":
        # With more requirements, a Python that had nothing for the project takes as long to fail again.
        packages = (settings.python, settings.as_of, settings.install, *sorted(settings.replace.items()))
        now = replace(request, settings=settings, first_pythons=pythons.get(packages, ()))

        def load(now: "Request") -> Any:
            built = build(now)
            return built, engine.load(built.index, now.store, trial_name(built.resolution.project.name), now.reporter)

        def loaded(*, slow_sources: bool = False) -> Any:
            asked = replace(now, slow_sources=slow_sources)
            try:
                return retry_damaged(asked, lambda: load(asked))
            except SlowSources as error:
                newer = with_newer_versions(error, read_project(request.path, settings, launch=False, files=request.files()), now.reporter)
                if newer.replacements:
                    raise newer from None
                return loaded(slow_sources=True)
            except NoCompatibleFile as error:
                raise with_replacements(error, read_project(request.path, settings, launch=False, files=request.files())) from None

        built, name = loaded()
        pythons[packages] = (built.resolution.project.python,)
        image = built.index.images[0]
        subject = Subject(name, image.execution, image.platform, built.resolution.project.name)
        source, network = source_facts(built), "" if flags["network"] else "none"
        conditions = Conditions(flags["timeout"], paths=USUAL_PATHS, source=source, env=env, network=network)
        trial = try_image(engine, subject, conditions, now.reporter, is_brief=True)
        return Round(trial, ProjectAdvisor(built, engine, subject, now.store, now.reporter))

    return attempt


def _proposal(request: "Request", improved: "Improved", *, written: bool) -> _Proposal:
    """Return what to write into the settings file. What a person wrote stays: lists and tables only grow, and a command is not replaced."""
    from shipwheel.project.settings_file import Addition, edit_settings
    from shipwheel.settings.settings import added

    settings, reasons = request.settings, dict[str, list[str]]()
    for change in improved.changes:
        settings = added(settings, change.setting.key, change.setting.value)
        reasons.setdefault(change.setting.key, []).append(change.reason)
    by_hand = settings.command if request.settings.command and "command" in reasons else ()
    additions = []
    for key, why in reasons.items():
        before, after = (getattr(each, key.replace("-", "_")) for each in (request.settings, settings))
        if after != before and not (by_hand and key == "command"):
            additions.append(Addition(key, _added(key, before, after), "\n".join(dict.fromkeys(why))))
    edit = edit_settings(request.path, additions) if additions else None
    return _Proposal(settings, edit, by_hand, written and edit is not None)


def _added(key: str, before: Any, after: Any) -> Any:
    """Return what a value has that it did not have before, with the whole of a variable that grew."""
    if isinstance(after, tuple) and key != "command":
        return _plain(after[len(before or ()) :])
    if isinstance(after, Mapping):
        return {name: text for name, text in after.items() if before.get(name) != text}
    return after


def _difference(edit: "SettingsEdit") -> Iterator[str]:
    before = edit.path.name if edit.before else "/dev/null"
    return difflib.unified_diff(edit.before.splitlines(), edit.after.splitlines(), before, edit.path.name, lineterm="", n=1)
