"""`shipwheel build`."""

import shlex
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from shipwheel.cli.command import Command, option
from shipwheel.cli.options import project_options, request_from
from shipwheel.cli.repeat import Outcome, RepeatableBuild
from shipwheel.cli.terminal import Terminal
from shipwheel.cli.text import columns
from shipwheel.errors import UsageError
from shipwheel.timeline import recorded

if TYPE_CHECKING:
    from shipwheel.events import Reporter
    from shipwheel.oci.image import Image
    from shipwheel.pipeline.build import Built
    from shipwheel.pipeline.deliver import Check, Delivered
    from shipwheel.pipeline.published import Published
    from shipwheel.pipeline.stages import BuiltPlatform
    from shipwheel.project.project import Project
    from shipwheel.request import Request

__all__ = ["command"]


class _Trial(msgspec.Struct, frozen=True):
    """How --check tries an image: the engine's name, empty for the first that answers, and variables that no image has."""

    engine: str
    env: Mapping[str, str]


@click.command(
    "build",
    cls=Command,
    help="Build container images of the Python project at PATH, a directory or a single-file script.",
    examples=(
        "shipwheel build . --tag registry.example/team/hello:1 --push",
        "shipwheel build . --tag hello:1 --output hello.tar",
        "docker run --rm $(shipwheel build . --quiet --load) python --version",
        "shipwheel build . --all --push",
    ),
)
@project_options
@option("-t", "--tag", metavar="NAME:TAG", help="Name of the image.", group="Image")
@option(
    "-o",
    "--output",
    metavar="DIR|FILE.tar",
    help="OCI image layout to write, or an archive that every engine loads [NAME.oci].",
    group="Destination",
)
@option("--push", is_flag=True, help="Push to the registry that the tag names; write no layout unless -o is given.", group="Destination")
@option(
    "--cache-repo",
    metavar="REPOSITORY",
    help="Repository to share layers between projects, asked before a layer is built.",
    group="Destination",
)
@option(
    "--records/--no-records",
    default=None,
    help="Whether to attach records of the layers to the pushed image [attached].",
    group="Destination",
)
@option(
    "--load",
    metavar="[ENGINE]",
    is_flag=False,
    flag_value="",
    help="Load the image into docker, podman, nerdctl or containerd.",
    group="Destination",
)
@option(
    "--check",
    metavar="[ENGINE]",
    is_flag=False,
    flag_value="",
    help="Start the image first; deliver nothing that does not serve.",
    group="Destination",
)
@option(
    "--check-env",
    multiple=True,
    metavar="NAME[=VALUE]",
    help="Variable for the trial of --check alone; repeatable.",
    group="Destination",
)
@option(
    "--check-env-file",
    "check_env_files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="File of NAME=VALUE lines for the trial of --check alone; repeatable.",
    group="Destination",
)
@option(
    "--timeline",
    metavar="FILE.json",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write when each stage began and ended, for Perfetto or chrome://tracing.",
    group="Timing",
)
@option("--all", "everything", is_flag=True, help="Build every member of the uv workspace at PATH that has a command.", group="Workspace")
@option(
    "--shard",
    metavar="I/N",
    help="With --all, build the I-th of N parts, so that N jobs build the whole workspace.",
    group="Workspace",
)
def command(
    terminal: Terminal,
    path: Path,
    push: bool,
    load: str | None,
    check: str | None,
    timeline: Path | None,
    everything: bool,
    shard: str | None,
    **flags: Any,
) -> int:
    """Build, deliver, validate; print the digest reference on standard output, everything else on standard error."""
    tried = _trial(check, flags.pop("check_env"), flags.pop("check_env_files"))
    if flags["cache_repo"] is not None and not push:
        raise UsageError("--cache-repo needs --push", hint="Layers are shared through a registry: add --push.")
    if shard is not None and not everything:
        raise UsageError("--shard needs --all", hint="A shard is a part of a workspace: add --all.")

    def build_one(one: Path, own_flags: dict[str, Any], reporter: "Reporter" = terminal.report) -> "tuple[Delivered, str]":
        with recorded(timeline, reporter) as report:
            return _deliver(one, load, push, tried, own_flags, report)

    if everything:
        from shipwheel.cli.build_all import build_all, parse_shard

        if timeline is not None:
            raise UsageError("--timeline and --all cannot be combined", hint="Record the build of one member: name its directory.")
        return build_all(path, parse_shard(shard or "1/1"), flags, build_one, _document, terminal)
    only_pushes = push and load is None and tried is None and timeline is None and not flags["upgrade_base"]
    repeatable = RepeatableBuild(terminal) if only_pushes else None
    started = time.monotonic()
    delivered, reference = build_one(path, flags, terminal.report if repeatable is None else repeatable.report)
    seconds = time.monotonic() - started
    if not terminal.as_json:
        terminal.note("\n".join((*_table(delivered.built), _summary(delivered.built, seconds), *_next_steps(delivered))))
    terminal.result(lambda: _document(delivered, reference, seconds), [reference])
    if repeatable is not None and delivered.published is not None:
        _keep(repeatable, path, delivered, delivered.published)
    return 0


