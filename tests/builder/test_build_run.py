"""One run of a build backend in a builder's root: it gets the source and the target's variables, and nothing of this machine."""

import fcntl
import hashlib
import os
import socket
import subprocess
import threading
import zipfile
from pathlib import Path

import msgspec
import pytest
from support.programs import needs

from shipwheel.builder import build_run as building
from shipwheel.builder.build_run import BuildRun, rewrite_scripts
from shipwheel.builder.complaints import Lack, LackKind, lacks_in
from shipwheel.builder.interpreter import BuilderPython
from shipwheel.builder.sandbox_run import SandboxRun
from shipwheel.builder.surroundings import Surroundings
from shipwheel.locking.bounds import Bounds, OverBounds
from shipwheel.locking.process import Finished
from shipwheel.locking.uv import UvFailed
from shipwheel.platform import host_platform
from shipwheel.testing.package_index import PackageIndex
from shipwheel.testing.wheels import SmallWheel
from shipwheel.wheels.frontend import HookFailed

PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
BACKEND = """
import multiprocessing, os, pathlib, platform, socket, zipfile
def attempt(action):
    try:
        action()
        return True
    except OSError:
        return False
def build_wheel(folder, config_settings=None, metadata_directory=None):
    found = {
        "environment": dict(os.environ),
        "here": os.getcwd(),
        "host": socket.gethostname(),
        "machine": platform.machine(),
        "key": attempt(lambda: open(CANARY).read()),
        "passwd": attempt(lambda: open("/etc/passwd").read()),
        "connected": attempt(lambda: socket.create_connection(("127.0.0.1", PORT), timeout=2).close()),
        "other wheel changed": attempt(lambda: open(WHEEL, "w")),
        "root changed": attempt(lambda: open("/usr/bin/evil", "w")),
        "requirements changed": attempt(lambda: open("/build/venv/evil", "w")),
        "compilers changed": attempt(lambda: open("/build/compilers/evil", "w")),
        "root directory changed": attempt(lambda: open("/evil", "w")),
        "devices changed": attempt(lambda: open("/dev/evil", "w")),
        "shared memory": attempt(multiprocessing.Lock),
        "scratch": attempt(lambda: (open("/tmp/own", "w"), open("/var/tmp/own", "w"), open("/dev/null", "w"))),
        "source changed": attempt(lambda: open("/build/source/own", "w")),
        "processes": len([name for name in os.listdir("/proc") if name.isdigit()]),
    }
    name = "made-1.0-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(folder, name), "w") as archive:
        archive.writestr("made.py", repr(found))
    return name
"""


def own_python() -> BuilderPython:
    python = "/usr/bin/python3"
    minor = subprocess.run([python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], capture_output=True, text=True, check=True)
    return BuilderPython(minor.stdout.strip(), python, f"_sysconfigdata__{host_platform().multiarch}")


def build_run(folder: Path, backend: str, bounds: Bounds | None = None) -> BuildRun:
    """Return a build with this machine's own programs in place of Debian packages."""
    place, root = folder / "place", folder / "root"
    (place / "source").mkdir(parents=True)
    root.mkdir()
    (root / "usr").symlink_to("/usr")
    (place / "source" / "pyproject.toml").write_text(PYPROJECT)
    (place / "source" / "backend.py").write_text(backend)
    host = host_platform()
    surroundings = Surroundings(host, host, own_python(), {"ADDED": "1"})
    return BuildRun(place, root, surroundings, threading.Event(), 36, bounds=bounds or Bounds())


