import sqlite3

with sqlite3.connect("/tmp/words.db") as connection:
    connection.execute("INSERT INTO word VALUES ('hello')")
