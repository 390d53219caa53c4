from flask import Flask, redirect, request

app = Flask(__name__)


@app.before_request
def https_only():
    if request.headers.get("X-Forwarded-Proto") != "https":
        return redirect(request.url, 302)


@app.route("/")
def index():
    return "through"
