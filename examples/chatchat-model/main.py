"""A model server over OpenAI's API that needs no download and no GPU: for demonstrations and tests, not for good answers.

Embeddings come from the model that the package wordllama carries. A chat answers with the sentences of the prompt that are nearest to its
question, so it can only say what a document says.
"""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import wordllama
from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel

MODELS = ("chat", "embedding")
QUESTION = re.compile(r"【问题】|\bQuestion:|问题[：:]")
CONTEXT = re.compile(r"【已知信息】|\bContext:|已知信息[：:]")
SENTENCE = re.compile(r"(?<=[。！？!?])|(?<=\.)\s|\n+")
LINK = re.compile(r"!?\[[^\]]*\]\([^)]*\)")
MAX_SENTENCES = 3

MODEL = wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)

app = FastAPI(title="chatchat-model")


class Embeddings(BaseModel):
    model: str = "embedding"
    input: str | list[str]


class Message(BaseModel):
    role: str
    content: str | None = ""


class Chat(BaseModel):
    model: str = "chat"
    messages: list[Message]
    stream: bool = False


@app.get("/health")
def health() -> str:
    return "well"


@app.get("/v1/models")
def models() -> dict[str, object]:
    return {"object": "list", "data": [{"id": name, "object": "model", "owned_by": "chatchat-model"} for name in MODELS]}


@app.post("/v1/embeddings")
def embeddings(request: Embeddings) -> dict[str, object]:
    texts = [request.input] if isinstance(request.input, str) else request.input
    vectors = MODEL.embed(texts, norm=True).tolist() if texts else []
    data = [{"object": "embedding", "index": number, "embedding": vector} for number, vector in enumerate(vectors)]
    return {"object": "list", "model": request.model, "data": data, "usage": {"prompt_tokens": 0, "total_tokens": 0}}


@app.post("/v1/chat/completions")
def chat(request: Chat) -> Response:
    prompt = next((it.content or "" for it in reversed(request.messages) if it.role == "user"), "")
    text = answer(prompt)
    if request.stream:
        return StreamingResponse(stream(request.model, text), media_type="text/event-stream")
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return JSONResponse(completion("chat.completion", request.model, choice))


def answer(prompt: str) -> str:
    """Return the sentences of a prompt that are nearest to its question, in their order."""
    before, question = split(prompt)
    sentences = list(dict.fromkeys(part.strip() for part in SENTENCE.split(LINK.sub("", before)) if len(part.strip()) > 1))
    if not sentences:
        return "There is no passage to answer from."
    scores = (MODEL.embed(sentences, norm=True) @ MODEL.embed([question], norm=True).T)[:, 0]
    nearest = sorted(scores.argsort()[::-1][:MAX_SENTENCES])
    return "\n".join(sentences[number] for number in nearest)


def split(prompt: str) -> tuple[str, str]:
    """Return the passages and the question of a prompt. Without a mark, the question is the last line."""
    marks = list(QUESTION.finditer(prompt))
    if marks:
        before, question = prompt[: marks[-1].start()], prompt[marks[-1].end() :]
    else:
        before, _, question = prompt.strip().rpartition("\n")
    context = CONTEXT.search(before)
    return before[context.end() :] if context else before, question.strip()


def stream(model: str, text: str) -> Iterator[str]:
    """Yield a completion as server-sent events."""
    parts: list[tuple[dict[str, str], str | None]] = [({"role": "assistant", "content": ""}, None), ({"content": text}, None), ({}, "stop")]
    for delta, reason in parts:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        yield f"data: {json.dumps(completion('chat.completion.chunk', model, choice))}\n\n"
    yield "data: [DONE]\n\n"


def completion(kind: str, model: str, choice: dict[str, object]) -> dict[str, object]:
    usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    return {"id": "chatcmpl-1", "object": kind, "created": int(time.time()), "model": model, "choices": [choice], "usage": usage}
