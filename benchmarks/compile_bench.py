"""Source distributions in C, compiled for the other processor: by shipwheel's cross compilers, and by pip in a container that is emulated.

Both have compilers, libraries and what the build requires beforehand; pip's container gets them as Debian packages of that processor.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tarfile
import tomllib
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from measure import Cost, figures, run
from peers import unavailable
from supply import SHIPWHEEL
from support.engines import Dockerd
from support.engines.emulation import ensure_binfmt
from table import Section, ratio, seconds
from tools import pip_wheel

from shipwheel.builder.compile import SourceToCompile, compile_wheel
from shipwheel.builder.interpreter import suite_python
from shipwheel.builder.program_root import find_programs, unpack_programs
from shipwheel.builder.workshop import Workshop
from shipwheel.debian.downloads import fetch_packages
from shipwheel.debian.package import DebianPackage
from shipwheel.debian.session import ArchiveSession
from shipwheel.events import silent
from shipwheel.locking.target import Target
from shipwheel.platform import DEBIAN_ARCHITECTURES, Platform, host_platform
from shipwheel.store import Store
from shipwheel.suites import suite_by_name
from shipwheel.wheels.isolated_build import BuildOptions

__all__ = ["compile_section"]

SOURCES = {
    "pycurl==7.45.6": ("libcurl4-openssl-dev", "libssl-dev"),
    "python-ldap==3.4.4": ("libldap-dev", "libsasl2-dev"),
    "uwsgi==2.0.31": (),
}
"""The requirement -> the Debian packages that its build needs."""
SUITE = suite_by_name("trixie")
PEER = "pip in BuildKit, under qemu"
FOREIGN = next(Platform("linux", name) for name in DEBIAN_ARCHITECTURES if name != host_platform().architecture)
_TOOLS = (
    "coreutils",
    "dash",
    "gcc",
    "g++",
    "libc6-dev",
    "make",
    "pkgconf",
    "python3-dev",
    "python3-setuptools",
    "python3-wheel",
)
_MERGED = ("bin", "lib", "lib64", "sbin")
_IMAGE = "localhost/bench-compilers:1"
_DOCKERFILE = f"""\
FROM {_IMAGE} AS build
COPY pip.whl source.tar.gz /tmp/
WORKDIR /out
RUN ["/usr/bin/python3", "/tmp/pip.whl/pip", "wheel", "--no-deps", "--no-index", "--no-build-isolation", "/tmp/source.tar.gz"]
FROM scratch
COPY --from=build /out /
"""


def compile_section(root: Path, say: Callable[[str], None]) -> Section:
    """Compile each source once by both, in turn."""
    root.mkdir(parents=True, exist_ok=True)
    why = unavailable("BuildKit")
    rows, known = [], dict[str, dict[str, dict[str, float]]]()
    with ExitStack() as stack:
        say("compiling: fetching what is needed; this is not measured")
        sources = _download(root)
        for path in sources.values():
            _ours(path, root)
        peer = None if why else stack.enter_context(_peer(root))
        for requirement, path in sources.items():
            say(f"compiling {requirement} for {FOREIGN}: shipwheel")
            costs = {"shipwheel": _ours(path, root)}
            if peer is not None:
                say(f"compiling {requirement} for {FOREIGN}: {PEER}")
                costs[PEER] = peer(path)
            known[requirement] = {tool: figures(replace(cost, low=cost.wall, high=cost.wall)) for tool, cost in costs.items()}
            theirs = costs.get(PEER)
            beside = [seconds(theirs), ratio(theirs.wall, costs["shipwheel"].wall)] if theirs is not None else ["", ""]
            rows.append([requirement, seconds(costs["shipwheel"]), *beside])
    notes = [
        f"One run each of the same source, for {FOREIGN} on {host_platform()}. Compilers, libraries and setuptools are there before.",
        *([f"{PEER} is not measured: {why}"] if why else []),
    ]
    title = "Compiling for the other processor"
    return Section(title, ["s wall (s CPU)", "shipwheel", PEER, "ratio"], rows, notes, "compile", known)


def _download(root: Path) -> dict[str, Path]:
    """Return the source distribution of each requirement, from this machine's package index, as a lock names it."""
    project = root / "sources"
    project.mkdir(exist_ok=True)
    (project / "requirements.txt").write_text("".join(f"{requirement}\n" for requirement in SOURCES))
    (project / "main.py").write_text("")
    subprocess.run([*SHIPWHEEL, "lock", str(project), "--quiet", f"--python={SUITE.python}"], check=True)
    found = {}
    for package in tomllib.loads((project / "pylock.toml").read_text())["packages"]:
        requirement = f"{package['name']}=={package['version']}"
        if requirement in SOURCES:
            path = project / f"{package['name']}.tar.gz"
            with urllib.request.urlopen(package["sdist"]["url"]) as response:
                path.write_bytes(response.read())
            if hashlib.sha256(path.read_bytes()).hexdigest() != package["sdist"]["hashes"]["sha256"]:
                raise SystemExit(f"{path.name} is damaged")
            found[requirement] = path
    return found


