from flask import Flask, jsonify

from shop.types import Article

app = Flask(__name__)


@app.route("/")
def articles():
    return jsonify([Article("lamp", 20.0)])
