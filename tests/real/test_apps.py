"""The sample applications (tests/apps), built from the real package index and run without a network and without rights.

Each is built once for linux/amd64 by the command line, without any setting of ours, and run by podman.
"""

import gzip
import json
import shutil
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from support.command import ROOT, shipwheel
from support.engines import STOPPED, Container, Podman, wait_until

APPS = ROOT / "tests" / "apps"
PLATFORM = "linux/amd64"
HEADER = "-----BEGIN PRIVATE KEY-----"


@dataclass
class App:
    """A built application: its archive, and the error output of the build."""

    archive: Path
    messages: str

    @cached_property
    def paths(self) -> set[str]:
        """The paths of all layers."""
        found: set[str] = set()
        with tarfile.open(self.archive) as outer:
            for layer in self._document["Layers"]:
                stream = outer.extractfile(layer)
                assert stream is not None
                with gzip.open(stream) as plain, tarfile.open(fileobj=plain, mode="r|") as inner:
                    found.update(member.name for member in inner)
        return found

    @cached_property
    def _document(self) -> dict[str, Any]:
        found: list[dict[str, Any]] = self._read("manifest.json")
        return found[0]

    @property
    def config(self) -> dict[str, Any]:
        """The configuration of the image's containers."""
        found: dict[str, Any] = self._read(self._document["Config"])["config"]
        return found

    def _read(self, name: str) -> Any:
        with tarfile.open(self.archive) as outer:
            stream = outer.extractfile(name)
            assert stream is not None
            return json.load(stream)


def built(name: str, folder: Path, place: str = "") -> App:
    """Build a copy of an application, with files that its author would not want in the image."""
    project = folder / name
    shutil.copytree(APPS / name, project, ignore=shutil.ignore_patterns("pylock*.toml", "uv.lock", "__pycache__"))
    (project / ".env").write_text("DATABASE_URL=postgresql://user:password@db/app\n")
    (project / "deploy.key").write_text(f"{HEADER}\nMIIE\n")
    (project / ".venv").mkdir()
    (project / ".venv" / "pyvenv.cfg").write_text("home = /usr/bin\n")
    archive = folder / f"{name}.tar"
    done = shipwheel("build", project / place, "--output", archive, "--platform", PLATFORM)
    assert done.returncode == 0, done.stderr
    return App(archive, done.stderr)


def assert_clean(app: App) -> None:
    """Check the image: an unprivileged user, no secret, no version control, and the bytecode of every module but packages' own tests."""
    assert app.config["User"] == "65532:65532"
    names = {path.rpartition("/")[2] for path in app.paths}
    assert not names & {".env", "deploy.key", ".git", ".gitignore", "id_rsa"}
    modules = [path for path in app.paths if path.endswith(".py") and path.startswith(("app/", "opt/venv/lib/")) and "/tests/" not in path]
    assert modules
    compiled = {path.replace("__pycache__/", "").split(".cpython-")[0] for path in app.paths if path.endswith(".pyc")}
    assert [path for path in modules if path.removesuffix(".py") not in compiled] == []


def get(container: Container, address: str) -> str:
    """Request a page from inside the container. Return its body."""
    code = "import sys, urllib.request as r; print(r.build_opener(r.ProxyHandler({})).open(sys.argv[1], timeout=600).read().decode())"
    result = container.exec(["python", "-c", code, address])
    assert result.exit_code == 0, result.output
    return result.output


@dataclass(frozen=True)
class Service:
    """The expectations of a service: its pages with a part of their text, the directory to build, a message, and its exit code."""

    command: Sequence[str]
    port: int
    pages: dict[str, str]
    directory: str = ""
    message: str = ""
    python: str = "3.13"
    status: int = 0


