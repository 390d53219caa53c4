"""`shipwheel validate`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shipwheel.cli.command import Command
from shipwheel.cli.terminal import Terminal

if TYPE_CHECKING:
    from shipwheel.oci.validate.check import Report

__all__ = ["command"]


@click.command(
    "validate",
    cls=Command,
    help="Recompute every digest, size, diff_id, media type and platform in the image layout or archive at PATH.",
    examples=("shipwheel validate hello.oci",),
)
@click.argument("path", type=click.Path(path_type=Path))
def command(terminal: Terminal, path: Path) -> None:
    """Print one line for each image. A problem is an error that names both values."""
    import msgspec

    from shipwheel.oci.validate.check import validate

    report = validate(path)
    terminal.result(lambda: {"path": str(report.path), "images": msgspec.to_builtins(report.images), "notes": report.notes}, _lines(report))


def _lines(report: "Report") -> Iterator[str]:
    for image in report.images:
        size = f"{image.size / 1e6:.1f} MB, {image.unpacked_size / 1e6:.1f} MB unpacked"
        yield f"{image.platform:<14} {image.digest}  {image.layers} layers, {image.entries} entries, {size}: sound"
    for note in report.notes:
        yield f"note: {note}"
