import os

import bottle
import waitress

HERE = os.path.dirname(os.path.abspath(__file__))
THUMBNAILS = os.path.join(HERE, "cache", "thumbnails")
os.makedirs(THUMBNAILS, exist_ok=True)
app = bottle.Bottle()


@app.get("/")
def index():
    return {"thumbnails": os.listdir(THUMBNAILS)}


if __name__ == "__main__":
    waitress.serve(app, listen="*:8080")
