"""Images as values: documents in canonical bytes, streamed layers."""

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shipwheel.digest import digest_of
from shipwheel.errors import DamagedBlob, ImageError
from shipwheel.oci.image import MAX_LAYERS, FileLayer, compressed_chunks, make_image, make_index, rfc3339
from shipwheel.oci.layer import layer_chunks
from shipwheel.oci.model import ContainerConfig, History
from shipwheel.platform import Platform
from shipwheel.store.store import Store
from shipwheel.testing.images import AMD64, ARM64, small_image, small_index, small_layer


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_documents_describe_the_layers(store: Store) -> None:
    layers = [small_layer(store, {"a": b"1"}, "first"), small_layer(store, {"b": b"2"}, "second")]
    config = ContainerConfig(user="65532:65532", env=("A=b",), cmd=("/a", "b"), exposed_ports={"80/tcp": {}}, working_dir="/app")
    notes = {"org.opencontainers.image.title": "small"}
    image = make_image(layers, config, Platform("linux", "arm64", "v8"), created=1700000000, annotations=notes)
    manifest, data = json.loads(image.manifest), json.loads(image.config)
    assert manifest == {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": digest_of(image.config),
            "size": len(image.config),
        },
        "layers": [
            {
                "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                "digest": layer.digest,
                "size": layer.size,
                "annotations": {"io.shipwheel.layer.key": layer.key, "io.shipwheel.layer.unpacked-size": str(layer.unpacked_size)},
            }
            for layer in layers
        ],
        "annotations": notes,
    }
    assert data == {
        "architecture": "arm64",
        "os": "linux",
        "variant": "v8",
        "created": "2023-11-14T22:13:20Z",
        "config": {
            "User": "65532:65532",
            "Env": ["A=b"],
            "Cmd": ["/a", "b"],
            "ExposedPorts": {"80/tcp": {}},
            "WorkingDir": "/app",
        },
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [
            {"created": "2023-11-14T22:13:20Z", "created_by": "shipwheel: first"},
            {"created": "2023-11-14T22:13:20Z", "created_by": "shipwheel: second"},
        ],
    }
    assert image.size == len(image.manifest) + len(image.config) + sum(layer.size for layer in layers)


def test_keeps_the_history_of_the_base(store: Store) -> None:
    below = [History(created_by="base"), History(created_by="ENV", empty_layer=True)]
    layers = [small_layer(store, {"a": b"1"}), small_layer(store, {"b": b"1"})]
    lines = make_image(layers, ContainerConfig(), AMD64, created=0, base_history=below).config_file.history
    assert lines[:2] == tuple(below)
    assert [line.empty_layer for line in lines] == [False, True, False]


def test_ignores_a_history_of_too_many_layers(store: Store) -> None:
    below = [History(created_by="base"), History(created_by="more")]
    lines = make_image([small_layer(store, {"a": b"1"})], ContainerConfig(), AMD64, created=0, base_history=below).config_file.history
    assert [line.created_by for line in lines] != ["base"] and len(lines) == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=20)
@given(pairs=st.lists(st.tuples(st.text(max_size=9), st.text(max_size=9)), unique_by=lambda pair: pair[0], max_size=6), data=st.data())
def test_bytes_do_not_depend_on_the_order_of_maps(store: Store, pairs: list[tuple[str, str]], data: st.DataObject) -> None:
    layer = small_layer(store, {"a": b"1"})
    images = {
        make_image([layer], ContainerConfig(labels=dict(order)), AMD64, created=0, annotations=dict(order))
        for order in (pairs, data.draw(st.permutations(pairs)))
    }
    assert len({image.digest for image in images}) == 1


def test_rejects_more_layers_than_engines_support(store: Store) -> None:
    layer = small_layer(store, {"a": b"1"})
    assert len(make_image([layer] * MAX_LAYERS, ContainerConfig(), AMD64, created=0).layers) == 127
    with pytest.raises(ImageError, match="128 layers") as caught:
        make_image([layer] * (MAX_LAYERS + 1), ContainerConfig(), AMD64, created=0)
    assert caught.value.hint


