import os

import waitress
from flask import Flask

app = Flask(__name__)
app.add_url_rule("/", "index", lambda: "toll")

if __name__ == "__main__":
    waitress.serve(app, host="0.0.0.0", port=int(os.getenv("TOLL_PORT")))
