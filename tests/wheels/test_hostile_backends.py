"""Build backends that want more than they should have: in the sandbox, and where there is none, with the environment alone kept clean."""

import io
import os
import socket
import stat
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.programs import needs

from shipwheel.errors import BuildError
from shipwheel.locking import sandbox
from shipwheel.project.source_copy import read_source_tree
from shipwheel.store.store import Store
from shipwheel.testing.package_index import PackageIndex
from shipwheel.testing.wheels import SmallWheel
from shipwheel.user.files import UserFiles
from shipwheel.wheels.isolated_build import BuildOptions
from shipwheel.wheels.source_builds import build_project_wheel

OPTIONS = BuildOptions(f"{sys.version_info.major}.{sys.version_info.minor}", "")
PASSWORD = "correct-horse-battery"
SECRETS = {
    "SHIPWHEEL_REGISTRY_PASSWORD": PASSWORD,
    "DOCKER_AUTH_CONFIG": f'{{"auths": {{"registry.example": {{"auth": "{PASSWORD}"}}}}}}',
    "AWS_SECRET_ACCESS_KEY": PASSWORD,
    "UV_INDEX_CORP_PASSWORD": PASSWORD,
    "UV_DEFAULT_INDEX": f"http://bob:{PASSWORD}@127.0.0.1:1/simple",
    "PIP_INDEX_URL": f"https://bob:{PASSWORD}@127.0.0.1:1/simple",
    "CI_JOB_TOKEN": PASSWORD,
    "HTTPS_PROXY": f"http://bob:{PASSWORD}@127.0.0.1:1",
    "SSH_AUTH_SOCK": "/tmp/agent",
}
PYPROJECT = """
[project]
name = "made"
version = "1.0"
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
BACKEND = """
import os, pathlib, socket, zipfile
def seen():
    found = {"environment": dict(os.environ), "home": os.path.expanduser("~")}
    for name, path in PATHS.items():
        try:
            found[name] = pathlib.Path(path).read_text()
        except OSError as error:
            found[name] = None
    environments = []
    for path in pathlib.Path("/proc").glob("[0-9]*/environ"):
        try:
            environments.append(path.read_text(errors="replace"))
        except OSError:
            pass
    found["processes"] = environments
    try:
        socket.create_connection(("127.0.0.1", PORT), timeout=2).close()
        found["connected"] = True
    except OSError:
        found["connected"] = False
    try:
        pathlib.Path(CANARY).write_text("changed")
    except OSError:
        pass
    return found
def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "made-1.0-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(folder, name), "w") as archive:
        archive.writestr("made.py", repr(seen()))
        archive.writestr("made-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: made\\nVersion: 1.0\\n")
        archive.writestr("made-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        archive.writestr("made-1.0.dist-info/RECORD", "")
    return name
"""


@pytest.fixture
def listener() -> Iterator[int]:
    """The port of a server on the loopback interface."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory with keys, an environment with passwords, and a file that nobody may change."""
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "id_rsa").write_text(PASSWORD)
    (home / "canary").write_text("untouched")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    return home


def project(root: Path, home: Path, port: int, backend: str = BACKEND) -> Path:
    root.mkdir()
    paths = {"key": str(home / ".ssh" / "id_rsa"), "own source": "pyproject.toml", "passwd": "/etc/passwd"}
    constants = f"PATHS = {paths!r}\nPORT = {port}\nCANARY = {str(home / 'canary')!r}\n"
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "backend.py").write_text(constants + backend)
    return root


def build(root: Path, store: Store, options: BuildOptions = OPTIONS) -> dict[str, object]:
    """Build a project, and return what its backend saw."""
    built = build_project_wheel(read_source_tree(root, UserFiles()), store, options)
    with zipfile.ZipFile(io.BytesIO(store.read(built.digest))) as archive:
        found: dict[str, object] = eval(archive.read("made.py"))
        return found


