"""The command line: one thin file for each command, imported when it is called."""

import errno
import sys
from importlib import import_module

import click

from shipwheel import __version__
from shipwheel.cli.interruption import Interruption
from shipwheel.errors import ShipwheelError

__all__ = ["cli", "main"]

COMMANDS = {
    "build": "Build images of a Python project, for every platform asked for.",
    "run": "Run a project, an image layout, an archive or an image in a container engine.",
    "plan": "Show what would be built, and why. No image is made.",
    "lock": "Lock the project at PATH for every platform, or say what a lock holds. No image is made.",
    "mirrors": "Measure and choose mirrors of the package index and of Debian's archive.",
    "login": "Check credentials at a registry, and keep them where docker, podman and shipwheel find them.",
    "logout": "Remove the credentials of a registry.",
    "push": "Push the images of an OCI image layout to a registry.",
    "pull": "Pull images from a registry into an OCI image layout.",
    "copy": "Copy an image from one repository to another. No digest changes.",
    "rebase": "Lay an image upon another base, or a newer one, in the registry itself. No layer of the image is fetched.",
    "inspect": "Show what an image in a registry is. No layer is fetched.",
    "tags": "List the tags of a repository.",
    "validate": "Recompute every digest, size and diff_id of an image layout or archive.",
}
"""Command -> its first help line, so that help is shown without importing them all."""


class _Lazy(click.Group):
    """A group whose commands are modules of this package."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"shipwheel.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        from difflib import get_close_matches

        if args and args[0] not in COMMANDS and (near := get_close_matches(args[0], COMMANDS, 1)):
            ctx.fail(f"There is no command {args[0]!r}. Did you mean {near[0]!r}?")
        return super().resolve_command(ctx, args)


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="shipwheel")
def cli() -> None:
    """From a Python project to container images for every architecture: no Dockerfile, no daemon, no emulation."""


def main() -> None:
    """Runs the command line; every error of ours is shown as a message and a next step."""
    # httpx imports its own command line where it can, and with that rich and pygments: half of what importing it takes.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
    interruption = Interruption()
    try:
        with interruption.handled():
            status = cli.main(standalone_mode=False, obj=interruption)
    except (click.exceptions.Abort, KeyboardInterrupt):
        interruption.tell()
        status = interruption.status
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except ShipwheelError as error:
        _show(error)
        status = error.exit_code
    except BrokenPipeError:
        status = 1
    except OSError as error:
        _show(_system(error))
        status = 1
    sys.exit(status if isinstance(status, int) else 0)


def _system(error: OSError) -> ShipwheelError:
    """What the system said no to, where nothing of ours expected it: a full /tmp, a disk that fails."""
    place = f"{error.filename}: " if error.filename else ""
    hint = (
        "Free some space, or set TMPDIR to a directory on another disk."
        if error.errno == errno.ENOSPC
        else "Set that right, and run it again."
    )
    return ShipwheelError(f"{place}{error.strerror or error}", hint=hint)


def _show(error: ShipwheelError) -> None:
    click.echo(f"{click.style('error:', fg='red', bold=True)} {error.message}", err=True)
    if error.hint:
        click.echo(f"{click.style('hint:', fg='cyan', bold=True)} {error.hint}", err=True)
