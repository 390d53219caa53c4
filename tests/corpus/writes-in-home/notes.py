from pathlib import Path

import bottle

FOLDER = Path.home() / ".notes"
FOLDER.mkdir(exist_ok=True)
(FOLDER / "count").write_text("0")
app = bottle.Bottle()
app.route("/", callback=lambda: (FOLDER / "count").read_text())
