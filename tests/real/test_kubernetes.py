"""The manifests of a stack in podman, which plays Kubernetes without a cluster."""

import sys
from pathlib import Path

import msgspec
from support.engines import Podman, wait_until
from support.examples import Example

from shipwheel.engine.interface import Port
from shipwheel.oci.archive import read_archive
from shipwheel.stack.image import ServiceImage, place
from shipwheel.stack.kubernetes import manifests
from shipwheel.stack.model import HealthPath, ProjectSource, PulledImage, Service, Stack
from shipwheel.stack.podman_pods import podman_pods
from shipwheel.stack.yaml_file import yaml_documents

ASK = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:8766/', timeout=9).read().decode())"


SECRET = """apiVersion: v1
kind: Secret
metadata:
  name: hello-secrets
stringData:
  KEY: sesame
"""


def test_podman_plays_the_file_that_is_made_for_it(podman: Podman, fastapi: Example, tmp_path: Path) -> None:
    """Names, volumes, secrets, published ports and health checks are as in the stack, and nothing is changed by hand."""
    first = read_archive(fastapi.archive).images().images[0]
    name = podman.load(fastapi.archive)
    source = ProjectSource(tmp_path)
    port = Port(8000, 8767, "tcp", "127.0.0.1")
    web = Service("web", source, needs=("model",), ports=(port,), secrets=("KEY",), env={"GREETING": "say ${KEY} for $1", "PLAIN": "$1"})
    services = (Service("model", PulledImage(name), health=HealthPath("/")), web)
    image = ServiceImage(name, first.execution, first.platform, "hello")
    stack = Stack("hello", tmp_path, "shipwheel.toml", services)
    folder = podman.sandbox.folder("pods")
    (folder / "pods.yaml").write_text(podman_pods(stack, [place(service, image, "shipwheel.toml") for service in services]))
    (folder / "secret.yaml").write_text(SECRET)
    podman.sandbox.run(["podman", "kube", "play", str(folder / "secret.yaml")])
    podman.sandbox.run(["podman", "kube", "play", str(folder / "pods.yaml")])
    try:
        ask = [sys.executable, "-I", "-c", ASK.replace("8766", "8767")]
        wait_until(lambda: "Hello from an image" in podman.sandbox.run(ask, check=False).stdout, "the answer of the pod")
        python = ["podman", "exec", "web-web", "/opt/venv/bin/python", "-I", "-c"]
        read = "import os; print(open(os.environ['KEY_FILE']).read(), *open('/proc/1/environ').read().split(chr(0)), sep=chr(10))"
        secret, *variables = podman.sandbox.run([*python, read]).stdout.splitlines()
        assert secret == "sesame"
        assert {"GREETING=say sesame for $1", "PLAIN=$1"} <= set(variables)
        for container in ("model-model", "web-web"):
            podman.sandbox.run(["podman", "healthcheck", "run", container])
    finally:
        # A secret that is mounted is a volume, which stays without --force.
        podman.sandbox.run(["podman", "kube", "down", "--force", str(folder / "pods.yaml")])
        podman.sandbox.run(["podman", "secret", "rm", "hello-secrets"])
    assert podman.sandbox.run(["podman", "ps", "-aq"]).stdout == ""


def test_podman_plays_the_manifests(podman: Podman, fastapi: Example, tmp_path: Path) -> None:
    first = read_archive(fastapi.archive).images().images[0]
    service = Service("web", ProjectSource(tmp_path))
    image = ServiceImage(podman.load(fastapi.archive), first.execution, first.platform, "hello")
    made = manifests(Stack("hello", tmp_path, "shipwheel.toml", (service,)), [place(service, image, "shipwheel.toml")])
    documents = msgspec.json.decode(msgspec.json.encode(made.documents))
    for document in documents:
        for container in document.get("spec", {}).get("template", {}).get("spec", {}).get("containers", []):
            # The sandbox's control groups have no limits for memory.
            del container["resources"]
    file = podman.sandbox.folder("kube") / "hello.yaml"
    file.write_text(yaml_documents(documents))
    podman.sandbox.run(["podman", "kube", "play", "--publish", "127.0.0.1:8766:8000", str(file)])
    try:
        ask = [sys.executable, "-I", "-c", ASK]
        wait_until(lambda: "Hello from an image" in podman.sandbox.run(ask, check=False).stdout, "the answer of the pod")
        assert "web-pod-web" in podman.sandbox.run(["podman", "ps", "--format", "{{.Names}}"]).stdout
    finally:
        podman.sandbox.run(["podman", "kube", "down", str(file)])
    assert podman.sandbox.run(["podman", "ps", "-aq"]).stdout == ""
