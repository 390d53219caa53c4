import argparse


def main() -> None:
    import flask
    import waitress

    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", default="127.0.0.1:8090")
    app = flask.Flask("granary")
    app.add_url_rule("/", "index", lambda: "rye, oats")
    waitress.serve(app, listen=parser.parse_args().listen)
