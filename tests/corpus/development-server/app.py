from flask import Flask

app = Flask(__name__)
app.secret_key = "development key"


@app.route("/")
def index():
    return "good morning"


if __name__ == "__main__":
    app.run(host="0.0.0.0", port=5000, debug=True)
