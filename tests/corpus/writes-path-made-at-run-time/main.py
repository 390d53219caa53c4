import asyncio
import configparser
import importlib.resources
from pathlib import Path

import tornado.web

config = configparser.ConfigParser()
config.read_string((importlib.resources.files("notes") / "notes.ini").read_text())
folder = Path(*config["storage"]["path"].split("/"))
folder.mkdir(parents=True, exist_ok=True)
(folder / "started").touch()


class Notes(tornado.web.RequestHandler):
    def get(self) -> None:
        self.write({"notes": [path.name for path in folder.iterdir()]})


async def main() -> None:
    tornado.web.Application([("/", Notes)]).listen(8000)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
