"""`shipwheel push`."""

from pathlib import Path

import click

from shipwheel.cli.progress import progress
from shipwheel.cli.remote import opened, parsed, tag_of

__all__ = ["command"]


@click.command("push", help="Push the images of an OCI image layout or archive (LAYOUT) to REF in a registry. What is there is not sent.")
@click.argument("layout", type=click.Path(path_type=Path))
@click.argument("ref")
@click.option("--name", metavar="NAME|DIGEST", help="Which images, if the layout holds several.")
@click.option("--mount-from", "origins", multiple=True, metavar="REPOSITORY", help="Another repository that may have layers.")
@click.option("-q", "--quiet", is_flag=True, help="Show warnings and errors alone.")
def command(layout: Path, ref: str, name: str | None, origins: tuple[str, ...], quiet: bool) -> None:
    """Pushes layers, configs, manifests, the image index, then the tag; prints the digest reference."""
    from shipwheel.oci.archive import read_archive
    from shipwheel.oci.layout import read_layout
    from shipwheel.registry.copy import LayoutSource, copy

    reference = parsed(ref)
    tag = tag_of(reference)
    reader = read_archive(layout) if layout.is_file() else read_layout(layout)
    entry = reader.entry(name)
    others = [parsed(origin).name for origin in origins]
    with progress(quiet) as reporter, opened(reference, reporter) as there:
        copy(LayoutSource(reader), entry.digest, there, (tag,), reporter=reporter, media_type=entry.media_type, origins=others)
    click.echo(f"{reference.name}@{entry.digest}")
