"""Select the files of a lock for each target, by the target's markers and tags and never by the host's.

Nothing is downloaded. Packages without a usable file are collected over all targets and reported in one error.
"""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec.structs import replace

from shipwheel.digest import Digest, Sha256, as_sha256, sha256_digest
from shipwheel.errors import LockError
from shipwheel.locking.no_compatible_file import (
    Mismatch,
    MissingFile,
    NoCompatibleFile,
    find_mismatch,
    only_for_other_machines,
    only_for_other_systems,
    system_names,
)
from shipwheel.locking.pylock import Lock
from shipwheel.locking.target import Target

if TYPE_CHECKING:
    from packaging.pylock import Package, PackageArchive, PackageSdist, PackageWheel
    from packaging.tags import Tag

T = TypeVar("T")

__all__ = ["LeftOut", "LockedDistribution", "Selection", "missing_wheel", "requirers", "select", "select_all"]


class LockedDistribution(msgspec.Struct, frozen=True):
    """A file of the lock (`kind` wheel or sdist), or a source (`kind` directory or vcs) that a wheel is built from.

    `urls` are tried in order, a local file has a file: URL. `sha256` is hex; `size` is in bytes, None where the lock does not say.
    `uploaded` is the day of its publication, None where the lock does not say. `path` is a directory or local file, `subdirectory` is
    relative to it. `commit` is that of a repository, `revision` the branch or tag that the requirement names. `is_direct` is true for a
    file that a requirement names, instead of an index.
    """

    name: str
    version: str
    kind: str
    filename: str = ""
    urls: tuple[str, ...] = ()
    sha256: Sha256 | None = None
    size: int | None = None
    path: Path | None = None
    subdirectory: str = ""
    commit: str = ""
    revision: str = ""
    is_direct: bool = False
    uploaded: date | None = None

    @property
    def digest(self) -> Digest | None:
        """The digest of the file; None for a directory or a repository."""
        return sha256_digest(self.sha256) if self.sha256 is not None else None

    @property
    def label(self) -> str:
        """The name and the version: `numpy 1.26.4`."""
        return f"{self.name} {self.version}".strip()


class LeftOut(msgspec.Struct, frozen=True):
    """A package of a frozen list that a target can neither use nor needs; `wanted_by` are the lines and packages that require it."""

    name: str
    version: str
    reason: str
    wanted_by: tuple[str, ...]


class Selection(msgspec.Struct, frozen=True):
    """The distributions for one target, in the order of the lock."""

    target: Target
    distributions: tuple[LockedDistribution, ...]
    left_out: tuple[LeftOut, ...] = ()


def select(lock: Lock, target: Target) -> Selection:
    """Return the distributions for one target. Raise NoCompatibleFile if files are missing, LockError for an invalid lock."""
    return select_all(lock, [target])[0]


def select_all(lock: Lock, targets: Sequence[Target]) -> tuple[Selection, ...]:
    """Return the distributions for each target.

    Raise one NoCompatibleFile for all files that are missing for any target, LockError for an invalid lock.
    """
    selections = []
    missing: dict[MissingFile, list[Target]] = {}
    for target in targets:
        selection, problems = _Selector(lock, target).select()
        selections.append(selection)
        for problem in problems:
            missing.setdefault(problem, []).append(target)
    if missing:
        raise NoCompatibleFile(missing, targets, lock=lock)
    return tuple(selections)


def requirers(lock: Lock, target: Target, name: str) -> tuple[tuple[str, ...], str]:
    """Return what requires a package on a target, and the shortest path of dependencies from the project to it.

    Both are empty if the package is not needed on the target.
    """
    selector = _Selector(lock, target)
    return (tuple(selector.requirers(name)), selector.chain(name)) if name in selector.active else ((), "")


def missing_wheel(lock: Lock, target: Target, name: str) -> MissingFile | None:
    """Return what a package that is built from its source lacks on a target; None if it is not needed there or has a wheel."""
    selector = _Selector(lock, target)
    package = selector.active.get(name)
    return selector.missing_wheel(package) if package is not None else None


