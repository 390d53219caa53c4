import os

from quart import Quart

app = Quart(__name__)
SEATS = int(os.environ["SEATS"])


@app.get("/")
async def index():
    return {"seats": SEATS}
