import logging
import os
import sqlite3

from flask import Flask

BASE_DIR = os.path.abspath(os.path.dirname(__file__))
DATABASE = os.path.join(BASE_DIR, "notes.db")
UPLOADS = os.path.join(BASE_DIR, "uploads")

os.makedirs(UPLOADS, exist_ok=True)
logging.basicConfig(filename="notes.log")
app = Flask(__name__)


@app.route("/")
def index():
    with sqlite3.connect(DATABASE) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS notes (text TEXT)")
        connection.execute("INSERT INTO notes VALUES ('x')")
        count = connection.execute("SELECT count(*) FROM notes").fetchone()[0]
    with open(os.path.join(UPLOADS, "note.txt"), "a") as file:
        file.write("x")
    return f"{count} notes"
