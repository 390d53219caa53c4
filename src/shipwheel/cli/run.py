"""`shipwheel run`."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shipwheel.cli.options import request_from, some_options
from shipwheel.cli.progress import progress
from shipwheel.errors import UsageError
from shipwheel.events import Reporter, Warned

if TYPE_CHECKING:
    from shipwheel.engine.interface import Engine, Mount, RunSpec
    from shipwheel.oci.image import ImageIndex
    from shipwheel.oci.model import ContainerConfig
    from shipwheel.platform import Platform

__all__ = ["command"]

_ARGUMENTS = "shipwheel.arguments"


class _WithArguments(click.Command):
    """A command whose words behind `--` are the container's, whatever they look like."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        cut = args.index("--") if "--" in args else len(args)
        ctx.meta[_ARGUMENTS] = tuple(args[cut + 1 :])
        return super().parse_args(ctx, args[:cut])

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "[-- ARGS...]"]


@click.command("run", cls=_WithArguments, help="Run a project (PATH, built first), an image layout, an archive, or an image of an engine.")
@click.argument("what", metavar="[PATH|LAYOUT|ARCHIVE|IMAGE]", default=".")
@click.option("--engine", metavar="NAME", help="docker, podman, nerdctl, containerd or bwrap [the first of them that answers; not bwrap].")
@click.option("--platform", metavar="OS/ARCH", help="The platform to build for and to run [the engine's own].")
@click.option("-p", "--publish", "ports", multiple=True, metavar="[ADDRESS:]HOST:CONTAINER", help="Where a port is on this machine.")
@click.option("-v", "--volume", "mounts", multiple=True, metavar="NAME|DIR:PATH[:ro]", help="Mount a named volume or a directory.")
@click.option("-e", "--env", multiple=True, metavar="NAME[=VALUE]", help="A variable; without a value, this machine's.")
@click.option("--env-file", "env_files", multiple=True, type=click.Path(path_type=Path), help="A file with a line NAME=VALUE for each.")
@click.option("--name", metavar="NAME", help="What the container is called.")
@click.option("--user", metavar="UID[:GID]", help="Another user than the image's.")
@click.option("--entrypoint", metavar="WORDS", help="Instead of the image's entrypoint and command; split like a shell would.")
@click.option("-d", "--detach", is_flag=True, help="Start it, print its name, and return; it stays until you remove it.")
@click.option("-i", "--interactive", is_flag=True, help="Standard input is the container's; with a terminal, as a terminal.")
@click.option("--no-read-only", is_flag=True, help="Let the container write to its root file system; that is gone with it.")
@click.option("--ephemeral", is_flag=True, help="Volumes that are gone with the container, not named ones that stay.")
@click.option("--grace", type=click.IntRange(0, 3600), default=10, metavar="SECONDS", help="From the stop signal to the kill [10].")
@some_options("python", "python_builds", "as_of", "accelerator", "extras", "groups", "requirements", "packages", "base", "quiet")
def command(what: str, quiet: bool, **flags: Any) -> int:
    """Builds and loads what has to be; runs it in the foreground, and ends with its exit status, or as soon as it has started."""
    from shipwheel.engine.find import find

    wanted = {
        key: flags.pop(key)
        for key in ("python", "python_builds", "as_of", "accelerator", "extras", "groups", "requirements", "packages", "base")
    }
    with progress(quiet) as reporter:
        engine = find(flags["engine"], reporter)
        if flags["detach"]:
            _check_detached(engine, flags["interactive"])
        image, config, platform, project = _image(what, engine, flags["platform"], wanted, reporter)
        spec = _spec(image, config, platform, project, engine, flags, reporter)
    if flags["detach"]:
        commands = engine.start(spec)
        if not quiet:
            steps = {"its output": commands.logs, "to stop it": commands.stop, "to remove it": commands.remove}
            _announce(spec, engine, "\n  ".join(["it stays.", *(f"{what}: {how}" for what, how in steps.items())]))
        click.echo(spec.name)
        return 0
    if not quiet:
        _announce(spec, engine, "Ctrl-C stops it.")
    return engine.run(spec)


def _image(
    what: str, engine: "Engine", platform: str | None, wanted: dict[str, Any], reporter: Reporter
) -> "tuple[str, ContainerConfig, Platform, str]":
    """What the engine calls the image, what it says of itself, its platform, and what its volumes are named after."""
    from shipwheel.oci.layout import LAYOUT
    from shipwheel.oci.reference import Reference
    from shipwheel.platform import Platform

    path = Path(what)
    asked = Platform.parse(platform) if platform else None
    if path.is_dir() and not (path / LAYOUT).is_file():
        return _built(path, engine, asked, wanted, reporter)
    if path.is_file() and path.suffix == ".py":
        return _built(path, engine, asked, wanted, reporter)
    if any(wanted.values()):
        raise UsageError(f"{what} is not built, so there is nothing to choose", hint="Leave out the options that are for building.")
    if path.exists():
        return _saved(path, engine, asked, reporter)
    if what.startswith((".", "/", "~")) or "\\" in what:
        raise UsageError(f"{what} does not exist", hint="Name a project, an image layout, an archive, or an image.")
    Reference.parse(what)
    if not engine.has(what):
        engine.pull(what, asked or engine.host())
    config, found = engine.inspect(what)
    if asked is not None and not asked.matches(found):
        raise UsageError(f"{engine.name} has {what} for {found}, not for {asked}", hint=f"{engine.name} pull --platform {asked} {what}")
    return what, config, found, Reference.parse(what).repository.rpartition("/")[2]