def _ours(source: Path, root: Path) -> Cost:
    """Compile a source in a process of its own, into a store that has the compilers after the first time."""
    with _control_group(f"bench-{root.name}-ours") as (enter, spent):
        argv = [*enter, sys.executable, __file__, "--source", str(source), "--work", str(root)]
        env = {**os.environ, "UV_CACHE_DIR": str(root / "uv"), "PYTHONPATH": str(Path(__file__).parents[1] / "tests")}
        cost = run(argv, env=env, cwd=root, log=root / "ours.log")
        return replace(cost, cpu=spent() or cost.cpu)


def _compile(source: Path, root: Path) -> None:
    """Compile a source by cross compilers."""
    store = Store(root / "store")
    archive = ArchiveSession(None, store, silent)
    target = Target(FOREIGN, SUITE.full_python, SUITE.libc)
    python = suite_python(SUITE.python or "", FOREIGN.multiarch)
    workshop = Workshop(SUITE, host_platform(), target, python, archive, _fetcher(archive, store), store)

    def write(directory: Path) -> str:
        with tarfile.open(source) as tar:
            tar.extractall(directory, filter="data")
        return next(directory.iterdir()).name

    name = source.name.removesuffix(".tar.gz")
    # Another content each time: the store has the wheels of earlier runs.
    wanted = SourceToCompile(name, source.name, datetime.now(UTC).isoformat(), write)
    packages = next(needed for requirement, needed in SOURCES.items() if requirement.partition("==")[0] == name)
    made = compile_wheel(wanted, workshop, BuildOptions(target.minor, ""), store, silent, known=packages)
    print(made.wheel.filename)


def _fetcher(archive: ArchiveSession, store: Store) -> Callable[[Sequence[DebianPackage]], None]:
    def fetch(packages: Sequence[DebianPackage]) -> None:
        fetch_packages([package for package in packages if not store.has(package.digest)], archive.choose_mirror(), store)

    return fetch


@contextmanager
def _peer(root: Path) -> Iterator[Callable[[Path], Cost]]:
    """Yield what compiles a source by pip in a container of the other processor."""
    context = root / "context"
    pip_wheel(context)
    (context / "Dockerfile").write_text(_DOCKERFILE)
    with ExitStack() as stack:
        stack.callback(ensure_binfmt())
        engine = stack.enter_context(Dockerd(containerd_store=True))
        sandbox, tool = engine.sandbox, engine.tool
        with (root / "compilers.tar").open("wb") as stream:
            _write_image(root, stream)
        sandbox.run([*tool, "import", f"--platform={FOREIGN}", str(root / "compilers.tar"), _IMAGE])
        argv = [
            *tool,
            "buildx",
            "build",
            "--progress=plain",
            f"--platform={FOREIGN}",
            f"--output=type=local,dest={root / 'out'}",
            str(context),
        ]

        def build(source: Path) -> Cost:
            (context / "source.tar.gz").write_bytes(source.read_bytes())
            group = _mount_of_groups() / sandbox.cgroup
            before = _spent(group)
            cost = run(sandbox.inside(argv), env=sandbox.environment, cwd=root, log=root / "peer.log")
            return replace(cost, cpu=_spent(group) - before or cost.cpu)

        yield build


def _write_image(root: Path, stream: IO[bytes]) -> None:
    """Write the files of an image with the compilers of the other processor."""
    store = Store(root / "store")
    archive = ArchiveSession(None, store, silent)
    names = (*_TOOLS, *(name for needed in SOURCES.values() for name in needed))
    unpacked = unpack_programs(find_programs(SUITE, FOREIGN, names, archive, store), _fetcher(archive, store), store)
    with tarfile.open(fileobj=stream, mode="w|") as tar:
        for name in _MERGED:
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, f"usr/{name}"
            tar.addfile(link)
        folder = tarfile.TarInfo("tmp")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
        tar.addfile(folder)
        tar.add(unpacked.path / "usr", "usr")
    unpacked.close()


def _mount_of_groups() -> Path:
    mounts = (line.split() for line in Path("/proc/mounts").read_text().splitlines())
    return Path(next(path for _, path, kind, *_ in mounts if kind == "cgroup2"))


def _spent(group: Path) -> float:
    """Return the processor seconds of a control group."""
    figure = next(line.split()[1] for line in (group / "cpu.stat").read_text().splitlines() if line.startswith("usage_usec "))
    return int(figure) / 1e6


@contextmanager
def _control_group(name: str) -> Iterator[tuple[list[str], Callable[[], float]]]:
    """Yield the words that start a command in a new control group, and what returns its processor seconds.

    Programs in namespaces of their own are not all counted by those who wait for them.
    """
    group = _mount_of_groups() / name
    group.mkdir()
    try:
        yield ["sh", "-c", f'echo 0 >{group}/cgroup.procs && exec "$@"', "sh"], lambda: _spent(group)
    finally:
        group.rmdir()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Compile one source for the other processor.")
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    options = parser.parse_args()
    _compile(options.source, options.work)
