"""docs/chatchat.md with a small application of Chatchat's shape (tests/apps/answers): what does not depend on the size of an image.

Its stack moves to podman in a bundle and as pods, docker compose pulls it, PostgreSQL stores its documents, and a prompt is changed in it.
"""

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from support.command import shipwheel_json
from support.engines import NATIVE, PYTHON, Container, Dockerd, EngineError, Podman, Registry, Sandbox, wait_until
from support.process import HANG_S
from support.run_target import docker_target, podman_target
from support.running import start
from support.tour import Tour

API, PAGE = "http://127.0.0.1:7861", "http://127.0.0.1:8501"
ADDRESSES = f"web {API} {PAGE}\n"
READ, NOTHING_NEW = "read 2 documents\n", "read 0 documents\n"
ANSWER = "并行"
"""A word of the document about training on several GPUs."""

DEVELOPER = 1000
MARK = "什么是新的提示词中的分布式训练。"
"""A sentence for the prompt. The model server answers with those that are nearest to the question."""

IN_POSTGRES = """
import os, subprocess
statement = "SELECT count(place), count(DISTINCT name) FROM documents"
argv = ["/usr/lib/postgresql/17/bin/psql", "-h", "127.0.0.1", "-U", "postgres", "-tAF ", "-c", statement]
subprocess.run(argv, env={**os.environ, "PGPASSWORD": "secret"}, check=True)
"""


@pytest.fixture(scope="module")
def exported(small_tour: Tour, docker: Dockerd, registry: Registry) -> tuple[Path, Path]:
    """What a registry's images are started with: the compose file, and the pods for podman."""
    docker.reach(registry.host)
    sandbox = docker_target(docker).sandbox
    small_tour.run("Push", sandbox)
    compose, *_ = small_tour.run("Write a compose file and manifests", sandbox).split()
    pods = small_tour.shipwheel(sandbox, "export", "podman", "--push", "-o", "pods").strip()
    return small_tour.project / compose, small_tour.project / pods


def answer_if_any(tour: Tour, sandbox: Sandbox) -> str:
    """Return the answer to the page's question; empty while nothing listens."""
    try:
        return tour.ask(sandbox)
    except EngineError:
        return ""


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]


def expect_the_answer(tour: Tour, sandbox: Sandbox) -> None:
    sources, answer = events(tour.ask(sandbox))
    assert sources["docs"] == ["training.md"], "the document that the answer is from"
    assert ANSWER in answer["choices"][0]["delta"]["content"]


def test_docker_compose_runs_what_is_exported(small_tour: Tour, exported: tuple[Path, Path], docker: Dockerd, registry: Registry) -> None:
    """As a project of another name. It pulls the images by their digests."""
    compose = ["docker-compose", "--project-name", "composed", "--file", str(exported[0])]
    images = {each["image"] for each in yaml.safe_load(exported[0].read_text())["services"].values()}
    assert all(re.fullmatch(rf"{registry.host}/team/chatchat(-model)?@sha256:[0-9a-f]{{64}}", image) for image in images)
    docker.sandbox.run([*compose, "up", "--detach"])
    try:
        job = docker.container("composed-ingest-1")
        assert (job.wait(), job.logs()) == (0, READ)
        expect_the_answer(small_tour, docker.sandbox)
    finally:
        docker.sandbox.run([*compose, "down", "--volumes", "--timeout", "1"])


def test_podman_plays_what_is_exported(small_tour: Tour, exported: tuple[Path, Path], podman: Podman, registry: Registry) -> None:
    podman.reach(registry.host)
    pods = str(exported[1])
    try:
        podman.cli("kube", "play", "--tls-verify=false", pods)
        wait_until(lambda: ANSWER in answer_if_any(small_tour, podman.sandbox), "the answer of the pods")
    finally:
        podman.cli("kube", "down", pods)
        podman.cli("volume", "prune", "--force")


@pytest.fixture
def server(small_tour: Tour, docker: Dockerd, podman: Podman) -> Iterator[Path]:
    """A directory of a server with podman and without a network, to which a bundle was moved."""
    bundle = small_tour.project / small_tour.run("Bundle it for a server without a network", docker_target(docker).sandbox).strip()
    folder = podman_target(podman).sandbox.folder("server")
    shutil.move(bundle, folder)
    yield folder
    small_tour.shipwheel(podman.sandbox, "down", str(folder / "chatchat"), "--volumes")
    shutil.rmtree(folder)


