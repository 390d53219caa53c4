"""What changed from one lock to another: a pure function of both."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shipwheel.lock.pylock import Lock
from shipwheel.lock.selection import Selection

__all__ = ["Changes", "LockDiff", "PlatformDiff", "lock_diff"]


@dataclass(frozen=True, slots=True)
class Changes:
    """What came, what went, what has another version: (name, version), and (name, old version, new version)."""

    added: tuple[tuple[str, str], ...] = ()
    removed: tuple[tuple[str, str], ...] = ()
    moved: tuple[tuple[str, str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.moved)


@dataclass(frozen=True, slots=True)
class PlatformDiff:
    """One platform: whether the old and the new lock serve it, its distributions' bytes in both, and the changes of its base.

    A number of bytes is None where a lock does not serve the platform.
    """

    platform: str
    before: int | None
    after: int | None
    distributions: Changes
    base: Changes

    @property
    def gained(self) -> bool:
        """Whether only the new lock serves it."""
        return self.before is None and self.after is not None

    @property
    def lost(self) -> bool:
        """Whether only the old lock serves it."""
        return self.before is not None and self.after is None


@dataclass(frozen=True, slots=True)
class LockDiff:
    """`files` has, for what kept its version, the files that came ("+name") and went ("-name"); `facts` what else is different."""

    distributions: Changes
    files: Mapping[str, tuple[str, ...]]
    platforms: tuple[PlatformDiff, ...]
    facts: tuple[tuple[str, str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.distributions or self.files or self.facts or any(it.base or it.gained or it.lost for it in self.platforms))


def lock_diff(old: Lock, new: Lock, served: Mapping[str, tuple[Selection | None, Selection | None]]) -> LockDiff:
    """The difference; `served` has each platform's selection from the old and the new lock, None where a lock does not serve it."""
    facts = [(name, str(getattr(old, key)), str(getattr(new, key))) for name, key in (("Python", "python"), ("as of", "as_of"))]
    return LockDiff(
        distributions=_changes(_versions(old), _versions(new)),
        files=dict(_files(old, new)),
        platforms=tuple(_platform(name, old, new, *pair) for name, pair in served.items()),
        facts=tuple(fact for fact in facts if fact[1] != fact[2]),
    )


def _versions(lock: Lock) -> dict[str, str]:
    """Name -> version; what is in the lock more than once has them all, comma-separated."""
    found: dict[str, list[str]] = {}
    for package in lock.data.get("packages", []):
        found.setdefault(package["name"], []).append(_version(package))
    return {name: ", ".join(sorted(set(versions))) for name, versions in found.items()}


def _version(package: Mapping[str, Any]) -> str:
    """The version, with the commit of a repository."""
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
        came = [f"+{after[key][digest]}" for digest in after[key].keys() - before[key].keys()]
        went = [f"-{before[key][digest]}" for digest in before[key].keys() - after[key].keys()]
        if came or went:
            yield " ".join(key), (*sorted(went), *sorted(came))


def _hashes(lock: Lock) -> dict[tuple[str, str], dict[str, str]]:
    """(name, version) -> sha256 -> file name."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for package in lock.data.get("packages", []):
        files = [*package.get("wheels", []), *(package[key] for key in ("sdist", "archive") if key in package)]
        known = found.setdefault((package["name"], _version(package)), {})
        known.update({str(file["hashes"]["sha256"]): _name(file) for file in files})
    return found


def _name(file: Mapping[str, Any]) -> str:
    return str(file.get("name") or file.get("url") or file.get("path")).rpartition("/")[2]


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
    """What the base consists of: packages, a standalone Python, or an image with the Python and the C library that it has."""
    table = lock.base.get(architecture, {})
    packages: Sequence[Mapping[str, Any]] = table.get("packages", ())
    python: Mapping[str, Any] | None = table.get("standalone")
    own = {"Python (standalone)": f"{python['version']}+{python['release']}"} if python else {}
    if (image := table.get("image")) is not None:
        facts, libc = image["facts"], "musl" if image["facts"].get("musl") else "glibc"
        version = ".".join(map(str, facts["libc"]))
        own |= {f"the image {image['name']}": str(image["digest"])[:19], "its Python": facts["python"], f"its {libc}": version}
    return {**own, **{str(package["name"]): str(package["version"]) for package in packages}}
