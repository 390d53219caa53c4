import os

import bottle

STORE_URL = os.getenv("STORE_URL")
store = STORE_URL.rstrip("/")
app = bottle.Bottle()
app.route("/", callback=lambda: store)
