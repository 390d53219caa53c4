"""docs/chatchat.md: examples/chatchat from the lock to a server without a network, by the commands of the page.

It is built from the real package index and the real Debian archive, and run by real engines without rights and network. It starts once with
all its services, on an empty volume, again on what that has left, and emulated on that, too. test_small_tour.py has what 1.3 GB show no
better than a small application of the same shape: other engines, bundles, pods, PostgreSQL and a changed prompt.
"""

import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.browser import ask_page
from support.engines import PYTHON, Container, Dockerd, Podman, Registry, Sandbox, wait_until
from support.examples import Example
from support.process import HANG_S
from support.run_target import docker_target
from support.tour import Tour

API, PAGE = "http://127.0.0.1:7861", "http://127.0.0.1:8501"
ADDRESSES = f"web {API} {PAGE}\n"
INITIALIZED = "first start: chatchat init"
MIB = 1 << 20
MODULES = "import cv2, faiss, fitz, pathlib, onnxruntime, pandas, pyarrow"
"""Imports modules that need system libraries, and others of compiled code."""

EMULATED = """
import importlib, multiprocessing, pathlib, platform, sysconfig
site = pathlib.Path(sysconfig.get_path("platlib"))
names = {path.relative_to(site).parts[0] for path in site.rglob("*.so")}
names = sorted(name.partition(".")[0] for name in names if not name.endswith(".libs"))
for name in names:
    importlib.import_module(name)
print("imported on", platform.machine(), *names, flush=True)
import serve
serve.api(multiprocessing.Event())
"""
"""Imports every package that has compiled modules, and runs the API: a second process would take a minute more for what both import."""

LIST = f"import urllib.request as it; print(it.urlopen('{API}/knowledge_base/list_files?knowledge_base_name=samples').read().decode())"
VOLUME = "chatchat_chatchat-data"
KILL_API = """
import os
from pathlib import Path
programs = {int(it.name): (it / "cmdline").read_bytes() for it in Path("/proc").iterdir() if it.name.isdigit()}
os.kill(min(number for number, words in programs.items() if b"spawn_main" in words), 9)
"""
"""Kills the API, which serve.py starts before the page."""

NO_MODEL = ("--name=no-model", "--network=chatchat-stack", "--network-alias=model", f"--volume={VOLUME}:/data", "--entrypoint", PYTHON)
SLEEP = ("-c", "import time; time.sleep(3600)")
"""A container in place of the model server's, in which nothing listens."""
READ = """
import sqlite3
for name, in sqlite3.connect("/data/data/knowledge_base/info.db").execute("SELECT file_name FROM knowledge_file"):
    print(name)
"""
LATE = "A narwhal counts the icebergs of the bay every Thursday.\n"


@pytest.fixture(scope="module")
def running(tour: Tour, chatchat: Example, docker: Dockerd) -> Iterator[Container]:
    """Chatchat's container after a first start with all services, which worked.

    The sandbox of the engine has no network: everything has to be in the store.
    """
    sandbox = docker_target(docker).sandbox
    assert "serves: /health on port 8000 answers 200" in tour.run("Check", sandbox)
    assert tour.run("Start everything", sandbox).startswith(ADDRESSES)
    yield docker.container("chatchat-web")
    tour.shipwheel(sandbox, "down", "--volumes")


@pytest.fixture(scope="module")
def again(tour: Tour, running: Container, docker: Dockerd) -> Container:
    """Chatchat's container after a second start, on the volume that the first one has left."""
    tour.run("Stop", docker.sandbox)
    assert tour.shipwheel(docker.sandbox, "up") == ADDRESSES
    return docker.container("chatchat-web")


@pytest.fixture(scope="module")
def data(tour: Tour, again: Container, docker: Dockerd) -> Path:
    """The volume that both starts have left. Nothing writes to it any more."""
    where = Path(docker.cli("volume", "inspect", "--format", "{{.Mountpoint}}", VOLUME).stdout.strip())
    tour.shipwheel(docker.sandbox, "down")
    return where