@needs("bwrap")
def test_a_backend_sees_nothing_of_this_machine(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.write_text("secret")
    wheel_of_another = tmp_path / "store" / "another-1.0-py3-none-any.whl"
    wheel_of_another.parent.mkdir()
    wheel_of_another.write_text("as it was")
    with socket.create_server(("127.0.0.1", 0)) as server:
        constants = f"PORT = {server.getsockname()[1]}\nCANARY = {str(canary)!r}\nWHEEL = {str(wheel_of_another)!r}\n"
        run = build_run(tmp_path, constants + BACKEND)
        wheel = run.build()
    with zipfile.ZipFile(wheel) as archive:
        found = eval(archive.read("made.py"))
    assert (found["key"], found["passwd"], found["connected"]) == (False, False, False)
    assert (found["other wheel changed"], wheel_of_another.read_text()) == (False, "as it was")
    assert (found["root changed"], found["requirements changed"], found["source changed"]) == (False, False, True)
    assert (found["root directory changed"], found["devices changed"]) == (False, False)
    assert found["shared memory"] and found["scratch"], "multiprocessing and compilers need these"
    assert not (run.place / "venv" / "evil").exists()
    assert (found["here"], found["host"]) == ("/build/source", "build")
    assert found["processes"] < 10
    environment = found["environment"]
    assert environment["ADDED"] == "1"
    assert environment["PATH"].endswith("/build/compilers:/usr/local/bin:/usr/bin:/usr/sbin")
    assert found["compilers changed"] is False
    assert environment["CC"] == f"{host_platform().multiarch}-gcc"
    assert os.environ["HOME"] not in environment.values()
    assert str(tmp_path) not in "".join(environment.values()), "nothing that differs from build to build gets into what it makes"


def test_build_requirements_are_those_of_the_lock_with_their_hashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    with PackageIndex() as index:
        monkeypatch.setenv("UV_DEFAULT_INDEX", index.simple)
        for version in ("1.0", "2.0"):
            wheel = SmallWheel("small", version)
            index.add(wheel.filename, wheel.content())
        first, second, third = (build_run(tmp_path / name, "") for name in ("first", "second", "third"))
        first.site_packages.mkdir(parents=True)
        first._install(["small<2"])
        digest = hashlib.sha256(SmallWheel("small", "1.0").content()).hexdigest()
        assert first.installed == [f"small==1.0 --hash=sha256:{digest}"]
        second = msgspec.structs.replace(second, pins=tuple(first.installed))
        second._install(["small"])
        assert (second.installed, (second.site_packages / "small-1.0.dist-info").is_dir()) == (first.installed, True)
        changed = msgspec.structs.replace(third, pins=(f"small==1.0 --hash=sha256:{'ab' * 32}",))
        with pytest.raises(UvFailed, match=r"(?i)hash"):
            changed._install(["small"])
        assert not (changed.site_packages / "small").exists()


KEEPING = """
import importlib.util, os, pathlib, zipfile
BYTECODE = importlib.util.cache_from_source("/build/source/setup_values.py")
def get_requires_for_build_wheel(config_settings=None):
    assert not os.path.exists(BYTECODE)
    import setup_values
    return []
def build_wheel(folder, config_settings=None, metadata_directory=None):
    with zipfile.ZipFile(folder + "/made-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("made.py", str(os.path.exists(BYTECODE)))
        for path in sorted(pathlib.Path("/build/source").rglob("*")):
            archive.write(path, path.name)
    return "made-1.0-py3-none-any.whl"
"""


@needs("bwrap")
def test_programs_of_a_build_share_bytecode_that_is_in_no_wheel(tmp_path: Path) -> None:
    run = build_run(tmp_path, KEEPING)
    (run.place / "source" / "setup_values.py").write_text("VALUE = 1\n")
    with zipfile.ZipFile(run.build()) as archive:
        assert archive.read("made.py") == b"True"
        assert sorted(archive.namelist()) == ["backend.py", "made.py", "pyproject.toml", "setup_values.py"]


@needs("bwrap")
@pytest.mark.parametrize(
    ("body", "bounds", "words"),
    [
        ("while True: time.sleep(9)", Bounds(seconds=0.06), "after 0.001 minutes"),
        ("while True: open('/tmp/filling', 'ab').write(bytes(1 << 16)); time.sleep(0.001)", Bounds(size=1 << 20), "0.000977 GB of disk"),
    ],
)
def test_a_build_is_stopped_at_its_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, bounds: Bounds, words: str) -> None:
    monkeypatch.setattr("shipwheel.locking.bounds._SCAN_EVERY_S", 0.01)
    with pytest.raises(OverBounds, match=words):
        build_run(tmp_path, f"import time\ndef build_wheel(*_):\n    {body}\n", bounds).build()


HIDING = """
def build_wheel(folder, config_settings=None, metadata_directory=None):
    open("/build/home/.compiler", "w").write("a.c:1:10: fatal error: none/such.h: No such file or directory")
    raise RuntimeError("a.c does not compile")
"""


@needs("bwrap")
def test_says_what_a_backend_hides_of_a_compiler_that_fails(tmp_path: Path) -> None:
    run = build_run(tmp_path, HIDING)
    with pytest.raises(HookFailed) as failed:
        run.build()
    assert lacks_in(failed.value.hidden) == (Lack(LackKind.HEADER, "none/such.h"),)
    assert "RuntimeError: a.c does not compile" in failed.value.output


LEAVING = """
import fcntl, os, subprocess, sys, zipfile
CHILD = "import fcntl, time; file = open('held', 'w'); fcntl.flock(file, fcntl.LOCK_EX); print('held', flush=True); time.sleep(999)"
def build_wheel(folder, config_settings=None, metadata_directory=None):
    child = subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE, start_new_session=True)
    assert child.stdout.readline() == b"held\\n"
    with zipfile.ZipFile(folder + "/made-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("made.py", "")
    return "made-1.0-py3-none-any.whl"
"""


@needs("bwrap")
def test_nothing_that_a_build_starts_outlives_it(tmp_path: Path) -> None:
    run = build_run(tmp_path, LEAVING)
    run.build()
    with (run.place / "source" / "held").open() as file:
        # A process that still ran would have the lock.
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_scripts_are_changed_and_what_they_are_linked_to_is_not(tmp_path: Path) -> None:
    cached, folder = tmp_path / "cached", tmp_path / "bin"
    cached.write_text("#!/usr/bin/env python3\n1\n")
    cached.chmod(0o755)
    (folder / "package").mkdir(parents=True)
    (folder / "tool").hardlink_to(cached)
    rewrite_scripts(folder, "/build/venv/bin/python")
    assert (folder / "tool").read_text() == "#!/build/venv/bin/python\n1\n"
    assert (folder / "tool").stat().st_mode & 0o777 == 0o755
    assert cached.read_text() == "#!/usr/bin/env python3\n1\n"


def test_nothing_is_mounted_where_the_root_has_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No directory can be made to mount on in /usr and /opt, where shipwheel may be on this machine."""
    ran: list[SandboxRun] = []

    def run(run: SandboxRun, **_limits: object) -> Finished:
        ran.append(run)
        return Finished(1, "", "")

    monkeypatch.setattr(building, "run_in_sandbox", run)
    with pytest.raises(HookFailed):
        build_run(tmp_path, "").build()
    assert [path for path in ran[0].binds if not path.startswith("/build/")] == []
    assert [word for word in ran[0].command if word.startswith("/") and not word.startswith("/build/")] == []
