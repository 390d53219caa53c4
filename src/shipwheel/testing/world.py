"""Everything that a build needs without a network: a package index, a signed Debian mirror and a store.

A whole `shipwheel build` then runs offline in a second. The command runs as a process of its own.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shipwheel.debian.package import DebianPackage
from shipwheel.debian.seed import seed_names
from shipwheel.platform import DEBIAN_ARCHITECTURES, Platform
from shipwheel.store.store import Store
from shipwheel.suites import SUITES, Suite, suite_for, without_python
from shipwheel.testing import forks, offline_command
from shipwheel.testing.debian import FakeArchive, make_deb, shared_object
from shipwheel.testing.package_index import PackageIndex
from shipwheel.testing.wheels import SmallWheel

__all__ = ["MINOR", "SUITE", "CommandResult", "World", "add_base", "extension_wheel", "fill", "make_archive", "make_common"]

_OURS = f"{sys.version_info[0]}.{sys.version_info[1]}"
SUITE: Suite = suite_for(_OURS if _OURS in {suite.python for suite in SUITES} else "3.11")
"""The suite with the Python version that runs the tests, which then compiles the bytecode, or bookworm."""

MINOR = SUITE.python

_HANG_S = 600
"""Commands that take longer have failed, however busy the machine is."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """A command that has ended: its exit code, output and error output."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The document that `--json` printed."""
        found: dict[str, Any] = json.loads(self.out)
        return found

    @property
    def digest(self) -> str:
        """The digest of the image index that a successful build printed, as JSON or as a reference."""
        assert self.code == 0, f"exit code {self.code}\n{self.err}"  # noqa: S101 - for tests
        text = self.out.strip()
        return str(json.loads(text)["digest"]) if text.startswith("{") else text.rpartition("@")[2]


def add_base(archive: FakeArchive, suite: Suite = SUITE) -> dict[str, tuple[DebianPackage, ...]]:
    """Add the packages of a base for both architectures, tini, and libfoo1 with libfoo.so.1. Return them by name."""
    return _add_packages(archive, suite, (*seed_names(suite), "tini", "libfoo1"))


def _add_packages(archive: FakeArchive, suite: Suite, names: Sequence[str]) -> dict[str, tuple[DebianPackage, ...]]:
    found: dict[str, tuple[DebianPackage, ...]] = {}
    for name in names:
        version = {"libc6": "2.41-1"}.get(name, f"{suite.python}.2-1" if "python" in name else "1.0-1")
        found[name] = tuple(
            archive.add(
                make_deb(name, version, _files(name, suite, architecture), architecture=architecture),
                (name, version, architecture),
                contents=(f"usr/lib/{_multiarch(architecture)}/libfoo.so.1",) if name == "libfoo1" else (),
            )
            for architecture in DEBIAN_ARCHITECTURES
        )
    return found


def _multiarch(architecture: str) -> str:
    return Platform("linux", architecture).multiarch


def _files(name: str, suite: Suite, architecture: str) -> dict[str, bytes | str]:
    files: dict[str, bytes | str] = {f"usr/share/doc/{name}/copyright": f"{name}: yours\n".encode()}
    if name == "libfoo1":
        files[f"usr/lib/{_multiarch(architecture)}/libfoo.so.1"] = shared_object("libfoo.so.1", architecture=architecture)
    elif name == "tini":
        files |= {f"usr/bin/{program}": shared_object(architecture=architecture) for program in ("tini", "tini-static")}
    elif name == "ca-certificates":
        files["usr/share/ca-certificates/mozilla/A.crt"] = b"AAA\n"
        files["usr/share/ca-certificates/mozilla/F\u0151tan\u00fas\u00edtv\u00e1ny.crt"] = b"FFF\n"
    elif name == f"python{suite.python}-minimal":
        files[f"usr/bin/python{suite.python}"] = b"not really\n"
    elif name.startswith("libpython"):
        files[f"usr/lib/python{suite.python}/{name.rpartition('-')[2]}_m\u00f3dule.py"] = b"NAMES = {'a', 'b', None, 3.5}\n"
    return files


def extension_wheel(name: str, architecture: str, needed: Sequence[str] = (), version: str = "1.0") -> SmallWheel:
    """Return a platform wheel with one extension module, which needs these libraries."""
    platform = Platform("linux", architecture)
    module = shared_object(needed=needed, architecture=architecture)
    tag = f"cp{MINOR.replace('.', '')}"
    return SmallWheel(
        name,
        version,
        files={f"{name}/__init__.py": f"NAME = {name!r}\n", f"{name}/_native.so": module},
        tag=f"{tag}-{tag}-manylinux_2_17_{platform.machine}",
        purelib=False,
    )


def make_archive(root: Path, suite: Suite = SUITE) -> FakeArchive:
    """Make and publish an archive with the packages of a base, and with tini in the newest stable suite, which bases of no suite use."""
    archive = FakeArchive(root, suite.codename)
    add_base(archive, suite)
    archive.publish()
    stable = without_python()
    if stable.codename != suite.codename:
        other = archive.other_suite(stable.codename)
        _add_packages(other, stable, ["tini"])
        other.publish()
    return archive


