"""Documents and their vectors: in SQLite on the volume, or in PostgreSQL with pgvector."""

import json
import os
import sqlite3
from contextlib import closing

URI = os.environ.get("SQLALCHEMY_DATABASE_URI")


def connect():
    if not URI:
        return closing(sqlite3.connect(f"{os.environ['CHATCHAT_ROOT']}/documents.db"))
    import psycopg2

    return closing(psycopg2.connect(URI))


def create():
    with connect() as database:
        cursor = database.cursor()
        if URI:
            cursor.execute("CREATE EXTENSION IF NOT EXISTS vector")
        cursor.execute(f"CREATE TABLE IF NOT EXISTS documents (name TEXT PRIMARY KEY, body TEXT, place {'VECTOR' if URI else 'TEXT'})")
        database.commit()


def names():
    with connect() as database:
        cursor = database.cursor()
        cursor.execute("SELECT name FROM documents")
        return {name for (name,) in cursor.fetchall()}


def add(name, body, vector):
    mark = "%s" if URI else "?"
    with connect() as database:
        database.cursor().execute(f"INSERT INTO documents VALUES ({mark}, {mark}, {mark})", (name, body, json.dumps(vector)))
        database.commit()


def nearest(vector):
    """Return the name and the text of the document that is nearest to a vector."""
    with connect() as database:
        cursor = database.cursor()
        if URI:
            cursor.execute("SELECT name, body FROM documents ORDER BY place <=> %s LIMIT 1", (json.dumps(vector),))
            return cursor.fetchone()
        cursor.execute("SELECT name, body, place FROM documents")
        rows = cursor.fetchall()
    return max(rows, key=lambda row: sum(one * other for one, other in zip(json.loads(row[2]), vector)))[:2]
