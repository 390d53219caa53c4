"""`shipwheel validate`."""

import json
from pathlib import Path

import click

__all__ = ["command"]


@click.command("validate", help="Recompute every digest, size, diff_id, media type and platform in the image layout or archive at PATH.")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(path: Path, as_json: bool) -> None:
    """Print one line for each image. A problem is an error that names both values."""
    from dataclasses import asdict

    from shipwheel.oci.validate.check import validate

    report = validate(path)
    if as_json:
        click.echo(json.dumps({**asdict(report), "path": str(report.path)}, indent=2))
        return
    for image in report.images:
        size = f"{image.size / 1e6:.1f} MB, {image.unpacked_size / 1e6:.1f} MB unpacked"
        click.echo(f"{image.platform:<14} {image.digest}  {image.layers} layers, {image.entries} entries, {size}: sound")
    for note in report.notes:
        click.echo(f"note: {note}")
