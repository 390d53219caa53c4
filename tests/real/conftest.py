"""Session-wide engines and examples: each one starts or is built when the first test asks for it and is gone at the end."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import example
import pytest
from engine import NATIVE, Containerd, Dockerd, Engine, Podman, Registry, ensure_binfmt, missing

HERE = Path(__file__).parent


def pytest_configure(config: pytest.Config) -> None:
    """Know the marker whatever the project's configuration says."""
    config.addinivalue_line("markers", "engines: needs root and real container engines")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder, so that nobody has to remember it: the hook sees the whole session's."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("engines")


def _need(fixture: str) -> None:
    """Fail where a machine can't run the engine: a skip would look like a success."""
    problem = missing(fixture)
    if problem:
        pytest.fail(problem, pytrace=False)


@pytest.fixture(scope="session")
def docker() -> Iterator[Dockerd]:
    """A docker daemon of the session's own."""
    _need("docker")
    with Dockerd() as engine:
        yield engine


@pytest.fixture(scope="session")
def podman() -> Iterator[Podman]:
    """Podman with storage of the session's own."""
    _need("podman")
    with Podman() as engine:
        yield engine


@pytest.fixture(scope="session")
def containerd() -> Iterator[Containerd]:
    """A containerd of the session's own."""
    _need("containerd")
    with Containerd() as engine:
        yield engine


@pytest.fixture(scope="session", params=["docker", "podman", "containerd"])
def any_engine(request: pytest.FixtureRequest) -> Engine:
    """Each engine in turn, for a test that must pass on all of them."""
    found: Dockerd | Podman | Containerd = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="session")
def registry() -> Iterator[Registry]:
    """A registry on a loopback port."""
    _need("registry")
    with Registry() as running:
        yield running


@pytest.fixture(scope="session")
def arm64() -> Iterator[str]:
    """The kernel runs arm64 programs while this is used; its value is the platform's name."""
    if NATIVE != "linux/arm64":
        _need("arm64")
        undo = ensure_binfmt()
        yield "linux/arm64"
        undo()
    else:
        yield NATIVE


@pytest.fixture(scope="session")
def chatchat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[example.Example]:
    """examples/chatchat for both platforms."""
    folder = tmp_path_factory.mktemp("chatchat")
    yield example.build("chatchat", folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def fastapi(tmp_path_factory: pytest.TempPathFactory) -> example.Example:
    """examples/fastapi for both platforms."""
    return example.build("fastapi", tmp_path_factory.mktemp("fastapi"))
