import argparse
import sys

from aiohttp import web


async def index(request: web.Request) -> web.Response:
    return web.json_response({"parcels": 0})


def main() -> int:
    parser = argparse.ArgumentParser(prog="parcels")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("report", help="print a report")
    serve = commands.add_parser("serve", help="start the web service")
    serve.add_argument("--host", default="0.0.0.0")
    serve.add_argument("--port", type=int, default=8070)
    options = parser.parse_args()
    if options.command is None:
        parser.print_help()
        return 2
    if options.command == "report":
        print("no parcels")
        return 0
    app = web.Application()
    app.router.add_get("/", index)
    web.run_app(app, host=options.host, port=options.port)
    return 0


if __name__ == "__main__":
    sys.exit(main())
