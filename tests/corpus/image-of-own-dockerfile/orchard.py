import os

from flask import Flask

app = Flask(__name__)
KIND = os.environ["ORCHARD_KIND"]


@app.get("/")
def home():
    return KIND