def _built(
    path: Path, engine: "Engine", asked: "Platform | None", wanted: dict[str, Any], reporter: Reporter
) -> "tuple[str, ContainerConfig, Platform, str]":
    from shipwheel.oci.reference import Reference
    from shipwheel.pipeline.build import Built, build, healed

    platform = asked or engine.host()
    _check(engine, platform)
    request = request_from(path, {**wanted, "platforms": (str(platform),)}, reporter)

    def work() -> "tuple[Built, str]":
        built = build(request)
        project = built.resolution.project
        name = Reference.parse(project.settings.tag or project.name)
        return built, engine.load(built.index, request.store, name, reporter)

    built, image = healed(request, work)
    return image, *_config(built.index), built.resolution.project.name


def _saved(path: Path, engine: "Engine", asked: "Platform | None", reporter: Reporter) -> "tuple[str, ContainerConfig, Platform, str]":
    """A layout or an archive: of several platforms the one that was asked for, else the engine's own."""
    from shipwheel.engine.mounts import slug
    from shipwheel.oci.archive import read_archive
    from shipwheel.oci.image import make_index
    from shipwheel.oci.layout import read_layout
    from shipwheel.oci.reference import Reference
    from shipwheel.store import Store, default_root

    reader = read_layout(path) if path.is_dir() else read_archive(path)
    images = reader.images().images
    platform = asked or engine.host()
    image = next((image for image in images if platform.matches(image.platform)), None)
    if image is None:
        known = ", ".join(str(image.platform) for image in images)
        raise UsageError(f"{path} has no image for {platform}", hint=f"Platforms in it: {known}. Name one with --platform.")
    _check(engine, image.platform)
    name = Reference.parse(reader.names[0] if reader.names and ":" in reader.names[0] else slug(path.absolute().stem))
    index = make_index([image])
    called = engine.load(index, Store(default_root()), name, reporter)
    return called, *_config(index), name.repository.rpartition("/")[2]


def _config(index: "ImageIndex") -> "tuple[ContainerConfig, Platform]":
    from shipwheel.oci.model import ConfigFile, decode

    image = index.images[0]
    return decode(image.config, ConfigFile, image.config_descriptor.digest).config, image.platform


def _check(engine: "Engine", platform: "Platform") -> None:
    """Before anything is built or sent: that it could not be run should not come out at the end."""
    from shipwheel.engine.emulation import runnable

    runnable(platform, engine.platforms(), engine.emulation_hint)


def _check_detached(engine: "Engine", interactive: bool) -> None:
    if interactive:
        raise UsageError(
            "a container that is detached has no input, so it cannot be interactive", hint="Leave out --detach or --interactive."
        )
    if not engine.detaches:
        from shipwheel.engine.interface import keeps_none

        raise keeps_none(engine.name)


def _spec(
    image: str, config: "ContainerConfig", platform: "Platform", project: str, engine: "Engine", flags: dict[str, Any], reporter: Reporter
) -> "RunSpec":
    import shlex

    from shipwheel.engine.interface import RunSpec
    from shipwheel.engine.mounts import parse_env, parse_mount, read_env_file, slug, with_volumes
    from shipwheel.engine.ports import direct, parse_port, published

    env: dict[str, str] = {}
    for file in flags["env_files"]:
        env |= read_env_file(file, os.environ)
    env |= parse_env(flags["env"], os.environ)
    asked = [parse_port(text) for text in flags["ports"]]
    exposed = config.exposed_ports
    ports = published(exposed, asked, reporter) if engine.publishes else direct(exposed, asked, engine.name, reporter)
    mounts = with_volumes(config.volumes, [parse_mount(text) for text in flags["mounts"]], project, ephemeral=flags["ephemeral"])
    _warn_unwritable(mounts, flags["user"] or config.user, engine, reporter)
    interactive = flags["interactive"]
    return RunSpec(
        image=image,
        config=config,
        platform=platform,
        name=flags["name"] or f"{slug(project)}-{os.urandom(3).hex()}",
        args=click.get_current_context().meta[_ARGUMENTS],
        entrypoint=tuple(shlex.split(flags["entrypoint"])) if flags["entrypoint"] is not None else None,
        ports=ports,
        mounts=mounts,
        env=env,
        user=flags["user"],
        read_only=not flags["no_read_only"],
        interactive=interactive,
        tty=interactive and sys.stdin.isatty() and sys.stdout.isatty(),
        grace=flags["grace"],
    )


def _warn_unwritable(mounts: "tuple[Mount, ...]", user: str, engine: "Engine", reporter: Reporter) -> None:
    from shipwheel.engine.mounts import unwritable

    if engine.maps_user:
        return
    for directory in unwritable(mounts, user):
        hint = f"Run it as the directory's owner (--user {Path(directory).stat().st_uid}), or chown {user} {directory}."
        reporter(Warned(f"the container's user {user} cannot write to {directory}", hint))


def _announce(spec: "RunSpec", engine: "Engine", end: str) -> None:
    """What runs where, on standard error: standard output is the container's."""
    from shipwheel.engine.ports import exposed

    click.echo(f"{spec.name} runs in {engine.name}; {end}", err=True)
    if engine.publishes:
        for port in spec.ports:
            address = f"{port.address or '127.0.0.1'}:{port.host}"
            click.echo(f"  {'http://' if port.protocol == 'tcp' else ''}{address} is its port {port.container}/{port.protocol}", err=True)
    else:
        for number, kind in exposed(spec.config.exposed_ports):
            click.echo(f"  {'http://' if kind == 'tcp' else ''}127.0.0.1:{number}: it uses this machine's network", err=True)
    for mount in spec.mounts:
        if mount.source:
            click.echo(f"  {mount.target} is {'' if mount.is_path else 'the volume '}{mount.source}", err=True)
