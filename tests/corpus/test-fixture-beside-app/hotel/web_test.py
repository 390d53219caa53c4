from flask import Flask

app = Flask("fixture")


@app.route("/")
def index():
    raise RuntimeError("a test's application")
