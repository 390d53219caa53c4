"""Reads, pulls and copies from the fake registry, also when it sends wrong data."""

import hashlib
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.digests import ANY

from shipwheel.errors import FetchError, ImageError, IntegrityError, ShipwheelError, UsageError
from shipwheel.events import silent
from shipwheel.oci.convert import to_oci_media_types
from shipwheel.oci.image import ImageIndex, RemoteLayer, compressed_chunks
from shipwheel.oci.layout import read_layout
from shipwheel.oci.model import (
    DOCKER_CONFIG,
    DOCKER_MANIFEST,
    DOCKER_MANIFEST_LIST,
    MEDIA_TYPE_INDEX,
    MEDIA_TYPE_LAYER_GZIP,
    MEDIA_TYPE_MANIFEST,
    Descriptor,
    Manifest,
    decode,
)
from shipwheel.oci.reference import Reference
from shipwheel.oci.validate.check import validate
from shipwheel.platform import Platform
from shipwheel.registry.copy import copy
from shipwheel.registry.pull import PullResult, pull, remote_images, remote_index
from shipwheel.registry.push import Push
from shipwheel.registry.repository import Repository
from shipwheel.registry.transport import RegistryRequest, error_details
from shipwheel.store.store import Store
from shipwheel.testing.images import AMD64, ARM64, small_index
from shipwheel.testing.registry import FakeRegistry, Habits, RegistryFault

DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shipwheel.registry.transport.random.uniform", lambda *_: 0.01)


def repository(registry: FakeRegistry, path: str = "team/app") -> Repository:
    return Repository(Reference.parse(f"{registry.host}/{path}:1"))


def filled(registry: FakeRegistry, store: Store) -> ImageIndex:
    index = small_index(store)
    with repository(registry) as repo, Push(repo, silent) as pushing:
        pushing.images(index, store)
        pushing.finish(index, ("1",))
    return index


def as_docker(registry: FakeRegistry, index: ImageIndex, *, layer_type: str = DOCKER_LAYER) -> str:
    """Put the images with docker's media types, and an attestation."""
    entries = []
    for image in index.images:
        document = json.loads(image.manifest)
        document["mediaType"] = DOCKER_MANIFEST
        document["config"]["mediaType"] = DOCKER_CONFIG
        for layer in document["layers"]:
            layer["mediaType"] = layer_type
        data = json.dumps(document, indent=3).encode()
        platform = {"os": image.platform.os, "architecture": image.platform.architecture}
        digest = registry.put("team/app", data, DOCKER_MANIFEST, f"docker-{image.platform.architecture}")
        entries.append({"mediaType": DOCKER_MANIFEST, "digest": digest, "size": len(data), "platform": platform})
    entries.append(
        {
            "mediaType": MEDIA_TYPE_MANIFEST,
            "digest": "sha256:" + "7" * 64,
            "size": 7,
            "platform": {"os": "unknown", "architecture": "unknown"},
            "annotations": {"vnd.docker.reference.type": "attestation-manifest"},
        }
    )
    listed = {"schemaVersion": 2, "mediaType": DOCKER_MANIFEST_LIST, "manifests": entries}
    return registry.put("team/app", json.dumps(listed, indent=3).encode(), DOCKER_MANIFEST_LIST, "docker")


def test_reads_a_manifest_by_tag_and_digest(store: Store) -> None:
    with FakeRegistry() as registry, repository(registry) as repo:
        index = filled(registry, store)
        for reference in ("1", index.digest):
            found = repo.manifest(reference)
            assert (found.data, found.descriptor.digest, found.is_index) == (index.index, index.digest, True)
            assert repo.has_manifest(reference)
        assert repo.find_manifest("2") is None
        assert not repo.has_manifest("2")
        with pytest.raises(FetchError, match="MANIFEST_UNKNOWN") as error:
            repo.manifest("2")
        assert error.value.status == 404


