from flask import Flask

app = Flask(__name__)


@app.route("/")
def index():
    import tabulate

    return tabulate.tabulate([[1, 2]])
