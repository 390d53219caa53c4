import bottle

app = bottle.Bottle()
app.route("/", callback=lambda: "gate")
app.run(host="0.0.0.0", port=80)
