"""A service that uses what it depends on, so that starting it imports everything."""

import httpx
import numpy
import pandas
import sqlalchemy
from fastapi import FastAPI

app = FastAPI(title="bench")


@app.get("/")
def root() -> dict[str, str]:
    return {module.__name__: module.__version__ for module in (httpx, numpy, pandas, sqlalchemy)}
