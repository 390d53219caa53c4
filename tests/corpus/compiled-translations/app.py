import gettext
from pathlib import Path

from flask import Flask

german = gettext.translation("messages", Path(__file__).parent / "translations", ["de"])
app = Flask(__name__)


@app.route("/")
def index():
    return german.gettext("hello")
