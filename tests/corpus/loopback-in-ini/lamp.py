import configparser
from pathlib import Path

import bottle

config = configparser.ConfigParser()
config.read(Path(__file__).with_name("server.ini"))
lamp = bottle.Bottle()
lamp.route("/", callback=lambda: "on")
lamp.run(host=config["server"]["host"], port=config["server"].getint("port"))
