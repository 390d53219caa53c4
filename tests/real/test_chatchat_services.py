"""examples/chatchat with its model server: documents are read once, and a question is answered from them."""

import json
import shutil
import sys
from pathlib import Path

from support.command import ROOT, shipwheel
from support.engines import NATIVE, Dockerd
from support.examples import Example
from support.run_target import docker_target

ASK = """
import json, sys, urllib.request
request = urllib.request.Request(sys.argv[1], sys.argv[2].encode(), {"Content-Type": "application/json"})
print(json.loads(json.loads(urllib.request.urlopen(request, timeout=300).read()))["choices"][0]["message"]["content"])
"""
QUESTION = {
    "query": "什么是分布式训练？",
    "mode": "local_kb",
    "kb_name": "samples",
    "top_k": 3,
    "score_threshold": 2.0,
    "stream": False,
    "model": "chat",
}


def test_chatchat_answers_from_its_documents(chatchat: Example, docker: Dockerd, tmp_path: Path) -> None:
    project = shutil.copytree(chatchat.project, tmp_path / "chatchat")
    model = shutil.copytree(ROOT / "examples" / "chatchat-model", tmp_path / "chatchat-model")
    # The sandbox of the engine has no network: from here on everything is in the store.
    built = shipwheel("build", model, "--platform", NATIVE, "-o", tmp_path / "model.oci")
    assert built.returncode == 0, built.stderr
    run = docker_target(docker).sandbox.run
    command = [sys.executable, "-m", "shipwheel"]
    try:
        done = run([*command, "up", str(project), "--engine", "docker"])
        assert done.stdout == "web http://127.0.0.1:7861 http://127.0.0.1:8501\n", done.stderr
        log = run([*command, "logs", "ingest", "--path", str(project), "--engine", "docker"]).stdout
        assert "入库文件数\t：12" in log
        answer = run([sys.executable, "-I", "-c", ASK, "http://127.0.0.1:7861/chat/kb_chat", json.dumps(QUESTION)]).stdout
        assert "并行" in answer, "a sentence of a document about training on several GPUs"
    finally:
        run([*command, "down", str(project), "--volumes", "--engine", "docker"])
