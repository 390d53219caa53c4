import sqlite3

with sqlite3.connect("/tmp/words.db") as connection:
    connection.execute("CREATE TABLE IF NOT EXISTS word (text TEXT)")
