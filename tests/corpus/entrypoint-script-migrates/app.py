import os
import sqlite3

from flask import Flask

app = Flask(__name__)
DATABASE = os.environ.get("DATABASE", "/tmp/votes.db")


@app.get("/")
def votes():
    with sqlite3.connect(DATABASE) as connection:
        return {"votes": connection.execute("SELECT count(*) FROM vote").fetchone()[0]}
