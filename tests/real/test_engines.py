"""The engines of `support.engines`, tried with an image around Debian's static busybox that is made without shipwheel."""

import gzip
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from support.bases.parts import packages_of
from support.engines import (
    BINFMT,
    HTTP_PROBE,
    NATIVE,
    UNPRIVILEGED,
    Container,
    Containerd,
    Dockerd,
    Engine,
    EngineError,
    Podman,
    Registry,
    ensure_binfmt,
    missing,
    wait_until,
)

MEDIA = "application/vnd.oci.image"
NAME = "localhost/busybox:1"
APPLETS = "cat date grep httpd id sed sh sleep tail touch uname wget"
CONFIG = {
    "User": f"{UNPRIVILEGED}:{UNPRIVILEGED}",
    "Env": ["PATH=/bin", "GREETING=hello"],
    "Entrypoint": ["/bin/sh", "-c"],
    "Cmd": ["echo $GREETING $(uname -m)"],
    "WorkingDir": "/srv",
    "StopSignal": "SIGINT",
}
SHIM = """#!/bin/sh
# In place of Python: takes the harness's probe, the address and two numbers of seconds, and prints the status as the probe would.
end=$(($(date +%s) + ${5%.*}))
while :; do
    status=$(wget -S -q -O /dev/null -T "${4%.*}" "$3" 2>&1 | sed -n 's|.*HTTP/1.[01] \\([0-9]*\\).*|\\1|p' | tail -n 1)
    [ "${status:-999}" -lt 400 ] && break
    [ "$(date +%s)" -ge "$end" ] && break
    sleep 0.1
done
echo "http-status ${status:-0}"
"""
REPORT = """
id; uname -m; grep -E 'Cap(Prm|Eff|Bnd)|NoNewPrivs' /proc/self/status
touch /tmp/new && echo tmp-writable; touch /data/$1 && echo data-writable; touch /srv/new || echo root-read-only
"""
SERVE = "httpd -f -h /srv -p 127.0.0.1:$PORT"


# --- the image ----------------------------------------------------------------------------------------------------


def fetch_busybox(folder: Path) -> dict[str, bytes]:
    """Download the static busybox for both architectures."""
    name = "busybox-static"
    return {each: unpack_busybox(packages_of("trixie", each, folder / each, name)[name]) for each in ("amd64", "arm64")}


def unpack_busybox(package: Path) -> bytes:
    """Extract the program from its package."""
    data = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(package)], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        program = tar.extractfile("./usr/bin/busybox")
        assert program
        return program.read()


def add(tar: tarfile.TarFile, name: str, data: bytes = b"", **values: Any) -> None:
    """Add a member to an archive."""
    member = tarfile.TarInfo(name)
    member.size = len(data)
    for key, value in values.items():
        setattr(member, key, value)
    tar.addfile(member, io.BytesIO(data))


def make_layer(busybox: bytes) -> bytes:
    """Make the layer: busybox under its names, a page to serve, and directories for a volume and for temporary files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in ("bin", "opt", "opt/venv", "opt/venv/bin", "srv"):
            add(tar, name, type=tarfile.DIRTYPE, mode=0o755)
        add(tar, "tmp", type=tarfile.DIRTYPE, mode=0o1777)
        add(tar, "data", type=tarfile.DIRTYPE, mode=0o755, uid=UNPRIVILEGED, gid=UNPRIVILEGED)
        add(tar, "bin/busybox", busybox, mode=0o755)
        for applet in APPLETS.split():
            add(tar, f"bin/{applet}", type=tarfile.SYMTYPE, linkname="busybox")
        add(tar, "opt/venv/bin/python", SHIM.encode(), mode=0o755)
        add(tar, "srv/index.html", b"served\n", mode=0o644)
    return buffer.getvalue()


class Store:
    """The blobs of a layout in memory."""

    def __init__(self) -> None:
        """Start empty."""
        self.blobs: dict[str, bytes] = {}

    def put(self, media: str, data: bytes) -> dict[str, Any]:
        """Keep a blob; its descriptor."""
        digest = hashlib.sha256(data).hexdigest()
        self.blobs[f"blobs/sha256/{digest}"] = data
        return {"mediaType": media, "digest": f"sha256:{digest}", "size": len(data)}

    def put_json(self, media: str, value: dict[str, Any]) -> dict[str, Any]:
        """Keep a document; its descriptor."""
        return self.put(media, json.dumps(value).encode())

    def put_image(self, architecture: str, busybox: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
        """Keep an image: the descriptor of its manifest, and its entry in docker's index."""
        plain = make_layer(busybox)
        diff = f"sha256:{hashlib.sha256(plain).hexdigest()}"
        layer = self.put(f"{MEDIA}.layer.v1.tar+gzip", gzip.compress(plain, mtime=0))
        rootfs = {"type": "layers", "diff_ids": [diff]}
        config = self.put_json(f"{MEDIA}.config.v1+json", {"os": "linux", "architecture": architecture, "config": CONFIG, "rootfs": rootfs})
        media = f"{MEDIA}.manifest.v1+json"
        manifest = self.put_json(media, {"schemaVersion": 2, "mediaType": media, "config": config, "layers": [layer]})
        paths = [f"blobs/sha256/{blob['digest'].removeprefix('sha256:')}" for blob in (config, layer)]
        entry = {"Config": paths[0], "RepoTags": [NAME], "Layers": paths[1:]}
        return {**manifest, "platform": {"os": "linux", "architecture": architecture}}, entry


