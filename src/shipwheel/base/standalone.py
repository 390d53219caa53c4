"""Pythons that no Debian suite has: a standalone build upon a base of Debian packages without their Python.

Which builds there are, and where, uv knows; or they lie on disk, where the setting `python-builds` says. A build is chosen once, the
newest, and pinned by its hash in the lock, which has no address: a mirror may change.
"""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit
from urllib.request import url2pathname

import msgspec

from shipwheel.base.base import Base, DebianBases, read_base
from shipwheel.base.standalone_archive import Standalone, parsed_name
from shipwheel.errors import FetchError, IntegrityError
from shipwheel.events import Reporter, StageFinished, StageStarted
from shipwheel.lock import uv
from shipwheel.lock.pylock import Lock
from shipwheel.platform import Platform
from shipwheel.project.detect import Project
from shipwheel.project.indexes import uv_files
from shipwheel.project.python_version import allowed_pythons
from shipwheel.store import Store
from shipwheel.suites import Suite
from shipwheel.versions import minor_version

__all__ = ["StandaloneBases", "fetch_standalone", "find_builds", "pinned_version"]

_SUMS = "SHA256SUMS"


@dataclass(frozen=True, slots=True)
class _Offer:
    """A build that can be had: at an address, or as a file on disk. `key` is uv's name of it, empty for a file."""

    build: Standalone
    url: str
    key: str = ""

    @property
    def path(self) -> Path | None:
        """The file on disk."""
        return _local(self.url)


class StandaloneBases:
    """See build.base.Bases: a suite's packages, and the newest build of the project's Python version."""

    def __init__(self, project: Project, debian: DebianBases, reporter: Reporter) -> None:
        self._project = project
        self._debian = debian
        self._reporter = reporter

    def bases(self, platforms: Sequence[Platform], lock: Lock | None, extra: Sequence[str], *, upgrade: bool) -> list[Base]:
        """See Bases. Raises FetchError, with what can be had, when there is no such build for a platform."""
        builds = self._builds(platforms, None if upgrade else lock)
        found = self._debian.bases(platforms, lock, extra, upgrade=upgrade)
        return [
            base if base.standalone == build else replace(base, standalone=build, locked=False)
            for base, build in zip(found, builds, strict=True)
        ]

    def debian(self, suite: Suite) -> DebianBases:
        """See Bases."""
        return self._debian.debian(suite)

    def _builds(self, platforms: Sequence[Platform], lock: Lock | None) -> list[Standalone]:
        tables = [read_base(lock, platform) if lock is not None else None for platform in platforms]
        known = {
            platform: table.standalone
            for platform, table in zip(platforms, tables, strict=True)
            if table is not None and table.standalone is not None and _wanted(table.standalone, self._project)
        }
        if len({build.version for build in known.values()}) > 1:
            known = {}
        missing = [platform for platform in platforms if platform not in known]
        if missing:
            self._reporter(StageStarted("python"))
            known |= self._found(missing, next(iter(known.values()), None)) or dict(
                zip(platforms, find_builds(self._project, platforms), strict=True)
            )
            self._reporter(StageFinished("python", known[platforms[0]].label))
        return [known[platform] for platform in platforms]

    def _found(self, missing: Sequence[Platform], like: Standalone | None) -> dict[Platform, Standalone]:
        """A platform that is asked for anew gets the version that the others have; empty when it is not there."""
        if like is None:
            return {}
        try:
            return dict(zip(missing, find_builds(replace(self._project, python=like.version), missing), strict=True))
        except FetchError:
            return {}


def find_builds(project: Project, platforms: Sequence[Platform]) -> list[Standalone]:
    """The newest build of the project's Python version that every platform has, with their hashes, in the platforms' order.

    Raises FetchError that says what can be had when there is none.
    """
    offers = [offer for offer in _offers(project) if _wanted(offer.build, project)]
    by_platform = [[offer for offer in offers if offer.build.architecture == each.architecture] for each in platforms]
    common = set.intersection(*({offer.build.version for offer in some} for some in by_platform))
    if not common:
        raise _none(project, platforms, offers)
    chosen = [max((it for it in some if it.build.version in common), key=lambda it: it.build.order) for some in by_platform]
    return [_pinned(offer, project) for offer in chosen]


