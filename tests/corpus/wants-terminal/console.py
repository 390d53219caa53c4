import os
import sys

import bottle

columns = os.get_terminal_size(sys.stdin.fileno()).columns
app = bottle.Bottle()
app.route("/", callback=lambda: str(columns))
app.run(host="0.0.0.0", port=8000)
