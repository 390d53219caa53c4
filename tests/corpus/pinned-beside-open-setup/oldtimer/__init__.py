from flask import Flask
from werkzeug.urls import url_quote

app = Flask(__name__)


@app.route("/")
def index():
    return url_quote("a car of 1960")
