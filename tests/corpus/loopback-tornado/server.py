import asyncio

import tornado.web
from tornado.options import define, options, parse_command_line

define("address", default="127.0.0.1", help="address to listen on")
define("port", default=8888, type=int, help="port to listen on")


class Clock(tornado.web.RequestHandler):
    def get(self) -> None:
        self.write("tick")


async def main() -> None:
    parse_command_line()
    tornado.web.Application([("/", Clock)]).listen(options.port, options.address)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
