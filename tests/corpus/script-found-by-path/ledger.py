import sqlite3

from flask import Flask

app = Flask(__name__)


@app.cli.command("init-db")
def init_db():
    with sqlite3.connect("/data/ledger.db") as db:
        db.execute("CREATE TABLE IF NOT EXISTS entries (id INTEGER)")


@app.get("/")
def home():
    with sqlite3.connect("/data/ledger.db") as db:
        return str(db.execute("SELECT count(*) FROM entries").fetchone()[0])
