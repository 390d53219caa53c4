import os

from flask import Flask

app = Flask(__name__)
FONTS = sorted(os.listdir(os.path.join(app.root_path, "static", "fonts")))


@app.get("/")
def home():
    return f"{len(FONTS)} fonts"
