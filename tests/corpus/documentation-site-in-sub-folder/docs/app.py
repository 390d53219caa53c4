from flask import Flask

app = Flask("documentation")
app.add_url_rule("/", "index", lambda: "the manual")