@pytest.mark.parametrize(
    ("data", "media_type", "words"),
    [
        (b'{"schemaVersion": 1, "name": "x"}', "application/vnd.docker.distribution.manifest.v1+prettyjws", "schema 1"),
        (b'{"schemaVersion": 1, "name": "x"}', "application/json", "schema 1"),
        (b"<html>", "text/html", "is invalid"),
        (b"[]", MEDIA_TYPE_INDEX, "is invalid"),
        (b'{"manifests": [], "layers": []}', MEDIA_TYPE_INDEX, "not an image or image index"),
        (b'{"layers": [], "config": {}}', MEDIA_TYPE_INDEX, "not an image or image index"),
        (b'{"mediaType": "' + MEDIA_TYPE_MANIFEST.encode() + b'", "layers": []}', MEDIA_TYPE_INDEX, "not an image or image index"),
        (b"[" * 100_000, MEDIA_TYPE_INDEX, "is invalid"),
    ],
    ids=range(8),
)
def test_rejects_documents_that_are_no_image(data: bytes, media_type: str, words: str) -> None:
    with FakeRegistry() as registry, repository(registry) as repo:
        registry.put("team/app", data, media_type, "1")
        with pytest.raises(ImageError, match=words):
            repo.manifest("1")


def test_rejects_a_manifest_of_more_than_4_mib() -> None:
    with FakeRegistry() as registry, repository(registry) as repo:
        registry.put("team/app", b"x" * (5 << 20), MEDIA_TYPE_MANIFEST, "1")
        with pytest.raises(FetchError, match="more than"):
            repo.manifest("1")


def test_rejects_wrong_bytes(store: Store) -> None:
    with FakeRegistry() as registry, repository(registry) as repo:
        index = filled(registry, store)
        registry.fault(RegistryFault("corrupt", "GET", "/manifests/", 2))
        for reference in ("1", index.digest):
            with pytest.raises(IntegrityError):
                repo.manifest(reference)
        registry.fault(RegistryFault("corrupt", "GET", "/blobs/", 2))
        layer = index.images[0].layers[0].descriptor
        with pytest.raises(IntegrityError, match=layer.digest):
            list(repo.blob(layer))


@pytest.mark.parametrize("kind", ["truncate", "no-answer"])
def test_resumes_a_broken_download(kind: str) -> None:
    data = os.urandom(3_000_000)
    with FakeRegistry() as registry, repository(registry) as repo:
        digest = registry.add("team/app", data)
        registry.fault(RegistryFault(kind, "GET", "/blobs/", 3))
        assert b"".join(repo.blob(Descriptor("x", digest, len(data)))) == data
        assert b"".join(repo.blob(Descriptor("x", digest, len(data)), 5)) == data[5:]
        if kind == "truncate":
            assert [seen.headers.get("range") for seen in registry.received("GET", "/blobs/")][1] == "bytes=1500000-"
        assert repo.has_blob(digest) == len(data)
        assert repo.has_blob(ANY) is None


def test_rejects_a_blob_of_another_size() -> None:
    with FakeRegistry() as registry, repository(registry) as repo:
        digest = registry.add("team/app", b"0123456789")
        with pytest.raises(IntegrityError, match="more than its 9 bytes"):
            list(repo.blob(Descriptor("x", digest, 9)))
        with pytest.raises(FetchError):
            list(repo.blob(Descriptor("x", digest, 11)))
        with pytest.raises(ImageError, match="more than the limit"):
            repo.small_blob(Descriptor("x", digest, 10), 9)


class FixedAuthorization:
    """An Authorization with one token."""

    def header(self, scopes: tuple[str, ...]) -> str | None:
        return "Bearer secret"

    def challenged(self, response: object, scopes: tuple[str, ...], sent: str | None) -> bool:
        return False


def test_sends_no_credentials_to_a_storage_host() -> None:
    with FakeRegistry() as storage, FakeRegistry(Habits(storage=f"http://{storage.host}")) as registry:
        digest = registry.add("team/app", b"data")
        storage.add("team/app", b"data")
        with Repository(Reference.parse(f"{registry.host}/team/app"), silent, FixedAuthorization()) as repo:
            assert b"".join(repo.blob(Descriptor("x", digest, 4))) == b"data"
        assert registry.requests[-1].headers["authorization"] == "Bearer secret"
        assert [seen.headers.get("authorization") for seen in storage.requests] == [None]


