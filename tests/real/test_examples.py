"""The small example, built from the real package index and the real Debian archive, run by every engine."""

from support.engines import PYTHON, STOPPED, Dockerd, Engine, Podman
from support.examples import Example


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
