"""docs/chatchat.md: examples/chatchat from the lock to a server without a network, by the commands of the page.

It is built from the real package index and the real Debian archive, and run by real engines without rights and network. It starts once with
all its services, on an empty volume, and once from a bundle, on what that has left. Each takes a minute.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.browser import ask_page
from support.engines import NATIVE, PYTHON, Container, Dockerd, EngineError, Podman, Registry, Sandbox, wait_until
from support.examples import Example, build_example
from support.process import HANG_S
from support.run_target import docker_target, podman_target
from support.running import start
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
IN_POSTGRES = """
import os, subprocess
statement = "SELECT (SELECT count(embedding) FROM langchain_pg_embedding), (SELECT count(DISTINCT file_name) FROM knowledge_file)"
argv = ["/usr/lib/postgresql/17/bin/psql", "-h", "127.0.0.1", "-U", "postgres", "-tAF ", "-c", statement]
subprocess.run(argv, env={**os.environ, "PGPASSWORD": "secret"}, check=True)
"""
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
CLAIM = "chatchat-data"
TARS = shutil.ignore_patterns("*.tar")
DEVELOPER = 1000
MARK = "什么是新的提示词中的分布式训练。"
"""A sentence for the prompt. The model server answers with those that are nearest to the question."""
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
def data(tour: Tour, running: Container, docker: Dockerd) -> Path:
    """The volume that the first start has left. Nothing writes to it any more."""
    where = Path(docker.cli("volume", "inspect", "--format", "{{.Mountpoint}}", VOLUME).stdout.strip())
    tour.run("Stop", docker.sandbox)
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


def make_volume(engine: Dockerd | Podman, name: str, data: Path, *labels: str) -> None:
    """Make a volume with what the first start has left: reading the documents again takes twenty seconds of a processor."""
    engine.cli("volume", "create", *(f"--label={label}" for label in labels), name)
    place = engine.cli("volume", "inspect", "--format", "{{.Mountpoint}}", name).stdout.strip()
    subprocess.run(["cp", "--archive", f"{data}/.", place], check=True)


def output(container: Container, command: Sequence[str]) -> str:
    """Return the output of a program in a container, which must succeed."""
    done = container.exec(command, seconds=HANG_S)
    assert done.exit_code == 0, done.output
    return done.output


def events(text: str) -> list[dict[str, Any]]:
    """Return the documents of server-sent events. A server that takes long sends comments in between."""
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]


def answer_if_any(tour: Tour, sandbox: Sandbox) -> str:
    """Return the answer to the page's question; empty while nothing listens."""
    try:
        return tour.ask(sandbox)
    except EngineError:
        return ""


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


def test_docker_compose_runs_what_is_exported(tour: Tour, data: Path, docker: Dockerd, registry: Registry) -> None:
    """As a project of another name, on the volume of the first start.

    docker is given what is new of the images, a layer: pulling them takes a minute of a processor, and is shown by test_registry.py and by
    podman, below.
    """
    exported = tour.project / "deploy" / "compose.yaml"
    text = exported.read_text()
    for name in ("chatchat", "chatchat-model"):
        tour.shipwheel(docker.sandbox, "build", str(tour.project.with_name(name)), "--load", "docker")
        text = re.sub(rf"(/team/{name})@sha256:\w+", r"\1:1", text)
    present = exported.with_name("present.yaml")
    present.write_text(text)
    compose = ["docker-compose", "--project-name", "composed", "--file", str(present)]
    make_volume(docker, "composed_chatchat-data", data, "com.docker.compose.project=composed", "com.docker.compose.volume=chatchat-data")
    docker.sandbox.run([*compose, "up", "--detach"])
    try:
        assert docker.container("composed-ingest-1").wait() == 0
        assert "文件总数量\t：0" in docker.container("composed-ingest-1").logs(), "nothing is read twice"
        assert "并行" in tour.ask(docker.sandbox)
    finally:
        docker.sandbox.run([*compose, "down", "--volumes", "--timeout", "1"])


def test_podman_plays_what_is_exported(tour: Tour, data: Path, docker: Dockerd, podman: Podman, registry: Registry) -> None:
    """As the compose file is, on the volume of the first start: what reads the documents has read them."""
    pods = str(tour.project / tour.shipwheel(docker.sandbox, "export", "podman", "--push", "-o", "pods").strip())
    podman.reach(registry.host)
    make_volume(podman, CLAIM, data)
    try:
        podman.cli("kube", "play", "--tls-verify=false", pods)
        wait_until(lambda: "并行" in answer_if_any(tour, podman.sandbox), "the answer of the pods")
    finally:
        podman.cli("kube", "down", pods)
        podman.cli("volume", "prune", "--force")


