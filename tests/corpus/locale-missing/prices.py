import locale

import bottle

locale.setlocale(locale.LC_ALL, "de_DE.UTF-8")
app = bottle.Bottle()
app.route("/", callback=lambda: locale.currency(1234.5, grouping=True))
