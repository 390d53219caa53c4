"""Which engine is found, and what is said of those that cannot be used."""

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
    """Something where containerd would listen."""
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
def test_the_one_that_is_there(programs: Programs, program: str, body: str, name: str, version: str) -> None:
    programs.add(program, body)
    for engine in (find(None, quiet), find(name, quiet)):
        assert (engine.name, engine.version()) == (name, version)
        assert engine.platforms()[0] == engine.host()


def test_the_order(programs: Programs) -> None:
    for program, body in {"ctr": CTR, "nerdctl": NERDCTL, "podman": PODMAN, "docker": DOCKER}.items():
        programs.add(program, body)
        assert find(None, quiet).name == {"ctr": "containerd"}.get(program, program)


def test_an_engine_elsewhere_is_of_its_own_platform_and_has_emulators(programs: Programs) -> None:
    programs.add("podman", PODMAN)
    assert find("podman", quiet).platforms() == (Platform("linux", "arm64"), Platform("linux", "amd64"))


def test_one_that_is_installed_and_passed_over_is_warned_of(programs: Programs) -> None:
    programs.add("docker", DOWN)
    programs.add("ctr", CTR)
    said: list[Event] = []
    assert find(None, said.append).name == "containerd"
    (warning,) = [event for event in said if isinstance(event, Warned)]
    assert "containerd is used, since docker's daemon does not answer" in warning.message
    assert "systemctl start docker" in warning.hint


def test_none_says_why_of_each_with_a_next_step(programs: Programs) -> None:
    programs.add("docker", FORBIDDEN)
    programs.add("ctr", "sys.exit('ctr: cannot access socket /run/containerd/containerd.sock: no such file or directory')")
    with pytest.raises(EngineError) as caught:
        find(None, quiet)
    for text in ("no permission", "group docker", "podman is not installed", "nerdctl is not installed", "systemctl start containerd"):
        assert text in caught.value.message
    assert "--engine bwrap" in caught.value.hint


@pytest.mark.parametrize("body", ["print('not json')", "print('{}')", "print('null')", "pass", "sys.exit(1)", "print('[]')"])
@pytest.mark.parametrize("name", ["docker", "podman", "nerdctl", "containerd", "bwrap"])
def test_nonsense_is_an_error_of_ours(programs: Programs, name: str, body: str) -> None:
    programs.add({"containerd": "ctr"}.get(name, name), body)
    with pytest.raises(EngineError) as caught:
        find(name, quiet)
    assert caught.value.hint


@pytest.mark.parametrize("name", ["docker", "podman", "nerdctl", "containerd", "bwrap"])
def test_a_named_one_that_is_not_installed(programs: Programs, name: str) -> None:
    with pytest.raises(EngineError, match="is not installed"):
        find(name, quiet)


def test_a_name_that_is_none() -> None:
    with pytest.raises(UsageError, match="no engine 'dokcer'"):
        find("dokcer", quiet)


def test_other_names_of_the_same(programs: Programs) -> None:
    programs.add("ctr", CTR)
    assert find("ctr", quiet).name == "containerd"


def test_without_a_socket_ctr_is_not_asked(programs: Programs, socket: Path) -> None:
    programs.add("ctr", CTR)
    socket.unlink()
    with pytest.raises(EngineError, match="there is no socket"):
        find("containerd", quiet)
    assert programs.calls == []


ARM = (
    "enabled\ninterpreter /usr/libexec/qemu-binfmt/aarch64-binfmt-P\nflags: {flags}\n"
    "offset 0\nmagic 7f454c460201010000000000000000000200b700\n"
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (ARM.format(flags="POCF"), True),
        (ARM.format(flags="POC"), False),
        (ARM.format(flags="F").replace("enabled", "disabled"), False),
        (json.dumps({}), False),
    ],
)
def test_emulation_that_works_in_containers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, found: bool) -> None:
    folder = tmp_path
    (folder / "status").write_text("enabled")
    (folder / "qemu-aarch64").write_text(text)
    monkeypatch.setattr(emulation, "BINFMT", folder)
    monkeypatch.setattr(emulation, "host_platform", lambda: Platform("linux", "amd64"))
    assert emulation.emulated() == ((Platform("linux", "arm64"),) if found else ())


def test_without_emulation_it_is_said_what_to_install() -> None:
    amd, arm = Platform("linux", "amd64"), Platform("linux", "arm64")
    emulation.runnable(amd, (amd,))
    with pytest.raises(EngineError, match="linux/arm64 programs cannot run") as caught:
        emulation.runnable(arm, (amd,), "docker run binfmt")
    assert "apt-get install qemu-user-binfmt, or docker run binfmt" in caught.value.hint
