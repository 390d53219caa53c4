import os

from flask import Flask

site = Flask(__name__)
LIGHT = os.environ["LIGHT"]
site.add_url_rule("/", "index", lambda: LIGHT)
