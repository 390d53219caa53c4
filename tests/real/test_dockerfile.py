"""The exported Dockerfile, built in BuildKit on an imitation of the official base, with packages from servers on the loopback interface."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from support.bases import shapes
from support.command import environment
from support.engines import NATIVE, Dockerd, EngineError, wait_until
from support.examples import Example

BASE = "localhost/slim:1"


class Silent(SimpleHTTPRequestHandler):
    """Serves files, and writes no log."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def project(fastapi: Example, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example with what `export bake` writes."""
    folder = tmp_path_factory.mktemp("dockerfile") / "hello"
    shutil.copytree(fastapi.project, folder)
    (folder / ".env").write_text("PASSWORD=secret\n")
    (folder / "$HOME.py").touch()
    with (folder / "pyproject.toml").open("a") as settings:
        settings.write("""\n[[tool.shipwheel.steps]]\nrun = ["python", "-c", "text = 'made'\\nopen('made.txt', 'w').write(text)"]\n""")
    command = [sys.executable, "-m", "shipwheel", "export", "bake", str(folder), "-o", str(folder), "--locked"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "the first lines of Dockerfile say what shipwheel does and a Dockerfile cannot" in done.stderr
    return folder


@pytest.fixture(scope="module")
def server(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The wheels of the lock, and a Debian archive with the init. Yields 127.0.0.1:PORT."""
    root = tmp_path_factory.mktemp("packages")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "--dest", str(root)]
    subprocess.run(
        [*pip, "--python-version", "3.13", "--only-binary=:all:", "-r", str(project / ".shipwheel/requirements.txt")], check=True
    )
    subprocess.run(["apt-get", "download", "--quiet", "tini", "ca-certificates", "libdb5.3t64"], cwd=root, check=True)
    listed = subprocess.run(["dpkg-scanpackages", "."], cwd=root, check=True, capture_output=True).stdout
    (root / "Packages").write_bytes(listed)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(root))) as running:
        Thread(target=running.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{running.server_port}"
        running.shutdown()


@dataclass(frozen=True)
class BuildKit:
    """BuildKit in a docker daemon with the base image, and with pip's configuration as a secret."""

    docker: Dockerd
    project: Path
    secret: Path

    def run(self, *arguments: str) -> str:
        return self.docker.sandbox.run([*self.docker.tool, *arguments]).stdout

    def build(self, name: str, *arguments: str, project: Path | None = None) -> None:
        """Build a stage under a name."""
        flags = ("--network=host", "--load", f"--tag={name}", f"--build-arg=BASE={BASE}", f"--secret=id=pip,src={self.secret}")
        self.run("buildx", "build", "--progress=plain", *flags, *arguments, str(project or self.project))

    def config(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run("image", "inspect", name))[0]["Config"]
        return found


@pytest.fixture(scope="module")
def buildkit(docker: Dockerd, project: Path, server: str, tmp_path_factory: pytest.TempPathFactory) -> BuildKit:
    docker.sandbox.reach(server)
    folder = tmp_path_factory.mktemp("base")
    secret = folder / "pip.conf"
    secret.write_text(f"[global]\nno-index = true\nfind-links = http://{server}/\ntrusted-host = 127.0.0.1\n")
    (folder / "sources.list").write_text(f"deb [trusted=yes] http://{server}/ ./\n")
    docker.cli("tag", docker.load(shapes.official()), "localhost/official:1")
    (folder / "Dockerfile").write_text("FROM localhost/official:1\nRUN rm -rf /etc/apt/sources.list.d\nCOPY sources.list /etc/apt/\n")
    found = BuildKit(docker, project, secret)
    found.run("buildx", "build", "--load", f"--tag={BASE}", str(folder))
    return found


@pytest.fixture(scope="module")
def production(buildkit: BuildKit) -> str:
    """The name of the image of the last stage."""
    buildkit.build("hello:df", "--target=production")
    return "hello:df"


def labels(config: dict[str, Any]) -> dict[str, str]:
    return {key: value for key, value in config["Labels"].items() if key != "io.shipwheel.version"}


def test_production_runs_as_the_image_by_shipwheel_does(buildkit: BuildKit, production: str, fastapi: Example) -> None:
    made, ours = buildkit.config(production), buildkit.config(buildkit.docker.load(fastapi.archive))
    keys = ("Cmd", "Entrypoint", "ExposedPorts", "StopSignal", "User", "Volumes", "WorkingDir")
    assert {key: made.get(key) for key in keys} == {key: ours.get(key) for key in keys}
    assert {*ours["Env"]} < {*made["Env"]}, "the base has more"
    assert labels(made) == labels(ours)
    assert "io.shipwheel.version" not in made["Labels"]
    files = buildkit.run("run", "--rm", "--network=none", production, "find", "/app", "-type", "f")
    assert sorted(it for it in files.split() if "__pycache__" not in it) == [
        "/app/$HOME.py",
        "/app/made.txt",
        "/app/main.py",
        "/app/pyproject.toml",
    ]
    history = buildkit.run("history", "--no-trunc", production)
    assert "find-links" not in history


def test_production_is_healthy_with_a_read_only_root(buildkit: BuildKit, production: str) -> None:
    confined = ("--network=none", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--health-interval=1s")
    name = buildkit.run("run", "--detach", *confined, production).strip()
    try:
        ask = "import urllib.request as r; print(r.urlopen('http://localhost:8000/', timeout=9).read().decode())"
        status = ("inspect", "--format", "{{.State.Health.Status}}", name)
        wait_until(lambda: buildkit.run(*status).strip() == "healthy", "health")
        assert "Hello from an image" in buildkit.run("exec", name, "python", "-c", ask)
    finally:
        buildkit.run("rm", "--force", name)


def test_development_belongs_to_its_user(buildkit: BuildKit, tmp_path: Path) -> None:
    buildkit.build("hello:dev", "--target=development", "--build-arg=USER_ID=1234", "--build-arg=GROUP_ID=4321")
    shutil.copy(buildkit.project / "main.py", tmp_path)
    tmp_path.chmod(0o777)
    program = "import main, os; open('made', 'w').close(); print(os.getuid(), os.getgid())"
    mount = ("--volume", f"{tmp_path}:/app")
    assert buildkit.run("run", "--rm", "--network=none", *mount, "hello:dev", "python", "-c", program) == "1234 4321\n"
    made = (tmp_path / "made").stat()
    assert (made.st_uid, made.st_gid) == (1234, 4321)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "main.py"]


def test_a_file_with_another_hash_is_refused(buildkit: BuildKit, tmp_path: Path) -> None:
    other = shutil.copytree(buildkit.project, tmp_path / "other")
    file = other / ".shipwheel/requirements.txt"
    lines = file.read_text().splitlines()
    lines[1] = lines[1].partition("sha256:")[0] + "sha256:" + "0" * 64
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(EngineError, match="DO NOT MATCH THE HASHES"):
        buildkit.build("hello:wrong", "--target=builder", project=other)


def test_bake_reads_its_file(buildkit: BuildKit) -> None:
    path = buildkit.project / "docker-bake.hcl"
    found = json.loads(buildkit.run("buildx", "bake", "--print", "--file", str(path), "production", "development"))
    targets: dict[str, Any] = found["target"]
    assert targets["production"]["platforms"] == ["linux/amd64", "linux/arm64"]
    assert targets["production"]["tags"] == ["hello:latest"]
    assert targets["development"]["args"] == {"USER_ID": "1000", "GROUP_ID": "1000"}
    assert NATIVE in targets["production"]["platforms"]
