import click
import waitress

from larder.web import make


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8085, show_default=True, help="Port to listen on.")
def main(host: str, port: int) -> None:
    """Show the larder in a browser."""
    waitress.serve(make(), host=host, port=port)