@pytest.fixture(scope="module")
def emulated(tour: Tour, data: Path, chatchat: Example, arm64: str) -> Iterator[tuple[Container, Container, Sandbox]]:
    """A server of another architecture, which continues with the volume: the model server, the API alone, and their engine's sandbox.

    It starts while other tests run, beside engines that have the same ports: the start of an emulated API takes a minute of a processor.
    """
    with Podman() as server:
        volume = server.volume("arm64")
        subprocess.run(["cp", "--archive", f"{data}/.", volume], check=True)
        model, web = server.load(tour.project / "chatchat-model.tar"), server.load(chatchat.archive, arm64)
        answering = server.run(model, network="host")
        api = ("python", "-c", EMULATED)
        yield answering, server.run(web, command=api, platform=arm64, network="host", volumes={"arm64": "/data"}), server.sandbox


def output(container: Container, command: Sequence[str]) -> str:
    """Return the output of a program in a container, which must succeed."""
    done = container.exec(command, seconds=HANG_S)
    assert done.exit_code == 0, done.output
    return done.output


def events(text: str) -> list[dict[str, Any]]:
    """Return the documents of server-sent events. A server that takes long sends comments in between."""
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]


def in_db(web: Container) -> dict[str, bool]:
    """Return the sample documents -> whether they were read."""
    return {file["file_name"]: file["in_db"] for file in json.loads(output(web, [PYTHON, "-c", LIST]))["data"]}


def test_building_chatchat_takes_less_than_a_gibibyte(chatchat: Example) -> None:
    assert chatchat.peak < 1024 * MIB


def test_chatchat_has_the_libraries_of_its_wheels_but_no_driver(chatchat: Example) -> None:
    for platform in ("linux/amd64", "linux/arm64"):
        packages = chatchat.image(platform)["packages"]
        assert {"libgl1", "libglib2.0-0", "libsm6", "libice6", "libx11-6", "libxext6"} <= set(packages)
        assert not [name for name in packages if "mesa" in name or "llvm" in name]


def test_chatchat_runs_without_rights_and_network(running: Container) -> None:
    assert INITIALIZED in running.logs(), "the first start, with an empty volume"
    assert running.wait_http(f"{API}/docs", HANG_S) == 200
    assert running.wait_http(f"{PAGE}/_stcore/health", HANG_S) == 200
    rights = "print([line.split()[1] for line in open('/proc/self/status') if line.startswith(('Uid', 'CapEff', 'NoNewPrivs'))])"
    assert output(running, [PYTHON, "-c", rights]).strip() == "['65532', '0000000000000000', '1']"
    output(running, [PYTHON, "-c", MODULES])


def test_chatchat_answers_from_its_documents(tour: Tour, running: Container, docker: Dockerd) -> None:
    assert "入库文件数\t：12" in docker.container("chatchat-ingest").logs()
    sources, answer = events(tour.ask(docker.sandbox))
    assert "分布式训练技术原理.md" in sources["docs"][0], "the document that the answer is from"
    assert "并行" in answer["choices"][0]["delta"]["content"], "a sentence about training on several GPUs"


def test_the_web_page_answers_in_a_browser(running: Container, docker: Dockerd, chromium: None) -> None:
    text, picture = ask_page(docker.sandbox, PAGE, "什么是分布式训练？", "并行")
    assert "分布式训练技术原理.md" in text, "the document that the answer is from"
    assert picture.stat().st_size


