from bottle import Bottle
from store import NAMES

app = Bottle()
app.route("/", callback=lambda: NAMES)
