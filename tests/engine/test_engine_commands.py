"""The command lines with which engines load and run images. The engines are fakes; tests/real has real ones."""

import io
import json
import re
import tarfile
from pathlib import Path

import pytest
from support.fake_programs import Programs

from shipwheel.container.path import ContainerPath as At
from shipwheel.engine.bwrap import Bwrap
from shipwheel.engine.dockerlike import is_elsewhere
from shipwheel.engine.find import find
from shipwheel.engine.interface import ContainerCommands, ContainerState, Engine, Mount, Port, RunSpec
from shipwheel.errors import DamagedBlob, EngineError
from shipwheel.events import Event, StageFinished
from shipwheel.oci.execution import ExecutionConfig, ExposedPort
from shipwheel.oci.image import ImageIndex
from shipwheel.oci.reference import Reference
from shipwheel.platform import Platform
from shipwheel.store.store import Store
from shipwheel.testing.images import small_index

AMD64 = Platform("linux", "amd64")
NAME = Reference.parse("team/app:1")

CONNECT = {
    "docker": "if args[0] == 'version': print(json.dumps({'Version': '26.1.5', 'Arch': 'amd64', 'KernelVersion': 'other'})); sys.exit()\n",
    "podman": "if args[0] == 'info': print(json.dumps({'host': {'arch': 'amd64', 'kernel': 'other', 'security': {'rootless': True}}, "
    "'version': {'Version': '5.4.2'}})); sys.exit()\n",
    "nerdctl": "if args[0] == 'info': "
    "print(json.dumps({'ServerVersion': '2', 'Architecture': 'x86_64', 'KernelVersion': 'x'})); sys.exit()\n",
}
IMAGES = """
if args[:2] == ['image', 'ls']: print('one')
elif args[:2] == ['image', 'inspect']:
    known = json.loads(open(os.path.join(os.path.dirname(sys.argv[0]), 'known')).read())
    found = [known[name] for name in args[2:] if name in known]
    print(json.dumps(found)); sys.exit(len(found) < len(args) - 2)
elif args[0] == 'load': report('loaded', sys.stdin.buffer.read().hex())
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def index(store: Store) -> ImageIndex:
    return small_index(store)


def connect(programs: Programs, name: str, known: object = None, more: str = "") -> Engine:
    programs.add(name, CONNECT[name] + more + IMAGES)
    (programs.folder / "known").write_text(json.dumps(known or {}))
    return find(name, lambda _event: None)


def loaded_files(programs: Programs) -> dict[str, bytes]:
    """Return the files of the archive that a program loaded."""
    with tarfile.open(fileobj=io.BytesIO(bytes.fromhex(programs.read("loaded")))) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive if member.isreg()}  # type: ignore[union-attr]


def blob(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


@pytest.mark.parametrize(("name", "called"), [("docker", "team/app:1"), ("podman", NAME.full), ("nerdctl", "team/app:1")])
def test_loads_the_image_for_the_host(programs: Programs, store: Store, index: ImageIndex, name: str, called: str) -> None:
    events: list[Event] = []
    assert connect(programs, name).load(index, store, NAME, events.append) == called
    files = loaded_files(programs)
    image = next(image for image in index.images if image.platform == AMD64)
    assert {path for path in files if path.startswith("blobs/")} == {blob(one.descriptor.digest) for one in image.blobs(store)}
    assert json.loads(files["index.json"])["manifests"][0]["digest"] == image.digest
    assert json.loads(files["manifest.json"])[0]["RepoTags"] == ["team/app:1"]
    assert [event for event in events if isinstance(event, StageFinished)]


@pytest.mark.parametrize("name", ["docker", "podman", "nerdctl"])
def test_tags_an_image_that_the_engine_has(programs: Programs, store: Store, index: ImageIndex, name: str) -> None:
    image = next(image for image in index.images if image.platform == AMD64)
    digest = image.config_descriptor.digest
    connect(programs, name, {digest: {"Id": digest}}).load(index, store, NAME, lambda _event: None)
    assert not programs.called(name, "load")
    assert programs.called(name, "tag", digest)


@pytest.mark.parametrize("name", ["docker", "podman"])
def test_leaves_out_layers_of_other_images(programs: Programs, store: Store, index: ImageIndex, name: str) -> None:
    image = next(image for image in index.images if image.platform == AMD64)
    bottom, top = image.layers
    other = {"one": {"Id": "sha256:0", "RootFS": {"Layers": [bottom.diff_id, "sha256:else"]}}}
    connect(programs, name, other).load(index, store, NAME, lambda _event: None)
    files = loaded_files(programs)
    assert blob(bottom.descriptor.digest) not in files
    assert blob(top.descriptor.digest) in files


def test_docker_needs_a_layer_whose_chain_differs(programs: Programs, store: Store, index: ImageIndex) -> None:
    image = next(image for image in index.images if image.platform == AMD64)
    other = {"one": {"Id": "sha256:0", "RootFS": {"Layers": ["sha256:else", image.layers[1].diff_id]}}}
    connect(programs, "docker", other).load(index, store, NAME, lambda _event: None)
    assert {blob(layer.descriptor.digest) for layer in image.layers} <= loaded_files(programs).keys()


def test_docker_with_containerd_s_store_gets_layers_of_foreign_images(programs: Programs, store: Store, index: ImageIndex) -> None:
    image = next(image for image in index.images if image.platform == AMD64)
    other = {"one": {"Id": "sha256:0", "RootFS": {"Layers": [layer.diff_id for layer in image.layers]}}}
    info = "if args[0] == 'info': print('[[\"driver-type\",\"io.containerd.snapshotter.v1\"]]')\n"
    connect(programs, "docker", other, info).load(index, store, NAME, lambda _event: None)
    assert {blob(layer.descriptor.digest) for layer in image.layers} <= loaded_files(programs).keys()


def test_sends_everything_to_an_engine_that_lost_a_layer(programs: Programs, store: Store, index: ImageIndex) -> None:
    image = next(image for image in index.images if image.platform == AMD64)
    other = {"one": {"Id": "sha256:0", "RootFS": {"Layers": [layer.diff_id for layer in image.layers]}}}
    forgetful = "if args[0] == 'load' and not os.path.exists(sys.argv[0] + '2'): open(sys.argv[0] + '2', 'w'); sys.exit('no such blob')\n"
    connect(programs, "podman", other, forgetful).load(index, store, NAME, lambda _event: None)
    assert len(programs.called("podman", "load")) == 2
    assert {blob(layer.descriptor.digest) for layer in image.layers} <= loaded_files(programs).keys()


def test_reports_an_image_that_the_engine_rejects(programs: Programs, store: Store, index: ImageIndex) -> None:
    refuses = "if args[0] == 'load': sys.exit('no space left on device')\n"
    with pytest.raises(EngineError, match="docker rejected the image: no space left on device"):
        connect(programs, "docker", None, refuses).load(index, store, NAME, lambda _event: None)


def test_kills_the_program_when_a_blob_is_damaged(programs: Programs, store: Store, index: ImageIndex) -> None:
    for path in (store.root / "blobs").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(DamagedBlob):
        connect(programs, "docker").load(index, store, NAME, lambda _event: None)
    assert programs.read("loaded") == ""


def spec(**changes: object) -> RunSpec:
    fields: dict[str, object] = {"image": "team/app:1", "config": ExecutionConfig(user="65532:65532"), "platform": AMD64, "name": "app-1"}
    return RunSpec(**{**fields, **changes})  # type: ignore[arg-type]


RUN = "if args[0] == 'run': report('environment', json.dumps(dict(os.environ))); sys.exit(4)\n"


def test_run_passes_ports_mounts_and_variables(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("TOKEN", "that of the shell")
    requested = spec(
        args=("--flag", "x"),
        ports=(Port(8000, 80), Port(53, 53, "udp", "::1")),
        mounts=(
            Mount("data", At("/data")),
            Mount("", At("/gone")),
            Mount("/srv", At("/srv"), read_only=True),
        ),
        env={"TOKEN": "very secret", "GOOGLE_API_KEY": "very secret", "DOCKER_HOST": "theirs", "HTTPS_PROXY": "p"},
        user="1:1",
    )
    assert connect(programs, "docker", None, RUN).run(requested) == 4
    (call,) = programs.called("docker", "run")
    line = " ".join(call)
    for text in (
        "--rm --name app-1 --pull never --platform linux/amd64 --read-only --tmpfs=/tmp --user 1:1",
        "--publish=80:8000/tcp --publish=[::1]:53:53/udp",
        "--volume=data:/data --volume=/gone --volume=/srv:/srv:ro",
        "--env TOKEN --env GOOGLE_API_KEY --env DOCKER_HOST=theirs --env HTTPS_PROXY=p",
    ):
        assert text in line
    assert line.endswith(" team/app:1 --flag x")
    environment = json.loads(programs.read("environment"))
    assert environment["TOKEN"] == "very secret"
    assert "very secret" not in line
    assert environment.get("DOCKER_HOST") != "theirs"
    assert environment["HTTPS_PROXY"] == "http://127.0.0.1:1"


def test_run_replaces_the_entrypoint_and_makes_the_root_writable(programs: Programs) -> None:
    connect(programs, "nerdctl", None, RUN).run(spec(entrypoint=("python", "-m"), args=("x",), read_only=False))
    (call,) = programs.called("nerdctl", "run")
    assert call[-4:] == ["--entrypoint=python", "team/app:1", "-m", "x"]
    assert "--read-only" not in call


def test_rootless_podman_maps_the_user_if_a_directory_is_mounted(programs: Programs) -> None:
    engine = connect(programs, "podman", None, RUN)
    engine.run(spec(mounts=(Mount("/srv", At("/srv")),)))
    engine.run(spec(mounts=(Mount("data", At("/data")),)))
    with_directory, without = programs.called("podman", "run")
    assert "--userns=keep-id:uid=65532,gid=65532" in with_directory
    assert not [word for word in without if word.startswith("--userns")]


def test_inspects_an_image(programs: Programs) -> None:
    known = {
        "x": {
            "Id": "sha256:1",
            "Os": "linux",
            "Architecture": "arm64",
            "Config": {
                "User": "5",
                "ExposedPorts": {"80/tcp": {}},
                "Entrypoint": "run",
                "Cmd": None,
                "Volumes": None,
                "StopSignal": "SIGINT",
            },
        }
    }
    config, platform = connect(programs, "docker", known).inspect("x")
    assert (config.user, config.entrypoint, config.cmd, config.stop_signal) == ("5", ("run",), (), "SIGINT")
    assert config.exposed_ports == (ExposedPort(80, "tcp"),)
    assert platform == Platform("linux", "arm64")
    with pytest.raises(EngineError, match="has no image"):
        connect(programs, "docker").inspect("y")


STARTS = "if args[0] == 'run': report('environment', json.dumps(dict(os.environ))); print('0123456789ab'); sys.exit()\n"


@pytest.mark.parametrize("name", ["docker", "podman", "nerdctl"])
def test_starts_a_detached_container(programs: Programs, name: str) -> None:
    container = connect(programs, name, None, STARTS).start(spec(env={"TOKEN": "very secret"}, grace=3))
    (call,) = programs.called(name, "run")
    line = " ".join(call)
    assert line.startswith(f"{name} run --detach --stop-timeout 3 --name app-1 --pull never")
    assert "--rm" not in call
    assert "very secret" not in line
    assert json.loads(programs.read("environment"))["TOKEN"] == "very secret"
    assert container.commands == ContainerCommands(f"{name} logs -f app-1", f"{name} stop app-1", f"{name} rm --volumes app-1")
    assert not programs.called(name, "rm")


def test_removes_a_container_that_does_not_start(programs: Programs) -> None:
    fails = "if args[0] == 'run': sys.exit('exec: no such file')\n"
    with pytest.raises(EngineError, match="docker could not start app-1: exec: no such file"):
        connect(programs, "docker", None, fails).start(spec())
    assert programs.called("docker", "rm") == [["docker", "rm", "--force", "--volumes", "app-1"]]


def test_does_not_remove_another_container_of_the_same_name(programs: Programs) -> None:
    fails = "if args[0] == 'run': sys.exit('Conflict. The container name \"/app-1\" is already in use by container 5')\n"
    with pytest.raises(EngineError, match="already in use"):
        connect(programs, "docker", None, fails).start(spec())
    assert not programs.called("docker", "rm")


def connect_ctr(programs: Programs, monkeypatch: pytest.MonkeyPatch, run: str = "") -> Engine:
    """Return a containerd whose socket exists."""
    (programs.folder / "socket").touch()
    monkeypatch.setenv("CONTAINERD_ADDRESS", str(programs.folder / "socket"))
    monkeypatch.setenv("XDG_DATA_HOME", str(programs.folder / "data of mine"))
    programs.add("ctr", "if args[0] == 'version': print('Server:\\n  Version:  1.7.24'); sys.exit()\n" + run)
    return find("containerd", lambda _event: None)


def test_ctr_writes_a_detached_container_s_output_to_a_file(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = connect_ctr(programs, monkeypatch).start(spec(config=ExecutionConfig(stop_signal="SIGINT"))).commands
    (call,) = programs.called("ctr", "run")
    log = programs.folder / "data of mine/shipwheel/logs/app-1.log"
    assert call[2:4] == ["--detach", f"--log-uri={log.as_uri()}"]
    assert "--rm" not in call
    assert commands.logs == f"tail -f '{log}'"
    assert commands.stop == "ctr tasks kill --signal SIGINT app-1"
    assert commands.remove == f"ctr tasks delete app-1; ctr containers delete app-1; rm -r '{log}'"


def test_ctr_removes_throwaway_volumes_with_the_container(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    container = connect_ctr(programs, monkeypatch).start(spec(mounts=(Mount("", At("/gone")),)))
    (call,) = programs.called("ctr", "run")
    source = next(re.findall(r"src=([^,]+),dst=/gone", word)[0] for word in call if "dst=/gone" in word)
    assert Path(source).is_dir()
    assert container.commands.remove.endswith(f" {source}")
    container.remove()
    assert not Path(source).exists()


@pytest.mark.parametrize(("message", "removed"), [("no such file", 2), ('container "app-1": already exists', 0)])
def test_ctr_removes_a_container_that_does_not_start(
    programs: Programs, monkeypatch: pytest.MonkeyPatch, message: str, removed: int
) -> None:
    with pytest.raises(EngineError, match="containerd could not start app-1"):
        connect_ctr(programs, monkeypatch, f"if args[0] == 'run': sys.exit({message!r})\n").start(spec())
    assert len(programs.called("ctr", "tasks", "delete") + programs.called("ctr", "containers", "delete")) == removed


INSPECT = """
if args[:2] == ['container', 'inspect']: print(json.dumps({"Running": False, "Status": "exited", "ExitCode": 137, "OOMKilled": True}))
elif args[0] == 'diff': print("C /app\\nA /app/made\\nA /app/made/a b\\nD /app/old\\nC /etc\\nA /data\\nA /tmp")
elif args[0] == 'logs': print("one"); print("two", file=sys.stderr)
"""


def test_watches_a_container(programs: Programs) -> None:
    container = connect(programs, "docker", None, STARTS + INSPECT).start(spec(mounts=(Mount("data", At("/data")),)))
    assert container.state() == ContainerState(exit_code=137, out_of_memory=True)
    assert container.changes() == ("/app/made/a b", "/app/old")
    assert sorted(container.logs().split()) == ["one", "two"]
    assert container.stop(grace=1.5) == 137
    assert container.exec(["python", "-c", "1"]).ok
    container.remove()
    assert programs.called("docker", "stop") == [["docker", "stop", "-t", "2", "app-1"]]
    assert programs.called("docker", "exec") == [["docker", "exec", "app-1", "python", "-c", "1"]]
    assert programs.called("docker", "rm") == [["docker", "rm", "--force", "--volumes", "app-1"]]


def test_a_container_that_the_engine_forgot_is_an_error(programs: Programs) -> None:
    container = connect(programs, "podman", None, STARTS).start(spec())
    with pytest.raises(EngineError, match="podman does not know the container app-1"):
        container.state()


@pytest.mark.parametrize("name", ["docker", "podman", "nerdctl"])
def test_run_confines_a_container(programs: Programs, name: str) -> None:
    connect(programs, name, None, RUN).run(spec(network="none", no_privileges=True, tmpfs=("/tmp", "/run")))
    (call,) = programs.called(name, "run")
    assert {"--network=none", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--tmpfs=/tmp", "--tmpfs=/run"} <= set(call)


def test_ctr_and_bwrap_have_no_networks(programs: Programs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for engine in (connect_ctr(programs, monkeypatch), Bwrap("0.11.0")):
        with pytest.raises(EngineError, match="has no network 'backend'"):
            engine.start(spec(image=str(tmp_path), args=("x",), network="backend"))


def test_run_limits_a_container_and_passes_options_on(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    limited = spec(cpus=1.5, memory=512 << 20, network="backend", engine_options=("--shm-size", "1g"))
    connect(programs, "docker", None, RUN).run(limited)
    (call,) = programs.called("docker", "run")
    assert call[-6:] == ["--network=backend", "--cpus=1.5", "--memory=536870912b", "--shm-size", "1g", "team/app:1"]
    connect_ctr(programs, monkeypatch).run(spec(cpus=2.0, memory=1 << 30, engine_options=("--device", "/dev/fuse")))
    (call,) = programs.called("ctr", "run")
    assert {"--cpus=2", "--memory-limit=1073741824", "--device", "/dev/fuse"} <= set(call)


@pytest.mark.parametrize("limit", [{"cpus": 1.0}, {"memory": 1 << 30}])
def test_bwrap_cannot_limit_a_container(tmp_path: Path, limit: dict[str, object]) -> None:
    with pytest.raises(EngineError, match="bwrap cannot limit CPUs and memory") as caught:
        Bwrap("0.11.0").run(spec(image=str(tmp_path), args=("x",), **limit))
    assert "docker, podman, nerdctl, containerd" in caught.value.hint


@pytest.mark.parametrize(
    ("address", "elsewhere"),
    [
        ("", False),
        ("unix:///var/run/docker.sock", False),
        ("npipe:////./pipe/docker_engine", False),
        ("tcp://127.0.0.1:2375", False),
        ("ssh://core@localhost:5022", False),
        ("ssh://me@build.example", True),
        ("tcp://10.0.0.7:2376\n", True),
    ],
)
def test_knows_engines_on_other_machines(address: str, elsewhere: bool) -> None:
    assert is_elsewhere(address) is elsewhere
