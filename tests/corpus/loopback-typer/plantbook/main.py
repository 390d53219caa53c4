import typer
import uvicorn
from fastapi import FastAPI

cli = typer.Typer()


@cli.command()
def serve(host: str = "127.0.0.1", port: int = 8042) -> None:
    """Serve the book of plants."""
    api = FastAPI()

    @api.get("/")
    def plants() -> list[str]:
        return ["basil", "mint"]

    uvicorn.run(api, host=host, port=port)


@cli.command()
def count() -> None:
    """Print the number of plants."""
    typer.echo("2")
