from flask import Flask, send_from_directory
import os
app = Flask(__name__, static_folder="frontend/dist", static_url_path="")
@app.route("/")
def i():
    return app.send_static_file("index.html")
if __name__ == "__main__":
    from waitress import serve
    serve(app, host="0.0.0.0", port=5000)
