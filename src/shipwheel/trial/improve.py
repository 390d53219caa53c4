"""Try a project's image, apply what the findings ask for, and try again, until it serves or nothing new is found."""

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Protocol

import msgspec
from msgspec.structs import replace

from shipwheel.errors import (
    BuildError,
    FailedStep,
    FetchError,
    LockError,
    MissingImports,
    NoRequirements,
    RemovedFiles,
    ShipwheelError,
    StepLacksModule,
    UnbuildableSource,
)
from shipwheel.known_packages import extends_django, requirement_of_module
from shipwheel.settings.settings import Settings, added
from shipwheel.signs.outgrown import misfit, outdated_module
from shipwheel.signs.placeholder import corrected, placeholder
from shipwheel.signs.tracebacks import last_traceback
from shipwheel.trial.finding import OUTSIDE, FindingKind, Setting, Verdict
from shipwheel.trial.mend import Advisor, Change, change_for_module, changes_for, with_unlisted
from shipwheel.trial.trial import Trial

__all__ = ["Improved", "Rejected", "Round", "Try", "improve"]

_ROUNDS = 12
_SHORT = 10
"""Characters of a made-up value that others may have by chance."""
_SQLITE_DRIVER = Setting("dependencies", ("aiosqlite",))


class Round(msgspec.Struct, frozen=True):
    """A trial of the image that some settings make, and who can be asked about it."""

    trial: Trial
    advisor: Advisor


class Try(Protocol):
    """Builds and tries the image of some settings. `env` is for the trial alone. Raises ShipwheelError if it cannot be built."""

    def __call__(self, settings: Settings, env: Mapping[str, str]) -> Round: ...


class Rejected(msgspec.Struct, frozen=True):
    """A change that could not be built or did not help: what happened, in one line, and the last words of the program that failed."""

    change: Change
    result: str
    output: tuple[str, ...] = ()


class Improved(msgspec.Struct, frozen=True):
    """The result: the last trial, the changes that led to it, and the variables that got a placeholder."""

    trial: Trial
    changes: tuple[Change, ...]
    variables: tuple[str, ...]
    rejected: tuple[Rejected, ...] = ()
    rounds: int = 1
    """The images that were tried."""
    with_placeholders: str = ""
    """One line about the last trial with placeholders, if the program did not serve with them: `trial` is one without them."""
    example: str = ""
    """The example of a file of variables whose values the program came further with, relative to the project; empty if it had none."""


def improve(
    attempt: Try,
    settings: Settings,
    report: Callable[[str], None],
    env: Mapping[str, str] | None = None,
    first: Sequence[Change] = (),
) -> Improved:
    """Apply changes until the image serves or nothing new is found.

    The `first` changes are applied before anything is tried, and left out if nothing can be built with them.

    Raises ShipwheelError if not even the first image can be built. `report` gets a line for each step.
    """
    env = dict(env or {})
    given = frozenset(env)
    rounds = 0

    def counted(settings: Settings, env: Mapping[str, str]) -> Round:
        nonlocal rounds
        done = attempt(settings, env)
        rounds += 1
        return done

    settings, now, kept, rejected = _begin(counted, settings, env, first, report)
    asked: Trial | None = None
    example = _Example(*now.advisor.example_environment())
    for _ in range(_ROUNDS):
        unset = [finding for finding in now.trial.blocking if finding.kind is FindingKind.VARIABLE and finding.setting is None]
        wanted = {finding.subject: finding.evidence for finding in unset if finding.subject not in env}
        tried = [change.setting for change in (*kept, *(each.change for each in rejected))]
        made_up = [env[name] for name in env.keys() - given]
        found = [change for change in changes_for(now.trial, now.advisor) if not _is_of_made_up(change, made_up)]
        new = [change for change in found if change.setting not in tried]
        certain = [change for change in new if not change.tentative]
        if (retried := _with_corrected(counted, settings, env, given, now)) is not None:
            now = retried
            continue
        if not (wanted or certain or example.is_tried):
            example, now = _with_example(counted, settings, env, given, example, now, report)
            env |= example.values
            continue
        new = certain or new[:1]
        if not wanted and not new:
            break
        report(now.trial.headline)
        asked = asked or (now.trial if wanted else None)
        for name, evidence in wanted.items():
            report(f"  with {name} set, for this trial only")
            env[name] = placeholder(name, evidence, example.values.get(name, ""))
        settings, now, accepted, refused = _apply(counted, settings, env, new, now, report)
        kept += accepted
        rejected += refused
    # What a program does with a made-up value says little: it wants the real one.
    trial = now.trial if asked is None or now.trial.verdict.is_good else asked
    filled = "" if trial is now.trial else _shown(now.trial)
    variables = sorted(env.keys() - given - example.values.keys())
    return Improved(trial, tuple(kept), tuple(variables), tuple(rejected), rounds, filled, example.file if example.values else "")


