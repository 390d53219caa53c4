from wsgiref.simple_server import make_server

import catalogue


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [catalogue.TEXT]


if __name__ == "__main__":
    make_server("0.0.0.0", 8080, app).serve_forever()
