import cgi

import bottle

app = bottle.Bottle()


@app.get("/")
def index():
    kind, options = cgi.parse_header(bottle.request.get_header("Accept", "text/html; q=1"))
    return {"kind": kind, "options": options}


if __name__ == "__main__":
    app.run(host="0.0.0.0", port=8080)
