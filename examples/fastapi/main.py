from fastapi import FastAPI
from pydantic import BaseModel


class Greeting(BaseModel):
    message: str


app = FastAPI(title="hello")


@app.get("/")
def root() -> Greeting:
    return Greeting(message="Hello from an image without a Dockerfile")