def test_a_bundle_starts_without_a_network_and_keeps_everything(small_tour: Tour, server: Path, podman: Podman) -> None:
    assert small_tour.run("On the server", podman.sandbox, server).endswith(ADDRESSES)
    job = podman.container("chatchat-ingest")
    assert READ in job.logs()
    expect_the_answer(small_tour, podman.sandbox)
    small_tour.shipwheel(podman.sandbox, "down", str(server / "chatchat"))
    assert small_tour.shipwheel(podman.sandbox, "up", str(server / "chatchat")) == ADDRESSES
    assert "first start" not in podman.container("chatchat-web").logs()
    assert NOTHING_NEW in podman.container("chatchat-ingest").logs(), "nothing is read twice"
    expect_the_answer(small_tour, podman.sandbox)


def test_a_saved_prompt_changes_the_next_answer(small_tour: Tour, docker: Dockerd) -> None:
    """What the page says in sentences, done by a person whose files stay theirs."""
    (_, serve, develop, read), variables = small_tour.sentences("Change a prompt")
    target = docker_target(docker)
    copied = shutil.copytree(
        small_tour.project.parent, target.sandbox.folder("prompt"), ignore=shutil.ignore_patterns("*.tar"), dirs_exist_ok=True
    )
    project = copied / small_tour.project.name
    (project / "work").mkdir()
    (project / ".env").write_text(variables)
    for path in (project, *project.rglob("*")):
        os.chown(path, DEVELOPER, DEVELOPER)

    def run(*words: str) -> str:
        return target.sandbox.run(["env", f"--chdir={project}", sys.executable, "-m", "shipwheel", *words]).stdout

    try:
        run(*serve)
        developing = start(target, *develop[1:], command=develop[0], directory=project)
        developing.wait_http(f"{API}/docs")
        assert READ in run(*read)
        assert NOTHING_NEW in run(*read), "nothing is read twice"
        assert MARK not in small_tour.ask(target.sandbox)
        prompts = project / "work" / "prompt_settings.yaml"
        prompts.write_text(prompts.read_text().replace("{{context}}", f"{MARK}{{{{context}}}}"))
        wait_until(lambda: "prompt_settings.yaml saved: started again" in developing.read("err"), "the restart")
        wait_until(lambda: MARK in answer_if_any(small_tour, target.sandbox), "an answer of the new prompt")
        developing.signal_group("INT")
        assert developing.status() == 0, developing.read("err")
    finally:
        target.remove_all()
    assert {path.lstat().st_uid for path in (project, *project.rglob("*"))} == {DEVELOPER}


def output(container: Container, *command: str) -> str:
    done = container.exec(command, seconds=HANG_S)
    assert done.exit_code == 0, done.output
    return done.output


def test_api_and_page_run_apart_with_everything_in_postgres(small_tour: Tour, docker: Dockerd) -> None:
    """Both options of the page at once, with its settings."""
    project, sandbox = (
        small_tour.variant("apart", "Run API and page apart", "Store everything in PostgreSQL"),
        docker_target(docker).sandbox,
    )
    for path in (project, project.with_name("chatchat-postgres")):
        shipwheel_json("build", path, "--platform", NATIVE, "--output", project.with_name("any.tar"))
    password = sandbox.folder("password") / ".env"
    password.write_text("POSTGRES_PASSWORD=secret\n")
    try:
        addresses = small_tour.shipwheel(sandbox, "up", "--env-file", str(password), folder=project)
        assert set(addresses.splitlines()) == {f"web {API}", f"page {PAGE}"}
        expect_the_answer(small_tour, sandbox)
        said = sandbox.run(["curl", "--silent", "--show-error", "--fail", f"{PAGE}/?query={quote('什么是大模型指令对齐训练？')}"]).stdout
        sources, answer = events(said)
        assert sources["docs"] == ["alignment.md"]
        assert "奖励模型" in answer["choices"][0]["delta"]["content"]
        assert output(docker.container("apart-db"), PYTHON, "-c", IN_POSTGRES).split() == ["2", "2"]
    finally:
        small_tour.shipwheel(sandbox, "down", "--volumes", folder=project)
