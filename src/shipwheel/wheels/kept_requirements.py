"""The wheels that a build requires, kept in the store, so that the build can run again on a machine without a network.

A build as a rule leaves them to uv, which keeps them in a cache of its own.
"""

import hashlib
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit

import msgspec

from shipwheel.digest import Digest, as_sha256, sha256_digest
from shipwheel.locking import uv
from shipwheel.store.store import Store

__all__ = ["KEPT_RECORD", "KeptRequirements", "KeptWheel"]

KEPT_RECORD = "build-requirements"
"""The kind of the store's records of kept wheels."""


class KeptWheel(msgspec.Struct, frozen=True):
    """The wheel of a build requirement, or of what that depends on. `size` in bytes, None if the index does not say."""

    filename: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.+!-]*\.whl\Z")]
    digest: Digest
    url: str = ""
    size: int | None = None


class KeptRequirements(msgspec.Struct, frozen=True):
    """The kept wheels of the builds with one minor version of Python.

    With `fetch`, which brings wheels into the store, those of each build are resolved, fetched and collected in `kept`, by the key of the
    record that another store will have. Without it, that record is looked up.
    """

    store: Store
    minor: str
    fetch: Callable[[Sequence[KeptWheel]], None] | None = None
    kept: dict[str, tuple[KeptWheel, ...]] = msgspec.field(default_factory=dict)
    crates: dict[str, Digest] = msgspec.field(default_factory=dict)
    """The archives in the store of the crates that builds in Rust need, by the keys of the records that another store will have."""

    def find(
        self,
        requirements: Path,
        python: Sequence[str],
        exclude_newer: str | None,
        settings: Mapping[str, Any],
        platforms: Sequence[str] | None = None,
    ) -> tuple[KeptWheel, ...]:
        """Return the wheels of a list of requirements, all of which the store has; none if they are not kept.

        `python` are uv's options for the interpreter, `platforms` the platform tags of its wheels, best first, by default this machine's.
        uv finds `settings` beside `requirements`. Raise UvFailed, FetchError.
        """
        key = self.key(requirements, exclude_newer, settings)
        if self.fetch is None:
            found = self.store.get_as(KEPT_RECORD, key, tuple[KeptWheel, ...]) or ()
            return found if all(self.store.has(wheel.digest) for wheel in found) else ()
        wheels = tuple(_suitable(uv.list_wheels(python, requirements, exclude_newer), self.minor, platforms))
        self.fetch(wheels)
        # Without their URLs, which may be paths of this machine, or have a signature.
        self.kept[key] = tuple(KeptWheel(wheel.filename, wheel.digest) for wheel in wheels)
        return wheels

    def key(self, requirements: Path, exclude_newer: str | None, settings: Mapping[str, Any]) -> str:
        """Return the key of the record of a list of requirements."""
        stated = msgspec.json.encode(settings, order="sorted").decode()
        facts = (self.minor, str(exclude_newer), requirements.read_text(encoding="utf-8"), stated)
        return hashlib.sha256("\0".join(facts).encode()).hexdigest()

    def write(self, wheels: Sequence[KeptWheel], folder: Path) -> None:
        """Write wheels into a new directory. Raise DamagedBlob."""
        folder.mkdir()
        for wheel in wheels:
            (folder / wheel.filename).write_bytes(self.store.read(wheel.digest))


def _suitable(pylock: str, minor: str, platforms: Sequence[str] | None) -> Iterator[KeptWheel]:
    """Yield the wheel of each package of a pylock.toml that fits the platform tags best."""
    from packaging.tags import compatible_tags, cpython_tags
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    major, number = map(int, minor.split(".")[:2])
    version, interpreter = (major, number), f"cp{major}{number}"
    tags = (*cpython_tags(version, platforms=platforms), *compatible_tags(version, interpreter, platforms))
    rank = {tag: place for place, tag in reversed([*enumerate(tags)])}
    for package in tomllib.loads(pylock).get("packages", ()):
        ranked = []
        for wheel in package.get("wheels", ()):
            name, sha256 = unquote(urlsplit(wheel["url"]).path.rpartition("/")[2]), as_sha256(wheel.get("hashes", {}).get("sha256", ""))
            try:
                places = [rank[tag] for tag in parse_wheel_filename(name)[3] if tag in rank]
            except InvalidWheelFilename:
                continue
            if places and sha256 is not None:
                ranked.append((min(places), KeptWheel(name, sha256_digest(sha256), wheel["url"], wheel.get("size"))))
        if ranked:
            yield min(ranked, key=lambda each: each[0])[1]
