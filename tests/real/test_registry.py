"""Debian's docker-registry, and the tools that read what was pushed: skopeo, oras, podman, docker, containerd."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.engines import SEARCH_PATH, Containerd, Dockerd, Podman, Registry

from shipwheel.digest import digest_of
from shipwheel.errors import FetchError
from shipwheel.events import silent
from shipwheel.files.entry import file
from shipwheel.oci.archive import write_archive
from shipwheel.oci.image import Blob, ImageIndex, make_index
from shipwheel.oci.layer import Compression
from shipwheel.oci.layout import write_layout
from shipwheel.oci.model import MEDIA_TYPE_MANIFEST, Descriptor, Manifest, encode
from shipwheel.oci.reference import Reference
from shipwheel.oci.validate.check import validate
from shipwheel.registry import upload
from shipwheel.registry.copy import copy
from shipwheel.registry.pull import pull, remote_images
from shipwheel.registry.push import Push, Traffic
from shipwheel.registry.referrers import fallback_tag, list_referrers
from shipwheel.registry.repository import Document, Repository
from shipwheel.store.store import Store
from shipwheel.testing.fault_proxy import FaultProxy
from shipwheel.testing.images import AMD64, ARM64, small_image, small_index, small_layer


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))


def repository(host: str, path: str) -> Repository:
    return Repository(Reference.parse(f"{host}/{path}:1"))


def push(host: str, path: str, index: ImageIndex, store: Store, origins: tuple[str, ...] = (), workers: int = 4) -> Traffic:
    with repository(host, path) as there, Push(there, silent, workers) as pushing:
        pushing.images(index, store, origins)
        pushing.finish(index, ("1",))
        return pushing.traffic


@pytest.fixture
def pushed(registry: Registry, store: Store) -> ImageIndex:
    index = small_index(store)
    push(registry.host, "team/app", index, store)
    return index


def tool(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, env={**os.environ, "PATH": SEARCH_PATH})
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_skopeo_reads_every_platform(registry: Registry, pushed: ImageIndex, tmp_path: Path) -> None:
    name = f"docker://{registry.host}/team/app:1"
    raw = tool("skopeo", "inspect", "--tls-verify=false", "--raw", name)
    assert digest_of(raw.encode()) == pushed.digest
    for image in pushed.images:
        shown = json.loads(tool("skopeo", "--override-arch", image.platform.architecture, "inspect", "--tls-verify=false", name))
        assert (shown["Digest"], shown["Architecture"]) == (pushed.digest, image.platform.architecture)
        assert shown["Layers"] == [layer.descriptor.digest for layer in image.layers]
    tool("skopeo", "copy", "--all", "--preserve-digests", "--src-tls-verify=false", name, f"oci:{tmp_path / 'out'}:1")
    assert {image.digest for image in validate(tmp_path / "out").images} == {image.digest for image in pushed.images}


def test_oras_reads_the_image(registry: Registry, pushed: ImageIndex) -> None:
    if shutil.which("oras", path=SEARCH_PATH) is None:
        pytest.fail("oras is not installed: apt-get install oras", pytrace=False)
    found = json.loads(tool("oras", "manifest", "fetch", "--plain-http", "--descriptor", f"{registry.host}/team/app:1"))
    assert (found["digest"], found["size"]) == (pushed.digest, pushed.descriptor.size)
    assert tool("oras", "repo", "tags", "--plain-http", f"{registry.host}/team/app").split() == ["1"]


def test_docker_pulls_the_image(registry: Registry, pushed: ImageIndex, docker: Dockerd) -> None:
    docker.reach(registry.host)
    for image in pushed.images:
        said = docker.cli("pull", "--platform", str(image.platform), f"{registry.host}/team/app:1").stdout
        assert f"Digest: {pushed.digest}" in said
        shown = json.loads(docker.cli("image", "inspect", f"{registry.host}/team/app:1").stdout)[0]
        assert shown["Architecture"] == image.platform.architecture


def test_podman_pulls_the_image(registry: Registry, pushed: ImageIndex, podman: Podman) -> None:
    podman.reach(registry.host)
    for image in pushed.images:
        podman.cli("pull", "--tls-verify=false", "--arch", image.platform.architecture, f"{registry.host}/team/app:1")
        shown = json.loads(podman.cli("image", "inspect", f"{registry.host}/team/app:1").stdout)[0]
        assert shown["Architecture"] == image.platform.architecture


def test_containerd_pulls_the_image(registry: Registry, pushed: ImageIndex, containerd: Containerd) -> None:
    containerd.reach(registry.host)
    for image in pushed.images:
        containerd.cli("images", "pull", "--plain-http", "--platform", str(image.platform), f"{registry.host}/team/app:1")
    assert pushed.digest in containerd.cli("images", "list").stdout


@pytest.mark.parametrize("engine", ["docker", "podman", "containerd"])
def test_engines_pull_layers_in_zstd(registry: Registry, store: Store, engine: str, request: pytest.FixtureRequest) -> None:
    """With content of their own, because engines recognize layers by their diff_ids."""
    layer = small_layer(store, {"opt/data.txt": f"for {engine}\n" * 5000}, compression=Compression.ZSTD)
    index = make_index([small_image(store, AMD64, [layer])])
    push(registry.host, f"zstd/{engine}", index, store)
    running: Dockerd | Podman | Containerd = request.getfixturevalue(engine)
    running.reach(registry.host)
    name = f"{registry.host}/zstd/{engine}:1"
    if isinstance(running, Containerd):
        running.cli("images", "pull", "--plain-http", name)
        assert index.digest in running.cli("images", "list").stdout
    else:
        running.cli("pull", *(["--tls-verify=false"] if isinstance(running, Podman) else []), name)
        assert json.loads(running.cli("image", "inspect", name).stdout)[0]["RootFS"]["Layers"] == [layer.diff_id]


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_engines_load_layers_in_zstd(store: Store, engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    layer = small_layer(store, {"opt/data.txt": f"loaded into {engine}\n" * 5000}, compression=Compression.ZSTD)
    index = make_index([small_image(store, AMD64, [layer])])
    write_archive(index, tmp_path / "zstd.tar", store, name="zstd/loaded:1", docker_platform=AMD64)
    running: Dockerd | Podman = request.getfixturevalue(engine)
    running.cli("load", "--input", str(tmp_path / "zstd.tar"))
    assert json.loads(running.cli("image", "inspect", "zstd/loaded:1").stdout)[0]["RootFS"]["Layers"] == [layer.diff_id]


def test_a_second_push_and_a_second_project_upload_no_layer(registry: Registry, pushed: ImageIndex, store: Store) -> None:
    documents = len(pushed.index) + sum(len(image.manifest) for image in pushed.images)
    assert push(registry.host, "team/app", pushed, store).uploaded == documents
    traffic = push(registry.host, "another/app", pushed, store, (f"{registry.host}/team/app",))
    layers = {layer.descriptor.digest: layer.descriptor.size for image in pushed.images for layer in image.layers}
    assert traffic.mounted == sum(layers.values())
    assert traffic.uploaded == documents + sum(len(image.config) for image in pushed.images)


def test_a_pull_and_a_copy_keep_the_digest(registry: Registry, pushed: ImageIndex, store: Store, tmp_path: Path) -> None:
    with repository(registry.host, "team/app") as there:
        done = pull(there, remote_images(there, "1"), tmp_path / "out", store, name="app:1", reporter=silent)
        assert done.entry.digest == pushed.digest
        assert len(validate(tmp_path / "out").images) == 2
        with repository(registry.host, "copied/app") as target:
            assert copy(there, "1", target, ["2"], reporter=silent).traffic.mounted
            assert target.manifest("2").data == pushed.index
        with Registry() as other, repository(other.host, "copied/app") as target:
            assert not copy(there, "1", target, ["2"], reporter=silent).traffic.mounted
            assert list(target.tags()) == ["2"]
            assert digest_of(target.manifest("2").data) == pushed.digest


def test_pulls_what_skopeo_pushes_with_docker_types(registry: Registry, store: Store, tmp_path: Path) -> None:
    index = small_index(store)
    write_layout(index, tmp_path / "layout", store, name="app:1")
    name = f"docker://{registry.host}/docker/app:1"
    tool("skopeo", "copy", "--all", "--format", "v2s2", "--dest-tls-verify=false", f"oci:{tmp_path / 'layout'}:1", name)
    with repository(registry.host, "docker/app") as there:
        found = remote_images(there, "1")
        assert found.document.descriptor.media_type.startswith("application/vnd.docker.")
        assert [image.platform for image in found.images] == [AMD64, ARM64]
        pull(there, found, tmp_path / "out", store, name="app:1", reporter=silent)
    assert len(validate(tmp_path / "out").images) == 2


def test_without_the_api_referrers_are_under_a_tag(registry: Registry, pushed: ImageIndex) -> None:
    empty = b"{}"
    config = Descriptor("application/vnd.oci.empty.v1+json", digest_of(empty), len(empty))
    data = encode(Manifest(config, (), 2, MEDIA_TYPE_MANIFEST, artifact_type="application/x-it", subject=pushed.descriptor))
    document = Document(Descriptor(MEDIA_TYPE_MANIFEST, digest_of(data), len(data)), data)
    with repository(registry.host, "team/app") as there:
        with Push(there, silent) as pushing:
            pushing.blob(Blob(config, lambda: iter((empty,))))
            pushing.wait_for_blobs()
            pushing.document(document)
        assert fallback_tag(pushed.digest) in there.tags()
        assert [one.digest for one in list_referrers(there, pushed.digest, "application/x-it")] == [document.descriptor.digest]
    found = json.loads(tool("oras", "discover", "--plain-http", "--format", "json", f"{registry.host}/team/app@{pushed.digest}"))
    assert [one["digest"] for one in found["manifests"]] == [document.descriptor.digest]


def test_oras_finds_copied_referrers(registry: Registry, pushed: ImageIndex, tmp_path: Path) -> None:
    (tmp_path / "it.txt").write_text("signed")
    image = f"{registry.host}/team/app@{pushed.images[0].digest}"
    tool(
        "oras",
        "attach",
        "--plain-http",
        "--artifact-type",
        "application/x-signed",
        "--disable-path-validation",
        image,
        f"{tmp_path}/it.txt",
    )
    with Registry() as other:
        with repository(registry.host, "team/app") as there, repository(other.host, "copied/app") as target:
            copy(there, "1", target, ["1"], reporter=silent, referrers=True)
        copied = f"{other.host}/copied/app@{pushed.images[0].digest}"
        found = json.loads(tool("oras", "discover", "--plain-http", "--format", "json", copied))
        (reference,) = [one["reference"] for one in found["manifests"] if one["artifactType"] == "application/x-signed"]
        (layer,) = json.loads(tool("oras", "manifest", "fetch", "--plain-http", reference))["layers"]
        blob = f"{other.host}/copied/app@{layer['digest']}"
        assert tool("oras", "blob", "fetch", "--plain-http", "--output", "-", blob) == "signed"


@pytest.fixture
def chunked(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Upload blobs in chunks of 400 kB."""
    monkeypatch.setattr(upload, "CHUNK_SIZES", (400_000, 100_000))
    return iter(())