class _Example(msgspec.Struct, frozen=True):
    """An example of a file of variables, and its values; once it `is_tried`, only those that the program came further with."""

    file: str
    values: Mapping[str, str]
    is_tried: bool = False


def _with_example(
    attempt: Try,
    settings: Settings,
    env: Mapping[str, str],
    given: Container[str],
    example: _Example,
    now: Round,
    report: Callable[[str], None],
) -> tuple[_Example, Round]:
    """Try the image with the values of an example if nothing explains why it fails. `given` are the variables that a person has set."""
    values = {name: value for name, value in example.values.items() if name not in given}
    explained = now.trial.verdict.is_good or OUTSIDE.intersection(finding.kind for finding in now.trial.blocking)
    if values and not explained:
        report(now.trial.headline)
        report(f"  with the values of {example.file}, for this trial only")
        after = attempt(settings, {**env, **values})
        further, before = _progress(after.trial), _progress(now.trial)
        # Nothing but the values has changed: what fails elsewhere with them wants them.
        elsewhere = further == before and _failed_in(after.trial) != _failed_in(now.trial)
        if further > before or elsewhere:
            return _Example(example.file, values, True), after
    return _Example(example.file, {}, True), now


def _with_corrected(attempt: Try, settings: Settings, env: dict[str, str], given: Container[str], now: Round) -> Round | None:
    """Try the image with other made-up values if the program refuses the form of some; None if it does not."""
    log, has_package = now.trial.seen.log, now.advisor.has_package
    others = {name: corrected(name, value, log, has_package) for name, value in env.items() if name not in given}
    others = {name: value for name, value in others.items() if value}
    env |= others
    return attempt(settings, env) if others else None


def _shown(trial: Trial) -> str:
    """Return what a trial came to, with the first line that the program printed about it, and how to bring a server that it lacks."""
    seen = next((finding.evidence for finding in trial.blocking if finding.evidence), "")
    hint = next((f": {finding.hint}" for finding in trial.blocking if finding.kind is FindingKind.COMPANION), "")
    return (f"{trial.headline} ({seen})" if seen else trial.headline) + hint


def _unbuildable(change: Change, error: ShipwheelError) -> Rejected:
    """Return a change with which nothing can be built: a step of the build that failed has said why, and what to do next."""
    lines = (*error.message.splitlines()[1:], *([f"  {error.hint}"] if error.hint else []))
    return Rejected(change, error.summary, lines if isinstance(error, BuildError) else ())


def _is_of_made_up(change: Change, values: Sequence[str]) -> bool:
    """Return whether a change names a made-up value, or brings a driver only because that names a kind of database."""
    is_of_sqlite = change.setting == _SQLITE_DRIVER and any(value.startswith("sqlite:") for value in values)
    return is_of_sqlite or any(len(value) > _SHORT and value in str(change.setting.value) for value in values)


def _with_changes(settings: Settings, changes: Sequence[Change], report: Callable[[str], None]) -> Settings:
    for change in changes:
        report(f"  set {change.setting.key}: {change.reason}")
        settings = added(settings, change.setting.key, change.setting.value)
    return settings


