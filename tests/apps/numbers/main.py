import ssl

import numpy
from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def total() -> dict[str, object]:
    return {"total": float(numpy.arange(10).sum()), "authorities": len(ssl.create_default_context().get_ca_certs()) > 100}
