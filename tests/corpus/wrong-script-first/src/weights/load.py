import click


@click.command()
@click.argument("path")
def main(path: str) -> None:
    """Import weights from PATH."""
    click.echo(path)
