"""One run of a build backend in a builder's root: it gets the source and the target's variables, and nothing of this machine."""

import os
import socket
import subprocess
import threading
import zipfile
from pathlib import Path

from support.programs import needs

from shipwheel.builder.build_run import BuildRun, rewrite_scripts
from shipwheel.builder.interpreter import BuilderPython
from shipwheel.builder.surroundings import Surroundings
from shipwheel.platform import host_platform

PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
BACKEND = """
import os, pathlib, platform, socket, zipfile
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
        "root changed": attempt(lambda: open("/usr/bin/evil", "w")),
        "requirements changed": attempt(lambda: open("/build/venv/evil", "w")),
        "source changed": attempt(lambda: open("/build/source/own", "w")),
        "processes": len([name for name in os.listdir("/proc") if name.isdigit()]),
    }
    name = "made-1.0-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(folder, name), "w") as archive:
        archive.writestr("made.py", repr(found))
    return name
"""


@needs("bwrap")
def test_a_backend_sees_nothing_of_this_machine(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.write_text("secret")
    place, root = tmp_path / "place", tmp_path / "root"
    (place / "source").mkdir(parents=True)
    (root).mkdir()
    # This machine's own programs stand in for Debian packages.
    (root / "usr").symlink_to("/usr")
    python = "/usr/bin/python3"
    minor = subprocess.run([python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], capture_output=True, text=True, check=True)
    host = host_platform()
    version = minor.stdout.strip()
    own = BuilderPython(version, python, f"_sysconfigdata__{host.multiarch}")
    with socket.create_server(("127.0.0.1", 0)) as server:
        constants = f"PORT = {server.getsockname()[1]}\nCANARY = {str(canary)!r}\n"
        (place / "source" / "pyproject.toml").write_text(PYPROJECT)
        (place / "source" / "backend.py").write_text(constants + BACKEND)
        wheel = BuildRun(place, root, Surroundings(host, host, own, {"ADDED": "1"}), threading.Event(), 36).build()
    with zipfile.ZipFile(wheel) as archive:
        found = eval(archive.read("made.py"))
    assert (found["key"], found["passwd"], found["connected"]) == (False, False, False)
    assert (found["root changed"], found["requirements changed"], found["source changed"]) == (False, False, True)
    assert not (place / "venv" / "evil").exists()
    assert (found["here"], found["host"]) == ("/build/source", "build")
    assert found["processes"] < 10
    environment = found["environment"]
    assert environment["ADDED"] == "1"
    assert environment["CC"] == f"{host.multiarch}-gcc"
    assert os.environ["HOME"] not in environment.values()
    assert str(tmp_path) not in "".join(environment.values()), "nothing that differs from build to build gets into what it makes"


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
