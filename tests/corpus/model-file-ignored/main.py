from pathlib import Path

from fastapi import FastAPI

WEIGHTS = Path(__file__).parent / "models" / "plums.bin"
app = FastAPI()


@app.on_event("startup")
def load():
    app.state.weights = WEIGHTS.read_bytes()


@app.get("/")
def index():
    return {"size": len(app.state.weights)}
