from pathlib import Path

from flask import Flask

app = Flask(__name__)
COUNTER = Path(__file__).with_name("counter.txt")
COUNTER.write_text("0")


@app.route("/")
def index():
    COUNTER.write_text(str(int(COUNTER.read_text()) + 1))
    return COUNTER.read_text()
