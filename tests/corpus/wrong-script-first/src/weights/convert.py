import click


@click.command()
@click.argument("kilograms", type=float)
def main(kilograms: float) -> None:
    """Print pounds."""
    click.echo(kilograms * 2.2)
