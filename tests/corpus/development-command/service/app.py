import flask
from names import NAMES

app = flask.Flask(__name__)


@app.route("/")
def index():
    with open("greeting.txt") as file:
        return f"{file.read()} {NAMES[0]}"
