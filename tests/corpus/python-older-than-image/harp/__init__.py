from flask import Flask

app = Flask(__name__)


@app.route("/")
def notes():
    return "c d e"
