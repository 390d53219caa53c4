"""What the model server answers, over OpenAI's API."""

import json
import os
from urllib.request import ProxyHandler, Request, build_opener

BASE = json.loads(os.environ["MODEL_PLATFORMS"])[0]["api_base_url"]


def ask(path, **body):
    request = Request(f"{BASE}/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with build_opener(ProxyHandler({})).open(request, timeout=60) as answer:
        return json.load(answer)


def embed(text):
    return ask("embeddings", input=text)["data"][0]["embedding"]


def complete(prompt):
    return ask("chat/completions", messages=[{"role": "user", "content": prompt}])["choices"][0]["message"]["content"]
