"""Interoperability with skopeo and umoci, without a network."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.programs import needs

from shipwheel.errors import ImageError
from shipwheel.oci.archive import write_archive
from shipwheel.oci.layout import write_layout
from shipwheel.oci.validate.check import validate
from shipwheel.store.store import Store
from shipwheel.testing.images import AMD64, small_index

pytestmark = [pytest.mark.engines, needs("skopeo")]


def skopeo(root: Path, *arguments: str) -> str:
    command = ["skopeo", "--insecure-policy", "--tmpdir", str(root), *arguments]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def inspect(root: Path, name: str, *arguments: str) -> Any:
    return json.loads(skopeo(root, "--override-arch", "amd64", "inspect", *arguments, name))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Write multi and multi.tar with two platforms, single and single.tar with one."""
    store = Store(tmp_path / "store")
    for name, platforms in (("multi", None), ("single", [AMD64])):
        index = small_index(store) if platforms is None else small_index(store, platforms)
        write_layout(index, tmp_path / name, store, name="team/app:v1")
        write_archive(index, tmp_path / f"{name}.tar", store, name="team/app:v1", docker_platform=AMD64)
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [
        *("oci:multi", "oci:multi:v1", "oci:single", "oci:single:v1"),
        *("oci-archive:multi.tar", "oci-archive:multi.tar:v1", "oci-archive:single.tar"),
        *("docker-archive:multi.tar", "docker-archive:multi.tar:team/app:v1", "docker-archive:single.tar"),
    ],
)
def test_skopeo_reads_an_image_with_and_without_its_name(root: Path, name: str) -> None:
    index = small_index(Store(root / "store"))
    found = inspect(root, name)
    assert (found["Os"], found["Architecture"], found["Created"]) == ("linux", "amd64", "1980-01-02T00:00:00Z")
    layers = [layer.descriptor.digest for layer in index.images[0].layers]
    # Docker archives hold layers by their diff_ids.
    assert found["Layers"] == layers or name.startswith("docker-archive")
    assert len(found["Layers"]) == 2
    assert inspect(root, name, "--config")["rootfs"]["diff_ids"] == [layer.diff_id for layer in index.images[0].layers]


def test_skopeo_chooses_another_platform(root: Path) -> None:
    found = json.loads(skopeo(root, "--override-arch", "arm64", "inspect", "oci:multi"))
    assert found["Architecture"] == "arm64"


@pytest.mark.parametrize("source", ["oci:multi", "oci:multi:v1", "oci-archive:multi.tar"])
@pytest.mark.parametrize("to", ["oci:copy:x", "oci-archive:copy.tar:x"])
def test_a_copy_of_all_platforms_keeps_every_digest(root: Path, source: str, to: str) -> None:
    skopeo(root, "copy", "--all", "--preserve-digests", source, to)
    path = root / to.split(":")[1]
    assert [one.digest for one in validate(path).images] == [one.digest for one in validate(root / "multi").images]


@pytest.mark.parametrize(
    ("to", "options"),
    [
        ("oci:copy:x", ["--format", "v2s2"]),
        ("oci:copy:x", ["--format", "oci"]),
        ("oci:copy:x", ["--dest-compress-format", "zstd"]),
        ("oci-archive:copy.tar:x", ["--dest-compress-format", "zstd:chunked"]),
        ("docker-archive:copy.tar:copy:x", []),
    ],
)
def test_accepts_skopeo_s_copies_in_other_formats(root: Path, to: str, options: list[str]) -> None:
    skopeo(root, "--override-arch", "amd64", "copy", *options, "oci:multi", to)
    (report,) = validate(root / to.split(":")[1]).images
    (ours, _) = validate(root / "multi").images
    assert (report.platform, report.layers, report.unpacked_size) == (ours.platform, ours.layers, ours.unpacked_size)


def test_rejects_a_changed_copy(root: Path) -> None:
    skopeo(root, "copy", "oci:single", "oci:copy:x")
    blob = max((root / "copy" / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
    blob.write_bytes(blob.read_bytes() + b"\n")
    with pytest.raises(ImageError, match="stated"):
        validate(root / "copy")


@needs("umoci")
def test_umoci_unpacks_an_image(root: Path) -> None:
    done = subprocess.run(
        ["umoci", "unpack", "--rootless", "--image", f"{root}/single:v1", f"{root}/bundle"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (root / "bundle" / "rootfs" / "etc" / "platform").read_text() == "linux/amd64\n"
    assert json.loads((root / "bundle" / "config.json").read_text())["process"]["args"] == ["/hello"]


@needs("umoci")
def test_accepts_an_image_that_umoci_changed(root: Path) -> None:
    subprocess.run(["umoci", "config", "--image", f"{root}/single:v1", "--config.env", "A=b"], capture_output=True, check=True)
    assert validate(root / "single").images[0].layers == 2
