import sqlite3
import sys

import bottle

HERE = sys.modules[__name__].__file__.rpartition("/")[0]
database = sqlite3.connect(HERE + "/" + "".join(["di", "ary", ".", "db"]), check_same_thread=False)
database.execute("create table if not exists entries (text)")
app = bottle.Bottle()
app.route("/", callback=lambda: str(database.execute("select count(*) from entries").fetchone()[0]))
