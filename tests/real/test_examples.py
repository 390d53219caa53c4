"""The examples, built from the real package index and the real Debian archive, run by real engines without a network and without rights.

Each engine runs one variant of the large example, and all engines run the small one.
"""

import subprocess
from pathlib import Path

import pytest
from support.engines import PYTHON, STOPPED, Container, Dockerd, Engine, Podman
from support.examples import Example
from support.process import HANG_S

API, PAGE = "http://127.0.0.1:7861/docs", "http://127.0.0.1:8501/_stcore/health"
MIB = 1 << 20
NATIVE = "import cv2, faiss, fitz, pathlib, onnxruntime, pandas, pyarrow"
"""Imports modules that need system libraries, and others of compiled code."""


def assert_chatchat_works(container: Container, *, first: bool, patience: float = HANG_S) -> None:
    """Check that both servers answer, that modules load which need system libraries, and whether the volume was initialized."""
    assert container.wait_http(API, patience) == 200
    assert container.wait_http(PAGE, patience) == 200
    imports = container.exec([PYTHON, "-c", NATIVE], seconds=patience)
    assert imports.exit_code == 0, imports.output
    assert ("first start: chatchat init" in container.logs()) is first


@pytest.fixture(scope="module")
def initialized(chatchat: Example, docker: Dockerd) -> Path:
    """The volume of the example after a first start in docker, which worked."""
    image = docker.load(chatchat.archive)
    with docker.run(image, volumes={"chatchat": "/data"}) as container:
        assert_chatchat_works(container, first=True)
        container.stop(20)
    docker.cli("image", "rm", "--force", image)
    return docker.volume("chatchat")


def copied(volume: Path, engine: Engine) -> str:
    """Copy a volume to another engine. Return its name."""
    name = f"{volume.name}-copy"
    subprocess.run(["cp", "--archive", f"{volume}/.", engine.volume(name)], check=True)
    return name


def test_chatchat_runs_without_rights_and_network(initialized: Path) -> None:
    assert any(initialized.iterdir()), "the first start, with an empty volume"


def test_chatchat_initializes_its_volume_once(chatchat: Example, initialized: Path, podman: Podman) -> None:
    image = podman.load(chatchat.archive)
    with podman.run(image, volumes={copied(initialized, podman): "/data"}) as container:
        container.wait_http(API, HANG_S)
        assert "first start: chatchat init" not in container.logs()
        container.stop(20)


def test_chatchat_runs_on_arm64(chatchat: Example, initialized: Path, containerd: Engine, arm64: str) -> None:
    """Everything that its servers load is imported there; that they answer is seen without an emulator, which makes four programs slow."""
    image = containerd.load(chatchat.archive, arm64)
    modules = "streamlit.web.bootstrap, chatchat.server.api_server.server_app as api"
    code = f"import platform; print(platform.machine()); {NATIVE}; import {modules}; print(api.app)"
    volumes = {copied(initialized, containerd): "/data"}
    done = containerd.run_once(image, entrypoint=[PYTHON], command=["-c", code], volumes=volumes, platform=arm64, timeout=2 * HANG_S)
    assert done.returncode == 0, done.stderr
    machine, *_, app = done.stdout.splitlines()
    assert (machine, "FastAPI" in app) == ("aarch64", True)


def test_building_chatchat_takes_less_than_a_gibibyte(chatchat: Example) -> None:
    assert chatchat.peak < 1024 * MIB


def test_chatchat_has_the_libraries_of_its_wheels_but_no_driver(chatchat: Example) -> None:
    for platform in ("linux/amd64", "linux/arm64"):
        packages = chatchat.image(platform)["packages"]
        assert {"libgl1", "libglib2.0-0", "libsm6", "libice6", "libx11-6", "libxext6"} <= set(packages)
        assert not [name for name in packages if "mesa" in name or "llvm" in name]


def test_fastapi_answers(fastapi: Example, any_engine: Engine) -> None:
    image = any_engine.load(fastapi.archive)
    with any_engine.run(image) as container:
        assert container.wait_http("http://127.0.0.1:8000/") == 200
        assert container.exec([PYTHON, "-c", "import os; print(os.getuid(), os.getgid())"]).output.strip() == "65532 65532"
        assert container.stop(10) == STOPPED


def test_fastapi_answers_on_arm64(fastapi: Example, podman: Podman, arm64: str) -> None:
    image = podman.load(fastapi.archive, arm64)
    with podman.run(image, platform=arm64) as container:
        assert container.wait_http("http://127.0.0.1:8000/") == 200


def test_fastapi_is_small(fastapi: Example) -> None:
    assert all(image["size"] < 40_000_000 for image in fastapi.result["images"])


def test_python_uses_the_bytecode_in_the_image(fastapi: Example, docker: Dockerd) -> None:
    # `-v` prints where each module came from. Nothing may be compiled at startup.
    code = "import fastapi, uvicorn, pydantic, asyncio, ssl, main"
    done = docker.run_once(docker.load(fastapi.archive), entrypoint=[PYTHON], command=["-v", "-c", code])
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    assert "code object from '/" in said or "matches" in said
    compiled = [line for line in said.splitlines() if line.startswith("# code object from '/") and ".pyc" not in line]
    assert compiled == []