class _Selector:
    """The packages of a lock whose markers hold for one target, and the graph of their dependencies."""

    def __init__(self, lock: Lock, target: Target) -> None:
        self.lock = lock
        self.target = target
        self.root = lock.path.parent.resolve()
        self.holds = _evaluator(target, lock)
        self.rank = {tag: number for number, tag in enumerate(target.tags())}
        self.active: dict[str, Package] = {package.name: package for package in self._active()}
        self.parents = _parents(self.active, self.holds)
        self.required_names = frozenset(edge.get("name") for package in lock.packages for edge in package.dependencies or ())

    def _active(self) -> "Iterator[Package]":
        seen: dict[str, str] = {}
        for package in self.lock.packages:
            if package.marker is not None and not self.holds(str(package.marker)):
                continue
            version = str(package.version or "")
            if package.name in seen:
                raise LockError(
                    f"{self.lock.path.name} has two versions of {package.name} for {self.target}: {seen[package.name]} and {version}",
                    hint=f"Delete {self.lock.path.name} and build again.",
                )
            seen[package.name] = version
            yield package

    def select(self) -> tuple[Selection, list[MissingFile]]:
        """Return the selection, and the packages that should be in it but have no usable file."""
        files = {name: self._file(package) for name, package in self.active.items()}
        names = {name for name, file in files.items() if file is not None}
        left_out, missing = {}, []
        for name, file in files.items():
            package = self.active[name]
            if (file is None or _only_for(package)) and self._may_be_left_out(package, names):
                left_out[name] = self._left_out(package)
            elif file is None:
                missing.append(self._missing(package))
        selected = tuple(file for name, file in files.items() if file is not None and name not in left_out)
        return Selection(self.target, selected, tuple(left_out.values())), missing

    def _file(self, package: "Package") -> LockedDistribution | None:
        """Return the best file of a package for the target; its sdist if it has no wheel, or if none fits and it is to be compiled."""
        version = str(package.version or "")
        if self._excludes_python(package):
            return None
        if package.directory is not None or package.vcs is not None:
            return _source(package, version, self.root)
        if package.archive is not None:
            name = _archive_name(package.archive)
            kind = "wheel" if name.endswith(".whl") else "sdist"
            if kind == "wheel" and _best([(name, package.archive)], self.rank) is None:
                return None
            return replace(_distribution(package.name, version, kind, name, package.archive, self.root), is_direct=True)
        wheel = _best([(wheel.filename, wheel) for wheel in package.wheels or ()], self.rank)
        if wheel is not None:
            return _distribution(package.name, version, "wheel", wheel.filename, wheel, self.root)
        if package.sdist is not None and (not package.wheels or package.name in self.lock.compiled):
            return _distribution(package.name, version, "sdist", package.sdist.filename, package.sdist, self.root)
        return None

    def _may_be_left_out(self, package: "Package", selected: Collection[str]) -> bool:
        """Return whether a frozen list has the package only because the system or the machine that it was written on needs it.

        A package that no other package anywhere depends on is what the application itself requires: it may be left out if its files are
        for other systems, but not if they are for other machines.
        """
        serves_linux = _own_table(package).get("serves-linux", False)
        if not self.lock.frozen or serves_linux or any(name in selected for name in self.parents[package.name]):
            return False
        tags = _tags(package)
        return (
            bool(_only_for(package))
            or only_for_other_systems(tags)
            or (package.name in self.required_names and only_for_other_machines(tags, self.target))
        )

    def _left_out(self, package: "Package") -> LeftOut:
        tags = _tags(package)
        systems = _only_for(package) or (system_names(tags) if only_for_other_systems(tags) else "")
        files = f"its files are for {systems} only" if systems else f"it has no file for {self.target.platform.machine}"
        reason = f"{files}, and no selected package needs it"
        return LeftOut(package.name, str(package.version or ""), reason, tuple(self.requirers(package.name)))

    def requirers(self, name: str) -> list[str]:
        """Return the line of the project that requires a package, and the labels of the packages that depend on it."""
        line = self.lock.roots.get(name)
        return [*([line] if line else []), *(_label(self.active[parent]) for parent in self.parents[name])]

    def missing_wheel(self, package: "Package") -> MissingFile | None:
        """Return what a package of an index lacks that is not installed from a wheel; None for any other."""
        file = self._file(package)
        return self._missing(package) if file is not None and file.kind == "sdist" and not file.is_direct else None

    def _missing(self, package: "Package") -> MissingFile:
        mismatch, reason = self._mismatch(package)
        wheels = tuple(wheel.filename for wheel in package.wheels or ())
        sdist = package.sdist.filename if package.sdist is not None else ""
        chain, version = self.chain(package.name), str(package.version or "")
        can_compile, published, size = self._can_be_compiled(package), _published(package), _size(package)
        return MissingFile(package.name, version, mismatch, reason, wheels, sdist, chain, can_compile, published, size)

    def _can_be_compiled(self, package: "Package") -> bool:
        """Return whether a package has a source that can serve Linux and this Python.

        Many projects publish wheels for Windows alone, where nobody has a compiler. Only in a list that another system wrote can such a
        package be one that Linux cannot have.
        """
        others_only = only_for_other_systems(_tags(package)) or bool(_only_for(package))
        serves_linux = not others_only or not self.lock.frozen or _own_table(package).get("serves-linux", False)
        return package.sdist is not None and serves_linux and not self._excludes_python(package)

    def _mismatch(self, package: "Package") -> tuple[Mismatch, str]:
        if self._excludes_python(package):
            return Mismatch.PYTHON, f"it needs Python {package.requires_python}"
        return find_mismatch(_tags(package), self.target)

    def _excludes_python(self, package: "Package") -> bool:
        return package.requires_python is not None and not package.requires_python.contains(self.target.python, prereleases=True)

    def chain(self, name: str) -> str:
        """Return the shortest path of dependencies from the project to a package: `pyproject.toml → service 1.0 → numpy 1.26.4`."""
        paths = {name: [_label(self.active[name])]}
        queue = [name]
        # A frozen list names every package, so the package that depends on this one says more.
        skipped = {name} if self.lock.frozen and self.parents.get(name) else set()
        for item in queue:
            if item in self.lock.roots and item not in skipped:
                return " → ".join([self.lock.roots[item], *reversed(paths[item])])
            for parent in self.parents.get(item, ()):
                if parent not in paths:
                    paths[parent] = [*paths[item], _label(self.active[parent])]
                    queue.append(parent)
        return self.lock.origin


