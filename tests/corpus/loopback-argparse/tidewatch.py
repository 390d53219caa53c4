"""Tides of one harbour over HTTP."""

import argparse
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Tides(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"high": ["05:10", "17:42"]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bind", default="localhost", help="address (default: %(default)s)")
    parser.add_argument("--port", type=int, default=9100)
    options = parser.parse_args()
    ThreadingHTTPServer((options.bind, options.port), Tides).serve_forever()
