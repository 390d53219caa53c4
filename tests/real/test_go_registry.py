"""The registry of go-containerregistry, which has a referrers API, and its client crane."""

import os
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command import TEST_CACHE
from support.engines import SEARCH_PATH

from shipwheel.digest import digest_of
from shipwheel.events import silent
from shipwheel.files.entry import file
from shipwheel.oci.image import Blob, ImageIndex, make_index
from shipwheel.oci.model import MEDIA_TYPE_MANIFEST, Descriptor, Manifest, encode
from shipwheel.oci.reference import Reference
from shipwheel.oci.validate.check import validate
from shipwheel.registry import upload
from shipwheel.registry.copy import copy
from shipwheel.registry.pull import pull, remote_images
from shipwheel.registry.push import Push
from shipwheel.registry.referrers import list_referrers
from shipwheel.registry.repository import Document, Repository
from shipwheel.store.store import Store
from shipwheel.testing.fault_proxy import FaultProxy
from shipwheel.testing.images import AMD64, ARM64, small_image, small_layer

SOURCE = Path("/usr/share/gocode/src/github.com/google/go-containerregistry")
NAMES = ("registry", "crane")


@pytest.fixture(scope="session")
def programs() -> Path:
    """The directory with both programs, built once with Debian's Go from Debian's sources; nothing is downloaded."""
    cache = TEST_CACHE / "go"
    target = cache / "bin"
    if not all((target / name).is_file() for name in NAMES):
        if not SOURCE.is_dir():
            pytest.fail("tests/real/setup.sh installs golang-go and golang-github-google-go-containerregistry-dev")
        target.mkdir(parents=True, exist_ok=True)
        environment = {
            "PATH": SEARCH_PATH,
            "HOME": str(cache),
            "GOPATH": "/usr/share/gocode",
            "GO111MODULE": "off",
            "CGO_ENABLED": "0",
            "GOCACHE": str(cache / "cache"),
        }
        words = [f"github.com/google/go-containerregistry/cmd/{name}" for name in NAMES]
        quick = ("-gcflags=all=-N -l -dwarf=false", "-ldflags=-s -w")
        done = subprocess.run(["go", "build", *quick, "-o", f"{target}/", *words], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return target


@pytest.fixture
def other(programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The registry's part of an image name: 127.0.0.1:PORT."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setattr(upload, "CHUNK_SIZES", (400_000, 100_000))
    argv = ["setpriv", "--pdeathsig", "KILL", "--", str(programs / "registry"), "-port", "0"]
    process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    found = re.search(r"serving on port (\d+)", process.stderr.readline())
    assert found
    reader = threading.Thread(target=process.stderr.read)
    reader.start()
    yield f"127.0.0.1:{found[1]}"
    process.kill()
    process.wait()
    reader.join()
    process.stderr.close()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def index(store: Store) -> ImageIndex:
    """Two platforms that share a layer, which is uploaded in chunks."""
    shared = small_layer(store, [file("opt/data", os.urandom(1_500_000))], "shared")
    return make_index([small_image(store, platform, [shared, small_layer(store, {"p": str(platform)})]) for platform in (AMD64, ARM64)])


def push(host: str, path: str, index: ImageIndex, store: Store, workers: int = 4) -> None:
    with Repository(Reference.parse(f"{host}/{path}")) as there, Push(there, silent, workers) as pushing:
        pushing.images(index, store)
        pushing.finish(index, ("1",))


def test_crane_validates_a_pushed_image(other: str, programs: Path, index: ImageIndex, store: Store) -> None:
    push(other, "team/app", index, store)
    for words in (["digest"], ["validate", "--remote"]):
        done = subprocess.run([programs / "crane", *words, f"{other}/team/app:1", "--insecure"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert (index.digest if words == ["digest"] else "PASS") in done.stdout + done.stderr


def test_a_pull_and_a_copy_keep_the_digest(other: str, index: ImageIndex, store: Store, tmp_path: Path) -> None:
    push(other, "team/app", index, store)
    with Repository(Reference.parse(f"{other}/team/app")) as there, Repository(Reference.parse(f"{other}/new")) as target:
        pull(there, remote_images(there, "1"), tmp_path / "out", store, name="app:1", reporter=silent)
        assert {image.digest for image in validate(tmp_path / "out").images} == {image.digest for image in index.images}
        assert copy(there, "1", target, ["2"], reporter=silent).descriptor.digest == index.digest
        assert list(target.tags()) == ["2"]


def test_the_api_lists_and_filters_referrers(other: str, index: ImageIndex, store: Store) -> None:
    push(other, "team/app", index, store)
    empty = b"{}"
    config = Descriptor("application/vnd.oci.empty.v1+json", digest_of(empty), len(empty))
    data = encode(Manifest(config, (), 2, MEDIA_TYPE_MANIFEST, artifact_type="application/x-it", subject=index.descriptor))
    document = Document(Descriptor(MEDIA_TYPE_MANIFEST, digest_of(data), len(data)), data)
    with Repository(Reference.parse(f"{other}/team/app")) as there:
        with Push(there, silent) as pushing:
            pushing.blob(Blob(config, lambda: iter((empty,))))
            pushing.wait_for_blobs()
            pushing.document(document)
        assert [one.digest for one in list_referrers(there, index.digest, "application/x-it")] == [document.descriptor.digest]
        assert list_referrers(there, index.digest, "application/x-other") == ()


@pytest.mark.parametrize("kind", ["refuse", "cut-request", "no-answer", "truncate", "429", "500", "503", "stall"])
def test_a_push_survives_faults(other: str, programs: Path, index: ImageIndex, store: Store, kind: str) -> None:
    with FaultProxy(other, 0.25, 3, (kind,)) as proxy:
        push(proxy.host, "faulty", index, store, workers=1)  # so that the seed decides which request meets which fault
        assert proxy.counts[kind]
    done = subprocess.run([programs / "crane", "validate", "--remote", f"{other}/faulty:1", "--insecure"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
