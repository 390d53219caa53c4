import os

from fastapi import FastAPI


def build() -> FastAPI:
    api = FastAPI()
    colour = os.environ["KITES_COLOUR"]

    @api.get("/")
    def kite() -> dict[str, str]:
        return {"colour": colour}

    return api