def _keep(repeatable: RepeatableBuild, path: Path, delivered: "Delivered", published: "Published") -> None:
    """Keep the outcome for a build that finds everything done."""
    from msgspec.structs import replace

    from shipwheel.registry.push import Traffic, size_of

    built, project = delivered.built, delivered.built.resolution.project
    if delivered.path is not None or project.settings.cache_repo is not None or project.settings.tag is None or path.is_file():
        return
    done = replace(delivered, published=replace(published, traffic=Traffic(present=size_of(built.index)), read=0))
    reference = f"{_name(built)}@{built.index.digest}"
    table, images = "\n".join(_table(built)), len(built.platforms)
    outcome = Outcome(project.settings.tag, built.index.digest, table, images, _document(done, reference, 0.0), reference)
    repeatable.keep(outcome, path, did_nothing=not (published.traffic.uploaded or built.resolution.wrote_lock))


def _deliver(
    path: Path, load: str | None, push: bool, tried: _Trial | None, flags: dict[str, Any], reporter: "Reporter"
) -> "tuple[Delivered, str]":
    """Build one project, and bring it where the flags say. Return also its reference there."""
    from shipwheel.api import build

    if load is not None:
        return _build_and_load(path, load, push, tried, flags, reporter)
    request = request_from(path, flags, reporter)
    delivered = build(request, push=push, check=_check(request, tried) if tried is not None else None)
    return delivered, f"{_name(delivered.built)}@{delivered.built.index.digest}"


def _build_and_load(
    path: Path, load: str, push: bool, tried: _Trial | None, flags: dict[str, Any], reporter: "Reporter"
) -> "tuple[Delivered, str]":
    """Build for the engine's own platform, unless `--platform` names another, and load the image."""
    from shipwheel.engine.find import find
    from shipwheel.oci.reference import Reference
    from shipwheel.pipeline.deliver import build_and_load

    if push or flags["output"] is not None:
        raise UsageError("--load cannot be combined with --push or --output", hint="Build twice: the second build reuses everything.")
    engine = find(load or None, reporter)
    request = request_from(path, {**flags, "platforms": flags["platforms"] or (str(engine.host()),)}, reporter)

    def load_image(built: "Built") -> str:
        if tried is not None:
            _check(request, tried)(built)
        name = Reference.parse(request.settings.tag or built.resolution.project.name)
        return engine.load(built.index, request.store, name, reporter)

    return build_and_load(request, load_image)


def _trial(engine: str | None, env: tuple[str, ...], files: tuple[Path, ...]) -> _Trial | None:
    """Return how to try the image, None for not at all. Raise UsageError for variables that nothing would see."""
    if engine is None:
        if env or files:
            raise UsageError("--check-env and --check-env-file need --check", hint="For a variable of the image: --env NAME=VALUE.")
        return None
    import os

    from shipwheel.engine.run_options import read_environment

    return _Trial(engine, read_environment(files, env, os.environ))


def _check(request: "Request", tried: _Trial) -> "Check":
    """Return the function that raises TrialError for an image that does not serve."""
    from shipwheel.cli.source_facts import source_facts
    from shipwheel.engine.find import find
    from shipwheel.trial.built import check_images
    from shipwheel.trial.observe import Conditions
    from shipwheel.trial.paths import USUAL_PATHS

    engine = find(tried.engine or None, request.reporter, bwrap=True)

    def check(built: "Built") -> None:
        project = built.resolution.project
        conditions = Conditions(paths=USUAL_PATHS, source=source_facts(built), env=tried.env)
        check_images(built.index, project.name, engine, request.store, request.reporter, conditions)

    return check


