"""Build backends that uv asks for metadata while the lock is made, and that want more than that."""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.lock_requests import lock_request
from support.process import interrupted_when, is_below
from support.programs import needs
from support.sdist import packed

from shipwheel.errors import LockError, ProjectError
from shipwheel.locking import build_hook, sandbox
from shipwheel.locking.bounds import Bounds
from shipwheel.locking.inputs import LockRequest
from shipwheel.locking.make import make_lock
from shipwheel.testing.package_index import PackageIndex
from shipwheel.testing.wheels import SmallWheel

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
PASSWORD = "correct-horse-battery"
FINDINGS = ("key", "password", "process", "network", "variable", "around")
PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
BACKEND = """
import os, pathlib, socket, stat, sys
HOME, PORT, PASSWORD = CONSTANTS
def text_of(*paths):
    for path in paths:
        try:
            yield pathlib.Path(path).read_text(errors="replace")
        except OSError:
            pass
def findings():
    # Each is told by requiring a package of its name.
    if any(text_of(HOME + "/.ssh/id_rsa")):
        yield "key"
    settings = [path for form in (".git/config", ".git/modules/*/config") for path in pathlib.Path("..").glob(form)]
    if PASSWORD in repr(os.environ) or any(PASSWORD in text for text in text_of(*settings)):
        yield "password"
    if any(PASSWORD in text for text in text_of(*pathlib.Path("/proc").glob("[0-9]*/environ"))):
        yield "process"
    try:
        socket.create_connection(("127.0.0.1", PORT), timeout=2).close()
        yield "network"
    except OSError:
        pass
    if os.environ.get("MADE_SETTING") == "for made":
        yield "variable"
    if any(text_of("../VERSION")):
        yield "around"
def plant():
    # uv runs what it finds here again.
    for name in ("python", "python3", "evil"):
        try:
            program = pathlib.Path(sys.prefix, "bin", name)
            program.unlink(missing_ok=True)
            program.write_text("#!/bin/sh\\necho changed > %s/canary\\n" % HOME)
            program.chmod(0o755)
        except OSError:
            pass
    for path in (HOME + "/canary", ".git/config", "../.git/config"):
        try:
            pathlib.Path(path).write_text("changed")
        except OSError:
            pass
def get_requires_for_build_wheel(config_settings=None):
    plant()
    return []
def prepare_metadata_for_build_wheel(folder, config_settings=None):
    plant()
    info = pathlib.Path(folder, "made-1.0.dist-info")
    info.mkdir()
    requires = "".join("Requires-Dist: %s\\n" % name for name in findings())
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: made\\nVersion: 1.0\\n" + requires)
    (info / "WHEEL").write_text("Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    return info.name
"""
BUILDING = """
import zipfile
def build_wheel(folder, config_settings=None, metadata_directory=None):
    with zipfile.ZipFile(pathlib.Path(folder, "made-1.0-py3-none-any.whl"), "w") as archive:
        for path in metadata_of(folder).iterdir():
            archive.write(path, "made-1.0.dist-info/" + path.name)
    return "made-1.0-py3-none-any.whl"
def metadata_of(folder):
    pathlib.Path("metadata").mkdir()
    return pathlib.Path("metadata", prepare("metadata"))
prepare = prepare_metadata_for_build_wheel
del prepare_metadata_for_build_wheel
"""


@pytest.fixture(scope="module")
def index() -> Iterator[PackageIndex]:
    with PackageIndex() as served:
        for wheel in (SmallWheel(name, files={f"{name}.py": ""}) for name in FINDINGS):
            served.add(wheel.filename, wheel.content())
        yield served


@pytest.fixture
def listener() -> Iterator[int]:
    """The port of a server on the loopback interface."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture(autouse=True)
def home(index: PackageIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory with a key, and an environment with passwords."""
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "id_rsa").write_text(PASSWORD)
    (home / "canary").write_text("untouched")
    for name, value in {
        "HOME": str(home),
        "UV_CACHE_DIR": str(home / ".cache" / "uv"),
        "SHIPWHEEL_CACHE": str(home / ".cache" / "shipwheel"),
        "UV_DEFAULT_INDEX": index.simple.replace("://", f"://bob:{PASSWORD}@"),
        "UV_INDEX_CORP_PASSWORD": PASSWORD,
        "HTTPS_PROXY": f"http://bob:{PASSWORD}@127.0.0.1:1",
        "UV_PYTHON_DOWNLOADS": "never",
    }.items():
        monkeypatch.setenv(name, value)
    return home


