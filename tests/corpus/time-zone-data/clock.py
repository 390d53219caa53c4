import datetime
import zoneinfo

import bottle

ZONE = zoneinfo.ZoneInfo("Europe/Berlin")
app = bottle.Bottle()
app.route("/", callback=lambda: datetime.datetime.now(ZONE).isoformat())
