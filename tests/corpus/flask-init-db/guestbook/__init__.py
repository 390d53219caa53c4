"""A guest book."""

import os
import sqlite3

import click
from flask import Flask, current_app


def connect() -> sqlite3.Connection:
    return sqlite3.connect(current_app.config["DATABASE"])


@click.command("init-db")
def init_db() -> None:
    """Make the tables."""
    with connect() as connection, current_app.open_resource("schema.sql") as schema:
        connection.executescript(schema.read().decode())
    click.echo("made the tables")


def create_app() -> Flask:
    app = Flask(__name__, instance_relative_config=True)
    app.config["DATABASE"] = os.path.join(app.instance_path, "guests.sqlite")
    os.makedirs(app.instance_path, exist_ok=True)
    app.cli.add_command(init_db)

    @app.get("/")
    def entries():
        return {"entries": [row[0] for row in connect().execute("SELECT text FROM entry")]}

    return app