def files(home: Path, port: int, backend: str = BACKEND) -> dict[str, str]:
    return {"pyproject.toml": PYPROJECT, "backend.py": backend.replace("CONSTANTS", repr((str(home), port, PASSWORD)))}


def write(folder: Path, contents: dict[str, str]) -> None:
    folder.mkdir(parents=True)
    for name, text in contents.items():
        (folder / name).write_text(text)


def archive(contents: dict[str, str]) -> bytes:
    return packed("made", "1.0", {"PKG-INFO": "Metadata-Version: 2.1\nName: made\nVersion: 1.0\n", **contents})


def request(app: Path, requirement: str, settings: str = "", **choices: Any) -> LockRequest:
    app.mkdir(exist_ok=True)
    (app / "requirements.txt").write_text(f"{requirement}\n")
    if settings:
        (app / "pyproject.toml").write_text(settings)
    return lock_request(app, MINOR, (app / "requirements.txt",), **choices)


def found(request: LockRequest) -> set[str]:
    """Make the lock, and return what the backend found."""
    names = {str(package.name) for package in make_lock(request).packages}
    assert "made" in names
    return names - {"made"}


@needs("bwrap")
@pytest.mark.parametrize("more", ["", BUILDING], ids=["metadata", "wheel"])
def test_the_backend_of_a_package_in_the_index_sees_nothing_of_this_machine(
    index: PackageIndex, home: Path, tmp_path: Path, listener: int, more: str
) -> None:
    assert sandbox.is_available()
    index.add("made-1.0.tar.gz", archive(files(home, listener, BACKEND + more)))
    assert found(request(tmp_path / "app", "made")) == set()
    assert (home / "canary").read_text() == "untouched"
    assert not list(home.rglob("evil"))


@needs("bwrap")
@pytest.mark.parametrize("more", ["", BUILDING], ids=["metadata", "wheel"])
def test_uvs_cache_may_be_behind_a_link(index: PackageIndex, home: Path, tmp_path: Path, listener: int, more: str) -> None:
    (home / "disk").mkdir()
    (home / ".cache").symlink_to("disk")
    index.add("made-1.0.tar.gz", archive(files(home, listener, BACKEND + more)))
    assert found(request(tmp_path / "app", "made")) == set()
    assert (home / "canary").read_text() == "untouched"
    assert not list(home.rglob("evil"))


@needs("bwrap")
@pytest.mark.parametrize("named", ["./made", "made @ file://{app}/made"])
def test_the_backend_of_a_directory_sees_nothing_of_this_machine(home: Path, tmp_path: Path, listener: int, named: str) -> None:
    app = tmp_path / "app"
    write(app / "made", files(home, listener))
    assert found(request(app, named.format(app=app))) == set()
    assert (home / "canary").read_text() == "untouched"