def test_a_late_model_server_and_a_killed_api_lose_nothing(tour: Tour, running: Container, docker: Dockerd) -> None:
    """The job tries again until the model server answers, while the container whose API is killed starts again."""
    place = docker.cli("volume", "inspect", "--format", "{{.Mountpoint}}", VOLUME).stdout.strip()
    Path(place, "data/knowledge_base/samples/content/late.md").write_text(LATE)
    model, job = docker.container("chatchat-model"), docker.container("chatchat-ingest")
    model.stop(0)
    docker.cli("run", "--detach", *NO_MODEL, docker.cli("inspect", "--format", "{{.Image}}", "chatchat-model").stdout.strip(), *SLEEP)
    output(running, [PYTHON, "-c", KILL_API])
    docker.cli("start", "chatchat-ingest")
    wait_until(lambda: job.logs().count("failed to access embed model") > 1, "the second question to the model server")
    found = tour.states(docker.sandbox)
    assert (found["model"]["state"] == "well", found["ingest"]["state"]) == (False, "running")
    assert "late.md" not in output(docker.container("no-model"), [PYTHON, "-c", READ]).split(), "nothing is read as if it were empty"
    docker.cli("start", "chatchat-model")
    docker.container("no-model").remove()
    assert job.wait() == 0
    assert running.wait_http(f"{API}/docs", HANG_S) == running.wait_http(f"{PAGE}/_stcore/health", HANG_S) == 200
    found = tour.states(docker.sandbox)
    assert ({it["state"] for it in found.values()}, found["web"]["restarts"]) == ({"well", "done"}, 1)
    sources, answer = events(tour.ask(docker.sandbox, "What does the narwhal count?"))
    assert "late.md" in sources["docs"][0]
    assert "icebergs" in answer["choices"][0]["delta"]["content"]


def test_a_second_start_keeps_everything(tour: Tour, again: Container, docker: Dockerd) -> None:
    assert INITIALIZED not in again.logs()
    found = in_db(again)
    assert (len(found) >= 12, all(found.values())) == (True, True), "what the job has read"
    assert "文件总数量\t：0" in docker.container("chatchat-ingest").logs(), "nothing is read twice"
    sources, answer = events(tour.ask(docker.sandbox))
    assert "分布式训练技术原理.md" in sources["docs"][0]
    assert "并行" in answer["choices"][0]["delta"]["content"]


@pytest.mark.usefixtures("emulated")
def test_what_is_exported_names_the_images_that_were_pushed(tour: Tour, data: Path, docker: Dockerd, registry: Registry) -> None:
    docker.reach(registry.host)
    pushed = tour.run("Push", docker.sandbox).strip()
    assert pushed.startswith(f"{registry.host}/team/chatchat@sha256:")
    written = tour.run("Write a compose file and manifests", docker.sandbox).split()
    compose = yaml.safe_load((tour.project / written[0]).read_text())
    assert compose["services"]["web"]["image"] == compose["services"]["ingest"]["image"] == pushed
    assert compose["services"]["model"]["image"].startswith(f"{registry.host}/team/chatchat-model@sha256:")
    docker.sandbox.run(["docker-compose", "--file", str(tour.project / written[0]), "config", "--quiet"])
    manifests = {Path(name).name: (tour.project / name).read_text() for name in written[1:]}
    assert pushed in manifests["web.yaml"]
    assert {"stack.yaml", "model.yaml", "ingest.yaml", "ingress.yaml"} < manifests.keys()


def test_arm64_has_the_packages_of_amd64(chatchat: Example) -> None:
    """What is compiled differs from what has answered on this machine. The rest is Python, in packages of the same versions."""
    theirs, ours = (chatchat.image(platform)["distributions"] for platform in ("linux/arm64", "linux/amd64"))
    assert theirs == ours


def test_chatchat_answers_on_arm64(tour: Tour, emulated: tuple[Container, Container, Sandbox]) -> None:
    model, api, sandbox = emulated
    # Asked from the container that is not emulated.
    wait_until(lambda: not api.running() or model.http_status(f"{API}/docs", wait=HANG_S) == 200, "the start of the API", 2 * HANG_S)
    said = next((line for line in api.logs().splitlines() if line.startswith("imported on ")), api.logs())
    machine, *names = said.removeprefix("imported on ").split()
    assert machine == "aarch64"
    assert {"PIL", "cv2", "faiss", "fitz", "numpy", "onnxruntime", "pandas", "pyarrow", "pydantic_core"} < set(names)
    sources, answer = events(tour.ask(sandbox))
    assert "分布式训练技术原理.md" in sources["docs"][0]
    assert "并行" in answer["choices"][0]["delta"]["content"]


def test_every_command_of_the_page_was_run(tour: Tour, small_tour: Tour) -> None:
    assert tour.left.keys() & small_tour.left.keys() == set(), "this needs all tests of this file and of test_small_tour.py"
