import click


@click.group()
def main() -> None:
    """Find words in files."""


@main.command()
@click.argument("word")
@click.argument("path", type=click.Path(exists=True))
def find(word: str, path: str) -> None:
    """Print the lines with WORD."""
    with open(path) as lines:
        for line in lines:
            if word in line:
                click.echo(line, nl=False)


@main.command()
@click.argument("path", type=click.Path(exists=True))
def count(path: str) -> None:
    """Count words."""
    with open(path) as file:
        click.echo(len(file.read().split()))
