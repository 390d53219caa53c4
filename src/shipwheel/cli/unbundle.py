"""`shipwheel unbundle`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from shipwheel.cli.cache_limit import limited_store
from shipwheel.cli.command import Command, option
from shipwheel.cli.terminal import Terminal
from shipwheel.errors import UsageError

if TYPE_CHECKING:
    from shipwheel.oci.bundle import Bundle
    from shipwheel.oci.layout import LayoutReader

__all__ = ["command"]


@click.command(
    "unbundle",
    cls=Command,
    help="""Bring the images of a bundle into a registry or an engine, and write its files with their names there: `shipwheel up DIR` starts
    them. Every byte is checked, and what a registry has is not sent. Nothing else is asked for. A bundle of `bundle --for-build` goes into
    the cache: then `shipwheel build` needs no network.""",
    examples=(
        "shipwheel unbundle shop.tar --push registry.internal -o shop",
        "shipwheel unbundle shop.tar --load -o shop",
        "shipwheel unbundle inputs.tar",
    ),
)
@click.argument("file", type=click.Path(path_type=Path))
@option("--push", metavar="REGISTRY[/PREFIX]", help="Push the images for all platforms to this registry.", group="Destination")
@option(
    "--load",
    metavar="[ENGINE]",
    is_flag=False,
    flag_value="",
    help="Load the images for the engine's platform into it.",
    group="Destination",
)
@option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Directory for the files [the stack's name].",
    group="Destination",
)
def command(terminal: Terminal, file: Path, push: str | None, load: str | None, output: Path | None) -> None:
    """Push or load each image, then write the files."""
    from shipwheel.oci.bundle import read_bundle
    from shipwheel.pipeline.input_archive import fill, read_inputs

    if (inputs := read_inputs(file)) is not None:
        if (push, load, output) != (None, None, None):
            raise UsageError(f"{file} has no images, but what builds need", hint="It goes into the cache: leave out --push, --load and -o.")
        fill(inputs, limited_store(), terminal.report)
        terminal.result(lambda: {"projects": [*inputs.projects]}, [*inputs.projects])
        return
    if (push is None) == (load is None):
        raise UsageError("name one destination", hint="Add --push REGISTRY, or --load.")
    bundle, reader = read_bundle(file)
    folder = output or Path(bundle.stack)
    _check_folder(folder)
    names = _pushed(bundle, reader, push, terminal) if push is not None else _loaded(bundle, reader, load or None, terminal)
    written = []
    for name, text in bundle.renamed(names).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written.append(str(path))
    terminal.result(lambda: {"images": [*names.values()], "files": written}, [*names.values(), *written])


def _check_folder(folder: Path) -> None:
    """Raise UsageError for the directory of a project: the settings of the bundle would take the place of its own."""
    from shipwheel.stack.image_settings import FILE, HEAD

    own = folder / FILE
    is_project = (folder / "pyproject.toml").exists() or (own.exists() and not own.read_text(encoding="utf-8").startswith(HEAD))
    if is_project:
        raise UsageError(f"{folder} is the directory of a project", hint="Name another directory for the files: -o DIR.")


def _pushed(bundle: "Bundle", reader: "LayoutReader", registry: str, terminal: Terminal) -> dict[str, str]:
    """Push every image. Return its name in the files -> its name in the registry."""
    from shipwheel.cli.remote import open_repository
    from shipwheel.oci.reference import Reference
    from shipwheel.registry.copy import LayoutSource, copy

    names = {}
    for image in bundle.images:
        target = Reference.parse_target(f"{registry.rstrip('/')}/{image.repository}:{image.tag}")
        entry = reader.entry(image.digest)
        with open_repository(target, terminal.report) as repository:
            copy(LayoutSource(reader), image.digest, repository, (image.tag,), reporter=terminal.report, media_type=entry.media_type)
        names[image.name] = f"{target.name}@{image.digest}"
    return names


def _loaded(bundle: "Bundle", reader: "LayoutReader", engine_name: str | None, terminal: Terminal) -> dict[str, str]:
    """Load every image for the engine's platform. Return its name in the files -> its name in the engine."""
    from shipwheel.cli.loading import check_runnable_by
    from shipwheel.engine.find import find
    from shipwheel.oci.image import make_index
    from shipwheel.oci.reference import Reference
    from shipwheel.store.store import Store, default_root

    engine = find(engine_name, terminal.report)
    host, names = engine.host(), {}
    for image in bundle.images:
        images = reader.images(image.digest).images
        found = next((each for each in images if host.matches(each.platform)), images[0])
        check_runnable_by(engine, found.platform)
        name = Reference.parse(f"{image.repository}:{image.tag}")
        names[image.name] = engine.load(make_index([found]), Store(default_root()), name, terminal.report)
    return names
