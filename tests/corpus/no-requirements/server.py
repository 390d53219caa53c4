import httpx
from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def index() -> dict[str, str]:
    return {"agent": httpx.Client().headers["user-agent"]}
