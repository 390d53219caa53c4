from bottle import Bottle, run
from kites import NAMES

app = Bottle()
app.route("/", callback=lambda: NAMES)


def main():
    run(app, host="0.0.0.0", port=8080, server="waitress")


if __name__ == "__main__":
    main()
