from flask import Flask


def make() -> Flask:
    app = Flask("larder")
    app.add_url_rule("/", "index", lambda: "flour, rice, beans")
    return app