def test_stops_after_too_many_redirects() -> None:
    with FakeRegistry() as registry, repository(registry) as repo:
        registry.fault(RegistryFault("status", "GET", times=99, status=302, headers={"Location": "/v2/again"}))
        with pytest.raises(FetchError, match="more than 8 redirects"):
            repo.manifest("1")


@pytest.mark.parametrize("habits", [Habits(page=7), Habits(page=1), Habits()], ids=str)
def test_reads_all_pages_of_tags(habits: Habits) -> None:
    with FakeRegistry(habits) as registry, repository(registry) as repo:
        registry.tags["team/app"] = {f"v{number:03}": "" for number in range(20)}
        assert list(repo.tags()) == [f"v{number:03}" for number in range(20)]


def test_reads_further_tags_of_a_registry_without_link_headers() -> None:
    with FakeRegistry(Habits(links=False)) as registry, repository(registry) as repo:
        registry.tags["team/app"] = {f"v{number:05}": "" for number in range(2500)}
        assert len(list(repo.tags())) == 2500


@pytest.mark.parametrize("link", ['<http://127.0.0.2:1/v2/x?n=1>; rel="next"', "<//127.0.0.2/v2/>; rel=next"])
def test_rejects_a_next_page_on_another_server(link: str) -> None:
    with FakeRegistry() as registry, repository(registry) as repo:
        registry.fault(RegistryFault("status", "GET", status=200, headers={"Link": link}))
        with pytest.raises(FetchError, match="next page"):
            list(repo.tags())


def test_reads_images_without_their_layers(store: Store) -> None:
    with FakeRegistry() as registry, repository(registry) as repo:
        index = filled(registry, store)
        found = remote_images(repo, "1")
        assert found.digest == index.digest
        assert [image.manifest for image in found.images] == [image.manifest for image in index.images]
        assert remote_index(found).index == index.index
        assert not registry.received("GET", f"/blobs/{index.images[0].layers[0].descriptor.digest}")
        (one,) = remote_images(repo, "1", [ARM64]).images
        assert one.platform == ARM64
        layer = one.layers[0]
        assert isinstance(layer, RemoteLayer)
        assert layer.origin == f"{registry.host}/team/app"
        assert f"sha256:{hashlib.sha256(b''.join(compressed_chunks(layer, store))).hexdigest()}" == layer.descriptor.digest
        assert remote_images(repo, one.digest, [ARM64]).images == (one,) or remote_images(repo, one.digest).images[0].digest == one.digest


def test_lists_the_platforms_if_one_is_missing(store: Store) -> None:
    with FakeRegistry() as registry, repository(registry) as repo:
        index = filled(registry, store)
        riscv = Platform("linux", "riscv64")
        for reference in ("1", index.images[0].digest):
            with pytest.raises(UsageError, match="riscv64") as error:
                remote_images(repo, reference, [AMD64, riscv])
            assert "linux/amd64" in error.value.hint


def test_rejects_an_index_with_a_wrong_platform(store: Store) -> None:
    with FakeRegistry() as registry, repository(registry) as repo:
        index = filled(registry, store)
        registry.put("team/app", index.index.replace(b"amd64", b"s390x"), MEDIA_TYPE_INDEX, "2")
        with pytest.raises(ImageError, match="but is for linux/amd64"):
            remote_images(repo, "2")


def test_converts_docker_s_media_types_to_oci_s(store: Store) -> None:
    with FakeRegistry() as registry, repository(registry) as repo:
        index = filled(registry, store)
        as_docker(registry, index)
        found = remote_images(repo, "docker")
        assert [image.platform for image in found.images] == [AMD64, ARM64]
        for image in map(to_oci_media_types, found.images):
            manifest = decode(image.manifest, Manifest, "it")
            assert (manifest.media_type, image.manifest_media_type) == (MEDIA_TYPE_MANIFEST, MEDIA_TYPE_MANIFEST)
            assert {layer.media_type for layer in manifest.layers} == {MEDIA_TYPE_LAYER_GZIP}
            assert tuple(layer.descriptor for layer in image.layers) == manifest.layers
            assert image.config_descriptor == manifest.config
            assert to_oci_media_types(image) is image