def _begin(
    attempt: Try, settings: Settings, env: Mapping[str, str], first: Sequence[Change], report: Callable[[str], None]
) -> tuple[Settings, Round, list[Change], list[Rejected]]:
    """Return the first round that can be built, with the changes that led to it, and the `first` ones if they are left out."""
    try:
        settings, now, found = _first(attempt, _with_changes(settings, first, report), env, report)
    except ShipwheelError as error:
        if not first:
            raise
        report(f"  not set: {error.summary}")
        rejected = [_unbuildable(change, error) for change in first]
        settings, now, found = _first(attempt, settings, env, report)
        return settings, now, found, rejected
    return settings, now, [*first, *found], []


def _first(attempt: Try, settings: Settings, env: Mapping[str, str], report: Callable[[str], None]) -> tuple[Settings, Round, list[Change]]:
    """Return the first round, with the packages of the modules that the program imports and the project does not require."""
    found: list[Change] = []
    missing: ShipwheelError | None = None
    are_found = settings.steps is None
    for _ in range(_ROUNDS):
        try:
            return settings, attempt(settings, env), found
        except (LockError, UnbuildableSource, RemovedFiles) as error:
            tried = {name for change in found if change.setting.key == "replace" for name in change.setting.value}
            # The first of them is the package itself, the others are what its version requires.
            if not error.replacements or next(iter(error.replacements)) in tried:
                if not isinstance(error, LockError):
                    raise
                if missing is None or isinstance(error, FetchError):
                    raise
                report(f"  not set: {error.summary}")
                # The error that led to what cannot be locked says more.
                raise missing from None
            missing = missing if missing is not None and isinstance(error, LockError) else error
            new = [Change(Setting("replace", dict(error.replacements)), error.summary)]
        except NoRequirements as error:
            missing = error
            new = _proposed(error.imports)
            if not new:
                raise
        except FailedStep as error:
            missing = error
            new = _of_step(error, found)
            if not new or (new[0].setting.key == "steps" and not are_found):
                raise
            if new[0].setting.key == "steps":
                settings = replace(settings, steps=None)
                found = [each for each in found if each.setting.key != "steps"]
        except MissingImports as error:
            missing = error
            reason = "The program imports a module of the project that is left out or not on the import path"
            changes = _bringing(error.modules, "It imports {}, which no package in the image has", error.unlisted)
            changes += [_brought(Setting(key, value), reason, error.unlisted) for key, value in error.settings]
            new = [change for change in changes if change.setting not in [each.setting for each in found]]
            if len(new) < len(error.modules) + len(error.settings) or not changes:
                raise
        settings = _with_changes(settings, new, report)
        found += new
    return settings, attempt(settings, env), found


def _of_step(error: FailedStep, found: Sequence[Change]) -> list[Change]:
    """Return the change for a step that failed: the package that it lacks, or to go on without it; none if neither is new."""
    tried = [each.setting for each in found]
    if isinstance(error, StepLacksModule):
        new = _bringing(error.modules, "A step imports {}, which no package in the image has", error.unlisted)
        if new and new[0].setting not in tried:
            return new
    setting = Setting("steps", error.others)
    if setting in tried:
        return []
    first, *rest = error.message.splitlines()
    before = [each.reason for each in found if each.setting.key == "steps"]
    last = [line.strip() for line in rest if not line.strip().startswith("whole output: ")][-1:]
    return [Change(setting, "\n".join((*before, f"Left out, since it fails in the image: {' '.join((first, *last))}")))]


def _bringing(modules: Sequence[str], reason: str, unlisted: tuple[str, ...]) -> list[Change]:
    """Return the changes that add the packages of modules, as far as their names tell which."""
    changes = (change_for_module(name, reason.format(name)) for name in modules)
    return [with_unlisted(change, unlisted) for change in changes if change is not None]


def _brought(setting: Setting, reason: str, unlisted: tuple[str, ...]) -> Change:
    """Return the change that brings a module of the project, or a package that another of its lists has."""
    if setting.key in ("extras", "groups"):
        return Change(setting, "The program imports what only these bring")
    if setting.key != "dependencies":
        return Change(setting, reason)
    return with_unlisted(Change(setting, "The program imports it, and another list of the project has it"), unlisted)


