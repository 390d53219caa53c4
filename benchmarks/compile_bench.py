"""Source distributions compiled for both processors by shipwheel, and for the other one by pip in a container that is emulated.

Both have compilers, libraries and what the build requires beforehand; pip's container gets the same Debian packages for that processor. In
what shipwheel runs in, the kernel emulates nothing. The image of each case is then started for both platforms, one of them emulated.
"""

import argparse
import json
import os
import subprocess
import sys
import tarfile
import time
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import IO, Any

import msgspec
from compile_cases import CASES, Case
from measure import CommandFailed, Cost, figures, run
from peers import unavailable
from supply import SHIPWHEEL, warm
from support.engines import Dockerd
from support.engines.emulation import BINFMT, ensure_binfmt
from table import Section, ratio, seconds
from tools import pip_wheel

from shipwheel.builder.build_run import rewrite_scripts
from shipwheel.builder.compile import SourceToCompile, compile_wheel
from shipwheel.builder.interpreter import suite_python
from shipwheel.builder.program_root import find_programs, unpack_programs
from shipwheel.builder.workshop import Workshop
from shipwheel.debian.downloads import fetch_packages
from shipwheel.debian.package import DebianPackage
from shipwheel.debian.session import ArchiveSession
from shipwheel.digest import Digest
from shipwheel.events import silent
from shipwheel.locking.target import Target
from shipwheel.platform import DEBIAN_ARCHITECTURES, Platform, host_platform
from shipwheel.store.store import Store
from shipwheel.suites import Suite
from shipwheel.wheels.isolated_build import BuildOptions

__all__ = ["PEER_LIMIT_S", "compile_section"]

PEER = "pip in BuildKit, under qemu"
PEER_LIMIT_S = 900
OWN = host_platform()
FOREIGN = next(Platform("linux", name) for name in DEBIAN_ARCHITECTURES if name != OWN.architecture)
_TOOLS = ("coreutils", "dash", "gcc", "g++", "libc6-dev", "make", "perl-base", "pkgconf", "python3-dev", "sed", "grep")
_MERGED = ("bin", "lib", "lib64", "sbin")
_IMAGE = "localhost/bench-compilers"
_DOCKERFILE = """\
FROM {image} AS build
COPY requires /requires
COPY pip.whl {source} /tmp/
ENV PYTHONPATH=/requires PATH=/requires/bin:/usr/bin:/usr/sbin
WORKDIR /out
RUN ["/usr/bin/python3", "/tmp/pip.whl/pip", "wheel", "--no-deps", "--no-index", "--no-build-isolation", "/tmp/{source}"]
FROM scratch
COPY --from=build /out /
"""
_WITHOUT_EMULATION = (
    *("unshare", "--user", "--map-root-user", "--mount", "sh", "-c"),
    *(f'mount -t binfmt_misc binfmt_misc {BINFMT} && exec "$@"', "sh"),
)
"""The words that start a command in a user namespace whose own list of emulators is empty (since Linux 6.7)."""


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A case's source distribution, the day of its upload, and the Debian packages that its build turned out to need."""

    case: Case
    source: Path
    uploaded: date | None
    packages: tuple[str, ...]
    image: Path


@dataclass(frozen=True, slots=True)
class _Measured:
    """What a case took on each platform, and on which it is imported. `peer` is None if it was not measured; `limited`, if it was ended.

    `load` is the machine's, the case's own included: the average of the last five minutes when it ended.
    """

    own: Cost
    foreign: Cost
    imported: tuple[str, ...]
    peer: Cost | None = None
    problem: str = ""
    limited: bool = False
    load: float = 0.0


