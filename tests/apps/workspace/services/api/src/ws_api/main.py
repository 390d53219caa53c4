from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from ws_core import GREETING


async def home(request: Request) -> PlainTextResponse:
    return PlainTextResponse(GREETING)


app = Starlette(routes=[Route("/", home)])
