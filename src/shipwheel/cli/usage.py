"""Errors in the command line, in the form of all other errors, with answers for options that people know from docker."""

import click

from shipwheel.errors import UsageError

__all__ = ["usage_error"]

_BUILD_OPTIONS = {
    "--build-arg": "No build step runs that could read it. For a variable of the container, write --env NAME=VALUE.",
    "-f": "There is no Dockerfile to write. shipwheel reads the command of one that the project has; --command sets another.",
    "--file": "There is no Dockerfile to write. shipwheel reads the command of one that the project has; --command sets another.",
    "--no-cache": "No cache can be stale: layers are found by a hash of all that they are made from. For newer packages, run "
    "`shipwheel lock --upgrade`; for a newer base, add --upgrade-base.",
    "--pull": "The lock pins the base. To update it, add --upgrade-base.",
    "--target": "There are no stages. Choose what is installed with --extra and --group.",
    "--secret": "Passwords of package indexes come from where uv and pip have them; they never get into an image.",
    "--ssh": "git uses your ssh agent for requirements that are repositories; nothing of it gets into an image.",
    "--label": 'Labels are settings: write labels = { "NAME" = "VALUE" } below [tool.shipwheel] in pyproject.toml.',
    "--cache-from": "A push asks the repository for its layers anyway. To share layers between projects, add --cache-repo.",
    "--cache-to": "A push asks the repository for its layers anyway. To share layers between projects, add --cache-repo.",
    "--rm": "Nothing is left over from a build. Leave the option out.",
    "--iidfile": "Standard output has the digest; --json has everything.",
    "--progress": "A log has lines instead of rows anyway. For less, add --quiet; for more, --verbose.",
}
_RUN_OPTIONS = {
    "--rm": "The container is always removed when it ends. Leave the option out.",
    "-t": "-i passes the terminal too, if there is one.",
    "--tty": "-i passes the terminal too, if there is one.",
}
_FROM_DOCKER = {"build": _BUILD_OPTIONS, "plan": _BUILD_OPTIONS, "run": _RUN_OPTIONS}


def usage_error(error: click.ClickException) -> UsageError:
    """Return one of click's errors as ours: the next step is in the hint."""
    ctx = error.ctx if isinstance(error, click.UsageError) else None
    path = ctx.command_path if ctx is not None else "shipwheel"
    more = f"`{path} --help` lists all options."
    if isinstance(error, click.NoSuchOption):
        answer = _FROM_DOCKER.get(ctx.info_name or "", {}).get(error.option_name) if ctx is not None else None
        similar = f"Did you mean {' or '.join(error.possibilities or ())}? " if error.possibilities else ""
        return UsageError(f"{path} has no option {error.option_name}", hint=answer or f"{similar}{more}")
    message = error.format_message().rstrip(".")
    return UsageError(message[:1].lower() + message[1:], hint=more)
