from flask import Flask

app = Flask(__name__)
PRICES = {}


@app.route("/")
def price():
    return str(PRICES["today"])
