from flask import Flask


def create_app(name: str = "hotel") -> Flask:
    app = Flask(name)
    app.add_url_rule("/", "index", lambda: f"{name}: 12 rooms")
    return app
