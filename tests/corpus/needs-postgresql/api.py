import psycopg
from fastapi import FastAPI

connection = psycopg.connect("host=127.0.0.1 port=5432 dbname=orders user=orders")
app = FastAPI()


@app.get("/")
def count() -> int:
    return connection.execute("SELECT count(*) FROM orders").fetchone()[0]
