from flask import Flask

app = Flask(__name__)


@app.route("/")
def playing():
    return "nothing is playing"
