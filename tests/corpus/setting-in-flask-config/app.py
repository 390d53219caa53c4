from flask import Flask

app = Flask(__name__)
app.config["SECRET_KEY"] = "6b1f0b0c4d9e4f6a8c2d1e3f5a7b9c0d"


@app.route("/")
def index():
    return "signed"


if __name__ == "__main__":
    app.run(debug=True)
