"""From the lock to the files of one target: by the target's markers and tags, never the host's.

Nothing is downloaded here, and every distribution without a usable file, of every target, is named in one error.
"""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from shipwheel.errors import LockError
from shipwheel.lock.no_compatible_file import Missing, Unserved, Why, is_for_others, is_foreign, systems, why_unserved
from shipwheel.lock.pylock import Lock
from shipwheel.lock.target import Target

if TYPE_CHECKING:
    from packaging.pylock import Package, PackageArchive, PackageSdist, PackageWheel
    from packaging.tags import Tag

T = TypeVar("T")

__all__ = ["LeftOut", "LockedDistribution", "Selection", "asking_chain", "select", "select_all"]


@dataclass(frozen=True, slots=True)
class LockedDistribution:
    """A file of the lock (kind wheel or sdist), or source (directory, vcs, archive) that a wheel is built from.

    `urls` are tried in order (a file: URL for a local file); `sha256` is hex, `size` in bytes, None when the lock does not say;
    `path` is a directory or local file; `subdirectory` is inside it, `commit` a repository's.
    """

    name: str
    version: str
    kind: str
    filename: str = ""
    urls: tuple[str, ...] = ()
    sha256: str = ""
    size: int | None = None
    path: Path | None = None
    subdirectory: str = ""
    commit: str = ""

    @property
    def digest(self) -> str:
        """`sha256:<hex>`; empty for a directory or repository."""
        return f"sha256:{self.sha256}" if self.sha256 else ""

    @property
    def label(self) -> str:
        """What reports call it: `numpy 1.26.4`."""
        return f"{self.name} {self.version}".strip()


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A distribution of a frozen list that the target neither can use nor needs, and who asked for it."""

    name: str
    version: str
    reason: str
    wanted_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """What one target gets, in the order of the lock."""

    target: Target
    distributions: tuple[LockedDistribution, ...]
    left_out: tuple[LeftOut, ...] = ()


def select(lock: Lock, target: Target) -> Selection:
    """The distributions of one target; raises LockError with everything that is missing."""
    return select_all(lock, [target])[0]


def select_all(lock: Lock, targets: Sequence[Target]) -> tuple[Selection, ...]:
    """The distributions of each target; raises one Unserved with all that is missing for any of them, LockError for a broken lock."""
    found = []
    missing: dict[Missing, list[Target]] = {}
    for target in targets:
        choice = _Choice(lock, target)
        found.append(choice.selection())
        for problem in choice.problems:
            missing.setdefault(problem, []).append(target)
    if missing:
        raise Unserved(missing, targets)
    return tuple(found)


def asking_chain(lock: Lock, target: Target, name: str) -> tuple[tuple[str, ...], str]:
    """Who asks for a distribution on a target, and the shortest way to it from the project; nothing when it is not wanted there."""
    choice = _Choice(lock, target)
    return (tuple(choice.askers(name)), choice.chain(name)) if name in choice.wanted else ((), "")


class _Choice:
    """One selection while it is made."""

    def __init__(self, lock: Lock, target: Target) -> None:
        self.lock = lock
        self.target = target
        self.root = lock.path.parent.resolve()
        self.holds = _evaluator(target, lock)
        self.rank = {tag: number for number, tag in enumerate(target.tags())}
        self.wanted: dict[str, Package] = {package.name: package for package in self._active()}
        self.parents = _parents(self.wanted, self.holds)
        self.asked = frozenset(edge.get("name") for package in lock.packages for edge in package.dependencies or ())
        self.problems: list[Missing] = []

    def _active(self) -> "Iterator[Package]":
        seen: dict[str, str] = {}
        for package in self.lock.packages:
            if package.marker is not None and not self.holds(str(package.marker)):
                continue
            version = str(package.version or "")
            if package.name in seen:
                raise LockError(
                    f"{self.lock.path.name} has two versions of {package.name} for {self.target}: {seen[package.name]} and {version}",
                    hint="Delete the lock and build again.",
                )
            seen[package.name] = version
            yield package

    def selection(self) -> Selection:
        """What is kept and what is left out; what is missing goes into `problems`."""
        kept: list[LockedDistribution] = []
        unusable: list[Package] = []
        for package in self.wanted.values():
            file = self._file(package)
            if file is not None:
                kept.append(file)
            else:
                unusable.append(package)
        keepers = {file.name for file in kept}
        left_out = [self._left_out(package) for package in unusable if self._may_go(package, keepers)]
        gone = {item.name for item in left_out}
        for package in unusable:
            if package.name not in gone:
                self.problems.append(self._problem(package))
        return Selection(self.target, tuple(kept), tuple(left_out))

    def _file(self, package: "Package") -> LockedDistribution | None:
        version = str(package.version or "")
        if package.requires_python is not None and not package.requires_python.contains(self.target.python, prereleases=True):
            return None
        if package.directory is not None or package.vcs is not None:
            return _source(package, version, self.root)
        if package.archive is not None:
            name = _archive_name(package.archive)
            kind = "wheel" if name.endswith(".whl") else "sdist"
            if kind == "wheel" and _best([(name, package.archive)], self.rank) is None:
                return None
            return _distribution(package.name, version, kind, name, package.archive, self.root)
        wheel = _best([(wheel.filename, wheel) for wheel in package.wheels or ()], self.rank)
        if wheel is not None:
            return _distribution(package.name, version, "wheel", wheel.filename, wheel, self.root)
        if not package.wheels and package.sdist is not None:
            return _distribution(package.name, version, "sdist", package.sdist.filename, package.sdist, self.root)
        return None

    def _may_go(self, package: "Package", keepers: Collection[str]) -> bool:
        """Whether the list is a frozen one, nothing that is kept needs it, and no file is for this system, or for this machine.

        For the machine that is not enough: what no other distribution asks for anywhere is what the application itself wants.
        """
        said = (package.tool or {}).get("shipwheel", {}).get("serves-linux", False)
        if not self.lock.frozen or said or any(name in keepers for name in self.parents[package.name]):
            return False
        tags = _tags(package)
        return is_foreign(tags) or (package.name in self.asked and is_for_others(tags, self.target))

    def _left_out(self, package: "Package") -> LeftOut:
        tags = _tags(package)
        files = f"its files are for {systems(tags)} only" if is_foreign(tags) else f"no file of it is for {self.target.platform.machine}"
        reason = f"{files}, and nothing that stays needs it"
        return LeftOut(package.name, str(package.version or ""), reason, tuple(self.askers(package.name)))

    def askers(self, name: str) -> list[str]:
        """Where the project asks for it, and which distributions do."""
        place = self.lock.roots.get(name)
        return [*([place] if place else []), *(_label(self.wanted[parent]) for parent in self.parents[name])]

    def _problem(self, package: "Package") -> Missing:
        why, reason = self._why(package)
        wheels = tuple(wheel.filename for wheel in package.wheels or ())
        source = package.sdist.filename if package.sdist is not None else ""
        return Missing(package.name, str(package.version or ""), why, reason, wheels, source, self.chain(package.name))

    def _why(self, package: "Package") -> tuple[Why, str]:
        if package.requires_python is not None and not package.requires_python.contains(self.target.python, prereleases=True):
            return "python", f"it needs Python {package.requires_python}"
        return why_unserved(_tags(package), self.target)

    def chain(self, name: str) -> str:
        """The shortest way from the project to a distribution."""
        seen = {name: [_label(self.wanted[name])]}
        queue = [name]
        # A frozen list names everything itself: who needs it says more.
        listed = {name} if self.lock.frozen and self.parents.get(name) else set()
        for item in queue:
            if item in self.lock.roots and item not in listed:
                return " → ".join([self.lock.roots[item], *reversed(seen[item])])
            for parent in self.parents.get(item, ()):
                if parent not in seen:
                    seen[parent] = [*seen[item], _label(self.wanted[parent])]
                    queue.append(parent)
        return self.lock.origin


def _label(package: "Package") -> str:
    return f"{package.name} {package.version or ''}".strip()


def _evaluator(target: Target, lock: Lock) -> Callable[[str], bool]:
    from packaging.markers import Marker

    environment: dict[str, str | AbstractSet[str]] = {**target.markers(), **lock.chosen}
    known: dict[str, bool] = {}

    def holds(text: str) -> bool:
        if text not in known:
            known[text] = Marker(text).evaluate(dict(environment), context="lock_file")
        return known[text]

    return holds


def _parents(wanted: "Mapping[str, Package]", holds: Callable[[str], bool]) -> dict[str, list[str]]:
    """Name -> the wanted distributions that ask for it on this target."""
    found: dict[str, list[str]] = {name: [] for name in wanted}
    for name, package in wanted.items():
        for edge in package.dependencies or ():
            if edge.get("name") in found and (not edge.get("marker") or holds(edge["marker"])):
                found[edge["name"]].append(name)
    return found


def _best(files: Iterable[tuple[str, T]], rank: "Mapping[Tag, int]") -> T | None:
    """The file whose best tag comes first; of equals the higher build number (binary distribution format, build tag)."""
    from packaging.utils import parse_wheel_filename

    best: tuple[tuple[int, Any], T] | None = None
    for filename, file in files:
        _, _, build, tags = parse_wheel_filename(filename)
        place = min((rank[tag] for tag in tags if tag in rank), default=None)
        if place is None:
            continue
        key = (-place, build)
        if best is None or key > best[0]:
            best = (key, file)
    return best[1] if best else None


def _distribution(
    name: str, version: str, kind: str, filename: str, file: "PackageWheel | PackageSdist | PackageArchive", root: Path
) -> LockedDistribution:
    path = Path(os.path.normpath(root / file.path)) if file.path else None
    urls = (file.url,) if file.url else (path.as_uri(),) if path else ()
    return LockedDistribution(
        name=name,
        version=version,
        kind=kind,
        filename=filename,
        urls=urls,
        sha256=str(file.hashes["sha256"]).lower(),
        size=file.size,
        path=path,
        subdirectory=getattr(file, "subdirectory", None) or "",
    )


def _source(package: "Package", version: str, root: Path) -> LockedDistribution:
    if package.directory is not None:
        path = Path(os.path.normpath(root / package.directory.path))
        return LockedDistribution(package.name, version, "directory", path=path, subdirectory=package.directory.subdirectory or "")
    vcs = package.vcs
    assert vcs is not None  # noqa: S101
    place = Path(os.path.normpath(root / vcs.path)) if vcs.path else None
    urls = (vcs.url,) if vcs.url else ()
    return LockedDistribution(
        package.name, version, "vcs", urls=urls, path=place, subdirectory=vcs.subdirectory or "", commit=vcs.commit_id
    )


def _archive_name(archive: "PackageArchive") -> str:
    from urllib.parse import unquote, urlsplit

    return (archive.path or unquote(urlsplit(archive.url or "").path)).rpartition("/")[2]


def _tags(package: "Package") -> "list[Tag]":
    from packaging.utils import parse_wheel_filename

    names = [wheel.filename for wheel in package.wheels or ()]
    if package.archive is not None and (name := _archive_name(package.archive)).endswith(".whl"):
        names.append(name)
    return [tag for name in names for tag in parse_wheel_filename(name)[3]]
