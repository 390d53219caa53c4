"""`shipwheel build`."""

import json
import shlex
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from shipwheel.cli.options import project_options, request_from
from shipwheel.cli.progress import progress
from shipwheel.errors import UsageError
from shipwheel.events import amount

if TYPE_CHECKING:
    from shipwheel.events import Reporter
    from shipwheel.pipeline.build import Built, Request
    from shipwheel.pipeline.deliver import Delivered
    from shipwheel.project.detect import Project

__all__ = ["command"]


@click.command("build", help="Build images of the Python project at PATH (a directory, or a single-file script) for every platform.")
@project_options
@click.option("-t", "--tag", metavar="NAME:TAG", help="Name of the image.")
@click.option("-o", "--output", metavar="DIR|FILE.tar", help="OCI image layout, or one archive that every engine loads [NAME.oci].")
@click.option(
    "--push", is_flag=True, help="Push the images to the registry that the tag names; no layout is written unless -o asks for one."
)
@click.option("--cache-repo", metavar="REPOSITORY", help="Where layers of all projects are kept, and asked for before they are made.")
@click.option("--load", metavar="[ENGINE]", is_flag=False, flag_value="", help="Load it into docker, podman, … for its own platform.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on standard output.")
def command(path: Path, push: bool, load: str | None, as_json: bool, quiet: bool, **flags: Any) -> None:
    """Builds, delivers, validates; prints the digest reference on standard output, everything else on standard error."""
    from shipwheel.pipeline.deliver import build_and_deliver, build_and_push

    if flags["cache_repo"] is not None and not push:
        raise UsageError("--cache-repo goes with --push", hint="Layers are kept in a registry when the image is: add --push.")
    started = time.monotonic()
    with progress(quiet) as reporter:
        if load is not None:
            done, called = _loaded(path, load, push, flags, reporter)
        else:
            request: Request = request_from(path, flags, reporter)
            done = build_and_push(request) if push else build_and_deliver(request)
            called = f"{_name(done.built)}@{done.built.index.digest}"
    seconds = time.monotonic() - started
    if as_json:
        click.echo(json.dumps(_document(done, called, seconds), indent=2))
        return
    if not quiet:
        _table(done.built, seconds)
        _next_steps(done)
    click.echo(called)


def _loaded(path: Path, load: str, push: bool, flags: dict[str, Any], reporter: "Reporter") -> "tuple[Delivered, str]":
    """For the platform that the engine runs, unless another one is named."""
    from shipwheel.engine.find import find
    from shipwheel.oci.reference import Reference
    from shipwheel.pipeline.deliver import build_and_load

    if push or flags["output"] is not None:
        raise UsageError("--load goes with neither --push nor --output", hint="Build twice: the second time nothing is made again.")
    engine = find(load or None, reporter)
    request: Request = request_from(path, {**flags, "platforms": flags["platforms"] or (str(engine.host()),)}, reporter)

    def bring(built: "Built") -> str:
        name = Reference.parse(request.settings.tag or built.resolution.project.name)
        return engine.load(built.index, request.store, name, reporter)

    return build_and_load(request, bring)


def _name(built: "Built") -> str:
    from shipwheel.oci.reference import Reference

    project = built.resolution.project
    if project.settings.tag is None:
        return project.name
    return Reference.parse(project.settings.tag).name


def _document(done: "Delivered", called: str, seconds: float) -> dict[str, Any]:
    built = done.built
    return {
        "name": _name(built),
        "tag": built.resolution.project.settings.tag,
        "digest": built.index.digest,
        "reference": called,
        "output": str(done.path) if done.path is not None else None,
        "pushed": _pushed(done),
        "lock": str(built.resolution.lock.path),
        "seconds": round(seconds, 3),
        "images": [
            {
                "platform": str(image.platform),
                "digest": image.digest,
                "size": image.size,
                "unpacked-size": each.unpacked_size,
                "layers": [
                    {
                        "name": layer.name,
                        "digest": layer.descriptor.digest,
                        "size": layer.descriptor.size,
                        "diff-id": layer.diff_id,
                    }
                    for layer in each.layers
                ],
                "distributions": {item.name: item.version for item in each.resolved.selection.distributions},
                "packages": {package.name: package.version for package in each.resolved.base.packages},
                "left-out": [{"name": item.name, "reason": item.reason} for item in each.resolved.selection.left_out],
                "wheel-bytes": sum(item.size or 0 for item in each.resolved.selection.distributions),
                "warnings": list(each.proof.warnings),
            }
            for each in built.platforms
            for image in built.index.images
            if image.platform == each.resolved.target.platform
        ],
    }


def _pushed(done: "Delivered") -> dict[str, Any] | None:
    """Bytes that went up, that were there, that were mounted, and that were read."""
    pushed = done.published
    if pushed is None:
        return None
    return {"repository": pushed.name, "tags": list(pushed.tags), **msgspec.to_builtins(pushed.traffic), "read": pushed.read}


def _table(built: "Built", seconds: float) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("platform", "digest", "MB", "wheels MB", "unpacked MB", "layers", "packages", "seconds"):
        table.add_column(name, justify="left" if name in ("platform", "digest") else "right", no_wrap=True)
    images = {image.platform: image for image in built.index.images}
    for each in built.platforms:
        image = images[each.resolved.target.platform]
        distributions = each.resolved.selection.distributions
        table.add_row(
            str(image.platform),
            image.digest[:19],
            f"{image.size / 1e6:.1f}",
            f"{sum(item.size or 0 for item in distributions) / 1e6:.1f}",
            f"{each.unpacked_size / 1e6:.1f}",
            str(len(each.layers)),
            f"{len(distributions)} + {len(each.resolved.base.packages)} Debian",
            f"{seconds:.1f}",
        )
    Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else 120).print(table)


def _next_steps(done: "Delivered") -> None:
    built, target = done.built, done.path
    if done.published is not None:
        click.echo(f"{done.published.name}: {done.published.traffic}, {amount(done.published.read)} read", err=True)
    if target is None:
        return
    project, file = built.resolution.project, shlex.quote(str(target))
    lines = ["", "Next:", f"  shipwheel validate {file}"]
    if target.suffix == ".tar":
        name = project.settings.tag or f"{project.name}:latest"
        lines.append(f"  docker load -i {file}   (podman load, ctr images import and skopeo take it as well)")
        lines.append(f"  docker run --read-only --tmpfs /tmp{_published(_ports(built))}{_mounted(project)} {name}")
    else:
        # An engine that reads a layout, podman, gives the image no name.
        lines.append(f"  shipwheel run {file}   (for one file that every engine loads: shipwheel build … -o {project.name}.tar)")
    click.echo("\n".join(lines), err=True)


def _published(ports: Iterable[str]) -> str:
    found = ""
    for port in ports:
        number, _, protocol = port.partition("/")
        found += f" -p {number}:{number}" + ("" if protocol in ("", "tcp") else f"/{protocol}")
    return found


def _mounted(project: "Project") -> str:
    """The image's volumes, under the names that `shipwheel run` gives them."""
    from shipwheel.engine.mounts import with_volumes

    mounts = with_volumes(project.volumes, (), project.name, ephemeral=False)
    return "".join(f" -v {mount.source}:{mount.target}" for mount in mounts)


def _ports(built: "Built") -> tuple[str, ...]:
    launch = built.resolution.project.launch
    return launch.ports if launch else ()
