"""The differences between two locks."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from shipwheel.locking.pylock import Lock, file_name
from shipwheel.locking.selection import Selection

__all__ = ["Changes", "LockDiff", "PlatformDiff", "lock_diff"]


class Changes(msgspec.Struct, frozen=True):
    """Packages that were added or removed, as (name, version), and that moved, as (name, old version, new version)."""

    added: tuple[tuple[str, str], ...] = ()
    removed: tuple[tuple[str, str], ...] = ()
    moved: tuple[tuple[str, str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.moved)


class PlatformDiff(msgspec.Struct, frozen=True):
    """The differences on one platform: the bytes of all its distributions in the old and in the new lock, and the changes of both kinds.

    A number of bytes is None if a lock does not have all files for the platform.
    """

    platform: str
    before: int | None
    after: int | None
    distributions: Changes
    base: Changes

    @property
    def gained(self) -> bool:
        """True if only the new lock has all files for the platform."""
        return self.before is None and self.after is not None

    @property
    def lost(self) -> bool:
        """True if only the old lock has all files for the platform."""
        return self.before is not None and self.after is None


class LockDiff(msgspec.Struct, frozen=True):
    """The differences between two locks.

    `files` has the files that were added ("+name") and removed ("-name") for packages whose version is the same. `facts` are other
    properties that differ, as (property, old value, new value).
    """

    distributions: Changes
    files: Mapping[str, tuple[str, ...]]
    platforms: tuple[PlatformDiff, ...]
    facts: tuple[tuple[str, str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.distributions or self.files or self.facts or any(it.base or it.gained or it.lost for it in self.platforms))


def lock_diff(old: Lock, new: Lock, served: Mapping[str, tuple[Selection | None, Selection | None]]) -> LockDiff:
    """Return the differences; `served` has the selections from the old and the new lock by platform, None where files are missing."""
    facts = [(name, str(getattr(old, key)), str(getattr(new, key))) for name, key in (("Python", "python"), ("as of", "as_of"))]
    return LockDiff(
        distributions=_changes(_versions(old), _versions(new)),
        files=dict(_files(old, new)),
        platforms=tuple(_platform(name, old, new, *pair) for name, pair in served.items()),
        facts=tuple(fact for fact in facts if fact[1] != fact[2]),
    )


def _versions(lock: Lock) -> dict[str, str]:
    """Return the version of each package; several versions of one package are separated by commas."""
    found: dict[str, list[str]] = {}
    for package in lock.data.get("packages", []):
        found.setdefault(package["name"], []).append(_version(package))
    return {name: ", ".join(sorted(set(versions))) for name, versions in found.items()}


def _version(package: Mapping[str, Any]) -> str:
    """Return the version, with the commit if it is a repository."""
    version, commit = str(package.get("version", "")), str(package.get("vcs", {}).get("commit-id", ""))[:12]
    return f"{version} ({commit})" if version and commit else version or commit or "unversioned"


def _changes(old: Mapping[str, str], new: Mapping[str, str]) -> Changes:
    return Changes(
        added=tuple((name, version) for name, version in sorted(new.items()) if name not in old),
        removed=tuple((name, version) for name, version in sorted(old.items()) if name not in new),
        moved=tuple((name, old[name], version) for name, version in sorted(new.items()) if old.get(name, version) != version),
    )


def _files(old: Lock, new: Lock) -> Iterator[tuple[str, tuple[str, ...]]]:
    before, after = _hashes(old), _hashes(new)
    for key in sorted(before.keys() & after.keys()):
        added = [f"+{after[key][digest]}" for digest in after[key].keys() - before[key].keys()]
        removed = [f"-{before[key][digest]}" for digest in before[key].keys() - after[key].keys()]
        if added or removed:
            yield " ".join(key), (*sorted(removed), *sorted(added))


def _hashes(lock: Lock) -> dict[tuple[str, str], dict[str, str]]:
    """Return the names of all files by (name, version) and sha256."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for package in lock.data.get("packages", []):
        files = [*package.get("wheels", []), *(package[key] for key in ("sdist", "archive") if key in package)]
        known = found.setdefault((package["name"], _version(package)), {})
        known.update({str(file["hashes"]["sha256"]): file_name(file) for file in files})
    return found


def _platform(name: str, old: Lock, new: Lock, before: Selection | None, after: Selection | None) -> PlatformDiff:
    architecture = name.split("/")[1]
    return PlatformDiff(
        platform=name,
        before=_bytes(before),
        after=_bytes(after),
        distributions=_changes(_chosen(before), _chosen(after)) if before and after else Changes(),
        base=_changes(_base(old, architecture), _base(new, architecture)),
    )


def _chosen(selection: Selection) -> dict[str, str]:
    return {item.name: item.version for item in selection.distributions}


def _bytes(selection: Selection | None) -> int | None:
    return None if selection is None else sum(item.size or 0 for item in selection.distributions)


def _base(lock: Lock, architecture: str) -> dict[str, str]:
    """Return the parts of the base with their versions: Debian packages, a standalone Python, or an image with its Python and libc."""
    table = lock.base.get(architecture, {})
    packages: Sequence[Mapping[str, Any]] = table.get("packages", ())
    python: Mapping[str, Any] | None = table.get("standalone")
    own = {"Python (standalone)": f"{python['version']}+{python['release']}"} if python else {}
    if (image := table.get("image")) is not None:
        facts, libc = image["facts"], "musl" if image["facts"].get("musl") else "glibc"
        version = ".".join(map(str, facts["libc"]))
        own |= {f"the image {image['name']}": str(image["digest"])[:19], "its Python": facts["python"], f"its {libc}": version}
    return {**own, **{str(package["name"]): str(package["version"]) for package in packages}}
