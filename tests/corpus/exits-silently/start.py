import http.server


def main():
    server = http.server.HTTPServer(("0.0.0.0", 8000), http.server.SimpleHTTPRequestHandler)
    server.serve_forever()
