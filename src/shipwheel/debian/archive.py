"""Debian's archive: InRelease -> Packages -> packages, each checked against the signed hash of the one before it."""

import difflib
import hashlib
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property

from shipwheel.debian.mirror import MIRROR_VARIABLE, Mirror
from shipwheel.debian.package import DebianPackage
from shipwheel.debian.release import Release, check_age, parse_release, verified
from shipwheel.debian.tables import TABLE_VERSION, contents_table, packages_table
from shipwheel.debian.version import version_key
from shipwheel.download.fetch import Download, fetch, get, redacted
from shipwheel.errors import FetchError, SignatureError
from shipwheel.events import Reporter, Warned, silent
from shipwheel.platform import Platform
from shipwheel.store import Store
from shipwheel.suites import Suite

__all__ = ["Archive", "PackageIndex", "absent"]

PREFERRED = {
    "libjpeg.so.62": "libjpeg62-turbo",
    "libopenblas.so.0": "libopenblas0-pthread",
    "libsystemd.so.0": "libsystemd0",
    "libSDL-1.2.so.0": "libsdl1.2debian",
    "libjack.so.0": "libjack-jackd2-0",
}
"""Which package is meant by a soname that several have, where the general rule would choose another one than Debian does."""


def absent(error: FetchError) -> bool:
    """Whether a server, or a folder, said that it does not have a file."""
    return re.search(r"answered (404|410)\b|there is no file", error.message) is not None


class PackageIndex:
    """The packages of a suite for one architecture: main, updates and security as one."""

    def __init__(self, label: str, tables: Sequence[tuple[str, bytes]], contents: Callable[[], bytes]) -> None:
        self.label = label
        self._tables = tables
        self._contents = contents

    def newest(self, name: str) -> DebianPackage | None:
        """The newest version of a package, or None if the suite does not have it."""
        found = [_package(archive, row) for archive, row in self._rows.get(name.encode(), ())]
        return max(found, key=lambda package: version_key(package.version), default=None)

    def nearest(self, name: str) -> tuple[str, ...]:
        """Names like this one, nearest first."""
        return tuple(difflib.get_close_matches(name, [known.decode() for known in self._rows], n=3))

    def providers(self, soname: str) -> tuple[str, ...]:
        """The packages that have a library of this name in a loader directory, the one to take first.

        Several are in a fixed order: what Debian prefers, no development or debug package, the shortest name, the newest of numbered
        variants (libomp5-16 before libomp5-13).
        """
        names = self._sonames.get(soname.encode())
        if names is None:
            return ()
        preferred = PREFERRED.get(soname)
        known = [name for name in names.decode().split(",") if name.encode() in self._rows]
        return tuple(sorted(known, key=lambda name: (name != preferred, *_rank(name))))

    def sonames(self, stem: str) -> tuple[str, ...]:
        """The names under which the suite has a library, shortest first: `magic` -> `libmagic.so.1`, …"""
        start = b"lib%b.so." % stem.encode()
        return tuple(sorted((name.decode() for name in self._sonames if name.startswith(start)), key=lambda name: (len(name), name)))

    def is_library(self, name: str) -> bool:
        """Whether a package has a library in a loader directory."""
        return name.encode() in self._libraries

    def depends(self, package: DebianPackage) -> tuple[tuple[str, ...], ...]:
        """What a package depends on to be configured or to work: names, each group of which one is enough (deb-control(5))."""
        rows = [row.decode().split("\t") for _, row in self._rows.get(package.name.encode(), ())]
        # An older one, of a lock, depends on what the newest does.
        rows.sort(key=lambda row: row[1] == package.version)
        fields = rows[-1][7:] if rows else []
        groups = (group for field in fields for group in field.split(",") if group.strip())
        # "libc6 (>= 2.36) [linux-any] <!nocheck>", "python3:any"
        return tuple(tuple(re.split(r"[\s:(\[<]", choice.strip())[0] for choice in group.split("|")) for group in groups)

    @cached_property
    def _libraries(self) -> frozenset[bytes]:
        return frozenset(name for names in self._sonames.values() for name in names.split(b","))

    @cached_property
    def _rows(self) -> dict[bytes, list[tuple[str, bytes]]]:
        rows: dict[bytes, list[tuple[str, bytes]]] = {}
        for archive, table in self._tables:
            for line in table.splitlines():
                rows.setdefault(line[: line.index(b"\t")], []).append((archive, line))
        return rows

    @cached_property
    def _sonames(self) -> dict[bytes, bytes]:
        return dict(line.split(b"\t") for line in self._contents().splitlines())


