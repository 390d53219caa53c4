"""Bookings of a tennis club."""

import os

from flask import Flask, jsonify


def create_app() -> Flask:
    app = Flask(__name__)
    courts = int(os.environ["BOOKINGS_COURTS"])

    @app.get("/")
    def index():
        return jsonify(courts=list(range(1, courts + 1)))

    return app
