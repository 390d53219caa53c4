from importlib.resources import files
import uvicorn
from fastapi import FastAPI, Request
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates

HERE = files("orders")
app = FastAPI(title="Orders")
app.mount("/static", StaticFiles(directory=str(HERE / "static")), name="static")
templates = Jinja2Templates(directory=str(HERE / "templates"))


@app.get("/")
def home(request: Request):
    return templates.TemplateResponse(request, "home.html")


def main():
    uvicorn.run("orders.server:app", host="127.0.0.1", port=8000, reload=True)
