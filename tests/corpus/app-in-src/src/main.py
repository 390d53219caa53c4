from flask import Flask

from config import NAME

app = Flask(__name__)


@app.route("/")
def index():
    return NAME
