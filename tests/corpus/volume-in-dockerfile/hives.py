import os
import sqlite3

from flask import Flask

app = Flask(__name__)
database = sqlite3.connect(os.path.join(os.environ["DATA"], "hives.db"), check_same_thread=False)
database.execute("CREATE TABLE IF NOT EXISTS hive (name TEXT)")


@app.route("/")
def index():
    return {"hives": database.execute("SELECT count(*) FROM hive").fetchone()[0]}
