"""Archives: a tar that is an OCI image layout and contains docker's manifest.json."""

import json
import random
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from shipwheel.digest import digest_of
from shipwheel.errors import BuildError, DamagedBlob, UsageError
from shipwheel.oci.archive import write_archive
from shipwheel.oci.image import make_index
from shipwheel.oci.layout import write_layout
from shipwheel.oci.validate.check import validate
from shipwheel.platform import Platform
from shipwheel.store.store import Store
from shipwheel.testing.images import AMD64, ARM64, small_image, small_index, small_layer


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path, "r:") as archive:
        found = [member for member in archive.getmembers() if member.isreg()]
        assert len({member.name for member in found}) == len(found)
        assert {(member.uid, member.gid, member.mtime) for member in found} == {(0, 0, 315619200)}
        return {member.name: archive.extractfile(member).read() for member in found}  # type: ignore[union-attr]


def test_an_archive_is_a_layout_with_a_docker_manifest(store: Store, tmp_path: Path) -> None:
    index = small_index(store)
    write_archive(index, tmp_path / "deep" / "app.tar", store, name="team/app:v1", docker_platform=AMD64)
    write_layout(index, tmp_path / "layout", store, name="team/app:v1")
    found = members(tmp_path / "deep" / "app.tar")
    (docker,) = json.loads(found.pop("manifest.json"))
    layout = {
        path.relative_to(tmp_path / "layout").as_posix(): path.read_bytes() for path in (tmp_path / "layout").rglob("*") if path.is_file()
    }
    assert found == layout
    assert docker["RepoTags"] == ["team/app:v1"]
    assert digest_of(found[docker["Config"]]) == index.images[0].config_descriptor.digest
    assert [digest_of(found[path]) for path in docker["Layers"]] == [layer.descriptor.digest for layer in index.images[0].layers]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["app.tar"]
    assert len(validate(tmp_path / "deep" / "app.tar").images) == 2


@pytest.mark.parametrize("platform", [AMD64, ARM64])
def test_lists_the_requested_platform_for_docker(store: Store, tmp_path: Path, platform: Platform) -> None:
    write_archive(small_index(store), tmp_path / "app.tar", store, name=None, docker_platform=platform)
    found = members(tmp_path / "app.tar")
    (docker,) = json.loads(found["manifest.json"])
    assert json.loads(found[docker["Config"]])["architecture"] == platform.architecture
    assert docker["RepoTags"] is None


def test_lists_the_host_s_platform_or_the_first_for_docker(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for machine, expected in (("aarch64", "arm64"), ("x86_64", "amd64"), ("riscv64", "amd64")):
        monkeypatch.setattr("platform.machine", lambda machine=machine: machine)
        write_archive(small_index(store), tmp_path / "app.tar", store, name="app")
        found = members(tmp_path / "app.tar")
        assert json.loads(found[json.loads(found["manifest.json"])[0]["Config"]])["architecture"] == expected


def test_rejects_a_platform_without_an_image(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        write_archive(small_index(store, [AMD64]), tmp_path / "app.tar", store, name="app", docker_platform=ARM64)
    assert "linux/amd64" in caught.value.hint
    assert list(tmp_path.glob("*.tar*")) == []


def test_writing_twice_yields_the_same_bytes(store: Store, tmp_path: Path) -> None:
    write_archive(small_index(store), tmp_path / "one.tar", store, name="app")
    second = Store(tmp_path / "second store")
    write_archive(small_index(second), tmp_path / "two.tar", second, name="app")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


def test_a_damaged_part_leaves_the_old_archive(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "app.tar"
    path.write_bytes(b"the one before")
    layer = small_layer(store, {"opt/shared/data.txt": "the same everywhere\n" * 300}, "shared")
    index = small_index(store)
    store.path(layer.parts[1]).write_bytes(b"rubbish")
    with pytest.raises(DamagedBlob):
        write_archive(index, path, store, name="app")
    assert path.read_bytes() == b"the one before"
    assert sorted(found.name for found in tmp_path.iterdir()) == ["app.tar", "store"]


def test_rejects_a_directory(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a directory"):
        write_archive(small_index(store), tmp_path, store, name="app")


def test_reports_an_unwritable_location(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BuildError, match=r"app\.tar cannot be written"):
        write_archive(small_index(store), tmp_path / "file" / "app.tar", store, name="app")


def test_streams_layers(store: Store, tmp_path: Path) -> None:
    layer = small_layer(store, {"random": random.Random(1).randbytes(16 << 20)})
    index = make_index([small_image(store, AMD64, [layer])])
    tracemalloc.start()
    try:
        write_archive(index, tmp_path / "app.tar", store, name="app")
        validate(tmp_path / "app.tar")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (tmp_path / "app.tar").stat().st_size > 16 << 20
    assert peak < 10 << 20
