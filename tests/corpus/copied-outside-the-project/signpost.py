import json

import bottle

with open("/etc/signpost/signpost.json") as file:
    CONFIG = json.load(file)
app = bottle.Bottle()
app.route("/", callback=lambda: {"towns": CONFIG["towns"]})
app.run(host="0.0.0.0", port=CONFIG["port"])
