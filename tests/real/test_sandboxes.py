"""Builds in docker and podman, for machines where bubblewrap may make no namespaces: what they see, and that they make the same wheels."""

import json
import os
import subprocess
import tarfile
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.command import TEST_CACHE, shipwheel
from support.last_layers import last_layers
from support.programs import needs_mirror
from support.project_tree import written
from support.real_archive import real_archive
from support.run_target import RunTarget, docker_target, podman_target
from support.small_image import make_small_image

from shipwheel.builder.compile import SourceToCompile, compile_wheel
from shipwheel.builder.engine_client import BuildContainer, EngineClient
from shipwheel.builder.engine_leftovers import STEP_IMAGES, new_name
from shipwheel.builder.engine_sandbox import EngineSandbox
from shipwheel.builder.interpreter import suite_python
from shipwheel.builder.roots import in_sandbox
from shipwheel.builder.sandbox_run import SandboxRun
from shipwheel.builder.sandboxes import find_sandbox
from shipwheel.builder.step_run import ImageRoot
from shipwheel.builder.workshop import Workshop
from shipwheel.debian.downloads import fetch_packages
from shipwheel.debian.package import DebianPackage
from shipwheel.events import silent
from shipwheel.locking.bounds import Bounds, OverBounds
from shipwheel.locking.target import Target
from shipwheel.platform import host_platform
from shipwheel.store.store import Store
from shipwheel.suites import suite_by_name
from shipwheel.wheels.isolated_build import BuildOptions

pytestmark = needs_mirror

SETUP = "from setuptools import Extension, setup\nsetup(name='made', version='1.0', ext_modules=[Extension('made', ['made.c'])])\n"
CODE = """
#include <Python.h>
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "made"};
PyMODINIT_FUNC PyInit_made(void) { return PyModule_Create(&module); }
"""
LOOK = """
import json, os, socket
def attempt(action):
    try:
        action()
    except OSError:
        return False
    return True
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines())
os.symlink("/etc/shadow", "/build/source/link")
os.mkdir("/build/source/folder", 0o700)
open("/build/source/folder/made", "w").write("made")
os.utime("/build/source/folder/made", (1000000000, 1000000000))
print(json.dumps({
    "user": [os.getuid(), os.getgid()],
    "capabilities": int(status["CapEff"], 16) | int(status["CapBnd"], 16),
    "no new privileges": status["NoNewPrivs"].strip(),
    "interfaces": [name for _, name in socket.if_nameindex()],
    "canary": os.path.exists(CANARY),
    "changed": [path for path in ("/usr/bin/evil", "/evil", "/build/evil", "/build/read/evil") if attempt(lambda: open(path, "w"))],
    "scratch": [path for path in ("/tmp", "/var/tmp", "/dev/shm") if attempt(lambda: open(path + "/own", "w"))],
    "read": open("/build/read/file").read(),
    "variables": [os.environ["OWN"], os.environ["HOME"], os.environ.get("SECRET")],
    "here": os.getcwd(),
    "host": socket.gethostname(),
}))
"""


@pytest.fixture
def target(request: pytest.FixtureRequest) -> RunTarget:
    """The engine that a test names, or docker."""
    name = getattr(request, "param", "docker")
    return (docker_target if name == "docker" else podman_target)(request.getfixturevalue(name))


each_engine = pytest.mark.parametrize("target", ["docker", "podman"], indirect=True)


