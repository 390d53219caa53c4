import click
from pathlib import Path

@click.command()
@click.argument("words", nargs=-1)
def main(words):
    """Count words."""
    stop = (Path(__file__).parent / "data/stop.txt").read_text().split()
    click.echo(f"{len([w for w in words if w not in stop])} words")
