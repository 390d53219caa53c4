"""`shipwheel check`."""

from typing import TYPE_CHECKING, Any

import click

from shipwheel.cli.command import Command, option
from shipwheel.cli.options import BUILD_FLAGS, some_options
from shipwheel.cli.terminal import Terminal
from shipwheel.cli.trial_options import trial_options

if TYPE_CHECKING:
    from shipwheel.trial.observe import Conditions
    from shipwheel.trial.source_facts import SourceFacts
    from shipwheel.trial.trial import Trial

__all__ = ["command", "conditions_from"]

_START_FLAGS = ("engine", "platform", "env", "env_files", "network")
"""Options of a trial about how it starts the image."""


@click.command(
    "check",
    cls=Command,
    help="Start a project (built first), an image layout, an archive or an image as production would, and say whether it serves.",
    examples=(
        "shipwheel check .",
        "shipwheel check registry.example/team/hello:1 --env DATABASE_URL",
        "shipwheel check registry.example/team/hello:1 --at app",
    ),
)
@click.argument("subject", metavar="[PATH|LAYOUT|ARCHIVE|IMAGE]", default=".")
@trial_options
@option(
    "--at",
    metavar="HOST",
    help="Start nothing: ask the container of IMAGE that runs already as HOST, such as a service of a CI job, on the image's ports.",
    group="Trial",
)
@some_options(*BUILD_FLAGS)
def command(terminal: Terminal, subject: str, at: str | None, **flags: Any) -> int:
    """Print what was seen; return 0 if it serves, 12 if it does not."""
    from shipwheel.errors import TrialError
    from shipwheel.trial.report import to_json, to_lines

    trial = _started(subject, flags, terminal) if at is None else _running(subject, at, flags, terminal)
    terminal.result(lambda: to_json(trial), to_lines(trial))
    return 0 if trial.verdict.is_good else TrialError.exit_code


def _running(subject: str, at: str, flags: dict[str, Any], terminal: Terminal) -> "Trial":
    """Return the trial of a container of an image in a registry that runs already. Raise UsageError for options about its start."""
    from shipwheel.cli.remote import open_repository, remote_reference, tag_or_digest
    from shipwheel.errors import UsageError
    from shipwheel.registry.pull import remote_images
    from shipwheel.trial.running import try_running
    from shipwheel.trial.source_facts import SourceFacts

    if any(flags[name] for name in (*BUILD_FLAGS, *_START_FLAGS)):
        hint = "Leave them out, or leave out --at."
        raise UsageError("--at asks what runs already: options for building or starting it do nothing", hint=hint)
    reference = remote_reference(subject)
    with open_repository(reference, terminal.report) as repository:
        config = remote_images(repository, tag_or_digest(reference)).images[0].execution
    return try_running(config, subject, at, conditions_from(flags, SourceFacts()))


def _started(subject: str, flags: dict[str, Any], terminal: Terminal) -> "Trial":
    """Return the trial of an image that is started for it."""
    from shipwheel.cli.loading import load_subject
    from shipwheel.engine.find import find
    from shipwheel.trial.observe import Subject, trial_name
    from shipwheel.trial.source_facts import SourceFacts
    from shipwheel.trial.trial import try_image

    build_flags = {name: flags.pop(name) for name in BUILD_FLAGS}
    engine = find(flags["engine"], terminal.report, bwrap=True)
    loaded = load_subject(subject, engine, flags["platform"], build_flags, terminal.report, trial_name)
    image = Subject(loaded.name, loaded.config, loaded.platform, loaded.project)
    return try_image(engine, image, conditions_from(flags, loaded.source or SourceFacts()), terminal.report, is_brief=True)


def conditions_from(flags: dict[str, Any], source: "SourceFacts") -> "Conditions":
    """Return how a trial runs the image, from the options of `check`. Raise UsageError for a wrong one."""
    import os

    from shipwheel.engine.run_options import read_environment
    from shipwheel.errors import UsageError
    from shipwheel.trial.observe import Conditions
    from shipwheel.trial.paths import USUAL_PATHS

    wrong = next((path for path in flags["paths"] if not path.startswith("/")), None)
    if wrong is not None:
        raise UsageError(f"--path {wrong} does not start with a slash", hint=f"Write --path /{wrong}.")
    env = read_environment(flags["env_files"], flags["env"], os.environ)
    paths = tuple(dict.fromkeys((*flags["paths"], *USUAL_PATHS)))
    network = "" if flags["network"] else "none"
    return Conditions(timeout=flags["timeout"], paths=paths, host=flags["host"], source=source, env=env, network=network)
