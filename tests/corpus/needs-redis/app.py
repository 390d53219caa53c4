import os

import redis
from flask import Flask

app = Flask(__name__)
store = redis.Redis.from_url(os.environ.get("REDIS_URL", "redis://localhost:6379/0"))
store.ping()


@app.route("/")
def hits():
    return str(store.incr("hits"))
