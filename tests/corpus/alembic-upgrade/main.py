import os

from fastapi import FastAPI
from sqlalchemy import create_engine, text

DATABASE_URL = os.getenv("DATABASE_URL", "sqlite:////tmp/stock.db")
app = FastAPI()
engine = create_engine(DATABASE_URL)


@app.get("/")
def items() -> dict[str, int]:
    with engine.connect() as connection:
        return {"items": connection.execute(text("SELECT count(*) FROM item")).scalar_one()}
