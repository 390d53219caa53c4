"""Crates from git with a real cargo: workspaces with submodules and links. A bundle has what cargo made of them."""

import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote_plus

import msgspec
import pytest
from support.programs import needs, needs_mirror
from support.project_tree import written
from support.real_archive import workshop_for

from shipwheel.builder.crates import CRATES_INSIDE, CrateFetch, CratesFailed, use_crates
from shipwheel.builder.sandbox_run import SandboxRun
from shipwheel.builder.sandboxes import run_in_sandbox
from shipwheel.builder.vendored_crates import CRATE_RECORD
from shipwheel.locking.bounds import Bounds
from shipwheel.platform import host_platform
from shipwheel.store.directory_cache import CachedDirectory
from shipwheel.store.store import Store
from shipwheel.wheels.kept_requirements import KeptRequirements

pytestmark = [pytest.mark.online, needs_mirror, needs("bwrap"), needs("git")]

REPOSITORY = {
    "Cargo.toml": '[workspace]\nmembers = ["twig", "bud"]\n[workspace.package]\nversion = "1.0.0"\nedition = "2021"\n',
    "twig/Cargo.toml": (
        '[package]\nname = "twig"\nversion.workspace = true\nedition.workspace = true\n[dependencies]\nbud = { path = "../bud" }\n'
    ),
    "twig/src/lib.rs": 'pub fn text() -> String { format!("{}{}", include_str!("../data/text"), bud::text()) }\n',
    "bud/Cargo.toml": '[package]\nname = "bud"\nversion.workspace = true\nedition.workspace = true\n',
    "bud/src/lib.rs": 'pub fn text() -> &\'static str { include_str!("text") }\n',
    "text": "outside of both crates",
}
BRANCH = "topic/one"


def git(root: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=n", "-c", "user.email=e@x.invalid", "-c", "protocol.file.allow=always", "-C", str(root), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def committed(root: Path) -> str:
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "x")
    return git(root, "rev-parse", "HEAD")


def initialized(root: Path) -> Path:
    git(root, "init", "--quiet", f"--initial-branch={BRANCH}")
    return root


class Server(ThreadingHTTPServer):
    """Serves the repositories below a directory on the loopback interface, by git's own program for that."""

    def __init__(self, root: Path) -> None:
        self.root = root
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        length = self.headers.get("Content-Length", "")
        variables = {
            "GIT_PROJECT_ROOT": str(self.server.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": length,
        }
        body = self.rfile.read(int(length or 0))
        done = subprocess.run(["git", "http-backend"], input=body, env={**os.environ, **variables}, capture_output=True, check=True)
        head, _, data = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().splitlines())
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in {**fields, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    do_POST = do_GET  # noqa: N815 - the standard library asks for this name

    def log_message(self, *_: object) -> None:
        pass


def app(address: str, reference: str, name: str, commit: str) -> dict[str, str]:
    """Return the files of a program with a crate from git."""
    source = f"git+{address}?{reference}={quote_plus(name)}#{commit}"
    crates = (("app", 'dependencies = ["twig"]'), ("bud", f'source = "{source}"'), ("twig", f'source = "{source}"\ndependencies = ["bud"]'))
    locked = "".join(f'[[package]]\nname = "{crate}"\nversion = "1.0.0"\n{rest}\n' for crate, rest in crates)
    return {
        "Cargo.toml": (
            '[package]\nname = "app"\nversion = "1.0.0"\nedition = "2021"\n'
            f'[dependencies]\ntwig = {{ git = "{address}", {reference} = "{name}" }}\n'
        ),
        "Cargo.lock": f"version = 4\n{locked}",
        "src/main.rs": 'fn main() { println!("{}", twig::text()) }\n',
    }


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "repositories"
    folder.mkdir()
    with Server(folder) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def root() -> Iterator[CachedDirectory]:
    """A root with cargo for this machine."""
    workshop = workshop_for(host_platform())
    made = workshop.root(workshop.rust())
    yield made
    made.close()


def run_cargo(source: Path, crates: Path, root: Path, home: Path) -> str:
    """Run a program whose crates were fetched, without a network. Return what it prints."""
    use_crates(source, crates)
    home.mkdir()
    binds = {"/build/source": (source, True), CRATES_INSIDE: (crates, False), "/build/home": (home, True)}
    variables = {"PATH": "/usr/bin", "HOME": "/build/home"}
    run = SandboxRun(("cargo", "run", "--locked", "--offline", "--quiet"), root, binds, "/build/source", variables)
    done = run_in_sandbox(run, stop=threading.Event(), bounds=Bounds())
    assert done.code == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("reference", ["branch", "tag", "rev"])
def test_an_edited_source_finds_crates_of_git_in_a_bundle(
    tmp_path: Path, server: Server, root: CachedDirectory, monkeypatch: pytest.MonkeyPatch, reference: str
) -> None:
    address = f"http://127.0.0.1:{server.server_port}"
    committed(initialized(written(server.root / "data", {"text": "submodule, "})))
    remote = initialized(written(server.root / "twig", REPOSITORY))
    git(remote, "submodule", "--quiet", "add", f"{address}/data", "twig/data")
    (remote / "bud" / "src" / "text").symlink_to("../../text")
    (remote / "twig" / "folder").symlink_to("../bud/src")
    (remote / "twig" / "outside").symlink_to("/build/cargo/config.toml")
    commit = committed(remote)
    git(remote, "tag", "v1")
    name = {"branch": BRANCH, "tag": "v1", "rev": commit}[reference]
    kept = KeptRequirements(Store(tmp_path / "store"), "3.13")
    monkeypatch.setenv("CARGO_HOME", str(tmp_path / "none"))

    def fetched(place: str, store: Store, kept: KeptRequirements | None) -> str:
        source = written(tmp_path / place / "source", app(f"{address}/twig", reference, name, commit))
        found = CrateFetch(tmp_path / place, root.path, ".", store, threading.Event(), kept=kept).run()
        assert found is not None
        return run_cargo(source, found.path, root.path, tmp_path / place / "home")

    said = "submodule, outside of both crates\n"
    assert fetched("here", kept.store, kept) == said
    server.root.rename(tmp_path / "gone")
    there = Store(tmp_path / "there")
    with pytest.raises(CratesFailed):
        fetched("without", there, None)
    assert len(kept.crates) == 2
    for key, digest in kept.crates.items():
        there.add(kept.store.read(digest))
        there.put(CRATE_RECORD, key, msgspec.json.encode(digest))
    assert fetched("with", there, None) == said