@dataclass(slots=True)
class World:
    """A directory with a running package index and Debian mirror. `env` is added to the environment of every command.

    `pythons` is the directory of the programs by which uv knows interpreters: the root, unless worlds share them.
    """

    root: Path
    index: PackageIndex = field(default_factory=PackageIndex)
    mirror: PackageIndex = field(default_factory=PackageIndex)
    env: dict[str, str] = field(default_factory=dict)
    pythons: Path = field(init=False)

    def __post_init__(self) -> None:
        self.pythons = self.root

    @property
    def cache(self) -> Path:
        """The store's directory."""
        return self.root / "cache"

    @property
    def store(self) -> Store:
        """The store."""
        return Store(self.cache)

    def serve(self, archive: FakeArchive) -> None:
        """Serve an archive from the mirror, and trust its key."""
        (self.root / "keyring.pgp").write_bytes(archive.keyring)
        for path in sorted(archive.root.rglob("*")):
            if path.is_file():
                self.mirror.add(path.relative_to(archive.root).as_posix(), path.read_bytes())

    def add(self, *wheels: SmallWheel) -> None:
        """Add wheels to the package index."""
        for wheel in wheels:
            self.index.add(wheel.filename, wheel.content())

    def app(self, requirements: str, name: str = "shop", settings: str = "") -> Path:
        """Write a small app with a requirements.txt, which imports `small` if that is required. `settings` are lines of shipwheel.toml."""
        folder = self.root / name
        folder.mkdir(parents=True, exist_ok=True)
        uses = re.search(r"^small(?![\w.])", requirements, re.MULTILINE) is not None
        (folder / "main.py").write_text("import small\n\nprint(small.VALUE)\n" if uses else 'print("shop")\n')
        (folder / "requirements.txt").write_text(requirements)
        (folder / "shipwheel.toml").write_text(f'command = ["python", "main.py"]\npython = "{MINOR}"\n{settings}')
        return folder

    def environment(self, env: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the environment of a command: nothing from the user except the PATH to an interpreter, and the index of this world."""
        home = self.root / "home"
        home.mkdir(exist_ok=True)
        return {
            "PATH": f"{Path(sys.base_prefix) / 'bin'}{os.pathsep}{os.defpath}",
            "HOME": str(home),
            **forks.CODE_UNDER_TEST,
            "SHIPWHEEL_CACHE": str(self.cache),
            "SHIPWHEEL_DEBIAN_MIRROR": f"{self.mirror.url}/files/debian",
            "UV_DEFAULT_INDEX": self.index.simple,
            "UV_CACHE_DIR": str(self.root / "uv"),
            "UV_HTTP_RETRIES": "0",
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_PYTHON_INSTALL_MIRROR": f"{self.mirror.url}/files/builds",
            "TMPDIR": str(self._temporary()),
            **self.env,
            **(env or {}),
        }

    def _temporary(self) -> Path:
        folder = self.root / "tmp"
        folder.mkdir(exist_ok=True)
        return folder

    def command(self, *arguments: str | Path, workers: int = 0, pause: float = 0) -> list[str]:
        """Return the command line that runs shipwheel with the archive's keyring."""
        own = (self.root / "keyring.pgp", self.pythons, workers, pause)
        return [sys.executable, "-m", offline_command.__name__, *map(str, (*own, *arguments))]

    def start(
        self, *arguments: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None, pause: float = 0
    ) -> "subprocess.Popen[str]":
        """Start a command in a process group of its own, as a shell with job control does."""
        return subprocess.Popen(
            self.command(*arguments, pause=pause),
            cwd=cwd or self.root,
            env=self.environment(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(
        self,
        *arguments: str | Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        umask: int = -1,
        workers: int = 0,
    ) -> CommandResult:
        """Run a command to its end.

        The process is a fork of one that has imported shipwheel, unless `env` has variables that Python reads when it starts.
        """
        place, environment = cwd or self.root, self.environment(env)
        if forks.can_run(environment):
            offline = (str(self.root / "keyring.pgp"), str(self.pythons), workers)
            return CommandResult(*forks.run(forks.Command(offline, tuple(map(str, arguments)), str(place), environment, umask)))
        done = subprocess.run(
            self.command(*arguments, workers=workers),
            cwd=place,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_HANG_S,
            umask=umask,
        )
        return CommandResult(done.returncode, done.stdout, done.stderr)

    def build(self, project: Path, *flags: str | Path, env: Mapping[str, str] | None = None) -> CommandResult:
        """Build PROJECT.oci beside the project, without bytecode. The result is JSON."""
        return self.run("build", project, "--no-bytecode", "--json", "-o", self.output(project), *flags, env=env)

    def output(self, project: Path) -> Path:
        """Return the path of the layout that `build` writes."""
        return project.with_name(f"{project.name}.oci")

    def close(self) -> None:
        """Stop both servers."""
        self.index.close()
        self.mirror.close()

    def refuse(self) -> None:
        """Stop both servers, and let their addresses refuse connections."""
        self.index.refuse()
        self.mirror.refuse()

    def __enter__(self) -> "World":
        self.index.start()
        self.mirror.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def make_common(root: Path, archive: FakeArchive) -> World:
    """Return what worlds with this archive can have in common: a store with the base, and what uv knows of the interpreter."""
    with World(root) as world:
        world.serve(archive)
        assert world.build(world.app("")).digest  # noqa: S101 - for tests
    return world


def fill(world: World, archive: FakeArchive, common: World | None = None) -> World:
    """Serve an archive, and the packages `small`, which requires `tiny`, and `native`, which needs libfoo.so.1. Return the world.

    With `common`, uv asks each interpreter once for all worlds what it is, which takes longer than the rest of a lock.
    """
    if common:
        world.pythons = common.pythons
        (world.root / "uv").mkdir()
        for known in (common.root / "uv").glob("interpreter-*"):
            (world.root / "uv" / known.name).symlink_to(known)
    world.serve(archive)
    world.add(SmallWheel(requires=["tiny"]), SmallWheel("tiny", files={"tiny.py": "X = 1\n" * 2000}))
    world.add(*(extension_wheel("native", architecture, ["libfoo.so.1"]) for architecture in DEBIAN_ARCHITECTURES))
    return world