def _rank(name: str) -> tuple[bool, int, int, str]:
    stem, _, number = name.rpartition("-")
    if not stem or not number.isdigit():
        stem, number = name, "0"
    return name.endswith(("-dev", "-dbg", "-dbgsym", "-debug", "-doc")), len(stem), -int(number), name


def _package(archive: str, row: bytes) -> DebianPackage:
    name, version, architecture, filename, sha256, size, source = row.decode().split("\t")[:7]
    return DebianPackage(name, version, architecture, filename, sha256, int(size), archive, source.partition(" ")[0] or name)


@dataclass(frozen=True, slots=True)
class _Part:
    """One release of a suite, with what is needed of it."""

    archive: str
    codename: str
    release: Release

    def download(self, mirror: Mirror, path: str) -> Download:
        digest, size = self.release.files[path]
        folder = path.rpartition("/")[0]
        places = [f"{folder}/by-hash/SHA256/{digest}"] if self.release.by_hash else []
        roots = [f"{each.base(self.archive)}/dists/{self.codename}" for each in (mirror, *mirror.others)]
        urls = tuple(f"{root}/{place}" for root in roots for place in (*places, path))
        return Download(urls, f"sha256:{digest}", size, f"Debian {self.codename} {path}")


class Archive:
    """Reads the archive through a mirror; tables are kept in the store, by the hash of the file they were made from."""

    def __init__(
        self,
        mirror: Mirror,
        store: Store,
        reporter: Reporter = silent,
        *,
        keyring: bytes | None = None,
        now: datetime | None = None,
        allow_stale: bool = False,
    ) -> None:
        self.mirror = mirror
        self.store = store
        self.reporter = reporter
        self._keyring = keyring
        self._now = now
        self._allow_stale = allow_stale
        self._lock = threading.Lock()
        self._known: dict[str, tuple[_Part, ...]] = {}

    def package_index(self, suite: Suite, platform: Platform) -> PackageIndex:
        """The suite's packages, from releases that are fetched and verified now, once for all platforms.

        Raises FetchError, IntegrityError, SignatureError. The Contents file is fetched only when a soname is asked for.
        """
        parts = self._parts(suite)
        listed = [(part, path) for part in parts for path in self._packages_paths(part, platform, suite)]
        tables = self._packages_tables(listed)
        return PackageIndex(f"Debian {suite.codename} {platform.architecture}", tables, lambda: self._contents(parts[0], platform))

    def _parts(self, suite: Suite) -> tuple[_Part, ...]:
        with self._lock:
            if suite.codename not in self._known:
                wanted = suite.releases()
                with ThreadPoolExecutor(len(wanted)) as pool:
                    found = list(pool.map(lambda pair: self._part(pair[0], pair[1], suite), wanted))
                self._known[suite.codename] = tuple(part for part in found if part is not None)
            return self._known[suite.codename]

    def _part(self, archive: str, codename: str, suite: Suite) -> _Part | None:
        name = f"Debian {codename} InRelease"
        try:
            release = self._release(archive, codename, name)
        except FetchError as error:
            if absent(error) and codename != suite.codename and not suite.settled:
                return None
            error.hint = f"Check the network, or use another mirror: {MIRROR_VARIABLE}, or the setting debian-mirror."
            raise
        warning = check_age(release, name, self._now or datetime.now(UTC), allow_stale=self._allow_stale)
        if warning is not None:
            self.reporter(warning)
        return _Part(archive, codename, release)

    def _release(self, archive: str, codename: str, name: str) -> Release:
        """Of the first mirror that has one which is signed; its error when there is no other mirror."""
        for number, mirror in enumerate((self.mirror, *self.mirror.others)):
            try:
                signed = get(f"{mirror.base(archive)}/dists/{codename}/InRelease", label=name, limit=8 << 20)
                return parse_release(verified(signed, name, self._keyring), name, codename)
            except (FetchError, SignatureError) as error:
                if number == len(self.mirror.others):
                    raise
                self.reporter(Warned(f"another Debian mirror is asked: {error.message}"))
        raise AssertionError("unreachable")

    def _packages_paths(self, part: _Part, platform: Platform, suite: Suite) -> Iterable[str]:
        path = f"main/binary-{platform.architecture}/Packages.xz"
        if path in part.release.files:
            yield path
        elif suite.settled or part.codename == suite.codename:
            raise FetchError(
                f"Debian {part.codename} has no packages for {platform.architecture} on this mirror",
                hint="The mirror may hold some architectures only: use another one (SHIPWHEEL_DEBIAN_MIRROR).",
            )
        # "No-Support-for-Architecture-all: Packages": those are in the other files too.
        if part.release.all_apart and "main/binary-all/Packages.xz" in part.release.files:
            yield "main/binary-all/Packages.xz"

    def _packages_tables(self, listed: Sequence[tuple[_Part, str]]) -> list[tuple[str, bytes]]:
        kind = f"debian-packages-{TABLE_VERSION}"
        missing = [(part, path) for part, path in listed if self.store.get(kind, part.release.files[path][0]) is None]
        fetch([part.download(self.mirror, path) for part, path in missing], self.store, self.reporter, stage="lists")
        for part, path in missing:
            digest = part.release.files[path][0]
            self.store.put(kind, digest, packages_table(self.store.chunks(f"sha256:{digest}"), f"Debian {part.codename} {path}"))
        return [(part.archive, self.store.get(kind, part.release.files[path][0]) or b"") for part, path in listed]

    def _contents(self, part: _Part, platform: Platform) -> bytes:
        kind, path = f"debian-contents-{TABLE_VERSION}", f"main/Contents-{platform.architecture}.gz"
        if path not in part.release.files:
            raise FetchError(f"Debian {part.codename} has no {path}", hint="Use another mirror (SHIPWHEEL_DEBIAN_MIRROR).")
        digest, name = part.release.files[path][0], f"Debian {part.codename} {path}"
        table = self.store.get(kind, digest)
        if table is not None:
            return table
        download = part.download(self.mirror, path)
        try:
            fetch([replace(download, urls=download.urls[:1])], self.store, self.reporter, stage="lists")
        except FetchError:
            return self._other_contents(download, platform)
        table = contents_table(self.store.chunks(f"sha256:{digest}"), platform.multiarch, name)
        self.store.put(kind, digest, table)
        return table

    def _other_contents(self, download: Download, platform: Platform) -> bytes:
        """What the mirror has in the place of the Contents file that the release lists, as happens for some days after a point release.

        Nothing of it ends in an image: it only says in which package to look for a library. The package's own hash is signed, and it is
        taken only if the library is in it. So an older file can make a library be missed, which is reported, and no more.
        """
        data = get(download.urls[-1], label=download.label)
        if f"sha256:{hashlib.sha256(data).hexdigest()}" != download.digest:
            self.reporter(
                Warned(
                    f"{download.label} of {redacted(self.mirror.debian)} is not what its release lists: a newer library may be missed",
                    hint="The mirror is being updated: try again later, or use another mirror (SHIPWHEEL_DEBIAN_MIRROR).",
                )
            )
        return contents_table([data], platform.multiarch, download.label)
