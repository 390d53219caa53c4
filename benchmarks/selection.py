"""Compare the wheels that shipwheel selects with those of pip and uv, for the same version, target and index: selection.py --help."""

import argparse
import datetime
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec
import uv
from msgspec.structs import replace
from selection_index import PageIndex, upstream
from selection_page import Answer, Run, page, unexplained
from selection_peers import Peer, Pip, Uv, Where, newest_pip

from shipwheel.errors import LockError
from shipwheel.locking.inputs import LockRequest
from shipwheel.locking.make import make_lock
from shipwheel.locking.pylock import Lock
from shipwheel.locking.selection import select
from shipwheel.locking.target import Target
from shipwheel.platform import Platform
from shipwheel.project.indexes import Indexes
from shipwheel.project.lock_inputs import read_lock_inputs
from shipwheel.user.files import UserFiles

__all__ = ["compare", "lock_of", "versions_of"]

HERE = Path(__file__).parent
MACHINES = ("x86_64", "aarch64")
PYTHONS = ("3.9.2", "3.11.2", "3.13.5", "3.14.0")
GLIBCS = ((2, 31), (2, 36), (2, 41))
"""The versions of Debian bullseye, bookworm and trixie."""


def main() -> None:
    """Ask all three tools, or use their stored answers, and write the page."""
    options = _parser().parse_args()
    kept = options.work.resolve() / "run.json"
    if not options.kept:
        options.work.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(msgspec.json.encode(_asked(options, kept.parent)))
    run = msgspec.json.decode(kept.read_bytes(), type=Run)
    text = page(run)
    print(text)
    if options.save is not None:
        options.save.write_text(text)
    if names := unexplained(run):
        raise SystemExit(f"without a reason: {', '.join(names)}; write it into selection_page.py")


def _asked(options: argparse.Namespace, work: Path) -> Run:
    names = options.packages.read_text().split()
    answers: list[Answer] = []
    with PageIndex(work / "pages", upstream()) as index, ThreadPoolExecutor(options.jobs) as pool:
        peers = (Pip([str(newest_pip(work / "pip"))], index.simple, work / "cache"), Uv([uv.find_uv_bin()], index.simple, work / "cache"))
        locks = {python: lock_of(names, python.rpartition(".")[0], work / f"project-{python}", index.simple) for python in options.python}
        index.narrow(versions_of(locks.values()))
        targets = [Where(machine, python, glibc) for python, machine, glibc in product(options.python, MACHINES, GLIBCS)]
        for found in pool.map(lambda where: compare(locks[where.python], where, peers), targets):
            print(f"{found[0].where}: {len(found)}, of which differ {sum(not answer.agreed for answer in found)}", flush=True)
            answers += found
        versions = tuple(peer.version() for peer in peers)
    return Run(datetime.date.today(), versions, tuple(answers))


def lock_of(names: Sequence[str], minor: str, folder: Path, index: str) -> Lock:
    """Lock these packages for a Python version ("3.11"), without their dependencies."""
    folder.mkdir(parents=True, exist_ok=True)
    bare = ", ".join(f'{{ name = "{name}", requires-dist = [] }}' for name in names)
    project = f'[project]\nname = "asked"\nversion = "0"\ndependencies = {list(names)!r}\n'
    (folder / "pyproject.toml").write_text(f"{project}[tool.uv]\ndependency-metadata = [{bare}]\n")
    indexes = Indexes(index, "the bench", environment={"UV_DEFAULT_INDEX": index})
    # torch as the index has it: the peers know no other.
    return make_lock(LockRequest(read_lock_inputs(UserFiles(), folder), minor, accelerator="cuda", indexes=indexes))


def versions_of(locks: Iterable[Lock]) -> dict[str, set[str]]:
    """Return name -> the versions in any of the locks."""
    found: dict[str, set[str]] = {}
    for lock in locks:
        for package in lock.data["packages"]:
            found.setdefault(package["name"], set()).add(package["version"])
    return found


def compare(lock: Lock, where: Where, peers: Sequence[Peer]) -> list[Answer]:
    """Return the answers of all three tools for each package of the lock."""
    mine = list(_ours(lock, where))
    pins = {answer.name: answer.version for answer in mine}
    likely = [answer.name for answer in mine if answer.ours]
    theirs = [peer.choose(where, pins, likely) for peer in peers]
    return [replace(answer, theirs=tuple(files[answer.name] for files in theirs)) for answer in mine]


def _ours(lock: Lock, where: Where) -> Iterator[Answer]:
    from packaging.markers import Marker

    architecture = {"x86_64": "amd64", "aarch64": "arm64"}[where.machine]
    target = Target(Platform("linux", architecture), where.python, where.glibc)
    for package in lock.data["packages"]:
        if "marker" in package and not Marker(package["marker"]).evaluate(dict(target.markers()), context="lock_file"):
            continue
        # One at a time: together, all that has no file is one error.
        alone = replace(lock, data={**lock.data, "packages": [package]})
        try:
            [file] = select(alone, target).distributions
            # In the lock uv writes the names of files in lower case.
            name, why = (_last(file.urls[0]), "") if file.kind == "wheel" else ("", "it has no wheel, its source is built")
        except LockError as error:
            name, why = "", error.message.splitlines()[0].partition(": ")[2]
        yield Answer(package["name"], package["version"], where, name, why)


def _last(url: str) -> str:
    return unquote(urlsplit(url).path).rpartition("/")[2]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packages", type=Path, default=HERE / "selection_packages.txt", help="names, one a line")
    parser.add_argument("--python", nargs="+", default=PYTHONS, help=f"full versions [{' '.join(PYTHONS)}]")
    parser.add_argument("--jobs", type=int, default=2, help="targets at the same time [2]")
    parser.add_argument("--kept", action="store_true", help="only write the page again, from what was found the last time")
    parser.add_argument("--work", type=Path, default=Path(".work/selection"), help="folder for pages and caches [.work/selection]")
    parser.add_argument("--save", type=Path, help="where the page is also written to: docs/selection.md")
    return parser


if __name__ == "__main__":
    main()
