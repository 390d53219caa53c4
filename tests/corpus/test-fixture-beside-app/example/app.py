from flask import Flask

app = Flask("example")
