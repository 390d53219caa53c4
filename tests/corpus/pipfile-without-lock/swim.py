import bottle
import waitress

app = bottle.default_app()


@bottle.get("/")
def lanes():
    return {"lanes": 8}


if __name__ == "__main__":
    waitress.serve(app, listen="0.0.0.0:8080")
