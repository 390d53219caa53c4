from fastapi import FastAPI

app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)


@app.get("/v1/kites/{number}")
def kite(number: int) -> dict[str, int]:
    return {"kite": number}
