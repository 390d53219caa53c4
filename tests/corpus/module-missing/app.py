import yaml
from flask import Flask

app = Flask(__name__)
SHOP = yaml.safe_load("{name: Corner shop, open: true}")


@app.route("/")
def index():
    return SHOP
