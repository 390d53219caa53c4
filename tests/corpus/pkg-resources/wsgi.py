import pkg_resources
from flask import Flask

application = Flask(__name__)


@application.route("/")
def versions():
    return {"flask": pkg_resources.get_distribution("flask").version}
