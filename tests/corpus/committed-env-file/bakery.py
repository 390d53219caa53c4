import os

from dotenv import load_dotenv
from flask import Flask

load_dotenv()
OPENING = os.environ["BAKERY_OPENING"]
app = Flask(__name__)
app.add_url_rule("/", "index", lambda: OPENING)