def test_a_bundle_starts_without_a_network_and_keeps_everything(tour: Tour, data: Path, docker: Dockerd, podman: Podman) -> None:
    """The server has another engine, and the volume of the first start: as if the first one had been from a bundle, too."""
    bundle = tour.project / tour.run("Bundle it for a server without a network", docker.sandbox).strip()
    sandbox = podman_target(podman).sandbox
    server = sandbox.folder("server")
    shutil.move(bundle, server)
    make_volume(podman, VOLUME, data, "io.shipwheel.stack=chatchat")
    try:
        assert tour.run("On the server", sandbox, server).endswith(ADDRESSES)
        web = podman.container("chatchat-web")
        assert INITIALIZED not in web.logs()
        assert sum(in_db(web).values()) == 13, "what the job has read"
        assert "文件总数量\t：0" in podman.container("chatchat-ingest").logs(), "nothing is read twice"
        assert "并行" in tour.ask(sandbox)
    finally:
        tour.shipwheel(sandbox, "down", str(server / "chatchat"), "--volumes")
        # Two GB, which may be in memory.
        podman.cli("rmi", "--all", "--force", check=False)
        shutil.rmtree(server)


def test_a_saved_prompt_changes_the_next_answer(tour: Tour, data: Path, docker: Dockerd) -> None:
    """What the page says in sentences, done by a person whose files stay theirs. The directory work is the volume of the first start."""
    (_, serve, develop, read), variables = tour.sentences("Change a prompt")
    target = docker_target(docker)
    project = shutil.copytree(tour.project.parent, target.sandbox.folder("prompt"), ignore=TARS, dirs_exist_ok=True) / tour.project.name
    shutil.copytree(data, project / "work")
    (project / ".env").write_text(variables)
    for path in (project, *project.rglob("*")):
        os.chown(path, DEVELOPER, DEVELOPER)

    def run(*words: str) -> str:
        return target.sandbox.run(["env", f"--chdir={project}", sys.executable, "-m", "shipwheel", *words]).stdout

    try:
        run(*serve)
        assert "文件总数量\t：0" in run(*read), "nothing is read twice"
        developing = start(target, *develop[1:], command=develop[0], directory=project)
        developing.wait_http(f"{API}/docs")
        assert MARK not in tour.ask(target.sandbox)
        prompts = project / "work" / "prompt_settings.yaml"
        prompts.write_text(prompts.read_text().replace("{{context}}", f"{MARK}{{{{context}}}}"))
        wait_until(lambda: "prompt_settings.yaml saved: started again" in developing.read("err"), "the restart")
        wait_until(lambda: MARK in answer_if_any(tour, target.sandbox), "an answer of the new prompt")
        developing.signal_group("INT")
        assert developing.status() == 0, developing.read("err")
    finally:
        target.remove_all()
    assert {path.lstat().st_uid for path in (project, *project.rglob("*"))} == {DEVELOPER}


def test_api_and_page_run_apart_with_everything_in_postgres(tour: Tour, data: Path, docker: Dockerd, chromium: None) -> None:
    """Both options of the page at once. In PostgreSQL, Chatchat searches by vectors alone: another question has one document's answer."""
    project, sandbox = tour.variant("apart", "Run API and page apart", "Store everything in PostgreSQL"), docker.sandbox
    for path in (".", "../chatchat-postgres"):
        archive = project / "any.tar"
        build_example(project, ["build", path, "--platform", NATIVE, "--output", str(archive)], archive)
        archive.unlink()
    password = sandbox.folder("password") / ".env"
    password.write_text("POSTGRES_PASSWORD=secret\n")
    try:
        addresses = tour.shipwheel(sandbox, "up", "--env-file", str(password), folder=project)
        assert set(addresses.splitlines()) == {f"web {API}", f"page {PAGE}"}
        question, document = "什么是大模型指令对齐训练？", "大模型指令对齐训练原理.md"
        sources, answer = events(tour.ask(sandbox, question))
        assert document in sources["docs"][0]
        assert "奖励模型" in answer["choices"][0]["delta"]["content"]
        text, _ = ask_page(sandbox, PAGE, question, "奖励模型")
        assert document in text
        vectors, documents = output(docker.container("apart-db"), [PYTHON, "-c", IN_POSTGRES]).split()
        assert (int(vectors) > int(documents), documents) == (True, "12")
    finally:
        tour.shipwheel(sandbox, "down", "--volumes", folder=project)


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


def test_every_command_of_the_page_was_run(tour: Tour, data: Path) -> None:
    assert tour.left == {}, "this needs all tests of the file"
