"""`shipwheel push`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from shipwheel.cli.progress import progress
from shipwheel.cli.remote import opened, parsed, tag_of
from shipwheel.errors import UsageError

if TYPE_CHECKING:
    from shipwheel.oci.reference import Reference

__all__ = ["command"]


@click.command("push", help="Push the images of an OCI image layout or archive (LAYOUT) to REF in a registry. What is there is not sent.")
@click.argument("layout", type=click.Path(path_type=Path))
@click.argument("ref")
@click.option("--name", metavar="NAME|DIGEST", help="Which images, if the layout holds several.")
@click.option(
    "--mount-from",
    "origins",
    multiple=True,
    metavar="REPOSITORY",
    help="Another repository of the registry that may have layers; can be repeated.",
)
@click.option("-q", "--quiet", is_flag=True, help="Show warnings and errors alone.")
def command(layout: Path, ref: str, name: str | None, origins: tuple[str, ...], quiet: bool) -> None:
    """Pushes layers, configs, manifests, the image index, then the tag; prints the digest reference."""
    from shipwheel.oci.archive import read_archive
    from shipwheel.oci.layout import read_layout
    from shipwheel.registry.copy import LayoutSource, copy

    reference = parsed(ref)
    tag = tag_of(reference)
    others = [_origin(origin, reference) for origin in origins]
    reader = read_archive(layout) if layout.is_file() else read_layout(layout)
    entry = reader.entry(name)
    with progress(quiet) as reporter, opened(reference, reporter) as there:
        copy(LayoutSource(reader), entry.digest, there, (tag,), reporter=reporter, media_type=entry.media_type, origins=others)
    click.echo(f"{reference.name}@{entry.digest}")


def _origin(text: str, target: "Reference") -> str:
    """`registry/repository` to mount from: a repository alone is one of the target's registry. Raises UsageError for another registry."""
    from shipwheel.registry.hosts import host_of

    found = parsed(text)
    if found.registry is None:
        return found.repository if target.registry is None else f"{target.registry}/{found.repository}"
    if host_of(found.registry).url != host_of(target.registry).url:
        raise UsageError(
            f"--mount-from {text}: a registry mounts layers of its own repositories alone, and {target.name} is in another one",
            hint="Name a repository of that registry, or leave the option out: the layers are sent then.",
        )
    return found.name
