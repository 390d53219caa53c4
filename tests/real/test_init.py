"""Signals and orphans in containers of built images: the init is the first process, and the command sees what a shell would send."""

from collections.abc import Iterator

import pytest
from support.engines import STOPPED, Container, Engine, wait_until
from support.examples import Example

WAITS = "import time; print('up', flush=True); time.sleep(600)"
LEAVES_ORPHANS = "import subprocess\nfor _ in range(5): subprocess.Popen(['python', '-c', 'pass'])"
COUNTS_ZOMBIES = """
import glob
def state(path):
    try:
        return open(path).read().rpartition(')')[2].split()[0]
    except OSError:
        return ''
print(sum(state(path) == 'Z' for path in glob.glob('/proc/[0-9]*/stat')))
"""


@pytest.fixture(scope="module")
def image(any_engine: Engine, fastapi: Example) -> Iterator[str]:
    """The example in each engine."""
    yield any_engine.load(fastapi.archive)


def first_process(container: Container) -> str:
    return container.exec(["python", "-c", "print(open('/proc/1/comm').read().strip())"]).output.strip()


@pytest.mark.parametrize("user", [None, "4321:4321"])
def test_a_command_without_a_handler_ends_when_the_container_is_stopped(any_engine: Engine, image: str, user: str | None) -> None:
    with any_engine.run(image, command=["python", "-c", WAITS], user=user) as container:
        wait_until(lambda: "up" in container.logs(), "the command's start")
        assert first_process(container) == "tini"
        assert container.stop(30) == STOPPED, "it is not killed after the grace period"


def test_orphans_are_reaped(any_engine: Engine, image: str) -> None:
    with any_engine.run(image) as container:
        container.wait_http("http://127.0.0.1:8000/")
        assert container.exec(["python", "-c", LEAVES_ORPHANS]).exit_code == 0
        wait_until(lambda: container.exec(["python", "-c", COUNTS_ZOMBIES]).output.strip() == "0", "no zombies")
        assert container.stop(10) == STOPPED, container.logs()


def test_another_command_runs_behind_the_init(any_engine: Engine, image: str) -> None:
    done = any_engine.run_once(image, command=["python", "-m", "this"])
    assert done.returncode == 0 and "Beautiful is better than ugly." in done.stdout
    assert done.stderr == "", "tini has nothing to warn of"
