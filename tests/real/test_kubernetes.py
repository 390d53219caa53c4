"""The manifests of a stack in podman, which plays Kubernetes without a cluster."""

import sys
from pathlib import Path

import msgspec
from support.engines import Podman, wait_until
from support.examples import Example

from shipwheel.oci.archive import read_archive
from shipwheel.stack.image import ServiceImage, place
from shipwheel.stack.kubernetes import manifests
from shipwheel.stack.model import ProjectSource, Service, Stack
from shipwheel.stack.yaml_file import yaml_documents

ASK = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:8766/', timeout=9).read().decode())"


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
