"""Builds of the torch family: CPU builds by default, what they save, and errors that name the index at fault."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.lock_requests import lock_request

from shipwheel.errors import FetchError, LockError
from shipwheel.locking import accelerator, uv
from shipwheel.locking.accelerator import COVERED, accelerator_note, backend, find_switch, use_vendor_urls
from shipwheel.locking.inputs import LockRequest, inputs_digest
from shipwheel.locking.make import make_lock
from shipwheel.locking.pylock import Lock
from shipwheel.locking.selection import select_all
from shipwheel.locking.target import Target
from shipwheel.platform import Platform
from shipwheel.project.indexes import ACCELERATOR_INDEX
from shipwheel.testing.package_index import PackageIndex
from shipwheel.testing.wheels import SmallWheel

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
TAG = f"cp{sys.version_info.major}{sys.version_info.minor}"
TARGETS = [Target(Platform("linux", name), f"{MINOR}.2", (2, 36)) for name in ("amd64", "arm64")]
ON_AMD64 = "; platform_machine == 'x86_64' and sys_platform == 'linux'"


def torch(version: str, *requires: str, tag: str) -> SmallWheel:
    return SmallWheel("torch", version, files={"torch/__init__.py": ""}, requires=("leaf", *requires), tag=tag)


@pytest.fixture(scope="module")
def index() -> Iterator[PackageIndex]:
    """A package index with torch for CUDA on amd64, and its dependencies."""
    with PackageIndex() as served:
        for version in ("2.4.0", "2.5.1"):
            for machine in ("x86_64", "aarch64"):
                needs = (f"nvidia-cublas-cu12{ON_AMD64}", f"triton{ON_AMD64}")
                wheel = torch(version, *needs, tag=f"{TAG}-{TAG}-manylinux_2_28_{machine}")
                served.add(wheel.filename, wheel.content(), uploaded=f"2024-0{version[2]}-01T00:00:00Z")
        for wheel in (
            SmallWheel("leaf", files={"leaf.py": ""}),
            SmallWheel("sentences", files={"sentences.py": ""}, requires=("torch>=2",)),
            SmallWheel("nvidia_cublas_cu12", "12.1", files={"nv.py": "#" * 90000}, tag="py3-none-manylinux_2_17_x86_64"),
            SmallWheel("triton", "3.1", files={"triton.py": "#" * 90000}, tag=f"{TAG}-{TAG}-manylinux_2_17_x86_64"),
        ):
            served.add(wheel.filename, wheel.content())
        yield served


@pytest.fixture(scope="module")
def vendor() -> Iterator[PackageIndex]:
    """The vendor's index: HTML without upload times, and a local version for amd64 alone. Its leaf must not be locked."""
    with PackageIndex() as served:
        for version in ("2.4.0", "2.5.1", "2.9.9"):
            for wheel in (
                torch(f"{version}+cpu", tag=f"{TAG}-{TAG}-linux_x86_64"),
                torch(version, tag=f"{TAG}-{TAG}-manylinux_2_28_aarch64"),
            ):
                served.add(wheel.filename, wheel.content())
        leaf = SmallWheel("leaf", "9.0", files={"leaf.py": ""})
        served.add(leaf.filename, leaf.content())
        yield served


@pytest.fixture(autouse=True)
def own_uv(index: PackageIndex, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.simple)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "uv-cache"))
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")


def request(root: Path, text: str, vendor: PackageIndex | None, **more: Any) -> LockRequest:
    (root / "requirements.txt").write_text(text)
    address = f"{vendor.url}/whl" if vendor else "http://127.0.0.1:9/whl"
    return lock_request(root, MINOR, (root / "requirements.txt",), accelerator_index=address, **more)


def chosen(lock: Lock) -> list[dict[str, str]]:
    return [{it.name: it.version for it in selection.distributions} for selection in select_all(lock, TARGETS)]


def test_locks_cpu_builds_by_default(tmp_path: Path, vendor: PackageIndex) -> None:
    lock = make_lock(request(tmp_path, "sentences\n", vendor))
    amd64, arm64 = chosen(lock)
    assert amd64 == {"leaf": "1.0", "sentences": "1.0", "torch": "2.5.1+cpu"}
    assert arm64 == {"leaf": "1.0", "sentences": "1.0", "torch": "2.5.1"}
    found = lock.accelerator
    assert found["build"] == "cpu"
    assert found["of"] == ["torch"]
    assert found["without"] == ["nvidia-cublas-cu12 12.1", "triton 3.1"]
    assert found["saves"]["amd64"] > 1500
    assert "arm64" not in found["saves"]
    (note,) = accelerator_note(found)
    assert note.startswith("CPU builds of torch, without 2 other packages: saves 0.0 MB on amd64; ")
    assert lock.roots == {"sentences": "requirements.txt, line 1"}
    assert Lock(lock.path, lock.data).packages


def test_locks_the_version_of_the_day(tmp_path: Path, vendor: PackageIndex) -> None:
    """Only the package index says when a file was uploaded, not the vendor's."""
    assert chosen(make_lock(request(tmp_path, "sentences\n", vendor, as_of="2024-04-20")))[0]["torch"] == "2.4.0+cpu"


def test_keeps_the_limits_of_the_project(tmp_path: Path, vendor: PackageIndex) -> None:
    assert chosen(make_lock(request(tmp_path, "sentences\ntorch<2.5\n", vendor)))[0]["torch"] == "2.4.0+cpu"