@pytest.fixture
def engine(target: RunTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EngineSandbox:
    """The sandbox that is found where the engine is the only one, through a program that enters the engine's namespaces."""
    program = tmp_path / "bin" / target.name
    program.parent.mkdir()
    words = " ".join(f"'{word}'" for word in target.sandbox.inside([target.name])[:-1])
    program.write_text(f'#!/bin/sh\nPATH={target.sandbox.environment["PATH"]}\nexec {words} {target.name} "$@"\n')
    program.chmod(0o755)
    for name, value in target.sandbox.environment.items():
        monkeypatch.setenv(name, f"{program.parent}:{value}" if name == "PATH" else value)
    monkeypatch.setenv("SHIPWHEEL_SANDBOX", target.name)
    found = find_sandbox()
    assert isinstance(found, EngineSandbox)
    return found


@pytest.fixture(scope="module")
def workshop() -> Workshop:
    """The compilers of Debian for this machine."""
    store, suite, host = Store(TEST_CACHE), suite_by_name("trixie"), host_platform()
    archive = real_archive()

    def fetch(packages: Sequence[DebianPackage]) -> None:
        fetch_packages([package for package in packages if not store.has(package.digest)], archive.choose_mirror(), store)

    target = Target(host, suite.full_python, suite.libc)
    return Workshop(suite, host, target, suite_python("3.13", host.multiarch), archive, fetch, store)


def write(directory: Path) -> str:
    directory.mkdir()
    (directory / "setup.py").write_text(SETUP)
    (directory / "made.c").write_text(CODE)
    return "."


def test_a_wheel_is_the_one_that_bubblewrap_makes(
    engine: EngineSandbox, workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: RunTarget
) -> None:
    made = []
    for sandbox in (target.name, "bwrap"):
        monkeypatch.setenv("SHIPWHEEL_SANDBOX", sandbox)
        source = SourceToCompile("made", "made 1.0", f"{tmp_path}/{sandbox}", write)
        made.append(compile_wheel(source, workshop, BuildOptions("3.13", ""), Store(TEST_CACHE), silent, known=None).wheel.digest)
    assert made[0] == made[1]
    assert target.left() == ""


@each_engine
def test_a_program_sees_and_changes_only_what_it_is_given(
    engine: EngineSandbox, workshop: Workshop, tmp_path: Path, target: RunTarget
) -> None:
    source, read, canary = tmp_path / "source", tmp_path / "read", tmp_path / "canary"
    source.mkdir()
    read.mkdir()
    (source / "old").write_text("old")
    (read / "file").write_text("text")
    canary.write_text("secret")
    root = workshop.root(())
    command = ["python3", "-c", f"CANARY = {str(canary)!r}\n{LOOK}"]
    binds = {"/build/source": (source, True), "/build/read": (read, False)}
    variables = {"PATH": "/usr/bin", "OWN": "1", "HOME": "/build/home"}
    stop = threading.Event()
    finished = engine.run(SandboxRun(command, root.path, binds, "/build/source", variables), stop=stop, bounds=Bounds())
    assert finished.code == 0, finished.stderr
    assert json.loads(finished.stdout) == {
        "user": [65532, 65532],
        "capabilities": 0,
        "no new privileges": "1",
        "interfaces": ["lo"],
        "canary": False,
        "changed": [],
        "scratch": ["/tmp", "/var/tmp", "/dev/shm"],
        "read": "text",
        "variables": ["1", "/build/home", None],
        "here": "/build/source",
        "host": "build",
    }
    assert sorted(path.name for path in source.iterdir()) == ["folder", "link", "old"]
    assert (source / "folder" / "made").read_text() == "made"
    assert (source / "folder" / "made").stat().st_mtime == 1000000000
    assert str((source / "link").readlink()) == "/etc/shadow"
    assert target.left() == ""


def test_what_may_fetch_has_the_network_of_the_engines_machine(
    engine: EngineSandbox, workshop: Workshop, tmp_path: Path, target: RunTarget
) -> None:
    command = ["python3", "-c", "import os; print(os.readlink('/proc/self/ns/net'), os.path.exists('/etc/resolv.conf'))"]
    run = SandboxRun(command, workshop.root(()).path, {}, "/build", {"PATH": "/usr/bin"}, network=True)
    finished = engine.run(run, stop=threading.Event(), bounds=Bounds())
    assert finished.stdout.split() == [target.sandbox.run(["readlink", "/proc/self/ns/net"]).stdout.strip(), "True"], finished.stderr


@each_engine
def test_steps_take_over_what_those_before_wrote(engine: EngineSandbox, tmp_path: Path, target: RunTarget) -> None:
    place, small_image = tmp_path / "place", tmp_path / "image"
    small_image.mkdir()
    make_small_image(small_image)
    root = in_sandbox(ImageRoot(small_image, place, "65532:65532", "/app", threading.Event()), engine)
    root.prepare()
    try:
        assert root.starts()
        line = "pwd; echo $ONE; echo a > new; : > main.py; echo b > ../opt/venv/made; echo x > /tmp/x; umask 077; echo d > private"
        first = root.run(["sh", "-c", line], {"PATH": "/bin", "ONE": "1"}, network=False)
        assert (first.code, first.stdout) == (0, "/app\n1\n"), first.stderr
        second = root.run(["sh", "-c", "read line < private; echo $line $ONE"], {"PATH": "/bin"}, network=False)
        assert (second.code, second.stdout) == (0, "d\n"), "its files are there, its variables are not"
        assert [(each.path, each.host.read_text()) for each in root.written()] == [
            ("app/main.py", ""),
            ("app/new", "a\n"),
            ("app/private", "d\n"),
            ("opt/venv/made", "b\n"),
        ]
    finally:
        root.remove()
    assert not place.exists()
    assert target.left() == ""
    assert target.sandbox.run([target.name, "image", "ls", "--quiet", "shipwheel-steps"]).stdout == ""


def test_a_program_is_stopped_when_it_fills_the_disk(engine: EngineSandbox, workshop: Workshop, tmp_path: Path, target: RunTarget) -> None:
    source = tmp_path / "source"
    source.mkdir()
    command = ["python3", "-c", "import time\nwhile True: open('filling', 'ab').write(bytes(1 << 20)); time.sleep(0.01)"]
    root = workshop.root(())
    run = SandboxRun(command, root.path, {"/build/source": (source, True)}, "/build/source", {"PATH": "/usr/bin"})
    with pytest.raises(OverBounds, match="of disk"):
        engine.run(run, stop=threading.Event(), bounds=Bounds(size=8 << 20))
    assert target.left() == ""


@each_engine
def test_a_killed_build_leaves_nothing_that_the_next_does_not_remove(engine: EngineSandbox, tmp_path: Path, target: RunTarget) -> None:
    killed = subprocess.Popen(["true"])
    killed.wait()
    name = new_name().replace(f"-{os.getpid()}-", f"-{killed.pid}-")
    image = f"{STEP_IMAGES}:{name}"
    engine.client.send(["import", "-", image], lambda stream: tarfile.open(fileobj=stream, mode="w|").close())
    engine.client.create(BuildContainer(name, image, ("/sleep",), (1, 1), "/", {}))
    assert EngineSandbox.connect(engine.name) is not None
    assert target.left() == ""
    assert target.sandbox.run([target.name, "image", "ls", "--quiet", STEP_IMAGES]).stdout == ""


def test_an_engine_that_fails_is_named(engine: EngineSandbox) -> None:
    with pytest.raises(Exception, match=f"`{engine.name} import`, which makes the sandbox of a build, failed"):
        EngineClient(engine.name).send(["import", "--no-such-option"], lambda stream: None)


FRONT_END = {
    "requirements.txt": "",
    "main.py": "print(1)\n",
    "shipwheel.toml": (
        f'command = ["python", "main.py"]\npython = "3.13"\nplatforms = "{host_platform()}"\nbytecode = "none"\n'
        '[[assets]]\nrun = "npm run build"\nin = "ui"\noutput = "ui/dist"\nto = "web"\nnode = "22"\n'
    ),
    "ui/package.json": '{"name": "ui", "scripts": {"build": "./build.js"}}',
    "ui/package-lock.json": '{"name": "ui", "lockfileVersion": 3, "packages": {"": {"name": "ui"}}}',
}
MADE = """#!/usr/bin/env node
const fs = require("fs");
fs.mkdirSync("dist");
fs.writeFileSync("dist/a.txt", process.version.split(".")[0]);
"""


@each_engine
def test_a_front_end_has_the_node_that_it_asks_for(engine: EngineSandbox, tmp_path: Path, target: RunTarget) -> None:
    app = written(tmp_path / "shop", {**FRONT_END, "ui/build.js": f"{MADE}// {tmp_path}\n"})
    (app / "ui" / "build.js").chmod(0o755)
    done = shipwheel("build", app, "-o", tmp_path / "shop.oci")
    assert done.returncode == 0, done.stderr
    assert last_layers(tmp_path / "shop.oci") == [{"app/web/a.txt": b"v22"}]
    assert target.left() == ""
