import sqlite3

from flask import Flask

app = Flask(__name__)
DATABASE = "kites.db"


def create_tables():
    with sqlite3.connect(DATABASE) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kite (name TEXT)")


@app.route("/")
def index():
    with sqlite3.connect(DATABASE) as connection:
        return f"{connection.execute('SELECT count(*) FROM kite').fetchone()[0]} kites"


if __name__ == "__main__":
    create_tables()
    app.run(debug=True)
