import bottle

app = bottle.Bottle()


@app.get("/")
def joke():
    return "A snake walks into a bar."


def main() -> None:
    app.run(host="0.0.0.0", port=8000)
