import os
import sys

import bottle

if os.fork():
    sys.exit(0)
os.setsid()
app = bottle.Bottle()
app.route("/", callback=lambda: "in the background")
app.run(host="0.0.0.0", port=8000)