def make_files(busybox: dict[str, bytes]) -> dict[str, bytes]:
    """Make the files of an archive that both docker and OCI tools accept, for all architectures."""
    store = Store()
    images = [store.put_image(architecture, program) for architecture, program in busybox.items()]
    media = f"{MEDIA}.index.v1+json"
    index = store.put_json(media, {"schemaVersion": 2, "mediaType": media, "manifests": [manifest for manifest, _ in images]})
    names = {"io.containerd.image.name": NAME, "org.opencontainers.image.ref.name": NAME}
    top = {"schemaVersion": 2, "mediaType": media, "manifests": [{**index, "annotations": names}]}
    return {
        "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
        "index.json": json.dumps(top).encode(),
        "manifest.json": json.dumps([entry for _, entry in images]).encode(),
        **store.blobs,
    }


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The image for both architectures, as the files of a layout."""
    return make_files(fetch_busybox(tmp_path_factory.mktemp("apt")))


@pytest.fixture(scope="session")
def archive(files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image as an archive."""
    path = tmp_path_factory.mktemp("archive") / "busybox.tar"
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            add(tar, name, data, mode=0o644)
    return path


@pytest.fixture(scope="session")
def layout(files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image as a layout folder, without docker's index."""
    folder = tmp_path_factory.mktemp("layout")
    for name, data in files.items():
        if name != "manifest.json":
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
    return folder


# --- the machine --------------------------------------------------------------------------------------------------


def test_missing_programs_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install, or that root is needed."""
    monkeypatch.setattr("support.engines.requirements.SEARCH_PATH", "/nowhere")
    assert missing("registry").endswith("apt-get install docker-registry util-linux")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert "as root" in missing("docker")


# --- running ------------------------------------------------------------------------------------------------------


def assert_confined(output: str, machine: str) -> None:
    """Check the report of a container without rights."""
    lines = output.splitlines()
    assert f"uid={UNPRIVILEGED}" in lines[0]
    assert f"gid={UNPRIVILEGED}" in lines[0]
    assert machine in lines
    assert [line for line in lines if line.startswith("Cap")] == [f"Cap{kind}:\t{0:016x}" for kind in ("Prm", "Eff", "Bnd")]
    assert "NoNewPrivs:\t1" in lines
    assert {"tmp-writable", "data-writable", "root-read-only"} <= set(lines)


@pytest.mark.parametrize("source", ["archive", "layout"])
def test_a_container_is_confined(any_engine: Engine, request: pytest.FixtureRequest, source: str) -> None:
    """Both forms of the image run with a read-only root, without capabilities and without root, and can write to volumes and /tmp."""
    image = any_engine.load(request.getfixturevalue(source))
    done = any_engine.run_once(image, command=[REPORT, "sh", source], volumes={"shared": "/data"})
    assert done.returncode == 0, done.stderr
    assert_confined(done.stdout, os.uname().machine)
    written = any_engine.volume("shared") / source
    assert written.stat().st_uid == UNPRIVILEGED


@pytest.mark.parametrize("source", ["archive", "layout"])
def test_runs_another_architecture(any_engine: Engine, request: pytest.FixtureRequest, arm64: str, source: str) -> None:
    """An emulated container is confined as well, and the native image still runs when both are loaded."""
    native = any_engine.load(request.getfixturevalue(source))
    image = any_engine.load(request.getfixturevalue(source), arm64)
    done = any_engine.run_once(image, command=[REPORT, "sh", "arm64"], volumes={"shared": "/data"}, platform=arm64)
    assert done.returncode == 0, done.stderr
    assert_confined(done.stdout, "aarch64")
    assert any_engine.run_once(native).stdout.split() == ["hello", os.uname().machine]


def test_replaces_command_entrypoint_environment_and_user(any_engine: Engine, archive: Path) -> None:
    image = any_engine.load(archive)
    assert any_engine.run_once(image).stdout.split() == ["hello", os.uname().machine]
    assert any_engine.run_once(image, command=["echo $GREETING $MORE; exit 3"], env={"MORE": "a b=c"}).returncode == 3
    assert any_engine.run_once(image, command=["echo $GREETING $MORE"], env={"MORE": "a b=c"}).stdout == "hello a b=c\n"
    assert any_engine.run_once(image, entrypoint=["/bin/id", "-u"], user="1234:1234").stdout == "1234\n"
    done = any_engine.run_once(image, entrypoint=["/bin/sh"], command=["-c", "touch new && echo $PWD"], user="0:0", read_only=False)
    assert done.stdout == "/srv\n"


def test_a_server_answers_and_stops(any_engine: Engine, archive: Path) -> None:
    """A server can be requested from inside, runs commands, and ends on the image's stop signal with its own exit code."""
    image = any_engine.load(archive)
    script = f"trap 'echo bye; exit 7' INT; {SERVE} & while :; do sleep 0.05; done"
    with any_engine.run(image, command=[script], env={"PORT": "8080"}) as container:
        assert container.wait_http("http://127.0.0.1:8080/") == 200
        assert container.http_status("http://127.0.0.1:8080/missing") == 404
        assert container.http_status("http://127.0.0.1:8081/") is None
        assert container.exec(["id", "-u"]) == (0, f"{UNPRIVILEGED}\n")
        assert container.exec(["sh", "-c", "echo $GREETING; cat missing; exit 5"]).exit_code == 5
        assert container.running()
        assert container.stop() == 7
        assert not container.running()
        assert container.logs() == "bye\n"


def test_kills_after_the_grace_period(any_engine: Engine, archive: Path) -> None:
    """The exit code of a process that ignores the stop signal shows the kill."""
    with any_engine.run(any_engine.load(archive), command=["trap '' INT; echo up; while :; do sleep 0.05; done"]) as container:
        wait_for_log(container, "up")
        assert container.stop(grace_seconds=1) == 128 + signal.SIGKILL


def wait_for_log(container: Container, text: str) -> None:
    """Wait until a container has printed a text: its signal handlers are set by then."""
    wait_until(lambda: text in container.logs(), f"{text} in the logs")


def test_the_host_network_is_that_of_the_sandbox(any_engine: Engine, archive: Path) -> None:
    """A server in the network of the engine's sandbox can be reached from outside its container."""
    port = 8080
    options = {"PORT": str(port)}
    with any_engine.run(any_engine.load(archive), command=[SERVE], env=options, network="host") as container:
        container.wait_http(f"http://127.0.0.1:{port}/")
        asked = any_engine.sandbox.run([sys.executable, "-I", "-c", HTTP_PROBE, f"http://127.0.0.1:{port}/", "10", "0"])
        assert asked.stdout == "http-status 200\n"


def test_errors_contain_the_reason(any_engine: Engine, archive: Path, layout: Path) -> None:
    """A missing program, a server that has ended, a container that does not end, and a platform that the image lacks."""
    image = any_engine.load(archive)
    with pytest.raises(EngineError, match="/bin/missing"):
        any_engine.run(image, entrypoint=["/bin/missing"])
    with any_engine.run(image, command=["echo no config; exit 9"]) as container:
        assert container.wait() == 9
        with pytest.raises(EngineError, match=r"(?s)ended with 9.*no config"):
            container.wait_http("http://127.0.0.1:8080/")
    with any_engine.run(image, command=["echo idle; while :; do sleep 0.05; done"]) as container:
        wait_for_log(container, "idle")
        with pytest.raises(EngineError, match="idle"):
            container.wait(timeout=0.2)
        with pytest.raises(EngineError, match="idle"):
            container.wait_http("http://127.0.0.1:8080/", seconds=0.2)
    with pytest.raises(EngineError):
        any_engine.load(layout, "linux/s390x")


def test_an_engine_pulls_from_the_registry(registry: Registry, podman: Podman, layout: Path) -> None:
    """The registry has both architectures, and an engine pulls the native one."""
    name = f"{registry.host}/team/busybox:1"
    podman.reach(registry.host)
    podman.sandbox.run(["skopeo", "copy", "--all", "--quiet", "--dest-tls-verify=false", f"oci:{layout}", f"docker://{name}"])
    request = urllib.request.Request(f"{registry.url}/v2/team/busybox/manifests/1", headers={"Accept": f"{MEDIA}.index.v1+json"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
        found = json.load(answer)["manifests"]
    assert [manifest["platform"]["architecture"] for manifest in found] == ["amd64", "arm64"]
    podman.cli("pull", "--quiet", "--tls-verify=false", name)
    assert podman.run_once(name).stdout.split() == ["hello", os.uname().machine]


@pytest.mark.parametrize(("path", "status"), [("v2/", 200), ("v2/none/manifests/1", 404)])
def test_the_http_probe_prints_the_status(registry: Registry, path: str, status: int) -> None:
    """Images run the probe with their Python. The busybox image has a shell script in its place."""
    done = subprocess.run(
        [sys.executable, "-c", HTTP_PROBE, f"{registry.url}/{path}", "10", "0"], check=True, capture_output=True, text=True
    )
    assert done.stdout == f"http-status {status}\n"


def test_podman_runs_with_runc(archive: Path, podman: Podman) -> None:
    assert podman.runtime == "crun"
    with Podman("runc") as engine:
        assert engine.run_once(engine.load(archive)).stdout.split() == ["hello", os.uname().machine]


def test_docker_with_the_containerd_store_runs_both_platforms(archive: Path, arm64: str, docker_containerd_store: Dockerd) -> None:
    """The default store of newer versions holds one index, which runs on both platforms."""
    engine = docker_containerd_store
    for platform, machine in ((NATIVE, os.uname().machine), (arm64, "aarch64")):
        assert engine.run_once(engine.load(archive, platform), platform=platform).stdout.split() == ["hello", machine]


# --- nothing left -------------------------------------------------------------------------------------------------


def leftovers(word: str) -> list[str]:
    """Return the processes, mounts, directories and control groups with a word in their name."""
    found = [f"process {path.parent}" for path in Path("/proc").glob("[0-9]*/cmdline") if word in read(path)]
    found += [f"mount {line}" for line in read(Path("/proc/self/mountinfo")).splitlines() if word in line]
    found += [f"folder {path}" for top in ("/run", "/dev/shm", tempfile.gettempdir()) for path in Path(top).glob(f"*{word}*")]
    # Groups come and go while they are looked through: os.walk passes over one that is gone, where a glob would fail.
    groups = (f"{folder}/{name}" for folder, names, _ in os.walk("/sys/fs/cgroup") for name in names)
    return found + [f"group {path}" for path in groups if word in path.rpartition("/")[2]]


def read(path: Path) -> str:
    """Read a file of a process, which may have ended."""
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


@pytest.mark.parametrize("kind", [Dockerd, Podman, Containerd])
def test_a_stopped_engine_leaves_nothing(kind: "type[Dockerd | Podman | Containerd]", archive: Path) -> None:
    """Even if a container was running."""
    assert not missing(kind.name)
    with kind() as engine:
        container = engine.run(engine.load(archive), command=["while :; do sleep 0.05; done"])
        assert container.running()
        assert leftovers(engine.sandbox.cgroup)
    assert leftovers(engine.sandbox.cgroup) == []


def test_a_failed_start_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither without namespaces nor with a daemon that ends at once."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with monkeypatch.context() as broken:
        broken.setattr("sys.executable", "/bin/false")
        with pytest.raises(EngineError, match="cannot create namespaces"):
            Podman()
    monkeypatch.setattr("support.engines.containerd._CONFIG", "no configuration")
    with pytest.raises(EngineError, match="containerd ended with 1"):
        Containerd()
    assert list(tmp_path.iterdir()) == []
    assert leftovers(str(tmp_path)) == []


def test_a_killed_run_leaves_no_process(archive: Path) -> None:
    """Only the files of the engine stay when the test run is killed."""
    code = (
        "import sys, pathlib; from support.engines import Podman; pod = Podman(); image = pod.load(pathlib.Path(sys.argv[1]));"
        "pod.run(image, command=['while :; do sleep 0.05; done']); print(pod.sandbox.root, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(archive)], cwd=Path(__file__).parents[1], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout
        root = Path(run.stdout.readline().strip())
        run.kill()
    try:
        assert root.name.startswith("shipwheel-") and "-podman-" in root.name
        wait_until_gone(root)
    finally:
        subprocess.run(["rm", "-rf", "--one-file-system", str(root)], check=True)


def wait_until_gone(root: Path) -> None:
    """Wait until only the directory of a sandbox is left."""
    wait_until(lambda: set(leftovers(root.name)) == {f"folder {root}"}, f"the end of {root.name}", pause=0.1)


def test_the_last_user_removes_the_emulation(arm64: str) -> None:
    """Users of the emulation do not disturb each other."""
    before = sorted(path.name for path in BINFMT.iterdir())
    ensure_binfmt()()
    assert sorted(path.name for path in BINFMT.iterdir()) == before