def _proposed(imports: Sequence[tuple[str, str]]) -> list[Change]:
    """Return the changes that add the packages of imported modules, each with the first place that imports it."""
    found: dict[tuple[str, object], Change] = {}
    has_django = any(name.partition(".")[0] == "django" for name, _ in imports)
    for name, place in imports:
        is_other = extends_django(requirement_of_module(name) or "") and not has_django
        change = None if is_other else change_for_module(name, f"{place}, imports {name}")
        if change is not None:
            found.setdefault((change.setting.key, change.setting.value), change)
    return list(found.values())


def _progress(trial: Trial) -> tuple[bool, ...]:
    """Return how far a program came: it serves, answers, listens, wants what is outside, runs, does more than to say how to use it."""
    seen = trial.seen
    usage = any(finding.kind is FindingKind.USAGE for finding in trial.findings)
    listens = bool(seen.sockets) and seen.ended is None
    serves, needs = trial.verdict is Verdict.SERVES, trial.verdict is Verdict.NEEDS
    return serves, seen.answer is not None, listens, needs, seen.ended is None, not usage, "Traceback" not in seen.log


def _failed_in(trial: Trial) -> tuple[str, ...]:
    """Return the lines of code that the last traceback leads through."""
    return tuple(line.strip() for line in last_traceback(trial.seen.log).splitlines() if line.lstrip().startswith('File "'))


def _is_satisfied(change: Change, before: Trial, trial: Trial) -> bool:
    """Return whether a program got a package that it asked for, or can write to a path, or no longer fails in the package replaced."""
    if change.setting.key == "replace":
        return outdated_module(trial.seen.log) != outdated_module(before.seen.log) != ""
    unfit = misfit(before.seen.log)
    got = change.setting.key in ("dependencies", "state") and (unfit is None or misfit(trial.seen.log) != unfit)
    return got and all(finding.subject not in change.setting.value and finding.setting != change.setting for finding in trial.findings)


def _apply(
    attempt: Try, settings: Settings, env: Mapping[str, str], changes: list[Change], now: Round, report: Callable[[str], None]
) -> tuple[Settings, Round, list[Change], list[Rejected]]:
    """Try all changes together, and one by one if that cannot be built."""
    together = settings
    uncovered: list[Change] = []
    try:
        for change in changes:
            report(f"  {'try' if change.tentative else 'set'} {change.setting.key}: {change.reason}")
            together = added(together, change.setting.key, change.setting.value)
        first = after = attempt(together, env)
        if len(changes) == 1 and changes[0].tentative:
            together, after, uncovered = _with_uncovered(attempt, together, env, now, after)
    except ShipwheelError as error:
        if len(changes) == 1:
            return settings, now, [], [_unbuildable(changes[0], error)]
    else:
        doubtful = [change for change in changes if change.tentative and not _is_satisfied(change, now.trial, after.trial)]
        if not doubtful or _progress(after.trial) > _progress(now.trial):
            return together, after, [*changes, *uncovered], []
        if len(changes) == 1:
            return settings, now, [], [Rejected(changes[0], first.trial.headline)]
    accepted: list[Change] = []
    refused: list[Rejected] = []
    for change in changes:
        settings, now, yes, no = _apply(attempt, settings, env, [change], now, lambda _: None)
        accepted += yes
        refused += no
    return settings, now, accepted, refused


def _with_uncovered(
    attempt: Try, settings: Settings, env: Mapping[str, str], now: Round, after: Round
) -> tuple[Settings, Round, list[Change]]:
    """Add what a program asks for after a tentative change alone, until it comes further than before or asks for nothing new."""
    found: list[Change] = []
    known = [change.setting for change in changes_for(now.trial, now.advisor)]
    for _ in range(_ROUNDS):
        new = [change for change in changes_for(after.trial, after.advisor) if not change.tentative and change.setting not in known]
        if not new or _progress(after.trial) > _progress(now.trial):
            break
        for change in new:
            settings = added(settings, change.setting.key, change.setting.value)
        after = attempt(settings, env)
        found += new
        known += (change.setting for change in new)
    return settings, after, found
