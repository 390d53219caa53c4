import git
from flask import Flask

app = Flask(__name__)


@app.route("/")
def version():
    return ".".join(map(str, git.cmd.Git().version_info))