@pytest.mark.parametrize(
    ("layer_type", "words"),
    [("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "do not store"), ("application/x-thing", "unknown media types")],
)
def test_rejects_foreign_layers_and_unknown_media_types(store: Store, layer_type: str, words: str) -> None:
    with FakeRegistry() as registry, repository(registry) as repo:
        as_docker(registry, filled(registry, store), layer_type=layer_type)
        with pytest.raises(ImageError, match=words):
            to_oci_media_types(remote_images(repo, "docker", [AMD64]).images[0])


def test_treats_null_as_missing(store: Store) -> None:
    with FakeRegistry() as registry, repository(registry) as repo:
        index = filled(registry, store)
        document = json.loads(index.images[0].manifest)
        config = json.loads(index.images[0].config)
        config["config"] |= {"Entrypoint": None, "Volumes": None, "Env": None, "Labels": None}
        config["history"] = None
        data = json.dumps(config).encode()
        document["config"] |= {"digest": registry.add("team/app", data), "size": len(data)}
        registry.put("team/app", json.dumps(document).encode(), MEDIA_TYPE_MANIFEST, "null")
        assert remote_images(repo, "null").images[0].config == data


def pull_to(repo: Repository, tag: str, target: Path, store: Store, platforms: list[Platform] | None = None) -> PullResult:
    return pull(repo, remote_images(repo, tag, platforms), target, store, name="team/app:1", reporter=silent)


@pytest.mark.parametrize("tag", ["1", "docker"])
def test_pulls_into_a_valid_layout(store: Store, tmp_path: Path, tag: str) -> None:
    with FakeRegistry() as registry, repository(registry) as repo:
        index = filled(registry, store)
        as_docker(registry, index)
        first = pull_to(repo, tag, tmp_path / "out", store)
        assert first.entry.digest == index.digest, "the same images in OCI's types"
        assert first.fetched
        assert len(validate(tmp_path / "out").images) == 2
        asked = len(registry.received("GET", "/blobs/"))
        again = pull_to(repo, tag, tmp_path / "out", store)
        assert (again.fetched, again.present, again.entry) == (0, first.fetched, first.entry)
        assert len(registry.received("GET", "/blobs/")) == asked + 2, "configs only"
        one = pull_to(repo, tag, tmp_path / "one", store, [ARM64])
        assert [image.platform for image in read_layout(tmp_path / "one").images().images] == [ARM64]
        assert one.entry.digest != first.entry.digest


def test_resumes_an_interrupted_pull(store: Store, tmp_path: Path) -> None:
    target = tmp_path / "out"
    with FakeRegistry() as registry:
        with repository(registry) as repo:
            index = filled(registry, store)
            layer = index.images[0].layers[0].descriptor
            registry.fault(RegistryFault("truncate", "GET", layer.digest, 1))
            registry.fault(RegistryFault("status", "GET", layer.digest, 99, 403))
            with pytest.raises(FetchError, match="403"):
                pull_to(repo, "1", target, store)
        assert read_layout(target).entries == ()
        with registry.lock:
            registry._faults.clear()
        with repository(registry) as repo:
            pull_to(repo, "1", target, store)
            ranges = [seen.headers.get("range") for seen in registry.received("GET", layer.digest)]
            assert ranges[-1] == f"bytes={layer.size // 2}-"
        validate(target)
        assert not list(target.glob("blobs/*/.*"))


def test_discards_a_wrong_partial_file(store: Store, tmp_path: Path) -> None:
    target = tmp_path / "out"
    with FakeRegistry() as registry, repository(registry) as repo:
        index = filled(registry, store)
        layer = index.images[0].layers[0].descriptor
        partial = target / "blobs" / "sha256" / f".{layer.digest.partition(':')[2]}.partial"
        partial.parent.mkdir(parents=True)
        (target / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        (target / "index.json").write_text('{"schemaVersion":2,"manifests":[]}')
        partial.write_bytes(b"rubbish")
        with pytest.raises(IntegrityError):
            pull_to(repo, "1", target, store)
    with FakeRegistry() as registry, repository(registry) as repo:
        filled(registry, store)
        pull_to(repo, "1", target, store)
    validate(target)


def test_rejects_a_directory_that_is_no_layout(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with FakeRegistry() as registry, repository(registry) as repo:
        filled(registry, store)
        with pytest.raises(UsageError, match="not an OCI image layout"):
            pull_to(repo, "1", tmp_path, store)


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("tag", ["1", "docker-amd64"])
def test_copies_every_byte_as_it_is(store: Store, same: bool, tag: str) -> None:
    with FakeRegistry() as registry, FakeRegistry() as other:
        index = filled(registry, store)
        as_docker(registry, index)
        target = registry if same else other
        with repository(registry) as source, repository(target, "new/place") as repo:
            copied = copy(source, tag, repo, ["1", "2"], reporter=silent)
            assert copied.descriptor.digest == source.manifest(tag).descriptor.digest
            assert repo.manifest("2").data == source.manifest(tag).data
        assert target.missing_blobs("new/place", copied.descriptor.digest) == []
        assert bool(copied.traffic.mounted) is same


def test_leaves_no_tag_when_the_source_fails(store: Store) -> None:
    with FakeRegistry() as registry, FakeRegistry() as other:
        index = filled(registry, store)
        registry.fault(RegistryFault("corrupt", "GET", index.images[0].layers[0].descriptor.digest, 99))
        with repository(registry) as source, repository(other) as repo, pytest.raises(IntegrityError):
            copy(source, "1", repo, ["1"], reporter=silent)
        assert not other.tags


@given(st.binary(max_size=300) | st.builds(lambda text: json.dumps({"errors": [{"code": text, "message": text}]}).encode(), st.text()))
def test_shortens_a_registry_s_error_to_one_line(body: bytes) -> None:
    text = error_details(body)
    assert text.isprintable()
    assert len(text) <= 300


@given(st.binary(max_size=200))
def test_raises_our_error_for_invalid_documents(body: bytes) -> None:
    with pytest.raises(ShipwheelError):
        decode(body + b"\xff{", Manifest, "it")


def test_hides_secrets_in_urls() -> None:
    with FakeRegistry() as registry, repository(registry) as repo, pytest.raises(FetchError) as error:
        repo.transport.request(RegistryRequest("GET", "/v2/nothing?X-Amz-Signature=secret", "it"))
    assert "secret" not in error.value.message


def test_rejects_a_redirect_to_another_scheme() -> None:
    with FakeRegistry() as registry, repository(registry) as repo:
        registry.fault(RegistryFault("status", "GET", times=9, status=302, headers={"Location": "ftp://127.0.0.1/x"}))
        with pytest.raises(FetchError, match="redirects to"):
            repo.manifest("1")


def test_remote_layers_are_frozen() -> None:
    layer = RemoteLayer(Descriptor("x", ANY, 1), ANY, lambda: iter(()))
    with pytest.raises(AttributeError):
        layer.name = ""  # type: ignore[misc]
    assert msgspec.structs.replace(layer, name="n").name == "n"


def test_pulls_that_meet_keep_every_image(store: Store, tmp_path: Path) -> None:
    """They share layers, and each removes what interrupted pulls left."""
    with FakeRegistry() as registry:
        first = filled(registry, store)
        registry.tags["team/app"] |= {str(number): first.descriptor.digest for number in range(6)}
        start = threading.Barrier(6)

        def fetch(number: int) -> None:
            with repository(registry) as repo:
                found = remote_images(repo, str(number))
                start.wait()
                pull(repo, found, tmp_path / "out", store, name=f"app:{number}", reporter=silent)

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(fetch, range(6)))
    validate(tmp_path / "out")
    assert sorted(read_layout(tmp_path / "out").names) == [f"docker.io/library/app:{number}" for number in range(6)]