def _own_table(package: "Package") -> Mapping[str, Any]:
    table: Mapping[str, Any] = (package.tool or {}).get("shipwheel", {})
    return table


def _only_for(package: "Package") -> str:
    """Return the systems that a source is for, as far as the wheels for other Python versions tell; empty if they do not."""
    return str(_own_table(package).get("only-for", ""))


def _published(package: "Package") -> date | None:
    """Return the day on which the newest file of a package was uploaded, None where the lock does not say."""
    times = [wheel.upload_time for wheel in package.wheels or ()]
    if package.sdist is not None:
        times.append(package.sdist.upload_time)
    return max((time.date() for time in times if time is not None), default=None)


def _size(package: "Package") -> int:
    """Return the size of the largest wheel of a package in bytes; 0 where the lock does not say."""
    return max((wheel.size or 0 for wheel in package.wheels or ()), default=0)


def _label(package: "Package") -> str:
    return f"{package.name} {package.version or ''}".strip()


def _evaluator(target: Target, lock: Lock) -> Callable[[str], bool]:
    from packaging.markers import Marker

    environment: dict[str, str | AbstractSet[str]] = {**target.markers(), **lock.chosen}
    results: dict[str, bool] = {}

    def holds(marker: str) -> bool:
        if marker not in results:
            results[marker] = Marker(marker).evaluate(dict(environment), context="lock_file")
        return results[marker]

    return holds


def _parents(active: "Mapping[str, Package]", holds: Callable[[str], bool]) -> dict[str, list[str]]:
    """Return for each package the names of those that depend on it on this target."""
    parents: dict[str, list[str]] = {name: [] for name in active}
    for name, package in active.items():
        for edge in package.dependencies or ():
            if edge.get("name") in parents and (not edge.get("marker") or holds(edge["marker"])):
                parents[edge["name"]].append(name)
    return parents


def _best(files: Iterable[tuple[str, T]], rank: "Mapping[Tag, int]") -> T | None:
    """Return the file whose best tag ranks first; among equals the one with the higher build tag (binary distribution format)."""
    from packaging.utils import parse_wheel_filename

    best: tuple[tuple[int, Any], T] | None = None
    for filename, file in files:
        _, _, build, tags = parse_wheel_filename(filename)
        best_rank = min((rank[tag] for tag in tags if tag in rank), default=None)
        if best_rank is None:
            continue
        key = (-best_rank, build)
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
        sha256=as_sha256(str(file.hashes["sha256"])),
        size=file.size,
        uploaded=file.upload_time.date() if file.upload_time is not None else None,
        path=path,
        subdirectory=getattr(file, "subdirectory", None) or "",
    )


def _source(package: "Package", version: str, root: Path) -> LockedDistribution:
    if package.directory is not None:
        path = Path(os.path.normpath(root / package.directory.path))
        return LockedDistribution(package.name, version, "directory", path=path, subdirectory=package.directory.subdirectory or "")
    vcs = package.vcs
    assert vcs is not None  # noqa: S101
    return LockedDistribution(
        name=package.name,
        version=version,
        kind="vcs",
        urls=(vcs.url,) if vcs.url else (),
        path=Path(os.path.normpath(root / vcs.path)) if vcs.path else None,
        subdirectory=vcs.subdirectory or "",
        commit=vcs.commit_id,
        revision=vcs.requested_revision or "",
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
