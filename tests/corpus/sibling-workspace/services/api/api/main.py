import bottle
from greetings import greet

app = bottle.Bottle()


@app.get("/")
def index() -> str:
    return greet("monorepo")


def main() -> None:
    app.run(host="0.0.0.0", port=8000)


if __name__ == "__main__":
    main()
