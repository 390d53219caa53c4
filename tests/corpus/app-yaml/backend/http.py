import os

from flask import Flask

web = Flask(__name__)


@web.route("/")
def greet():
    return os.environ["GREETING"]
