"""The choice of an engine, and the messages about engines that do not work."""

import json
from pathlib import Path

import pytest
from support.fake_programs import Programs

from shipwheel.engine import emulation
from shipwheel.engine.find import find
from shipwheel.errors import EngineError, UsageError
from shipwheel.events import Event, Warned
from shipwheel.platform import Platform

DOCKER = "print(json.dumps({'Version': '26.1.5', 'Os': 'linux', 'Arch': 'amd64', 'KernelVersion': 'other'}))"
PODMAN = (
    """print(json.dumps({'host': {'arch': 'arm64', 'kernel': 'other', 'security': {'rootless': True}}, 'version': {'Version': '5.4.2'}}))"""
)
NERDCTL = "print(json.dumps({'ServerVersion': '1.7.24', 'Architecture': 'x86_64', 'KernelVersion': 'other'}))"
CTR = "print('Client:\\n  Version:  1.7.0\\n\\nServer:\\n  Version:  1.7.24~ds1\\n  Revision: x')"
DOWN = "sys.exit('Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?')"
FORBIDDEN = "sys.exit('permission denied while trying to connect to the Docker daemon socket')"


@pytest.fixture(autouse=True)
def socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Create a file where containerd would listen."""
    path = tmp_path / "containerd.sock"
    path.touch()
    monkeypatch.setenv("CONTAINERD_ADDRESS", str(path))
    return path


def quiet(_event: Event) -> None:
    pass


@pytest.mark.parametrize(
    ("program", "body", "name", "version"),
    [
        ("docker", DOCKER, "docker", "26.1.5"),
        ("podman", PODMAN, "podman", "5.4.2"),
        ("nerdctl", NERDCTL, "nerdctl", "1.7.24"),
        ("ctr", CTR, "containerd", "1.7.24~ds1"),
    ],
)
def test_finds_the_only_engine(programs: Programs, program: str, body: str, name: str, version: str) -> None:
    programs.add(program, body)
    for engine in (find(None, quiet), find(name, quiet)):
        assert (engine.name, engine.version()) == (name, version)
        assert engine.platforms()[0] == engine.host()


def test_prefers_docker_podman_nerdctl_containerd_in_this_order(programs: Programs) -> None:
    for program, body in {"ctr": CTR, "nerdctl": NERDCTL, "podman": PODMAN, "docker": DOCKER}.items():
        programs.add(program, body)
        assert find(None, quiet).name == {"ctr": "containerd"}.get(program, program)


def test_an_engine_in_a_virtual_machine_has_emulators(programs: Programs) -> None:
    programs.add("podman", PODMAN)
    assert find("podman", quiet).platforms() == (Platform("linux", "arm64"), Platform("linux", "amd64"))


def test_warns_of_an_installed_engine_that_does_not_work(programs: Programs) -> None:
    programs.add("docker", DOWN)
    programs.add("ctr", CTR)
    events: list[Event] = []
    assert find(None, events.append).name == "containerd"
    (warning,) = [event for event in events if isinstance(event, Warned)]
    assert "using containerd, since docker's daemon does not answer" in warning.message
    assert "systemctl start docker" in warning.hint


def test_explains_why_no_engine_works(programs: Programs) -> None:
    programs.add("docker", FORBIDDEN)
    programs.add("ctr", "sys.exit('ctr: cannot access socket /run/containerd/containerd.sock: no such file or directory')")
    with pytest.raises(EngineError) as caught:
        find(None, quiet)
    for text in (
        "you have no permission to use docker",
        "group docker",
        "podman is not installed",
        "nerdctl is not installed",
        "systemctl start containerd",
    ):
        assert text in caught.value.message
    assert "--engine bwrap" in caught.value.hint
    with pytest.raises(EngineError, match="bwrap is not installed") as caught:
        find(None, quiet, bwrap=True)
    assert "--engine bwrap" not in caught.value.hint


@pytest.mark.parametrize("body", ["print('not json')", "print('{}')", "print('null')", "pass", "sys.exit(1)", "print('[]')"])
@pytest.mark.parametrize("name", ["docker", "podman", "nerdctl", "containerd", "bwrap"])
def test_rejects_malformed_output(programs: Programs, name: str, body: str) -> None:
    programs.add({"containerd": "ctr"}.get(name, name), body)
    with pytest.raises(EngineError) as caught:
        find(name, quiet)
    assert caught.value.hint


@pytest.mark.parametrize("name", ["docker", "podman", "nerdctl", "containerd", "bwrap"])
def test_reports_a_named_engine_that_is_not_installed(programs: Programs, name: str) -> None:
    with pytest.raises(EngineError, match="is not installed"):
        find(name, quiet)


def test_rejects_an_unknown_engine() -> None:
    with pytest.raises(UsageError, match="unknown engine 'dokcer'"):
        find("dokcer", quiet)


def test_accepts_an_alias(programs: Programs) -> None:
    programs.add("ctr", CTR)
    assert find("ctr", quiet).name == "containerd"


def test_does_not_run_ctr_without_a_socket(programs: Programs, socket: Path) -> None:
    programs.add("ctr", CTR)
    socket.unlink()
    with pytest.raises(EngineError, match="the socket does not exist"):
        find("containerd", quiet)
    assert programs.calls == []


ARM = (
    "enabled\ninterpreter /usr/libexec/qemu-binfmt/aarch64-binfmt-P\nflags: {flags}\n"
    "offset 0\nmagic 7f454c460201010000000000000000000200b700\n"
)


@pytest.mark.parametrize(
    ("text", "emulated"),
    [
        (ARM.format(flags="POCF"), True),
        (ARM.format(flags="POC"), False),
        (ARM.format(flags="F").replace("enabled", "disabled"), False),
        (json.dumps({}), False),
    ],
)
def test_recognizes_emulators_that_work_in_containers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, emulated: bool) -> None:
    folder = tmp_path
    (folder / "status").write_text("enabled")
    (folder / "qemu-aarch64").write_text(text)
    monkeypatch.setattr(emulation, "BINFMT", folder)
    monkeypatch.setattr(emulation, "host_platform", lambda: Platform("linux", "amd64"))
    assert emulation.emulated_platforms() == ((Platform("linux", "arm64"),) if emulated else ())


def test_hints_at_the_missing_emulator() -> None:
    amd, arm = Platform("linux", "amd64"), Platform("linux", "arm64")
    emulation.check_runnable(amd, (amd,))
    with pytest.raises(EngineError, match="cannot run linux/arm64 programs") as caught:
        emulation.check_runnable(arm, (amd,), "docker run binfmt")
    assert "apt-get install qemu-user-binfmt, or docker run binfmt" in caught.value.hint