def pinned_version(project: Project, locked: Standalone | None) -> str:
    """The full version of the build that the lock has, else of the newest, as far as that can be told."""
    if locked is not None and _wanted(locked, project):
        return locked.version
    if project.python.count(".") == 2:
        return project.python
    try:
        offers = [offer.build for offer in _offers(project) if _wanted(offer.build, project)]
    except FetchError:
        offers = []
    return max(offers, key=lambda build: build.order).version if offers else f"{project.python}.0"


def fetch_standalone(builds: Sequence[Standalone], project: Project, store: Store, reporter: Reporter) -> None:
    """Brings the archives into the store. Raises IntegrityError for other bytes than the lock has, FetchError that says what can be had."""
    absent = list({build.digest: build for build in builds if not store.has(build.digest)}.values())
    if not absent:
        return
    from shipwheel.download.fetch import Download, fetch

    offers = _offers(project)
    downloads = []
    for build in absent:
        urls = tuple(dict.fromkeys(_addresses(build, offers)))
        if not urls:
            raise _unreachable(project, f"{build.filename} is not among the builds that can be had")
        paths = [path for path in map(_local, urls) if path is not None and path.is_file()]
        downloads.append(Download(urls, build.digest, paths[0].stat().st_size if paths else None, build.filename))
    try:
        fetch(downloads, store, reporter, stage="python")
    except IntegrityError as error:
        if any(offer.path is not None for offer in offers):
            raise IntegrityError(error.message, hint="If another build was put there, take it with --upgrade-base.") from error
        raise
    except FetchError as error:
        raise _unreachable(project, error.message) from error


def _addresses(build: Standalone, offers: Sequence[_Offer]) -> Iterator[str]:
    """Where a build may be: the address of that very file, else its place beside the builds that uv lists now, which may be newer."""
    yield from (offer.url for offer in offers if offer.build.filename == build.filename)
    for offer in offers:
        tail = f"/{offer.build.release}/{quote(offer.build.filename, safe='')}"
        plain = f"/{offer.build.release}/{offer.build.filename}"
        for end in (tail, plain):
            if offer.path is None and offer.url.endswith(end):
                yield f"{offer.url.removesuffix(end)}/{build.release}/{quote(build.filename, safe='')}"


def _wanted(build: Standalone, project: Project) -> bool:
    """Whether a build is of the version that is asked for, and one that the project's requires-python admits."""
    from packaging.specifiers import SpecifierSet

    named = build.version if project.python.count(".") == 2 else build.minor
    return named == project.python and SpecifierSet(project.requires_python or "").contains(build.version)


def _offers(project: Project) -> list[_Offer]:
    """Every build that can be had. Raises FetchError when the setting names no such thing, or uv cannot tell."""
    place = project.settings.python_builds
    folder = _local(place, project.root) if place else None
    if folder is not None:
        return list(_on_disk(folder))
    return _uv_offers(project)


def _uv_offers(project: Project) -> list[_Offer]:
    """The builds that uv lists. Raises FetchError when it cannot tell."""
    place = project.settings.python_builds
    mirror = place if place and _local(place) is None else None
    try:
        listed = uv.python_downloads(project.root, mirror)
    except uv.UvFailed as error:
        raise _unreachable(project, f"uv cannot tell where standalone builds are: {error.failure.text}") from error
    found = []
    for item in listed:
        build = parsed_name(unquote(urlsplit(item.url).path.rpartition("/")[2]))
        if build is not None and build.version == item.version:
            found.append(_Offer(build, item.url, item.key))
    return found


def _local(place: str, root: Path | None = None) -> Path | None:
    """The path that a setting or a file address names; None for a server."""
    parts = urlsplit(place)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    return None if parts.scheme in ("http", "https") else (root or Path()) / place


def _on_disk(place: Path) -> Iterator[_Offer]:
    """The archives in a directory, or below it in directories that are called by the day, as a mirror has them; or one file."""
    try:
        paths = [place] if place.is_file() else [*place.iterdir(), *place.glob("[0-9]*/*")]
    except OSError as error:
        raise FetchError(
            f"the setting python-builds names {place}, which cannot be read: {error.strerror or error}",
            hint="Name a directory with archives, one archive, or the address of a mirror.",
        ) from error
    for path in sorted(paths):
        build = parsed_name(unquote(path.name)) if path.is_file() else None
        if build is not None:
            yield _Offer(build, path.resolve().as_uri())


