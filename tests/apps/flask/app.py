from flask import Flask, render_template, jsonify
import os

app = Flask(__name__)
app.config["SECRET_KEY"] = os.environ.get("SECRET_KEY", "dev")


@app.route("/")
def index():
    return render_template("index.html", title="Home")


@app.route("/api/health")
def health():
    return jsonify(status="ok")


if __name__ == "__main__":
    app.run(debug=True, host="0.0.0.0", port=5000)
