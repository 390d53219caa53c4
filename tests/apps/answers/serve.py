"""Run the API and the page, or the one that the argument names."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import ProxyHandler, Request, build_opener

import model
import store
import uvicorn
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse, StreamingResponse
from pydantic import BaseModel

api, page = FastAPI(), FastAPI()
API_SERVER = json.loads(os.environ.get("API_SERVER", '{"host": "127.0.0.1", "port": 7861}'))
PROMPT = Path(os.environ["CHATCHAT_ROOT"], "prompt_settings.yaml").read_text()


class Question(BaseModel):
    query: str


@api.post("/chat/kb_chat")
def chat(question: Question):
    name, body = store.nearest(model.embed(question.query))
    answer = model.complete(PROMPT.replace("{{context}}", body).replace("{{question}}", question.query))
    events = ({"docs": [name]}, {"choices": [{"delta": {"content": answer}}]})
    return StreamingResponse((f"data: {json.dumps(it, ensure_ascii=False)}\n\n" for it in events), media_type="text/event-stream")


@page.get("/_stcore/health")
def health():
    return "ok"


@page.get("/", response_class=PlainTextResponse)
def show(query: str = ""):
    if not query:
        return "Ask"
    address = f"http://{API_SERVER['host']}:{API_SERVER['port']}/chat/kb_chat"
    request = Request(address, json.dumps({"query": query}).encode(), {"Content-Type": "application/json"})
    with build_opener(ProxyHandler({})).open(request, timeout=60) as answer:
        return answer.read()


PORTS = {"api": (api, 7861), "page": (page, 8501)}

if sys.argv[1:]:
    app, port = PORTS[sys.argv[1]]
    uvicorn.run(app, host="0.0.0.0", port=port)
else:
    servers = [subprocess.Popen([sys.executable, __file__, name]) for name in PORTS]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        os.wait()
    finally:
        for server in servers:
            server.terminate()