def test_locks_cuda_builds_on_request(tmp_path: Path) -> None:
    lock = make_lock(request(tmp_path, "sentences\n", None, accelerator="cuda"))
    amd64, arm64 = chosen(lock)
    assert amd64 == {"leaf": "1.0", "sentences": "1.0", "torch": "2.5.1", "nvidia-cublas-cu12": "12.1", "triton": "3.1"}
    assert arm64 == {"leaf": "1.0", "sentences": "1.0", "torch": "2.5.1"}
    assert not lock.accelerator


def test_asks_the_index_of_a_cuda_version(tmp_path: Path, vendor: PackageIndex) -> None:
    make_lock(request(tmp_path, "torch\n", vendor, accelerator="cu126"))
    assert vendor.count("/whl/cu126/torch/")


def test_does_not_ask_the_vendor_for_other_projects(tmp_path: Path) -> None:
    assert chosen(make_lock(request(tmp_path, "leaf\n", None)))[0] == {"leaf": "1.0"}


def test_tells_that_the_vendors_index_cannot_be_reached(tmp_path: Path) -> None:
    with pytest.raises(LockError, match=r"the index of CPU builds of torch, http://127\.0\.0\.1:9/whl/cpu, cannot be reached") as caught:
        make_lock(request(tmp_path, "sentences\n", None))
    assert 'accelerator = "cuda"' in caught.value.hint
    assert "accelerator-index" in caught.value.hint
    assert not caught.value.another_python_may_help
    assert isinstance(caught.value, FetchError) and caught.value.exit_code == 5


def test_tells_that_the_vendors_index_lacks_the_version(tmp_path: Path, vendor: PackageIndex) -> None:
    with PackageIndex() as other:
        leaf = SmallWheel("torch", "1.0+cpu", files={"torch.py": ""})
        other.add(leaf.filename, leaf.content())
        with pytest.raises(LockError, match=r"does not have torch==2\.5\.1"):
            make_lock(request(tmp_path, "sentences\n", other))


def test_keeps_packages_that_the_vendor_does_not_have(tmp_path: Path, vendor: PackageIndex, index: PackageIndex) -> None:
    wheel = SmallWheel("torchcodec", files={"torchcodec.py": ""}, requires=("torch",))
    index.add(wheel.filename, wheel.content())
    lock = make_lock(request(tmp_path, "torchcodec\n", vendor))
    assert chosen(lock)[0] == {"leaf": "1.0", "torchcodec": "1.0", "torch": "2.5.1+cpu"}
    assert lock.accelerator["of"] == ["torch"]


def test_keeps_packages_with_hashes(tmp_path: Path, index: PackageIndex) -> None:
    page = index.body("/simple/torch/", "text/html")
    assert page is not None
    found = re.findall(r"#sha256=([0-9a-f]{64})[^>]*>torch-2\.5\.1", page[1].decode())
    lines = " ".join(f"--hash=sha256:{digest}" for digest in found)
    assert not make_lock(request(tmp_path, f"torch==2.5.1 {lines}\n", None)).accelerator


def test_keeps_packages_with_a_source_in_the_project(tmp_path: Path, vendor: PackageIndex) -> None:
    (tmp_path / "pyproject.toml").write_text(
        f'[project]\nname = "app"\nversion = "1"\ndependencies = ["torch"]\n'
        f'[[tool.uv.index]]\nname = "mine"\nurl = "{vendor.url}/whl/cu118"\nexplicit = true\n'
        '[tool.uv.sources]\ntorch = { index = "mine" }\n'
    )
    lock = make_lock(lock_request(tmp_path, MINOR, accelerator_index="http://127.0.0.1:9/whl"))
    assert not lock.accelerator
    assert chosen(lock)[0]["torch"] == "2.9.9+cpu"


def test_maps_the_setting_to_a_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uv, "detected_backend", lambda: "cu126")
    assert [backend(text) for text in ("", "cpu", "cuda", "auto", "cu118")] == ["cpu", "cpu", "", "cu126", "cu118"]
    monkeypatch.setattr(uv, "detected_backend", lambda: "")
    assert backend("auto") == "cpu"


def test_asks_uv_for_the_backend_of_this_machine() -> None:
    assert accelerator.backend("auto") == "cpu" or Path("/proc/driver/nvidia").exists()


def test_covers_the_packages_of_uvs_setting(tmp_path: Path) -> None:
    """With uv's own setting, uv looks for each of these packages below the vendor's URL."""
    for name in sorted(COVERED):
        (tmp_path / "in.txt").write_text(f"{name}\n")
        said = uv.run(
            ["pip", "compile", "--offline", "--no-cache", "--no-config", "-v", "--torch-backend", "cu126", "in.txt"], cwd=tmp_path
        )
        assert f"{ACCELERATOR_INDEX}/cu126/{name}/" in said.stderr


def test_the_setting_is_an_input_and_the_url_is_not(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("leaf\n")
    one, two = (lock_request(tmp_path, MINOR, (tmp_path / "requirements.txt",), accelerator=text) for text in ("", "cuda"))
    assert inputs_digest(one) != inputs_digest(two)
    assert inputs_digest(one) == inputs_digest(request(tmp_path, "leaf\n", None))


def test_keeps_a_local_version() -> None:
    assert find_switch("", "", {"packages": [{"name": "torch", "version": "2.1+cu118"}]}, {}) is None


def test_replaces_the_mirrors_urls_by_the_vendors() -> None:
    file = {"url": "https://mirror.example/whl/cpu/torch-1.whl", "hashes": {}}
    lock = {"packages": [{"name": "torch", "index": "https://mirror.example/whl/cpu", "wheels": [file]}]}
    use_vendor_urls(lock, "https://mirror.example/whl/")
    assert lock["packages"][0]["index"] == f"{ACCELERATOR_INDEX}/cpu"
    assert file["url"] == f"{ACCELERATOR_INDEX}/cpu/torch-1.whl"
