from flask import Flask, render_template

app = Flask(__name__)


@app.route("/")
def today():
    return render_template("today.html", dishes=["soup", "bread"])
