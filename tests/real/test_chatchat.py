"""examples/chatchat, built from the real package index and the real Debian archive, run by real engines without rights and network.

It starts once with all its services, on an empty volume, and once more on what that has left. Each takes a minute.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from support.command import ROOT, shipwheel
from support.engines import NATIVE, PYTHON, Container, Dockerd, Engine, Podman
from support.examples import Example
from support.process import HANG_S
from support.run_target import docker_target

API, PAGE = "http://127.0.0.1:7861", "http://127.0.0.1:8501"
INITIALIZED = "first start: chatchat init"
MIB = 1 << 20
MODULES = "import cv2, faiss, fitz, pathlib, onnxruntime, pandas, pyarrow"
"""Imports modules that need system libraries, and others of compiled code."""

ASK = """
import json, sys, urllib.request
body = sys.argv[2].encode() if sys.argv[2:] else None
request = urllib.request.Request(sys.argv[1], body, {"Content-Type": "application/json"})
print(urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=300).read().decode())
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


class Running:
    """The example and its services in docker."""

    def __init__(self, docker: Dockerd, project: Path) -> None:
        """Start them. The sandbox of the engine has no network: everything has to be in the store."""
        self._sandbox = docker_target(docker).sandbox
        self._project = project
        self.addresses = self.shipwheel("up", str(project))
        self.web: Container = docker.container("chatchat-web")

    def shipwheel(self, *words: str) -> str:
        """Run a command in the sandbox, which must succeed. Return its output."""
        return self._sandbox.run([sys.executable, "-m", "shipwheel", *words, "--engine", "docker"]).stdout

    def log(self, service: str) -> str:
        """Return the output of a service."""
        return self.shipwheel("logs", service, "--path", str(self._project))

    def ask(self, path: str, body: object) -> str:
        """Return what the API answers, from outside of the containers."""
        return self._sandbox.run([sys.executable, "-I", "-c", ASK, f"{API}{path}", json.dumps(body)]).stdout

    def down(self, *options: str) -> None:
        """Stop them."""
        self.shipwheel("down", str(self._project), *options)


@pytest.fixture(scope="module")
def running(chatchat: Example, docker: Dockerd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The example with its services after a first start, which worked."""
    folder = tmp_path_factory.mktemp("stack")
    project = shutil.copytree(chatchat.project, folder / "chatchat")
    model = shutil.copytree(ROOT / "examples" / "chatchat-model", folder / "chatchat-model")
    built = shipwheel("build", model, "--platform", NATIVE, "-o", folder / "model.oci")
    assert built.returncode == 0, built.stderr
    stack = Running(docker, project)
    yield stack
    stack.down("--volumes")


@pytest.fixture(scope="module")
def data(running: Running, docker: Dockerd) -> Path:
    """The volume that the first start has left. Nothing writes to it any more."""
    where = Path(docker.cli("volume", "inspect", "--format", "{{.Mountpoint}}", "chatchat_chatchat-data").stdout.strip())
    running.down()
    return where


def copied(data: Path, engine: Engine) -> dict[str, str]:
    """Copy the volume to another engine. Return where to mount it."""
    subprocess.run(["cp", "--archive", f"{data}/.", engine.volume("chatchat-copy")], check=True)
    return {"chatchat-copy": "/data"}


def output(container: Container, command: Sequence[str]) -> str:
    """Return the output of a program in a container, which must succeed."""
    done = container.exec(command, seconds=HANG_S)
    assert done.exit_code == 0, done.output
    return done.output


def test_building_chatchat_takes_less_than_a_gibibyte(chatchat: Example) -> None:
    assert chatchat.peak < 1024 * MIB


def test_chatchat_has_the_libraries_of_its_wheels_but_no_driver(chatchat: Example) -> None:
    for platform in ("linux/amd64", "linux/arm64"):
        packages = chatchat.image(platform)["packages"]
        assert {"libgl1", "libglib2.0-0", "libsm6", "libice6", "libx11-6", "libxext6"} <= set(packages)
        assert not [name for name in packages if "mesa" in name or "llvm" in name]


def test_chatchat_runs_without_rights_and_network(running: Running) -> None:
    assert running.addresses == f"web {API} {PAGE}\n"
    assert INITIALIZED in running.log("web"), "the first start, with an empty volume"
    assert running.web.wait_http(f"{API}/docs", HANG_S) == 200
    assert running.web.wait_http(f"{PAGE}/_stcore/health", HANG_S) == 200
    rights = "print([line.split()[1] for line in open('/proc/self/status') if line.startswith(('Uid', 'CapEff', 'NoNewPrivs'))])"
    assert output(running.web, [PYTHON, "-c", rights]).strip() == "['65532', '0000000000000000', '1']"
    output(running.web, [PYTHON, "-c", MODULES])


def test_chatchat_answers_from_its_documents(running: Running) -> None:
    assert "入库文件数\t：12" in running.log("ingest")
    answer = json.loads(json.loads(running.ask("/chat/kb_chat", QUESTION)))["choices"][0]["message"]["content"]
    assert "并行" in answer, "a sentence of a document about training on several GPUs"


def test_chatchat_keeps_everything_at_a_second_start(chatchat: Example, data: Path, podman: Podman) -> None:
    image = podman.load(chatchat.archive)
    with podman.run(image, volumes=copied(data, podman)) as container:
        container.wait_http(f"{API}/docs", HANG_S)
        assert INITIALIZED not in container.logs()
        listed = json.loads(output(container, [PYTHON, "-c", ASK, f"{API}/knowledge_base/list_files?knowledge_base_name=samples"]))
        assert len([file for file in listed["data"] if file["in_db"]]) == 12, "what the job has read"
        container.stop(20)


def test_chatchat_runs_on_arm64(chatchat: Example, data: Path, containerd: Engine, arm64: str) -> None:
    """Everything that its servers load is imported there; that they answer is seen without an emulator, which makes four programs slow."""
    image = containerd.load(chatchat.archive, arm64)
    modules = "streamlit.web.bootstrap, chatchat.server.api_server.server_app as api"
    code = f"import platform; print(platform.machine()); {MODULES}; import {modules}; print(api.app)"
    volumes = copied(data, containerd)
    done = containerd.run_once(image, entrypoint=[PYTHON], command=["-c", code], volumes=volumes, platform=arm64, timeout=2 * HANG_S)
    assert done.returncode == 0, done.stderr
    machine, *_, app = done.stdout.splitlines()
    assert (machine, "FastAPI" in app) == ("aarch64", True)