@needs("bwrap")
@needs("git")
def test_the_backend_of_a_repository_sees_the_repository_alone(home: Path, tmp_path: Path, listener: int) -> None:
    repository = tmp_path / "repository"
    write(repository / "made", files(home, listener))
    (repository / "VERSION").write_text("1.0")
    for command in (
        ["init", "--quiet"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b.example", "commit", "--quiet", "-m", "1"],
    ):
        subprocess.run(["git", "-C", str(repository), *command], check=True)
    requirement = f"made @ git+file://{repository}#subdirectory=made"
    assert found(request(tmp_path / "app", requirement)) == {"around"}
    assert (home / "canary").read_text() == "untouched"
    settings = [path.read_text() for path in home.rglob("config")]
    assert settings and "changed" not in settings


@needs("bwrap")
def test_a_package_in_the_index_sees_nothing_of_a_repository_that_holds_uvs_cache(index: PackageIndex, home: Path, listener: int) -> None:
    index.add("made-1.0.tar.gz", archive(files(home, listener)))
    (home / ".git").mkdir()
    app = home / "work" / "app"
    local = '[project]\nname = "local"\nversion = "1"\n'
    write(app / "local", {"pyproject.toml": local})
    settings = '[project]\nname = "app"\nversion = "1"\ndependencies = ["made", "local"]\n[tool.uv.sources]\nlocal = {path = "local"}\n'
    (app / "pyproject.toml").write_text(settings)
    assert found(lock_request(app, MINOR)) == {"local"}


@needs("bwrap")
def test_builds_in_a_repository_that_holds_the_caches(home: Path, tmp_path: Path, listener: int, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = tmp_path / "repository"
    write(repository / "app" / "made", files(home, listener))
    (repository / ".git").mkdir()
    (repository / "app" / "VERSION").write_text("1.0")
    monkeypatch.setenv("UV_CACHE_DIR", str(repository / "uv"))
    monkeypatch.setenv("SHIPWHEEL_CACHE", str(repository / "shipwheel"))
    settings = '[project]\nname = "app"\nversion = "1"\ndependencies = ["made"]\n[tool.uv.sources]\nmade = {path = "made"}\n'
    (repository / "app" / "pyproject.toml").write_text(settings)
    assert found(lock_request(repository / "app", MINOR)) == {"around"}
    assert (home / "canary").read_text() == "untouched"


@needs("bwrap")
@needs("git")
def test_the_password_of_a_repository_is_not_in_its_submodules(
    home: Path, tmp_path: Path, listener: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_ALLOW_PROTOCOL", "file")
    # Git makes the URL of the submodule from that of the repository, as with a password in it.
    repository, other = (tmp_path / PASSWORD / name for name in ("repository", "other"))
    write(other, {"file": ""})
    write(repository / "made", files(home, listener))
    (repository / "VERSION").write_text("1.0")
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.example"]
    for folder, command in (
        (other, ["init", "--quiet"]),
        (other, ["add", "."]),
        (other, [*identity, "commit", "--quiet", "-m", "1"]),
        (repository, ["init", "--quiet"]),
        (repository, ["add", "."]),
        (repository, ["-c", f"remote.origin.url={repository}", "submodule", "--quiet", "add", "../other", "other"]),
        (repository, [*identity, "commit", "--quiet", "-m", "1"]),
    ):
        subprocess.run(["git", "-C", str(folder), *command], check=True)
    requirement = f"made @ git+file://{repository}#subdirectory=made"
    assert found(request(tmp_path / "app", requirement)) == {"around"}


@needs("bwrap")
def test_a_build_gets_the_variables_that_are_set_for_it(index: PackageIndex, home: Path, tmp_path: Path, listener: int) -> None:
    index.add("made-1.0.tar.gz", archive(files(home, listener)))
    settings = '[tool.uv.extra-build-variables]\nmade = { MADE_SETTING = "for made" }\n'
    assert found(request(tmp_path / "app", "made", settings)) == {"variable"}


@needs("bwrap")
def test_a_build_that_may_use_the_network_gets_no_password_of_an_index(
    index: PackageIndex, home: Path, tmp_path: Path, listener: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HTTPS_PROXY")
    index.add("made-1.0.tar.gz", archive(files(home, listener)))
    assert found(request(tmp_path / "app", "made", build_network=("Made",))) == {"network"}


@needs("bwrap")
@pytest.mark.parametrize(
    ("code", "bounds", "words"),
    [
        ("while True: pass", Bounds(seconds=0), "stopped after 0 minutes"),
        ("open('large', 'wb').write(bytes(1 << 24))\nwhile True: pass", Bounds(size=1 << 20), "it used more than 0.000977 GB of disk"),
    ],
)
def test_a_build_of_uv_is_stopped_at_its_bounds(index: PackageIndex, tmp_path: Path, code: str, bounds: Bounds, words: str) -> None:
    index.add("made-1.0.tar.gz", archive({"pyproject.toml": PYPROJECT, "backend.py": code}))
    with pytest.raises(LockError, match=words) as raised:
        make_lock(request(tmp_path / "app", "made", build_bounds=bounds))
    assert "[tool.shipwheel.build]" in raised.value.message


@needs("bwrap")
def test_an_interrupted_build_of_uv_leaves_no_directory(index: PackageIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr(tempfile, "tempdir", None)
    index.add("made-1.0.tar.gz", archive({"pyproject.toml": PYPROJECT, "backend.py": "import time\ntime.sleep(600)\n"}))
    interrupted_when(lambda: is_below(scratch, "venv"), lambda: make_lock(request(tmp_path / "app", "made")))
    assert [*scratch.iterdir()] == []


@needs("bwrap")
def test_what_a_source_states_counts_if_its_backend_fails(index: PackageIndex, tmp_path: Path) -> None:
    failing = {"pyproject.toml": PYPROJECT, "backend.py": "raise SystemExit('for Python 2 only')\n"}
    with pytest.raises(LockError, match="for Python 2 only"):
        index.add("made-1.0.tar.gz", archive(failing))
        make_lock(request(tmp_path / "other", "made"))
    stated = {"made.egg-info/PKG-INFO": "Name: made\nVersion: 1.0\n", "made.egg-info/requires.txt": "key\n"}
    index.add("made-1.0.tar.gz", archive({**failing, **stated}))
    assert found(request(tmp_path / "app", "made")) == {"key"}


@needs("bwrap")
def test_no_program_of_a_build_requirement_stands_for_the_sandbox(index: PackageIndex, home: Path, tmp_path: Path, listener: int) -> None:
    index.add("planted-1.0-py3-none-any.whl", SmallWheel("planted", files=programs(home)).content())
    pyproject = PYPROJECT.replace("requires = []", 'requires = ["planted"]')
    index.add("made-1.0.tar.gz", archive({**files(home, listener), "pyproject.toml": pyproject}))
    assert found(request(tmp_path / "app", "made")) == set()
    assert (home / "canary").read_text() == "untouched"


@pytest.mark.parametrize("name", ["PATH", "LD_PRELOAD", "SHIPWHEEL_UV_VARIABLES", "UV_INTERNAL__BUILD_DIR", "GLIBC_TUNABLES"])
def test_variables_for_builds_change_nothing_outside_of_the_sandbox(index: PackageIndex, tmp_path: Path, name: str) -> None:
    settings = f'[tool.uv.extra-build-variables]\nmade = {{ {name} = "/tmp" }}\n'
    with pytest.raises(ProjectError, match=rf"extra-build-variables of made.* {name}"):
        make_lock(request(tmp_path / "app", "made", settings))


def programs(home: Path) -> dict[str, str]:
    """Return the scripts of a wheel that stand for others, and leave a trace outside of a sandbox."""
    return {f"planted-1.0.data/scripts/{name}": f"#!/bin/sh\necho changed > {home}/canary\n" for name in ("bwrap", "sh", "env")}


def test_uv_finds_no_link_and_no_pipe_that_a_backend_left(tmp_path: Path) -> None:
    info = tmp_path / "metadata" / "made-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("")
    (info / "WHEEL").symlink_to("/etc/passwd")
    (info / "folder").symlink_to("/etc")
    os.mkfifo(info / "RECORD")
    build_hook.drop_others(info.parent)
    assert sorted(path.name for path in info.parent.rglob("*")) == ["METADATA", info.name]


def test_locks_without_a_sandbox(index: PackageIndex, home: Path, tmp_path: Path, listener: int, monkeypatch: pytest.MonkeyPatch) -> None:
    stub = tmp_path / "stubs" / "bwrap"
    write(stub.parent, {"bwrap": "#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n"})
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stub.parent}{os.pathsep}{os.environ['PATH']}")
    index.add("made-1.0.tar.gz", archive(files(home, listener, BACKEND.replace("    plant()\n", ""))))
    assert found(request(tmp_path / "app", "made")) >= {"network", "key"}
