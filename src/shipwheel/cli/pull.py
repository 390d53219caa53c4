"""`shipwheel pull`."""

from pathlib import Path

import click

from shipwheel.cli.command import Command
from shipwheel.cli.remote import open_repository, parse_platforms, reference_document, remote_reference, tag_or_digest
from shipwheel.cli.terminal import Terminal

__all__ = ["command"]


@click.command(
    "pull",
    cls=Command,
    help="Pull the images of REF into the OCI image layout DIR. Blobs that the layout has are not fetched.",
    examples=(
        "shipwheel pull registry.example/team/hello:1 hello.oci",
        "shipwheel pull registry.example/team/hello:1 hello.oci --platform linux/arm64",
    ),
)
@click.argument("ref")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--platform", "platforms", multiple=True, metavar="OS/ARCH[,…]", help="Platforms to pull [all].")
def command(terminal: Terminal, ref: str, directory: Path, platforms: tuple[str, ...]) -> None:
    """Pull; print the digest reference of the image in the layout, which differs from the registry's if it had to be converted."""
    from shipwheel.registry.pull import pull, remote_images
    from shipwheel.store.store import Store, default_root

    reference, selected = remote_reference(ref), parse_platforms(platforms)
    with open_repository(reference, terminal.report) as repository:
        found = remote_images(repository, tag_or_digest(reference), selected)
        pulled = pull(repository, found, directory, Store(default_root()), name=str(reference), reporter=terminal.report)
    if pulled.entry.digest != found.digest and selected is None:
        why = "it was converted to OCI media types, had attestations, or listed a single image"
        hint = f"The registry has {found.digest}; {why}. `shipwheel copy` changes nothing."
        terminal.warn("the digest in the layout differs from the registry's", hint)
    result = f"{reference.name}@{pulled.entry.digest}"
    terminal.result(lambda: {**reference_document(result), "output": str(directory)}, [result])
