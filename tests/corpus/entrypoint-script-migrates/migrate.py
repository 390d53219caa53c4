"""Make the tables that are missing."""

import sqlite3

from app import DATABASE

with sqlite3.connect(DATABASE) as connection:
    connection.execute("CREATE TABLE IF NOT EXISTS vote (id INTEGER PRIMARY KEY, choice TEXT NOT NULL)")
print("migrated", DATABASE)