GUNICORN = ("gunicorn", "--bind", "0.0.0.0:8000", "--threads", "8")
UVICORN = ("uvicorn", "--host", "0.0.0.0", "--port", "8000")
SERVICES = {
    "flask": Service((*GUNICORN, "app:app"), 8000, {"/": "<h1>Hi</h1>", "/static/style.css": "color"}, message="left out as secrets: "),
    "django": Service(
        (*GUNICORN, "mysite.wsgi:application"),
        8000,
        {"/": "/static/polls/style.", "/static/admin/css/base.css": "{", "/admin/login/": "/static/admin/css/base."},
        message="Debian has no Python 3.12, which .python-version names: 3.13 is the closest that the project allows.",
    ),
    # It writes into its own directory, on a read-only root.
    "notes": Service((*GUNICORN, "app:app"), 8000, {"/": " notes"}, message="-v notes-app-uploads:/app/uploads -v notes-data:/data"),
    "orders": Service(
        (*UVICORN, "orders.server:app"), 8000, {"/": "<h1>o</h1>", "/static/a.css": "a{}", "/docs": "swagger"}, status=STOPPED
    ),
    "bottle": Service(
        ("python", "-m", "bottle", "--bind", "0.0.0.0:8000", "--server", "waitress", "app"),
        8000,
        {"/": "Hello", "/static/a.txt": "x"},
        status=STOPPED,
    ),
    "windows": Service(
        ("waitress-serve", "--host", "0.0.0.0", "--port", "8000", "--threads", "8", "main:app"),
        8000,
        {"/": "<h1>built</h1>"},
        message="Python 3.11 is used, since 3.13 does not work",
        python="3.11",
        status=STOPPED,
    ),
    "workspace": Service((*UVICORN, "ws_api.main:app"), 8000, {"/": "hello from the core"}, directory="services/api", status=STOPPED),
}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_answers_and_stops(name: str, tmp_path: Path, podman: Podman) -> None:
    expected = SERVICES[name]
    app = built(name, tmp_path, expected.directory)
    assert_clean(app)
    assert expected.message in app.messages
    assert (app.config["Cmd"], list(app.config["ExposedPorts"])) == (list(expected.command), [f"{expected.port}/tcp"])
    with podman.run(podman.load(app.archive)) as container:
        address = f"http://127.0.0.1:{expected.port}"
        container.wait_http(f"{address}/")
        for page, text in expected.pages.items():
            assert text in get(container, f"{address}{page}")
        asked = "import os, sys; print(os.getuid(), os.getgid(), '%d.%d' % sys.version_info[:2])"
        assert container.exec(["python", "-c", asked]).output.split() == ["65532", "65532", expected.python]
        assert container.stop(10) == expected.status, container.logs()


MEETING = """
import threading
barrier = threading.Barrier(2)
def application(environ, start_response):
    if environ["PATH_INFO"] == "/meet":
        barrier.wait(600)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"met"]
"""
"""A WSGI application whose requests answer only if it has two of them at a time."""

MEET = """
import threading, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
answers = []
def ask():
    answers.append(opener.open("http://127.0.0.1:8000/meet", timeout=600).read().decode())
asking = [threading.Thread(target=ask) for _ in range(2)]
for thread in asking: thread.start()
for thread in asking: thread.join()
print(answers)
"""

COUNT = """
import os, pathlib, sys
others = [path for path in pathlib.Path("/proc").glob("[0-9]*/cmdline") if path.parent.name != str(os.getpid())]
print(sum(sys.argv[1].encode() in path.read_bytes() for path in others))
"""


@pytest.mark.parametrize(
    ("server", "program", "processes"), [("gunicorn", "gunicorn", 3), ("waitress", "waitress-serve", 1), ("granian", "granian", 3)]
)
def test_a_wsgi_application_has_several_requests_at_a_time(
    server: str, program: str, processes: int, tmp_path: Path, podman: Podman
) -> None:
    (project := tmp_path / "meeting").mkdir()
    (project / "wsgi.py").write_text(MEETING)
    (project / "requirements.txt").write_text(f"{server}\n")
    done = shipwheel("build", project, "--output", tmp_path / "meeting.tar", "--platform", PLATFORM)
    assert done.returncode == 0, done.stderr
    image = podman.load(tmp_path / "meeting.tar")
    with podman.run(image) as container:
        container.wait_http("http://127.0.0.1:8000/")
        assert container.exec(["python", "-c", MEET]).output == "['met', 'met']\n"
    with podman.run(image, env={"WEB_CONCURRENCY": "2"}) as container:
        container.wait_http("http://127.0.0.1:8000/")
        wait_until(lambda: container.exec(["python", "-c", COUNT, f"/bin/{program}"]).output == f"{processes}\n", f"{processes} processes")


@pytest.mark.parametrize(
    ("name", "place", "arguments", "output"),
    [("wordcount", "", ["a", "the", "b"], "2 words\n"), ("script", "report.py", ["1", "2"], "['report.py', '1', '2']\n")],
)
def test_a_program_takes_arguments(name: str, place: str, arguments: list[str], output: str, tmp_path: Path, podman: Podman) -> None:
    app = built(name, tmp_path, place)
    assert_clean(app)
    assert not app.config.get("ExposedPorts")
    done = podman.run_once(podman.load(app.archive), command=arguments)
    assert (done.returncode, done.stdout) == (0, output), done.stderr


def test_a_bot_ends_on_the_stop_signal(tmp_path: Path, podman: Podman) -> None:
    app = built("bot", tmp_path)
    assert_clean(app)
    assert app.config["Entrypoint"] == ["/usr/bin/tini", "--", "python", "-m", "bot"]
    with podman.run(podman.load(app.archive)) as container:
        wait_until(lambda: "bot started" in container.logs() or not container.running(), "the start of the bot")
        assert container.stop(10) == STOPPED
