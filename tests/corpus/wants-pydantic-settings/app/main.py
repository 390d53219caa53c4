from fastapi import FastAPI

from app.config import settings

app = FastAPI()


@app.get("/")
def rooms() -> dict[str, int]:
    return {"page": settings.page_size}
