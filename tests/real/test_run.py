"""`shipwheel run` with real engines: the app answers, Ctrl-C ends it, and nothing is left behind.

Engines that publish ports do so in a network namespace of their own, where they may make bridges and firewall rules.
"""

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.engines import NATIVE, STOPPED, wait_until
from support.examples import Example
from support.run_target import SEES_EMULATORS, RunTarget
from support.running import answer, start

from shipwheel.oci.archive import read_archive, write_archive
from shipwheel.oci.image import make_image, make_index
from shipwheel.oci.model import ContainerConfig
from shipwheel.platform import Platform
from shipwheel.store.store import Store
from shipwheel.testing.images import small_layer


def shipwheel(target: RunTarget, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `shipwheel run` to its end."""
    return target.shipwheel("run", "--engine", target.name, *arguments)


def test_the_app_answers_and_ctrl_c_ends_it(any_store: RunTarget, fastapi: Example) -> None:
    # The project itself: the store and the lock have what is needed, since there is no network here.
    run = start(any_store, str(fastapi.archive.parent / "fastapi"))
    assert "Hello from an image" in run.wait_http("http://127.0.0.1:8000/")
    wait_until(lambda: " answers at http://127.0.0.1:8000" in run.read("err"), "the address")
    image = {"podman": "docker.io/library/hello:latest", "containerd": "docker.io/library/hello:latest"}.get(any_store.name, "hello:latest")
    origin = "in bwrap" if any_store.name == "bwrap" else f"from {image} in {any_store.name}"
    assert re.search(rf"^starting hello-\w+ {origin}; Ctrl-C stops it$", run.read("err"), re.MULTILINE)
    assert any_store.left() != "", "what is looked for afterwards can be seen"
    run.signal_group("INT")
    # uvicorn shuts down on the image's stop signal, then raises it again for itself.
    assert run.status() == STOPPED, run.read("err")
    assert "Application startup complete" in run.read("err"), "logs come as they are written"
    assert any_store.left() == ""


def test_a_detached_container_stays_until_removed(target: RunTarget, fastapi: Example, tmp_path: Path) -> None:
    done = shipwheel(target, str(fastapi.archive), "--detach", "-e", "GIVEN=a=b")
    if target.name == "bwrap":
        assert done.returncode == 11
        assert "bwrap cannot detach" in done.stderr
        return
    assert done.returncode == 0, done.stderr
    commands = dict(
        line.strip().split(": ", 1) for line in done.stderr.splitlines() if line.startswith(("  logs: ", "  stop: ", "  remove: "))
    )
    assert all(done.stdout.strip() in command for command in commands.values())
    assert answer(target, "http://127.0.0.1:8000/", tmp_path / "never")
    said = target.sandbox.run(["sh", "-c", commands["logs"].replace(" -f ", " ")])
    assert "Application startup complete" in said.stdout + said.stderr
    target.sandbox.run(["sh", "-c", commands["stop"]])
    wait_until(lambda: target.running() == "", "the end of the app")
    assert target.left() != "", "it is there still"
    target.sandbox.run(["sh", "-c", commands["remove"]])
    assert target.left() == ""


def test_a_detached_container_that_ends_at_once_is_an_error_with_its_last_words(target: RunTarget, fastapi: Example) -> None:
    if target.name == "bwrap":
        return
    done = shipwheel(target, str(fastapi.archive), "-d", "--name", "ends", "--", "python", "-c", "raise SystemExit('no configuration')")
    assert done.returncode == 11
    assert "ends ended with status 1:\n  no configuration" in done.stderr
    remove = re.search(r"^hint: .* shows all, (.*) removes it\.$", done.stderr, re.MULTILINE)
    assert remove, done.stderr
    target.sandbox.run(["sh", "-c", remove[1]])
    assert target.left() == ""


def test_a_taken_port_of_the_user_is_an_error_before_anything_is_built(target: RunTarget, fastapi: Example) -> None:
    listen = "import socket, time; server = socket.create_server(('127.0.0.1', 8765)); print('up', flush=True); time.sleep(600)"
    folder = target.sandbox.folder("listener")
    listener = target.sandbox.spawn([sys.executable, "-I", "-c", listen], folder / "log")
    wait_until(lambda: "up" in (folder / "log").read_text(), "the listener")
    try:
        done = shipwheel(target, str(fastapi.archive), "-p", "8765:8000", "--", "python", "--version")
    finally:
        target.sandbox.run(["pkill", "-f", "create_server"], check=False)
        listener.wait()
    assert done.returncode == 2
    if target.name in ("containerd", "bwrap"):
        assert "cannot remap port 8000" in done.stderr
    else:
        assert "port 8765 of this machine is taken" in done.stderr
        assert re.search(r"Choose another, for example -p \d+:8000\.", done.stderr)
    assert " MB to " not in done.stderr


def test_a_container_without_a_network_has_loopback_only(target: RunTarget, fastapi: Example) -> None:
    code = "import socket; print([name for _, name in socket.if_nameindex()])"
    done = shipwheel(target, str(fastapi.archive), "--network", "none", "--", "python", "-c", code)
    assert done.stdout == "['lo']\n", done.stderr


def test_an_option_reaches_the_engine(target: RunTarget, fastapi: Example) -> None:
    code = "import socket; print(socket.gethostname())"
    done = shipwheel(target, str(fastapi.archive), "--engine-option", "--hostname chosen", "--", "python", "-c", code)
    assert done.stdout == "chosen\n", done.stderr


def test_an_app_that_does_not_listen_is_killed_after_the_grace_period(target: RunTarget, fastapi: Example) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    run = start(target, str(fastapi.archive), "--grace", "1", "--", "python", "-c", code)
    wait_until(lambda: "up" in run.read("out"), "the start of the app")
    run.signal_group("TERM")
    assert run.status() == 128 + signal.SIGKILL, run.read("err")
    assert target.left() == ""


def test_the_init_is_the_first_process_and_ends_an_app_without_a_handler(target: RunTarget, fastapi: Example) -> None:
    code = "import time; print(open('/proc/1/comm').read().strip(), flush=True); time.sleep(600)"
    run = start(target, str(fastapi.archive), "--grace", "60", "--", "python", "-c", code)
    wait_until(lambda: "tini" in run.read("out"), "the start of the app")
    run.signal_group("TERM")
    assert run.status() == STOPPED, "it is not killed after the grace period"
    assert "[WARN  tini" not in run.read("err")
    assert target.left() == ""


def test_the_image_s_stop_signal_stops_a_start_step(target: RunTarget, fastapi: Example, tmp_path: Path) -> None:
    project = shutil.copytree(fastapi.archive.parent / "fastapi", tmp_path / "fastapi")
    (project / "step.py").write_text(
        "import signal, sys, time\nsignal.signal(signal.SIGQUIT, lambda *_: sys.exit('stopped'))\nprint('up', flush=True)\ntime.sleep(600)"
    )
    settings = '\n[tool.shipwheel]\nstop-signal = "SIGQUIT"\nbefore-start = [["python", "step.py"]]\n'
    (project / "pyproject.toml").write_text((project / "pyproject.toml").read_text() + settings)
    run = start(target, str(project), "--grace", "60")
    wait_until(lambda: "up" in run.read("out"), "the start of the step")
    run.signal_group("TERM")
    assert run.status() == 128 + signal.SIGQUIT, run.read("err")
    assert "stopped" in run.read("err")
    assert target.left() == ""


def test_another_process_of_the_image_runs_without_the_steps_of_the_web_server(target: RunTarget, fastapi: Example, tmp_path: Path) -> None:
    project = shutil.copytree(fastapi.archive.parent / "fastapi", tmp_path / "fastapi")
    settings = """
[tool.shipwheel]
before-start = [["python", "-c", "print('step')"]]
[tool.shipwheel.processes]
worker = ["python", "-c", "print('worker of', open('/proc/1/comm').read())"]
"""
    (project / "pyproject.toml").write_text((project / "pyproject.toml").read_text() + settings)
    ran = shipwheel(target, str(project), "--process", "worker")
    assert (ran.returncode, ran.stdout.strip()) == (0, "worker of tini"), ran.stderr
    assert shipwheel(target, str(project), "--process", "beat").returncode == 2
    assert target.left() == ""


def test_passes_on_exit_code_user_variables_and_volumes(target: RunTarget, fastapi: Example, tmp_path: Path) -> None:
    file = tmp_path / "variables"
    file.write_text("# a comment\nFROM_FILE=two words\n")
    (folder := tmp_path / "shared").mkdir()
    folder.chmod(0o777)
    code = (
        "import json, os, sys; open('/shared/made', 'w').write('x'); open('/tmp/made', 'w').write('x')\n"
        "try: open('/app/made', 'w'); root = True\nexcept OSError: root = False\n"
        "print(json.dumps([os.getuid(), os.environ['FROM_FILE'], os.environ['GIVEN'], os.environ['LANG'], root])); sys.exit(7)"
    )
    arguments = ["--env-file", str(file), "-e", "GIVEN=a=b", "-v", f"{folder}:/shared"]
    done = shipwheel(target, str(fastapi.archive), *arguments, "--", "python", "-c", code)
    assert done.returncode == 7, done.stderr
    assert json.loads(done.stdout) == [65532, "two words", "a=b", "C.UTF-8", False]
    assert (folder / "made").read_text() == "x"
    assert target.left() == ""


def test_a_second_run_loads_nothing(any_store: RunTarget, fastapi: Example) -> None:
    shipwheel(any_store, str(fastapi.archive), "--", "python", "--version")
    again = shipwheel(any_store, str(fastapi.archive), "--", "python", "--version")
    assert again.returncode == 0
    assert " MB to " not in again.stderr


def test_a_volume_of_the_image_stays_unless_it_is_ephemeral(target: RunTarget, fastapi: Example, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    image = next(one for one in read_archive(fastapi.archive).images().images if str(one.platform) == NATIVE)
    archive = tmp_path / "volume.tar"
    made = make_image(image.layers, ContainerConfig(volumes={"/kept": {}}, env=("PATH=/opt/venv/bin",)), image.platform, created=0)
    write_archive(make_index([made]), archive, store, name="volume:1")
    code = "import os; print(os.listdir('/kept')); open('/kept/mark', 'w')"
    said = [shipwheel(target, str(archive), *more, "--", "python", "-c", code) for more in ([], ["--ephemeral"], ["--ephemeral"], [])]
    assert [done.stdout for done in said] == ["[]\n", "[]\n", "[]\n", "['mark']\n"], said
    if target.name in ("docker", "podman"):
        target.sandbox.run([target.name, "volume", "rm", "volume-kept"])
    else:
        assert [path.name for path in (target.sandbox.root / "data/shipwheel/volumes/volume-kept").iterdir()] == ["mark"]
    assert target.left() == ""


def test_any_user_of_group_0_can_write_to_a_volume(target: RunTarget, fastapi: Example, tmp_path: Path) -> None:
    """As clusters such as OpenShift run containers: with a number of their own, and group 0."""
    project = shutil.copytree(fastapi.archive.parent / "fastapi", tmp_path / "group")
    (project / "pyproject.toml").write_text((project / "pyproject.toml").read_text() + '\n[tool.shipwheel]\nvolumes = ["/kept"]\n')
    code = "import os; open(f'/kept/{os.getuid()}', 'w'); print(sorted(os.listdir('/kept')))"
    said = [shipwheel(target, str(project), "--user", user, "--", "python", "-c", code) for user in ("65532:65532", "1000650000:0")]
    assert [done.stdout for done in said] == ["['65532']\n", "['1000650000', '65532']\n"], said
    if target.name in ("docker", "podman"):
        target.sandbox.run([target.name, "volume", "rm", "hello-kept"])
    assert target.left() == ""


def test_the_engine_runs_the_name_that_load_prints(any_store: RunTarget, fastapi: Example) -> None:
    project = str(fastapi.archive.parent / "fastapi")
    image = any_store.shipwheel("build", project, "-q", "--load", any_store.name).stdout.strip()
    run = {
        "docker": ["docker", "run", "--rm", "--pull", "never", image, "python", "--version"],
        "podman": ["podman", "run", "--rm", "--pull", "never", image, "python", "--version"],
        "containerd": ["ctr", "run", "--rm", "--cpu-shares", "0", image, "loaded", "/opt/venv/bin/python", "--version"],
        "bwrap": ["bwrap", "--ro-bind", image, "/", "/opt/venv/bin/python", "--version"],
    }[any_store.name]
    assert any_store.sandbox.run(run).stdout.startswith("Python 3.")


def test_the_container_gets_the_terminal(target: RunTarget, fastapi: Example) -> None:
    code = "import sys; print(sys.stdin.isatty(), sys.stdout.isatty())"
    argv = [sys.executable, "-m", "shipwheel", "run", "-q", "-i", "--engine", target.name, str(fastapi.archive), "--", "python", "-c", code]
    done = target.sandbox.run(["script", "--quiet", "--return", "--command", shlex.join(argv), "/dev/null"])
    assert "True True" in done.stdout
    assert target.left() == ""


def test_an_edit_loads_one_small_layer(any_store: RunTarget, fastapi: Example, tmp_path: Path) -> None:
    project = shutil.copytree(fastapi.archive.parent / "fastapi", tmp_path / "fastapi")
    assert shipwheel(any_store, str(project), "--", "python", "--version").returncode == 0
    (project / "main.py").write_text((project / "main.py").read_text() + "\nEDITED = 'yes'\n")
    done = shipwheel(any_store, str(project), "--", "python", "-c", "import main; print(main.EDITED)")
    assert done.stdout == "yes\n", done.stderr
    if any_store.name != "bwrap":
        found = re.search(r"([0-9.]+) MB to \w+(?: \(([0-9.]+) MB already there\))?", done.stderr)
        assert found and float(found[1]) < 0.5 < float(found[2] or 0), done.stderr


@pytest.mark.parametrize("any_store", ["docker_containerd_store", "podman", "containerd"], indirect=True)
def test_a_foreign_platform_runs_by_emulation(any_store: RunTarget, fastapi: Example, arm64: str) -> None:
    """Both platforms have one name in an engine. test_check.py tries docker's own store and bwrap."""
    program = ["python", "-c", "import platform; print(platform.machine())"]
    words = ["run", "--engine", any_store.name, str(fastapi.archive), "--platform", arm64, "--", *program]
    done = any_store.sandbox.run([*SEES_EMULATORS, sys.executable, "-m", "shipwheel", *words])
    assert done.stdout == "aarch64\n", done.stderr
    assert any_store.left() == ""


def test_refuses_a_foreign_platform_without_emulation(target: RunTarget, fastapi: Example) -> None:
    # Other tests may run arm64 programs meanwhile: hide the kernel's entries.
    hidden = 'mount -t tmpfs tmpfs /proc/sys/fs/binfmt_misc && exec "$@"'
    argv = ["unshare", "--mount", "sh", "-c", hidden, "sh", sys.executable, "-m", "shipwheel", "run", "--engine", target.name]
    done = target.sandbox.run([*argv, str(fastapi.archive), "--platform", "linux/arm64"], check=False)
    assert done.returncode == 11
    assert "apt-get install qemu-user-binfmt" in done.stderr


HOSTILE = {
    "docker": [ContainerConfig(volumes={"/data,src=/": {}})],
    "podman": [ContainerConfig(volumes={"/data:rw,z": {}})],
    "containerd": [ContainerConfig(volumes={"/:/host": {}})],
    "bwrap": [ContainerConfig(env=("A=x\0--bind\0/\0/opt",)), ContainerConfig(user="0\0--bind\0/\0/opt")],
}
"""Configs with words that would be options of an engine's own command line."""


def test_an_image_with_a_hostile_config_is_refused(target: RunTarget, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    layer = small_layer(store, {"opt/venv/bin/python": ""})
    for number, config in enumerate(HOSTILE[target.name]):
        archive = tmp_path / f"{number}.tar"
        write_archive(make_index([make_image([layer], config, Platform.parse(NATIVE), created=0)]), archive, store, name="h:1")
        done = shipwheel(target, str(archive), "--ephemeral", "--", "python", "--version")
        assert done.returncode == 9, done.stderr
        assert "malformed or hostile" in done.stderr
        assert target.left() == ""


def test_odd_words_of_an_image_reach_the_app_as_they_are(target: RunTarget, fastapi: Example, tmp_path: Path) -> None:
    image = next(one for one in read_archive(fastapi.archive).images().images if str(one.platform) == NATIVE)
    code = "import json, os, sys; print(json.dumps([sys.argv[1:], os.environ['ODD'], os.getcwd()]))"
    words = ("--bind", "/", "-v/:/host", "a,b", "$HOME", "")
    config = ContainerConfig(
        env=("PATH=/opt/venv/bin", "ODD=--bind / /host\n--privileged"),
        cmd=("python", "-c", code, *words),
        volumes={"/data": {}},
        working_dir="/app",
    )
    archive = tmp_path / "odd.tar"
    write_archive(
        make_index([make_image(image.layers, config, image.platform, created=0)]), archive, Store(tmp_path / "store"), name="odd:1"
    )
    done = shipwheel(target, str(archive), "--ephemeral")
    assert json.loads(done.stdout) == [list(words), "--bind / /host\n--privileged", "/app"], done.stderr
    assert target.left() == ""
