import os

from flask import Flask

TOKEN = os.environ["MAILER_TOKEN"]
app = Flask(__name__)


@app.route("/")
def index():
    return {"token": len(TOKEN)}