def _name(built: "Built") -> str:
    from shipwheel.oci.reference import Reference

    project = built.resolution.project
    if project.settings.tag is None:
        return project.name
    return Reference.parse(project.settings.tag).name


def _document(delivered: "Delivered", reference: str, seconds: float) -> dict[str, Any]:
    built = delivered.built
    images = {image.platform: image for image in built.index.images}
    return {
        "name": _name(built),
        "tag": built.resolution.project.settings.tag,
        "digest": built.index.digest,
        "reference": reference,
        "output": str(delivered.path) if delivered.path is not None else None,
        "pushed": _pushed(delivered),
        "lock": str(built.resolution.lock.path),
        "seconds": round(seconds, 3),
        "images": [_image(each, images[each.resolved.target.platform]) for each in built.platforms],
    }


def _image(built: "BuiltPlatform", image: "Image") -> dict[str, Any]:
    selection = built.resolved.selection
    return {
        "platform": str(image.platform),
        "digest": image.digest,
        "size": image.size,
        "unpacked-size": built.unpacked_size,
        "layers": [
            {"name": layer.name, "digest": layer.descriptor.digest, "size": layer.descriptor.size, "diff-id": layer.diff_id}
            for layer in built.layers
        ],
        "distributions": {item.name: item.version for item in selection.distributions},
        "packages": {package.name: package.version for package in built.resolved.base.all_packages},
        "left-out": [{"name": item.name, "reason": item.reason} for item in selection.left_out],
        "wheel-bytes": sum(item.size or 0 for item in selection.distributions),
        "warnings": list(built.proof.warnings),
    }


def _pushed(delivered: "Delivered") -> dict[str, Any] | None:
    """Return the bytes uploaded, already present, mounted, and read."""
    pushed = delivered.published
    if pushed is None:
        return None
    return {"repository": pushed.name, "tags": list(pushed.tags), **msgspec.to_builtins(pushed.traffic), "read": pushed.read}


def _table(built: "Built") -> Iterator[str]:
    """Yield a table with a row for each image."""
    rows = [("platform", "digest", "MB", "unpacked MB", "layers", "packages")]
    images = {image.platform: image for image in built.index.images}
    for each in built.platforms:
        image = images[each.resolved.target.platform]
        distributions = each.resolved.selection.distributions
        row = (
            str(image.platform),
            image.digest[:19],
            f"{image.size / 1e6:.1f}",
            f"{each.unpacked_size / 1e6:.1f}",
            str(len(each.layers)),
            f"{len(distributions)} + {len(each.resolved.base.all_packages)} Debian",
        )
        rows.append(row)
    yield columns(rows, left=(0, 1))


def _summary(built: "Built", seconds: float) -> str:
    count = len(built.platforms)
    return f"built {count} image{'' if count == 1 else 's'} in {seconds:.1f} s"


def _next_steps(delivered: "Delivered") -> Iterator[str]:
    built, target = delivered.built, delivered.path
    if target is None:
        return
    project, file = built.resolution.project, shlex.quote(str(target))
    yield from ("", "Next:", f"  shipwheel validate {file}")
    if target.suffix == ".tar":
        name = project.settings.tag or f"{project.name}:latest"
        yield f"  docker load -i {file}   (or podman load, ctr images import, skopeo)"
        yield f"  docker run --read-only --tmpfs /tmp{_port_flags(built)}{_volume_flags(project)} {name}"
    else:
        yield f"  shipwheel run {file}   (-o {project.name}.tar writes a file that every engine loads)"


def _port_flags(built: "Built") -> str:
    launch = built.resolution.project.launch
    flags = ""
    for port in launch.ports if launch else ():
        number, _, protocol = port.partition("/")
        flags += f" -p {number}:{number}" + ("" if protocol in ("", "tcp") else f"/{protocol}")
    return flags


def _volume_flags(project: "Project") -> str:
    """Return `-v` flags for the image's volumes, with the names that `shipwheel run` gives them."""
    from shipwheel.engine.run_options import add_image_volumes

    mounts = add_image_volumes(project.volumes, (), project.name, ephemeral=False)
    return "".join(f" -v {mount.source}:{mount.target}" for mount in mounts)