def compile_section(root: Path, say: Callable[[str], None], names: Collection[str] = (), limit: float = PEER_LIMIT_S) -> Section:
    """Compile each case once by both, in turn. An interruption ends it with the cases so far; a case that fails is a row."""
    root.mkdir(parents=True, exist_ok=True)
    rows, known = [], dict[str, Any]()
    notes = [
        f"One run each of the same source on {OWN}: the clock, and processor seconds in parentheses, which other work disturbs less.",
        "Compilers, libraries and what builds require are there before. shipwheel's seconds include installing the latter anew.",
        "shipwheel builds where the kernel emulates no processor.",
        f"pip gets {limit:.0f} s. Both ratios are for {FOREIGN}: of the clock, and of processor seconds.",
        "The load is that of the last five minutes at a case's end, its own included.",
        "Imported: the image of the case was built, and what it compiled was imported in it, under qemu on the other platform.",
    ]
    why = unavailable("BuildKit")
    with ExitStack() as stack:
        stack.callback(ensure_binfmt())
        peer = _Peer(root, stack, limit) if not why else None
        for case in CASES:
            if names and case.name not in names:
                continue
            try:
                found = _measure(case, root, peer, say)
            except KeyboardInterrupt:
                notes.append(f"Interrupted before {case.name}.")
                break
            except (Exception, SystemExit) as error:
                say(f"{case.name} failed: {error}")
                rows.append([case.requirement or case.name, "failed", "", "", "", "", "", _first_line(error)])
                continue
            rows.append(_row(case, found))
            known[case.name] = _figures(found)
            say(" | ".join(rows[-1]))
    if why:
        notes.append(f"{PEER} is not measured: {why}")
    head = ["s wall (s CPU)", str(OWN), str(FOREIGN), f"{FOREIGN}: {PEER}", "clock", "CPU", "load", "imported"]
    return Section("Compiling for both platforms", head, rows, notes, "compile", known)


def _measure(case: Case, root: Path, peer: "_Peer | None", say: Callable[[str], None]) -> _Measured:
    say(f"{case.name}: building its image, which fetches what is needed; this is not measured")
    prepared = _prepare(case, root)
    imported = tuple(platform.architecture for platform in (OWN, FOREIGN) if _is_imported(prepared, platform, root))
    say(f"{case.name}: compiling it")
    found = _Measured(_ours(prepared, OWN, root), _ours(prepared, FOREIGN, root), imported)
    if peer is None:
        return found
    say(f"{case.name}: {PEER}")
    try:
        cost, limited = peer.build(prepared)
        return replace(found, peer=cost, limited=limited, load=os.getloadavg()[1])
    except Exception as error:
        return replace(found, problem=_first_line(error), load=os.getloadavg()[1])


def _row(case: Case, found: _Measured) -> list[str]:
    theirs, more = found.peer, "more than " if found.limited else ""
    beside = [found.problem, "", ""]
    if theirs is not None:
        pairs = ((theirs.wall, found.foreign.wall), (theirs.cpu, found.foreign.cpu))
        beside = [f"{more}{seconds(theirs)}", *(f"{more}{ratio(*pair)}" for pair in pairs)]
    last = [f"{found.load:.1f}", ", ".join(found.imported) or "nowhere"]
    return [case.requirement or case.name, seconds(found.own), seconds(found.foreign), *beside, *last]


def _figures(found: _Measured) -> dict[str, Any]:
    costs = {OWN.architecture: found.own, FOREIGN.architecture: found.foreign, **({"pip": found.peer} if found.peer is not None else {})}
    values = {name: figures(replace(cost, low=cost.wall, high=cost.wall)) for name, cost in costs.items()}
    return {**values, "limited": found.limited, "load": round(found.load, 1), "imported": list(found.imported)}


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = next((line for line in lines if "rror" in line), lines[0] if lines else repr(error))
    return named.replace("|", "/")[:100]


