"""The commands and their help. A command's module is imported when the command is called."""

import sys
from importlib import import_module

import click

from shipwheel import __version__
from shipwheel.cli.command import Session
from shipwheel.cli.interruption import Interruption
from shipwheel.cli.left_out import leave_out_imports
from shipwheel.cli.terminal import Terminal
from shipwheel.errors import ShipwheelError, UsageError

__all__ = ["COMMANDS", "cli", "run"]

GROUPS = {
    "Build and run": {
        "build": "Build container images of a Python project.",
        "run": "Run a project, an image layout, an archive or an image in a container engine.",
        "dev": "Run a project with its source mounted, and start it again when a file is saved.",
        "init": "Find out the settings that a project needs to serve, and write them.",
        "check": "Start an image as production would, and say whether it serves.",
    },
    "Several services": {
        "up": "Build a project and start it with its services, and wait until all are well.",
        "status": "Show the services of a project that run, and whether they are well.",
        "logs": "Show the output of a project's services.",
        "down": "Stop a project's services and remove their containers.",
        "export": "Write files for other tools: a compose file, manifests for Kubernetes, a pipeline for CI.",
        "resolve": "Write the digests of images into manifests, and build those that are projects.",
        "bundle": "Write a project, its services and all that starts them into one file, for machines without a network.",
        "unbundle": "Bring the images of a bundle into a registry or an engine, and write its files.",
    },
    "Look before you build": {
        "startup": "Start an image, and show where the time goes and what it never imports.",
        "plan": "Show what would be built, and why.",
        "lock": "Lock a project's packages, or check, explain and compare its lock.",
        "mirrors": "Measure and choose mirrors of the package index and the Debian archive.",
    },
    "Cache": {
        "cache": "Show or clean the cache: downloads, layers and all else that a build can make or fetch again.",
    },
    "Registries": {
        "login": "Check and save credentials for a registry.",
        "logout": "Remove the credentials for a registry.",
        "push": "Push an image layout or archive to a registry.",
        "pull": "Pull an image from a registry into an image layout.",
        "copy": "Copy an image from one repository to another.",
        "rebase": "Move a pushed image to another base image, inside the registry.",
        "tags": "List the tags of a repository.",
    },
    "Images": {
        "inspect": "Show what is in an image: platforms, layers, config.",
        "validate": "Recompute every digest and size in an image layout or archive.",
    },
}
"""The commands below their headings, here so that `shipwheel --help` imports none of them."""

COMMANDS = {name: text for commands in GROUPS.values() for name, text in commands.items()}
"""Help text of each command."""

_EXAMPLES = (
    "shipwheel run .",
    "shipwheel build . --tag registry.example/team/hello:1 --push",
)


class _Lazy(click.Group):
    """A group that imports a command's module when the command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in COMMANDS:
            return None
        leave_out_imports()
        command: click.Command = import_module(f"shipwheel.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        width = max(map(len, COMMANDS))
        for heading, commands in GROUPS.items():
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(width), text) for name, text in commands.items()])
        with formatter.section("Examples"):
            formatter.write("".join(f"  {example}\n" for example in _EXAMPLES))

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from shipwheel.similar import did_you_mean

            hint = f"{did_you_mean(args[0], COMMANDS)}`{ctx.command_path} --help` lists all commands."
            raise UsageError(f"there is no command {args[0]}", hint=hint)
        return super().resolve_command(ctx, args)


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, "-V", "--version", prog_name="shipwheel")
def cli() -> None:
    """Turn a Python project into container images for linux/amd64 and linux/arm64: no Dockerfile, no daemon, no emulation."""


def run(terminal: Terminal, interruption: Interruption) -> int:
    """Run the command line and return its exit code. Show a `ShipwheelError` as a message and a hint."""
    # A command line that cannot be parsed has no options yet.
    terminal.as_json = "--json" in sys.argv
    try:
        status = cli.main(standalone_mode=False, obj=Session(terminal, interruption))
    except click.exceptions.Abort as error:
        raise KeyboardInterrupt from error
    except click.ClickException as error:
        status = _show_usage(error, terminal)
    except ShipwheelError as error:
        terminal.error(error)
        status = error.exit_code
    return status if isinstance(status, int) else 0


def _show_usage(error: click.ClickException, terminal: Terminal) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return error.exit_code
    from shipwheel.cli.usage import usage_error

    found = usage_error(error)
    terminal.error(found)
    return found.exit_code
