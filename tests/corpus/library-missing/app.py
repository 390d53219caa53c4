import magic
from flask import Flask

app = Flask(__name__)


@app.route("/")
def index():
    return magic.from_buffer(b"%PDF-1.7", mime=True)