def _pinned(offer: _Offer, project: Project) -> Standalone:
    """The build with its hash: uv's own, the metadata's that it is told to use, the release's, or that of the file that the user gives.

    Raises IntegrityError for a file of another hash than its release has, FetchError when no hash is known.
    """
    digest = _known_digest(offer, project)
    if offer.path is not None:
        try:
            with offer.path.open("rb") as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise FetchError(f"{offer.path} cannot be read: {error.strerror or error}", hint="Check the file's permissions.") from error
        if digest and found != digest:
            raise IntegrityError(
                f"{offer.path} has the hash {found[:16]}…, and {offer.build.filename} was published with {digest[:16]}…",
                hint="The file is damaged, or not what it is called: fetch it again.",
            )
        digest = found
    if not digest:
        raise _unreachable(project, f"no hash of {offer.build.filename} is known")
    return msgspec.structs.replace(offer.build, sha256=digest)


def _known_digest(offer: _Offer, project: Project) -> str:
    """The sha256 in hex that somebody else than the file itself has for it; empty when nobody has."""
    if offer.path is not None:
        return _summed(offer.path.parent.as_uri(), offer.build) or _uv_digest(offer.build, _uv_offers(project))
    return _listed(offer.url, os.environ) or _uv_digest(offer.build, [offer]) or _summed(offer.url.rpartition("/")[0], offer.build)


def _uv_digest(build: Standalone, offers: Sequence[_Offer]) -> str:
    key = next((offer.key for offer in offers if offer.build.filename == build.filename), "")
    return uv.python_digest(key, build.release, build.filename).removeprefix("sha256:") if key else ""


def _summed(folder: str, build: Standalone) -> str:
    """The hash in the SHA256SUMS that a release has beside its files."""
    from shipwheel.download.fetch import get

    try:
        text = get(f"{folder}/{_SUMS}", label=_SUMS).decode("utf-8", "replace")
    except FetchError:
        return ""
    found = re.search(rf"^([0-9a-f]{{64}}) [ *]{re.escape(build.filename)}\r?$", text, re.MULTILINE)
    return found[1] if found else ""


def _listed(url: str, environ: Mapping[str, str]) -> str:
    """The hash in the metadata that uv's settings name in place of its own (python-downloads-json-url): uv shows it without the hashes."""
    named = [str(settings["python-downloads-json-url"]) for _, settings in uv_files(environ) if settings.get("python-downloads-json-url")]
    place = environ.get("UV_PYTHON_DOWNLOADS_JSON_URL") or next(iter(named), "")
    if not place:
        return ""
    from shipwheel.download.fetch import get

    path = _local(place)
    try:
        data = path.read_bytes() if path is not None else get(place, label="the list of Pythons")
        table = msgspec.json.decode(data, type=dict[str, dict[str, object]])
    except (OSError, FetchError, msgspec.MsgspecError):
        return ""  # uv, which reads it as well, says what is wrong with it
    name = unquote(url.rpartition("/")[2])
    found = (str(item.get("sha256", "")) for item in table.values() if unquote(str(item.get("url", ""))).endswith(f"/{name}"))
    return next((sha256 for sha256 in found if re.fullmatch(r"[0-9a-f]{64}", sha256)), "")


def _none(project: Project, platforms: Sequence[Platform], offers: Sequence[_Offer]) -> FetchError:
    """The error when no version is there for every platform."""
    having = ", ".join(sorted({f"{offer.build.version} for {offer.build.architecture}" for offer in offers}))
    wanted = " and ".join(each.architecture for each in platforms)
    where = f" in {project.settings.python_builds}" if project.settings.python_builds else " that uv knows of"
    return _unreachable(project, f"there is no standalone build of it{where} for {wanted}" + (f", but {having}" if having else ""))


def _unreachable(project: Project, why: str) -> FetchError:
    minor = minor_version(project.python)
    allowed = allowed_pythons([project.requires_python] if project.requires_python else [])
    names = " or ".join(filter(None, (", ".join(allowed[:-1]), *allowed[-1:])))
    debian = f"Debian's Python {names}, which the project allows (--python {allowed[0]}); " if allowed else ""
    return FetchError(
        f"Python {project.python} cannot be had: no Debian suite has Python {minor}, and {why}",
        hint=(
            f"What can be had: {debian}a standalone build from a mirror or from disk (--python-builds, with an address, a directory or an "
            f"archive of python-build-standalone); an image with Python {minor} (--base)."
        ),
    )
