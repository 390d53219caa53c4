from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from helpers import near


async def index(request):
    return PlainTextResponse(str(near(0.1 + 0.2, 0.3)))


app = Starlette(routes=[Route("/", index)])