def _prepare(case: Case, root: Path) -> _Prepared:
    """Build the image of a case for both platforms, without an emulator."""
    project, store = root / "projects" / case.name, Store(root / "store")
    project.mkdir(parents=True, exist_ok=True)
    source = project.parent / f"{case.package}.tar.gz"
    requirements = f"--no-binary {case.package}\n{case.requirement}\n"
    if case.files:
        case.write_source(source)
        with tarfile.open(source) as tar:
            tar.extractall(project, filter="data")
        requirements = f"./{case.name}-1.0\n"
    (project / "requirements.txt").write_text(requirements)
    (project / "main.py").write_text("")
    flags = (f"--platform={OWN},{FOREIGN}", f"--python={case.suite.python}", "--command=python main.py")
    warm(project, store.root, project.with_suffix(".oci"), *flags, before=_WITHOUT_EMULATION)
    lock = tomllib.loads((project / "pylock.toml").read_text())
    uploaded = None
    if not case.files:
        sdist = next(package["sdist"] for package in lock["packages"] if package["name"] == case.package)
        source.write_bytes(store.read(msgspec.convert(f"sha256:{sdist['hashes']['sha256']}", Digest)))
        uploaded = sdist["upload-time"].date() if "upload-time" in sdist else None
    packages = lock["tool"]["shipwheel"].get("compiled", {}).get(case.package.replace("_", "-"), ())
    return _Prepared(case, source, uploaded, tuple(packages), project.with_suffix(".oci"))


def _is_imported(prepared: _Prepared, platform: Platform, root: Path) -> bool:
    """Return whether what was compiled starts in the image."""
    argv = [*SHIPWHEEL, "run", str(prepared.image), "--engine=bwrap", f"--platform={platform}", "--", *prepared.case.proof]
    done = subprocess.run(argv, env={**os.environ, "SHIPWHEEL_CACHE": str(root / "store")}, capture_output=True, text=True, check=False)
    if done.returncode:
        (root / f"{prepared.case.name}-{platform.architecture}.log").write_text(f"{done.stdout}\n{done.stderr}")
    return done.returncode == 0


def _ours(prepared: _Prepared, platform: Platform, root: Path) -> Cost:
    """Compile a source in a process of its own, into a store that has the compilers."""
    facts = {"case": prepared.case.name, "source": str(prepared.source), "packages": prepared.packages, "platform": platform.architecture}
    with _control_group(f"bench-{os.getpid()}-ours") as (enter, spent):
        uploaded = prepared.uploaded.isoformat() if prepared.uploaded is not None else ""
        argv = [*enter, *_WITHOUT_EMULATION, sys.executable, __file__, json.dumps({**facts, "uploaded": uploaded}), str(root)]
        env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "tests")}
        cost = run(argv, env=env, cwd=root, log=root / "ours.log")
        return replace(cost, cpu=spent() or cost.cpu)


def _compile(facts: Mapping[str, Any], root: Path) -> None:
    """Compile a source by shipwheel's compilers."""
    case, source = next(case for case in CASES if case.name == facts["case"]), Path(facts["source"])
    store, platform = Store(root / "store"), Platform("linux", facts["platform"])
    archive = ArchiveSession(None, store, silent)
    target = Target(platform, case.suite.full_python, case.suite.libc)
    python = suite_python(case.suite.python or "", platform.multiarch)
    workshop = Workshop(case.suite, OWN, target, python, archive, _fetcher(archive, store), store)

    def write(directory: Path) -> str:
        with tarfile.open(source) as tar:
            tar.extractall(directory, filter="data")
        return next(directory.iterdir()).name

    uploaded = date.fromisoformat(facts["uploaded"]) if facts["uploaded"] else None
    # Another content each time: the store has the wheels of earlier runs.
    wanted = SourceToCompile(case.package, source.name, datetime.now(UTC).isoformat(), write, uploaded)
    made = compile_wheel(wanted, workshop, BuildOptions(target.minor, ""), store, silent, known=tuple(facts["packages"]))
    print(made.wheel.filename)


def _fetcher(archive: ArchiveSession, store: Store) -> Callable[[Sequence[DebianPackage]], None]:
    def fetch(packages: Sequence[DebianPackage]) -> None:
        fetch_packages([package for package in packages if not store.has(package.digest)], archive.choose_mirror(), store)

    return fetch


