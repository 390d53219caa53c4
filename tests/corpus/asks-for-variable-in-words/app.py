import os
import sys

from flask import Flask

if len(os.environ.get("SECRET_KEY", "")) < 16:
    print("Error: Please configure a random SECRET_KEY with a length of at least 16 characters.", file=sys.stderr)
    sys.exit(1)

app = Flask(__name__)


@app.get("/")
def home():
    return "wiki"