def test_sorts_the_images_of_an_index(store: Store) -> None:
    images = [small_image(store, ARM64), small_image(store, AMD64)]
    index = make_index(images, {"a": "b"})
    assert index == make_index(images[::-1], {"a": "b"})
    document = json.loads(index.index)
    assert document["schemaVersion"] == 2
    assert document["annotations"] == {"a": "b"}
    assert [one["platform"] for one in document["manifests"]] == [
        {"os": "linux", "architecture": "amd64"},
        {"os": "linux", "architecture": "arm64"},
    ]
    assert [one["digest"] for one in document["manifests"]] == [images[1].digest, images[0].digest]
    assert index.digest == digest_of(index.index)


def test_one_platform_needs_no_index(store: Store) -> None:
    index = small_index(store, [AMD64])
    assert index.descriptor == index.images[0].descriptor
    assert index.digest not in {digest_of(index.index)}


def test_rejects_no_image_and_two_of_one_platform(store: Store) -> None:
    with pytest.raises(ImageError):
        make_index([])
    with pytest.raises(ImageError, match="linux/amd64"):
        make_index([small_image(store), small_image(store)])


def test_yields_every_blob_once_after_those_it_refers_to(store: Store) -> None:
    index = small_index(store)
    seen: list[str] = []
    for blob in index.blobs(store):
        data = b"".join(blob.chunks())
        assert (len(data), digest_of(data)) == (blob.descriptor.size, blob.descriptor.digest)
        if blob.descriptor.media_type.endswith("+json"):
            assert all(digest in seen for digest in digests_in(json.loads(data)))
        seen.append(blob.descriptor.digest)
    assert len(seen) == len(set(seen)) == 8  # a shared layer, two of their own, two configs, two manifests, the index
    assert seen[-1] == index.digest


def digests_in(document: object) -> list[str]:
    if isinstance(document, dict):
        own = [document["digest"]] if "mediaType" in document and "digest" in document else []
        return own + [digest for value in document.values() for digest in digests_in(value)]
    return [digest for value in document for digest in digests_in(value)] if isinstance(document, list) else []


def test_reads_a_layer_from_a_file_or_from_parts(store: Store, tmp_path: Path) -> None:
    layer = small_layer(store, {"a": b"1" * 5000})
    data = b"".join(layer_chunks(layer, store))
    (tmp_path / "blobs").write_bytes(b"before" + data + b"after")
    moved = FileLayer(layer.descriptor, layer.diff_id, tmp_path / "blobs", 6, layer.name)
    assert b"".join(compressed_chunks(moved, store)) == data
    assert (
        make_image([moved], ContainerConfig(), AMD64, created=0).digest == make_image([layer], ContainerConfig(), AMD64, created=0).digest
    )


@pytest.mark.parametrize("damage", ["gone", "cut", "other", "longer"])
@pytest.mark.parametrize("place", ["store/blob", "mine.tar"])
def test_notices_a_damaged_file(store: Store, tmp_path: Path, damage: str, place: str) -> None:
    """Another run mends what is in the store. A person has to mend what is elsewhere, so it is named."""
    layer = small_layer(store, {"a": b"1" * 5000})
    data = b"".join(layer_chunks(layer, store))
    path = tmp_path / place
    if damage != "gone":
        path.write_bytes({"cut": data[:-1], "other": data[:-1] + b"!", "longer": b"!" + data}[damage])
    image = make_image([FileLayer(layer.descriptor, layer.diff_id, path)], ContainerConfig(), AMD64, created=0)
    with pytest.raises((DamagedBlob, ImageError)) as caught:
        for blob in image.blobs(store):
            for _ in blob.chunks():
                pass
    if place == "mine.tar":
        assert caught.value.message == f"{path}: the blob {layer.digest} is damaged"
    else:
        assert isinstance(caught.value, DamagedBlob)
        assert caught.value.digest == layer.digest


def test_formats_times() -> None:
    assert rfc3339(0) == "1970-01-01T00:00:00Z"
    assert rfc3339(0o77777777777) == "2242-03-16T12:56:31Z"


def test_the_digest_of_a_small_image_never_changes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    assert hashlib.sha256(small_index(store).index).hexdigest() == "7161d255c29bd552986513d4e6ef5ee2e39d96f1be48a8e86caa8a158015087a"
