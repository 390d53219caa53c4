"""Engines, registries and built examples. Each starts when the first test of the session needs it, and serves all later tests."""

import shutil
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from support.command import ROOT, TEST_CACHE, environment, shipwheel_json
from support.engines import NATIVE, Containerd, Dockerd, Engine, Podman, Registry, Sandbox, ensure_binfmt, enter_as_person, missing
from support.examples import Example, build_example
from support.made_once import made_once
from support.run_target import RunTarget, bwrap_target, containerd_target, docker_target, podman_target, rootless_target
from support.tour import Tour


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put every test of this directory into the engines tier."""
    for item in items:
        if item.nodeid.startswith("tests/real/"):
            item.add_marker("engines")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Clear an engine behind a test that has failed on it."""
    report = yield
    if report.failed and call.when == "call" and isinstance(item, pytest.Function):
        for target in item.funcargs.values():
            if isinstance(target, RunTarget):
                target.remove_all()
    return report


def require(fixture: str) -> None:
    """Fail if the machine cannot run the engine: a skip would look like success."""
    problem = missing(fixture)
    if problem:
        pytest.fail(problem, pytrace=False)


def expect_nothing(target: RunTarget) -> None:
    """Fail if the tests left anything in an engine: what one of them leaves, the next in line would be blamed for."""
    left = target.left()
    assert left == "", f"{target.name} still has:\n{left}"


@pytest.fixture(scope="session")
def docker() -> Iterator[Dockerd]:
    """A docker daemon that stores images by itself."""
    require("docker")
    with Dockerd() as engine:
        yield engine
        expect_nothing(docker_target(engine))


@pytest.fixture(scope="session")
def docker_containerd_store() -> Iterator[Dockerd]:
    """A docker daemon that stores images in containerd."""
    require("docker")
    with Dockerd(containerd_store=True) as engine:
        yield engine
        expect_nothing(docker_target(engine))


@pytest.fixture(scope="session")
def podman() -> Iterator[Podman]:
    """Podman."""
    require("podman")
    with Podman() as engine:
        yield engine
        expect_nothing(podman_target(engine))


@pytest.fixture(scope="session")
def rootless() -> Iterator[RunTarget]:
    """Podman as a person without rights has it."""
    require("rootless")
    TEST_CACHE.mkdir(parents=True, exist_ok=True)
    with closing(Sandbox("rootless")) as sandbox:
        enter_as_person(sandbox, (ROOT, TEST_CACHE))
        target = rootless_target(sandbox)
        yield target
        expect_nothing(target)


@pytest.fixture(scope="session")
def containerd() -> Iterator[Containerd]:
    """A containerd without docker."""
    require("containerd")
    with Containerd() as engine:
        yield engine
        expect_nothing(containerd_target(engine))


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """Namespaces without an engine."""
    require("podman")
    sandbox = Sandbox("none")
    yield sandbox
    sandbox.close()


@pytest.fixture(scope="session", params=["docker", "podman", "containerd"])
def any_engine(request: pytest.FixtureRequest) -> Engine:
    """Each engine in turn, for tests that must pass on all of them."""
    engine: Dockerd | Podman | Containerd = request.getfixturevalue(request.param)
    return engine


@pytest.fixture(scope="session")
def registry() -> Iterator[Registry]:
    """A registry on the loopback interface."""
    require("registry")
    with Registry() as running:
        yield running


@pytest.fixture(scope="session")
def arm64() -> Iterator[str]:
    """Let the kernel run arm64 programs. The value is the platform's name."""
    if NATIVE == "linux/arm64":
        yield NATIVE
    else:
        require("arm64")
        undo = ensure_binfmt()
        yield "linux/arm64"
        undo()


@pytest.fixture(scope="session")
def chromium() -> None:
    """A browser, in which `support.browser` uses a page."""
    require("chromium")


@pytest.fixture(scope="session")
def tour(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Iterator[Tour]:
    """The commands of docs/chatchat.md, of which none was run yet."""
    folder = tmp_path_factory.mktemp("tour")
    yield Tour(folder, registry.host)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def small_tour(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Iterator[Tour]:
    """The same commands with a small application of Chatchat's shape, built for both platforms: engines have no network."""
    folder = tmp_path_factory.mktemp("small")
    found = Tour(folder, registry.host, ROOT / "tests" / "apps" / "answers")
    for path in (found.project, found.project.with_name("chatchat-model")):
        shipwheel_json("build", path, "--output", folder / "any.tar")
    yield found
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def chatchat(tour: Tour) -> Example:
    """examples/chatchat for both platforms, locked and built as docs/chatchat.md says, as is its model server."""
    tour.run("Lock")
    chatchat, model = tour.lines("Build for amd64 and arm64")
    built = build_example(tour.project, chatchat[1:], tour.project / chatchat[-1])
    subprocess.run([sys.executable, "-m", *model], cwd=tour.project, env=environment(), check=True)
    return built


@pytest.fixture(scope="session")
def fastapi(tmp_path_factory: pytest.TempPathFactory) -> Example:
    """examples/fastapi for both platforms. No test changes it."""

    def make(folder: Path) -> None:
        project, archive = folder / "fastapi", folder / "fastapi.tar"
        shutil.copytree(ROOT / "examples" / "fastapi", project, ignore=shutil.ignore_patterns("pylock*.toml"))
        built = build_example(project, ["build", "-o", str(archive), "-t", "fastapi:test"], archive)
        (folder / "example.json").write_bytes(msgspec.json.encode(built, enc_hook=str))

    text = (made_once(tmp_path_factory, "fastapi", make) / "example.json").read_bytes()
    return msgspec.json.decode(text, type=Example, dec_hook=lambda kind, value: kind(value))


@pytest.fixture(scope="module", params=["docker", "podman", "containerd", "bwrap"])
def target(request: pytest.FixtureRequest) -> RunTarget:
    """Each engine in turn, and bubblewrap, which needs no engine."""
    return _target(request)


@pytest.fixture(scope="module", params=["docker", "docker_containerd_store", "podman", "containerd", "bwrap"])
def any_store(request: pytest.FixtureRequest) -> RunTarget:
    """The same, and docker with both of its image stores, for tests of what is loaded."""
    return _target(request)


def _target(request: pytest.FixtureRequest) -> RunTarget:
    match request.param:
        case "docker" | "docker_containerd_store":
            return docker_target(request.getfixturevalue(request.param))
        case "podman":
            return podman_target(request.getfixturevalue("podman"))
        case "rootless":
            found: RunTarget = request.getfixturevalue("rootless")
            return found
        case "containerd":
            return containerd_target(request.getfixturevalue("containerd"))
        case _:
            return bwrap_target(request.getfixturevalue("sandbox"))