class _Peer:
    """pip in containers of the other processor, each with the Debian packages of its case, in an engine that starts with the first."""

    def __init__(self, root: Path, stack: ExitStack, limit: float) -> None:
        self._root = root
        self._limit = limit
        self._stack = stack
        self._engine: Dockerd | None = None
        self._context = root / "context"
        pip_wheel(self._context)

    def build(self, prepared: _Prepared) -> tuple[Cost, bool]:
        """Return what a build takes, and whether it was ended at the limit. Raise CommandFailed."""
        if self._engine is None:
            self._engine = self._stack.enter_context(Dockerd(containerd_store=True))
        sandbox, tool, case = self._engine.sandbox, self._engine.tool, prepared.case
        image, packed = f"{_IMAGE}:{case.name.lower()}", self._root / "compilers.tar"
        with packed.open("wb") as stream:
            _write_image(self._root, stream, case.suite, prepared.packages)
        sandbox.run([*tool, "import", f"--platform={FOREIGN}", str(packed), image])
        self._write_context(prepared, image)
        out = self._root / "out"
        argv = ["timeout", str(self._limit), *tool, "buildx", "build", "--progress=plain", f"--platform={FOREIGN}"]
        argv += [f"--output=type=local,dest={out}", str(self._context)]
        group = _mount_of_groups() / sandbox.cgroup
        before, began = _spent(group), time.monotonic()
        try:
            cost = run(sandbox.inside(argv), env=sandbox.environment, cwd=self._root, log=self._root / f"{case.name}-peer.log")
        except CommandFailed:
            if (taken := time.monotonic() - began) < self._limit:
                raise
            return Cost(taken, _spent(group) - before), True
        return replace(cost, cpu=_spent(group) - before or cost.cpu), False

    def _write_context(self, prepared: _Prepared, image: str) -> None:
        """Write the source, and its build requirements for the other processor."""
        subprocess.run(["rm", "-rf", str(self._context / "requires")], check=True)
        (self._context / "requires").mkdir()
        (self._context / prepared.source.name).write_bytes(prepared.source.read_bytes())
        (self._context / "Dockerfile").write_text(_DOCKERFILE.format(image=image, source=prepared.source.name))
        suite = prepared.case.suite
        platform = f"{FOREIGN.machine}-manylinux_2_{min(suite.libc[1], 40)}"
        argv = [
            "uv",
            "pip",
            "install",
            "--quiet",
            "--no-build",
            "--target",
            str(self._context / "requires"),
            f"--python-platform={platform}",
        ]
        argv += [f"--python-version={suite.python}", *prepared.case.requires(prepared.source)]
        if prepared.uploaded is not None:
            day = max(prepared.uploaded, suite_python(suite.python or "", "").released)
            argv.append(f"--exclude-newer={day.isoformat()}")
        subprocess.run(argv, check=True, env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"})
        rewrite_scripts(self._context / "requires" / "bin", "/usr/bin/python3")
        # Python reads .pth files in site directories alone, and setuptools brings distutils by one.
        (self._context / "requires" / "sitecustomize.py").write_text("import site\n\nsite.addsitedir('/requires')\n")


def _write_image(root: Path, stream: IO[bytes], suite: Suite, packages: Sequence[str]) -> None:
    """Write the files of an image with the compilers of the other processor."""
    store = Store(root / "store")
    archive = ArchiveSession(None, store, silent)
    programs = find_programs(suite, FOREIGN, (*_TOOLS, *packages), archive, store)
    unpacked = unpack_programs(programs, _fetcher(archive, store), store)
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
    parser = argparse.ArgumentParser(description="Compile one source.")
    parser.add_argument("facts", type=json.loads)
    parser.add_argument("root", type=Path)
    options = parser.parse_args()
    _compile(options.facts, options.root)