def forbid_namespaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace bubblewrap by one that may not make namespaces, as on many hardened systems."""
    stub = tmp_path / "stubs" / "bwrap"
    stub.parent.mkdir()
    stub.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stub.parent}{os.pathsep}{os.environ['PATH']}")


@needs("bwrap")
def test_a_backend_sees_nothing_of_this_machine(tmp_path: Path, machine: Path, listener: int) -> None:
    assert sandbox.is_available()
    found = build(project(tmp_path / "app", machine, listener), Store(tmp_path / "store"))
    assert PASSWORD not in repr(found)
    assert (found["key"], found["passwd"], found["connected"]) == (None, None, False)
    assert found["own source"] == PYPROJECT
    assert found["home"] != str(machine)
    assert (machine / "canary").read_text() == "untouched"


@needs("bwrap")
def test_no_program_of_a_build_requirement_stands_for_the_sandbox(
    tmp_path: Path, machine: Path, listener: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = f"#!/bin/sh\necho changed > {machine}/canary\n"
    wheel = SmallWheel("planted", files={"planted-1.0.data/scripts/bwrap": script})
    root = project(tmp_path / "app", machine, listener)
    (root / "pyproject.toml").write_text(PYPROJECT.replace("requires = []", 'requires = ["planted"]'))
    with PackageIndex() as index:
        index.add(wheel.filename, wheel.content())
        monkeypatch.setenv("UV_DEFAULT_INDEX", index.simple)
        assert build(root, Store(tmp_path / "store"))["key"] is None
    assert (machine / "canary").read_text() == "untouched"


def test_without_a_sandbox_a_backend_gets_no_variable_with_a_secret(
    tmp_path: Path, machine: Path, listener: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid_namespaces(tmp_path, monkeypatch)
    assert not sandbox.is_available()
    found = build(project(tmp_path / "app", machine, listener), Store(tmp_path / "store"))
    environment = found["environment"]
    assert isinstance(environment, dict)
    assert PASSWORD not in repr(environment)
    assert not SECRETS.keys() & environment.keys()
    assert environment["HOME"] != str(machine)


@needs("bwrap")
def test_a_backend_that_may_use_the_network_can(tmp_path: Path, machine: Path, listener: int) -> None:
    options = BuildOptions(OPTIONS.minor, "", with_network=frozenset({"made"}))
    found = build(project(tmp_path / "app", machine, listener), Store(tmp_path / "store"), options)
    assert (found["connected"], found["key"]) == (True, None)


@needs("bwrap")
def test_a_build_that_needs_the_network_is_told_how_to_get_it(tmp_path: Path, machine: Path, listener: int) -> None:
    backend = f"import socket\ndef build_wheel(*_, **__):\n    socket.create_connection(('127.0.0.1', {listener}))\n"
    with pytest.raises(BuildError, match="the project made cannot be built") as raised:
        build(project(tmp_path / "app", machine, listener, backend), Store(tmp_path / "store"))
    assert "create_connection" in raised.value.message
    assert 'build-network = ["made"]' in raised.value.hint


@pytest.mark.parametrize("sandboxed", [pytest.param(True, marks=needs("bwrap")), False])
@pytest.mark.parametrize(
    ("backend", "reason"),
    [
        (
            "import os\ndef build_wheel(folder, *_, **__):\n    os.symlink(PATHS['key'], folder + '/m-1-py3-none-any.whl'); return 'x'",
            "0 wheels",
        ),
        ("def build_wheel(folder, *_, **__):\n    return '../../../../etc/passwd'", "0 wheels"),
        ("def build_wheel(folder, *_, **__):\n    import os; os.mkdir(folder + '/m-1-py3-none-any.whl'); return 'm'", "0 wheels"),
        (
            "def get_requires_for_build_wheel(*_):\n    return ['--index-url=http://127.0.0.1:1/']\ndef build_wheel(*_): ...",
            "not a requirement",
        ),
        ("def get_requires_for_build_wheel(*_):\n    return ['-r /etc/passwd']\ndef build_wheel(*_): ...", "not a requirement"),
        ("def get_requires_for_build_wheel(*_):\n    return 7\ndef build_wheel(*_): ...", "cannot be built"),
        ("raise SystemExit(0)", "cannot be built"),
        ("import os\ndef build_wheel(*_, **__):\n    os._exit(0)", "cannot be built"),
    ],
)
def test_a_wrong_answer_of_a_backend_is_an_error(
    tmp_path: Path, machine: Path, monkeypatch: pytest.MonkeyPatch, backend: str, reason: str, sandboxed: bool
) -> None:
    if not sandboxed:
        forbid_namespaces(tmp_path, monkeypatch)
    with pytest.raises(BuildError, match=reason):
        build(project(tmp_path / "app", machine, 1, backend), Store(tmp_path / "store"))
    assert (machine / "canary").read_text() == "untouched"


@needs("git")
def test_the_copy_of_a_repository_has_no_settings_with_passwords(tmp_path: Path, machine: Path) -> None:
    backend = BACKEND.replace('found = {"environment"', 'found = {"config": pathlib.Path(".git/config").read_text(), "environment"')
    root = project(tmp_path / "app", machine, 1, backend)
    (root / "pyproject.toml").write_text(PYPROJECT.replace('version = "1.0"', 'dynamic = ["version"]'))
    subprocess.run(["git", "init", "--quiet", str(root)], check=True)
    for name, value in {
        "remote.origin.url": f"https://bob:{PASSWORD}@git.example/made",
        "http.https://git.example/.extraheader": f"AUTHORIZATION: basic {PASSWORD}",
    }.items():
        subprocess.run(["git", "-C", str(root), "config", name, value], check=True)
    found = build(root, Store(tmp_path / "store"))
    assert PASSWORD not in str(found["config"]) and "[core]" in str(found["config"])
    assert PASSWORD in (root / ".git" / "config").read_text()


@needs("bwrap")
def test_a_finished_build_leaves_nothing_behind(tmp_path: Path, machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    backend = BACKEND + "import os\nos.makedirs('deep/er', 0o500, exist_ok=True)\n"
    build(project(tmp_path / "app", machine, 1, backend), Store(tmp_path / "store"))
    assert [path for path in temporary.iterdir() if stat.S_ISDIR(path.stat().st_mode)] == []
