import subprocess

from flask import Flask

VERSION = subprocess.run(["ffprobe", "-version"], capture_output=True, text=True, check=True).stdout.split("\n")[0]
app = Flask(__name__)


@app.route("/")
def version():
    return VERSION
