"""Debian's archive: InRelease -> Packages -> packages, each checked against a hash that the signed release vouches for."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from functools import partial

import msgspec
from msgspec.structs import replace

from shipwheel.debian.downloads import package_downloads
from shipwheel.debian.mirror import MIRROR_VARIABLE, DebianMirror
from shipwheel.debian.package_index import Contents, DebianPackageIndex, parse_row
from shipwheel.debian.release import Release, check_age, check_rollback, parse_release, verify_release
from shipwheel.debian.tables import TABLE_VERSION, contents_table, find_paths, packages_table
from shipwheel.digest import Digest, sha256_digest
from shipwheel.download.fetch import Download, fetch, fetch_bytes, probe
from shipwheel.errors import FetchError, SignatureError
from shipwheel.events import Reporter, Warned, silent
from shipwheel.platform import Platform
from shipwheel.store.store import Store
from shipwheel.suites import Suite

__all__ = ["Archive"]

_MAX_RELEASE_BYTES = 8 << 20
_DATES = "debian-release-date"
_CONTENTS = f"debian-contents-{TABLE_VERSION}"
_PROBED_PACKAGES = 12
"""Security updates of an old suite that are looked for. Removal takes weeks, architecture by architecture."""


class _SignedRelease(msgspec.Struct, frozen=True):
    """One of the releases that a suite consists of: the suite itself, its updates or its security updates."""

    archive: str
    codename: str
    release: Release

    def label(self, path: str) -> str:
        """Return the name of a file of this release for errors and progress."""
        return f"Debian {self.codename} {path}"

    def download(self, mirror: DebianMirror, path: str) -> Download:
        """Return how to download a file of this release; by-hash URLs come first, since they survive an update of the mirror."""
        digest, size = self.release.files[path]
        directory = path.rpartition("/")[0]
        by_hash = [f"{directory}/by-hash/SHA256/{digest}"] if self.release.by_hash else []
        roots = [f"{each.base(self.archive)}/dists/{self.codename}" for each in mirror.with_fallbacks]
        urls = tuple(f"{root}/{file}" for root in roots for file in (*by_hash, path))
        return Download(urls, sha256_digest(digest), size, self.label(path))


class Archive:
    """Reads Debian's archive through a mirror.

    The store keeps the tables made from Packages and Contents files under the hash of the file. `keyring` replaces Debian's keys; with
    `allow_stale`, a release far past its Valid-Until is still accepted. `as_of` is the day that the user wants the packages of, if any.

    The store also keeps the date of the newest release of each suite that was read, and an older one is refused.
    """

    def __init__(
        self,
        mirror: DebianMirror,
        store: Store,
        reporter: Reporter = silent,
        *,
        keyring: bytes | None = None,
        allow_stale: bool = False,
        as_of: date | None = None,
    ) -> None:
        self.mirror = mirror
        self.store = store
        self.reporter = reporter
        self._keyring = keyring
        self._allow_stale = allow_stale
        self._as_of = as_of
        self._lock = threading.Lock()
        self._releases: dict[str, tuple[_SignedRelease, ...]] = {}
        self._unlisted: dict[Digest, Digest] = {}
        """Contents files that the mirror has another version of: the digest in the release -> that of the file."""

    def package_index(self, suite: Suite, platform: Platform) -> DebianPackageIndex:
        """Return the suite's packages for a platform.

        Releases are fetched and verified once for all platforms; the Contents file is fetched when the index is asked for a soname. Raise
        FetchError, IntegrityError or SignatureError.
        """
        releases = self._suite_releases(suite)
        files = [(release, path) for release in releases for path in self._packages_paths(release, platform, suite)]
        label = f"Debian {suite.codename} {platform.architecture}"
        tables = self._packages_tables(files)
        if datetime.now(UTC).date() > suite.supported_until:
            tables = self._still_there(tables, label)
        return DebianPackageIndex(label, tables, lambda: self._contents(releases[0], platform), partial(self._paths, releases[0], platform))

    def _suite_releases(self, suite: Suite) -> tuple[_SignedRelease, ...]:
        with self._lock:
            if suite.codename not in self._releases:
                pairs = suite.releases()
                with ThreadPoolExecutor(len(pairs)) as pool:
                    releases = list(pool.map(lambda pair: self._fetch_release(pair[0], pair[1], suite), pairs))
                self._releases[suite.codename] = tuple(release for release in releases if release is not None)
            return self._releases[suite.codename]

    def _fetch_release(self, archive: str, codename: str, suite: Suite) -> _SignedRelease | None:
        """Return a verified release, or None for the updates or the security archive of a suite in testing that has none."""
        name = f"Debian {codename} InRelease"
        try:
            release = self._verified_release(archive, codename, name)
        except FetchError as error:
            if error.not_found and codename != suite.codename and not suite.released:
                return None
            error.hint = f"Check the network, or use another mirror: {MIRROR_VARIABLE}, or the setting debian-mirror."
            raise
        warning = check_age(release, name, datetime.now(UTC), allow_stale=self._allow_stale)
        if warning is not None:
            self.reporter(warning)
        return _SignedRelease(archive, codename, release)

    def _verified_release(self, archive: str, codename: str, name: str) -> Release:
        """Return the release of the first mirror that has a correctly signed one; raise the last mirror's error if none has."""
        *others, last = self.mirror.with_fallbacks
        for mirror in others:
            try:
                return self._read_release(mirror, archive, codename, name)
            except (FetchError, SignatureError) as error:
                self.reporter(Warned(f"trying another Debian mirror: {error.message}"))
        return self._read_release(last, archive, codename, name)

    def _read_release(self, mirror: DebianMirror, archive: str, codename: str, name: str) -> Release:
        signed = fetch_bytes(f"{mirror.base(archive)}/dists/{codename}/InRelease", label=name, limit=_MAX_RELEASE_BYTES)
        release = parse_release(verify_release(signed, name, self._keyring), name, codename)
        newest = self.store.get_as(_DATES, f"{archive}.{codename}", datetime)
        if not self._allow_stale:
            check_rollback(release, name, newest, self._as_of)
        if release.date is not None and (newest is None or release.date > newest):
            self.store.put(_DATES, f"{archive}.{codename}", msgspec.json.encode(release.date))
        return release

    def _packages_paths(self, signed: _SignedRelease, platform: Platform, suite: Suite) -> Iterator[str]:
        path = f"main/binary-{platform.architecture}/Packages.xz"
        if path in signed.release.files:
            yield path
        elif suite.released or signed.codename == suite.codename:
            raise FetchError(
                f"Debian {signed.codename} has no packages for {platform.architecture} on this mirror",
                hint=f"The mirror may carry only some architectures: use another one ({MIRROR_VARIABLE}).",
            )
        # "No-Support-for-Architecture-all: Packages" means that the other Packages files have those packages too.
        if signed.release.separate_all and "main/binary-all/Packages.xz" in signed.release.files:
            yield "main/binary-all/Packages.xz"

    def _packages_tables(self, files: Sequence[tuple[_SignedRelease, str]]) -> list[tuple[str, bytes]]:
        kind = f"debian-packages-{TABLE_VERSION}"
        missing = [(signed, path) for signed, path in files if self.store.get(kind, signed.release.files[path][0]) is None]
        fetch([signed.download(self.mirror, path) for signed, path in missing], self.store, self.reporter, stage="lists")
        for signed, path in missing:
            digest = signed.release.files[path][0]
            self.store.put(kind, digest, packages_table(self.store.chunks(sha256_digest(digest)), signed.label(path)))
        return [(signed.archive, self.store.get(kind, signed.release.files[path][0]) or b"") for signed, path in files]

    def _still_there(self, tables: Sequence[tuple[str, bytes]], label: str) -> list[tuple[str, bytes]]:
        """Return the tables without that of security updates which the mirror has removed: of an old suite, only the main archive stays."""
        gone = [table for table in tables if table[0] == "debian-security" and self._is_removed(table)]
        if gone:
            self.reporter(
                Warned(
                    f"{label} is not supported any more, and the mirror has removed its security updates: the image lacks them",
                    hint="A newer Python is on a suite that Debian supports: try --python 3.11.",
                )
            )
        return [table for table in tables if table not in gone]

    def _is_removed(self, table: tuple[str, bytes]) -> bool:
        """Return whether the mirror lacks any of some packages in a table."""
        rows = table[1].splitlines()
        downloads = package_downloads([parse_row(table[0], row) for row in rows[:: len(rows) // _PROBED_PACKAGES + 1]], self.mirror)
        with ThreadPoolExecutor(_PROBED_PACKAGES) as pool:
            return any(pool.map(_is_missing, downloads))

    def _contents(self, signed: _SignedRelease, platform: Platform) -> Contents:
        path = _contents_path(platform)
        if path not in signed.release.files:
            raise FetchError(f"Debian {signed.codename} has no {path}", hint=f"Use another mirror ({MIRROR_VARIABLE}).")
        listed = signed.download(self.mirror, path)
        if (table := self._contents_table(listed.digest)) is not None:
            return Contents(table)
        digest = self._contents_file(listed)
        if (table := self._contents_table(digest)) is None:
            table = contents_table(self.store.chunks(digest), platform.multiarch, listed.label)
            self.store.put(_CONTENTS, digest.partition(":")[2], table)
        return Contents(table, is_listed=digest == listed.digest)

    def _contents_table(self, digest: Digest) -> bytes | None:
        """Return the table of a Contents file, which is made once: it takes seconds. None if it was not made yet."""
        return self.store.get(_CONTENTS, digest.partition(":")[2])

    def _contents_file(self, listed: Download) -> Digest:
        """Fetch a Contents file once. Return its digest, which differs from that in the release on mirrors just after a point release.

        This is safe: the file only tells in which package to look for a path. The package's own hash is signed, and the package is used
        only if it has the path. With an older file a library can be missed, so its table is marked.
        """
        if (known := self._unlisted.get(listed.digest)) is not None:
            return known
        try:
            # Under its plain name is another version if the one named after its hash is gone: each attempt would read all of it.
            fetch([replace(listed, urls=listed.urls[:1])], self.store, self.reporter, stage="lists")
        except FetchError:
            found = self._unlisted[listed.digest] = self.store.add(fetch_bytes(listed.urls[-1], label=listed.label))
            return found
        return listed.digest

    def _paths(self, signed: _SignedRelease, platform: Platform, pattern: bytes) -> dict[str, frozenset[str]]:
        """Return the paths of the suite that a regular expression matches, with their packages; those of architecture `all` are missing."""
        path = _contents_path(platform)
        if path not in signed.release.files:
            return {}
        listed = signed.download(self.mirror, path)
        return find_paths(self.store.chunks(self._contents_file(listed)), pattern, listed.label)


def _contents_path(platform: Platform) -> str:
    return f"main/Contents-{platform.architecture}.gz"


def _is_missing(download: Download) -> bool:
    try:
        probe(download.urls, download.label)
    except FetchError as error:
        return error.not_found
    return False
