import argparse
import os

from aiohttp import web

LINE = os.environ["FERRY_LINE"]


async def index(request):
    return web.json_response({"line": LINE})


parser = argparse.ArgumentParser()
parser.add_argument("--listen", default="127.0.0.1")
parser.add_argument("--port", type=int, default=7000)
options = parser.parse_args()
app = web.Application()
app.add_routes([web.get("/", index)])
web.run_app(app, host=options.listen, port=options.port)
