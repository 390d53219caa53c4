"""`shipwheel init`."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shipwheel.cli.check import trial_engine
from shipwheel.cli.options import request_from
from shipwheel.cli.progress import progress

if TYPE_CHECKING:
    from shipwheel.engine.interface import Engine
    from shipwheel.project.settings_file import SettingsEdit
    from shipwheel.request import Request
    from shipwheel.settings import Settings
    from shipwheel.trial.improve import Improved, Round, Try

__all__ = ["command"]


@click.command("init", help="Build the project at PATH, try it, and write the settings that it needs, until it serves.")
@click.argument("path", type=click.Path(path_type=Path), default=".")
@click.option("--engine", metavar="NAME", help="docker, podman, nerdctl, containerd or bwrap [the first that answers].")
@click.option("-e", "--env", "env", multiple=True, metavar="NAME[=VALUE]", help="Environment variable for the trial; repeatable.")
@click.option("--network", is_flag=True, help="Give the container the engine's network; otherwise it has none.")
@click.option(
    "--timeout", type=click.IntRange(1, 3600), metavar="SECONDS", help="Time to wait until something listens [60, without a port 10]."
)
@click.option("--dry-run", is_flag=True, help="Show what would be written, and write nothing.")
@click.option("-q", "--quiet", is_flag=True, help="Show only warnings and errors.")
def command(path: Path, quiet: bool, dry_run: bool, **flags: Any) -> int:
    """Print each step and the diff of the settings; return 0 if the project serves, 12 if it does not."""
    import os

    from shipwheel.engine.run_options import parse_env
    from shipwheel.errors import TrialError
    from shipwheel.trial.improve import improve
    from shipwheel.trial.report import to_lines

    with progress(quiet) as reporter:
        engine = trial_engine(flags["engine"], reporter)
        request = request_from(path, {"platforms": (str(engine.host()),)}, reporter)
        env = parse_env(flags["env"], os.environ)
        improved = improve(_try(request, engine, flags), request.settings, _say, env)
    click.echo("\n".join(to_lines(improved.trial)))
    _show_refused(improved)
    edit = _edit(request, improved)
    if edit is not None:
        _write(edit, dry_run)
    elif improved.trial.verdict.is_good:
        click.echo("no settings are needed")
    for name in improved.variables:
        click.echo(f"it wants {name}: give it a value where the container runs (-e {name}=…)")
    return 0 if improved.trial.verdict.is_good else TrialError.exit_code


def _say(line: str) -> None:
    click.echo(line, err=True)


def _try(request: "Request", engine: "Engine", flags: Mapping[str, Any]) -> "Try":
    """Return the function that builds, loads and tries the project with some settings."""
    from dataclasses import replace

    from shipwheel.cli.advice import ProjectAdvisor
    from shipwheel.oci.reference import Reference
    from shipwheel.pipeline.build import build, retry_damaged
    from shipwheel.trial.improve import Round
    from shipwheel.trial.observe import Conditions, Subject
    from shipwheel.trial.paths import USUAL_PATHS
    from shipwheel.trial.trial import try_image

    def attempt(settings: "Settings", env: Mapping[str, str]) -> "Round":
        now = replace(request, settings=settings)

        def load() -> Any:
            built = build(now)
            project = built.resolution.project
            name = engine.load(built.index, now.store, Reference.parse(project.settings.tag or project.name), now.reporter)
            return built, name

        built, name = retry_damaged(now, load)
        image = built.index.images[0]
        subject = Subject(name, image.config_file.config, image.platform, built.resolution.project.name)
        conditions = Conditions(flags["timeout"], paths=USUAL_PATHS, env=env, network="" if flags["network"] else "none")
        trial = try_image(engine, subject, conditions, now.reporter)
        return Round(trial, ProjectAdvisor(built, engine, subject, now.store, now.reporter))

    return attempt


def _edit(request: "Request", improved: "Improved") -> "SettingsEdit | None":
    """Return the edit of the settings file with the changes, None without any."""
    from shipwheel.project.settings_file import edit_settings
    from shipwheel.settings import added

    if not improved.changes:
        return None
    settings, reasons = request.settings, dict[str, list[str]]()
    for change in improved.changes:
        settings = added(settings, change.setting.key, change.setting.value)
        reasons.setdefault(change.setting.key, []).append(change.reason)
    root = request.path if request.path.is_dir() else request.path.parent
    values = [(key, getattr(settings, key.replace("-", "_")), "; ".join(dict.fromkeys(why))) for key, why in reasons.items()]
    return edit_settings(root, values)


def _write(edit: "SettingsEdit", dry_run: bool) -> None:
    lines = difflib.unified_diff(
        edit.before.splitlines(), edit.after.splitlines(), edit.path.name if edit.before else "/dev/null", edit.path.name, lineterm="", n=1
    )
    click.echo("\n".join(lines))
    if dry_run:
        click.echo(f"{edit.path} was not written (--dry-run)")
        return
    edit.path.write_text(edit.after, encoding="utf-8")
    click.echo(f"wrote {edit.path}")


def _show_refused(improved: "Improved") -> None:
    for change, why in improved.rejected:
        click.echo(f"  tried     {change.setting.key} = {change.setting.value!r}: {why.splitlines()[0]}")
