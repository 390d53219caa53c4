import bottle

port = int(input("Port: "))
app = bottle.Bottle()
app.route("/", callback=lambda: "quiz")
app.run(host="0.0.0.0", port=port)