@pytest.mark.parametrize("kind", ["refuse", "cut-request", "no-answer", "truncate", "429", "500", "503", "stall"])
def test_a_push_survives_faults(registry: Registry, store: Store, chunked: None, kind: str) -> None:
    layers = [small_layer(store, [file("opt/data", os.urandom(1_500_000))], kind)]
    index = ImageIndex((small_image(store, AMD64, layers),), b"")
    with FaultProxy(registry.host, 0.25, 7, (kind,)) as proxy:
        push(proxy.host, f"faulty/{kind}", index, store, workers=1)  # so that the seed decides which request meets which fault
        assert proxy.counts[kind]
    with repository(registry.host, f"faulty/{kind}") as there:
        for blob in index.blobs(store):
            if blob.descriptor.media_type != MEDIA_TYPE_MANIFEST:
                assert b"".join(there.blob(blob.descriptor)) == b"".join(blob.chunks())
        assert there.manifest("1").data == index.images[0].manifest


def test_a_connection_that_never_works_is_an_error_with_a_hint(registry: Registry, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shipwheel.registry.transport.random.uniform", lambda *_: 0.01)
    with FaultProxy(registry.host, 1.0, 1, ("refuse", "500")) as proxy, pytest.raises(FetchError) as error:
        push(proxy.host, "faulty/never", small_index(store), store)
    assert error.value.hint
    with repository(registry.host, "faulty/never") as there:
        assert there.find_manifest("1") is None
