import configparser
from pathlib import Path

import waitress
from flask import Flask

config = configparser.ConfigParser()
config.read(Path(__file__).with_name("server.ini"))

app = Flask(__name__)
app.add_url_rule("/", "index", lambda: "behind a proxy")

if __name__ == "__main__":
    waitress.serve(app, host=config["server"]["host"], port=config["server"].getint("port"))
