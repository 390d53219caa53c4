"""Standalone builds of CPython (python-build-standalone): which are available, their hashes, and downloading them.

uv supplies the list of builds with their URLs; or the setting `python-builds` names a directory, an archive or a mirror.
"""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit
from urllib.request import url2pathname

import msgspec
from msgspec.structs import replace

from shipwheel.base.standalone_archive import Standalone, parse_filename
from shipwheel.decoding import InvalidDocument, decode_json
from shipwheel.digest import Sha256, as_sha256
from shipwheel.download.mirrors import load_choice
from shipwheel.errors import FetchError, IntegrityError
from shipwheel.events import Reporter
from shipwheel.locking import uv
from shipwheel.platform import Platform
from shipwheel.project.machine_settings import uv_files
from shipwheel.project.project import Project
from shipwheel.project.python_version import allowed_pythons
from shipwheel.store.store import Store
from shipwheel.versions import minor_number, minor_version

__all__ = [
    "check_fetchable",
    "fetch_standalone",
    "find_builds",
    "is_acceptable",
    "newest_path",
    "newest_versions",
    "pinned_version",
    "uv_mirror",
]

_CHECKSUMS_FILE = "SHA256SUMS"
_MIRROR_VARIABLE, _MIRROR_KEY = "UV_PYTHON_INSTALL_MIRROR", "python-install-mirror"


class _AvailableBuild(msgspec.Struct, frozen=True):
    """A build at a URL, which may be that of a local file. `uv_key` is uv's name for it, empty for a local file."""

    build: Standalone
    url: str
    uv_key: str = ""

    @property
    def path(self) -> Path | None:
        """The path of a local file."""
        return _local_path(self.url)


def find_builds(project: Project, platforms: Sequence[Platform]) -> list[Standalone]:
    """Return the newest build of the project's Python version that every platform has, with hashes, in the platforms' order.

    Raise FetchError that lists the alternatives if there is none.
    """
    available = [each for each in _available_builds(project) if is_acceptable(each.build, project)]
    by_platform = [[each for each in available if each.build.architecture == platform.architecture] for platform in platforms]
    common = set.intersection(*({each.build.version for each in builds} for builds in by_platform))
    if not common:
        raise _no_common_version(project, platforms, available)
    newest = [max((each for each in builds if each.build.version in common), key=lambda each: each.build.rank) for builds in by_platform]
    return [_with_hash(each, project) for each in newest]


def pinned_version(project: Project, locked: Standalone | None) -> str:
    """Return the full Python version of the locked build, else of the newest one; if the builds cannot be listed, micro version 0."""
    if locked is not None and is_acceptable(locked, project):
        return locked.version
    if project.python.count(".") == 2:
        return project.python
    try:
        builds = [each.build for each in _available_builds(project) if is_acceptable(each.build, project)]
    except FetchError:
        builds = []
    return max(builds, key=lambda build: build.rank).version if builds else f"{project.python}.0"


def newest_versions(project: Project, platforms: Sequence[Platform]) -> dict[str, str]:
    """Return minor version -> newest full version that every platform has and the project allows; empty if the builds cannot be listed."""
    try:
        available = [each.build for each in _available_builds(project)]
    except FetchError:
        return {}
    architectures = {platform.architecture for platform in platforms}
    ranked: dict[str, Standalone] = {}
    for build in sorted(available, key=lambda build: build.rank):
        if build.architecture in architectures and is_acceptable(build, replace(project, python=build.minor)):
            ranked[build.minor] = build
    return {minor: build.version for minor, build in ranked.items() if _architectures(available, minor) >= architectures}


def _architectures(builds: Sequence[Standalone], minor: str) -> set[str]:
    return {build.architecture for build in builds if build.minor == minor}


def is_acceptable(build: Standalone, project: Project) -> bool:
    """Return whether a build has the project's Python version and satisfies its requires-python."""
    from packaging.specifiers import SpecifierSet

    version = build.version if project.python.count(".") == 2 else build.minor
    return version == project.python and SpecifierSet(project.requires_python or "").contains(build.version)


def fetch_standalone(builds: Sequence[Standalone], project: Project, store: Store, reporter: Reporter) -> None:
    """Fetch archives into the store.

    Raise IntegrityError for an archive that does not match the lock, FetchError that lists the alternatives for one that is unavailable.
    """
    missing = _missing(builds, store)
    if not missing:
        return
    from shipwheel.download.fetch import Download, fetch

    available = _available_builds(project)
    downloads = []
    for build in missing:
        urls = _all_urls(build, available, project, store)
        paths = [path for path in map(_local_path, urls) if path is not None and path.is_file()]
        downloads.append(Download(urls, build.digest, paths[0].stat().st_size if paths else None, build.filename))
    try:
        fetch(downloads, store, reporter, stage="python")
    except IntegrityError as error:
        if any(each.path is not None for each in available):
            raise IntegrityError(error.message, hint="If the file was replaced by another build, use it with --upgrade-base.") from error
        raise
    except FetchError as error:
        raise _unavailable(project, error.message) from error


def check_fetchable(builds: Sequence[Standalone], project: Project, store: Store) -> None:
    """Raise FetchError that lists the alternatives if an archive that the store lacks is unavailable now. Reads no archive."""
    missing = _missing(builds, store)
    available = _available_builds(project) if missing else []
    for build in missing:
        from shipwheel.download.fetch import probe

        try:
            probe(_all_urls(build, available, project, store), build.filename)
        except FetchError as error:
            raise _unavailable(project, error.message) from error


def _missing(builds: Sequence[Standalone], store: Store) -> list[Standalone]:
    return list({build.digest: build for build in builds if not store.has(build.digest)}.values())


def _all_urls(build: Standalone, available: Sequence[_AvailableBuild], project: Project, store: Store) -> tuple[str, ...]:
    """Return the URLs of a build: on the mirrors that were chosen, unless the settings name one, then those that uv knows."""
    urls = tuple(dict.fromkeys(_urls(build, available)))
    if not urls:
        raise _unavailable(project, f"{build.filename} is not among the available builds")
    if project.settings.python_builds or uv_mirror(project.inputs.workspace.settings, os.environ):
        return urls
    path = f"{build.release}/{quote(build.filename, safe='')}"
    return (*(f"{mirror}/{path}" for mirror in load_choice(store.root).pythons), *urls)


def uv_mirror(settings: Mapping[str, Any], environ: Mapping[str, str]) -> str:
    """Return the mirror of standalone Pythons that uv is set up with, empty for none. `settings` are uv's of the project."""
    tables = (settings, *(table for _, table in uv_files(environ)))
    return environ.get(_MIRROR_VARIABLE) or next((str(table[_MIRROR_KEY]) for table in tables if table.get(_MIRROR_KEY)), "")


def newest_path(directory: Path) -> str:
    """Return the path on every mirror of the newest build that uv knows; empty if it cannot list them.

    uv looks for its settings in `directory`.
    """
    try:
        urls = [item.url for item in uv.python_downloads(directory)]
    except uv.UvFailed:
        return ""
    paths = ["/".join(urlsplit(url).path.split("/")[-2:]) for url in urls]
    # A release is named after its day.
    return max((path for path in paths if parse_filename(unquote(path.rpartition("/")[2])) is not None), default="")


def _urls(build: Standalone, available: Sequence[_AvailableBuild]) -> Iterator[str]:
    """Yield the URL of that very file, then its URLs next to the builds that uv lists now, which may be newer."""
    yield from (each.url for each in available if each.build.filename == build.filename)
    for each in available:
        quoted = f"/{each.build.release}/{quote(each.build.filename, safe='')}"
        plain = f"/{each.build.release}/{each.build.filename}"
        for end in (quoted, plain):
            if each.path is None and each.url.endswith(end):
                yield f"{each.url.removesuffix(end)}/{build.release}/{quote(build.filename, safe='')}"


def _available_builds(project: Project) -> list[_AvailableBuild]:
    """Return all builds. Raise FetchError if the setting's directory cannot be read, or if uv cannot list them."""
    setting = project.settings.python_builds
    directory = _local_path(setting, project.root) if setting else None
    return list(_local_builds(directory)) if directory is not None else _uv_builds(project)


def _uv_builds(project: Project, version: str = "") -> list[_AvailableBuild]:
    """Return the builds that uv lists, all or those of one version. Raise FetchError if it cannot list them."""
    setting = project.settings.python_builds
    mirror = setting if setting and _local_path(setting) is None else None
    try:
        downloads = uv.python_downloads(project.root, mirror, version)
    except uv.UvFailed as error:
        raise _unavailable(project, f"uv cannot list the standalone builds: {error.failure.text}") from error
    builds = []
    for item in downloads:
        build = parse_filename(unquote(urlsplit(item.url).path.rpartition("/")[2]))
        if build is not None and build.version == item.version:
            builds.append(_AvailableBuild(build, item.url, item.key))
    return builds


def _local_path(location: str, root: Path | None = None) -> Path | None:
    """Return the path that a setting or a file: URL names, relative to `root`; None for an http(s) URL."""
    parts = urlsplit(location)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    return None if parts.scheme in ("http", "https") else (root or Path()) / location


def _local_builds(location: Path) -> Iterator[_AvailableBuild]:
    """Yield the archives in a directory and in its subdirectories that are named by day, as on a mirror; or the one archive."""
    try:
        paths = [location] if location.is_file() else [*location.iterdir(), *location.glob("[0-9]*/*")]
    except OSError as error:
        raise FetchError(
            f"the setting python-builds names {location}, which cannot be read: {error.strerror or error}",
            hint="Set it to a directory with archives, to one archive, or to the URL of a mirror.",
        ) from error
    for path in sorted(paths):
        build = parse_filename(unquote(path.name)) if path.is_file() else None
        if build is not None:
            yield _AvailableBuild(build, path.resolve().as_uri())


def _with_hash(available: _AvailableBuild, project: Project) -> Standalone:
    """Return the build with its published hash, or, for a local file without one, with the file's own.

    Raise IntegrityError for a local file that does not match its published hash, FetchError if no hash is known.
    """
    sha256 = _published_sha256(available, project)
    if available.path is not None:
        try:
            with available.path.open("rb") as stream:
                actual = as_sha256(hashlib.file_digest(stream, "sha256").hexdigest())
        except OSError as error:
            raise FetchError(f"{available.path} cannot be read: {error.strerror or error}", hint="Check the file's permissions.") from error
        if sha256 and actual != sha256:
            raise IntegrityError(
                f"{available.path} has the hash {actual!s:.16}…, and {available.build.filename} was published with {sha256[:16]}…",
                hint="The file is damaged or has a wrong name: download it again.",
            )
        sha256 = actual
    if not sha256:
        raise _unavailable(project, f"no hash of {available.build.filename} is known")
    return replace(available.build, sha256=sha256)


def _published_sha256(available: _AvailableBuild, project: Project) -> Sha256 | None:
    """Return the sha256 that a source other than the file itself states, None if there is none."""
    build = available.build
    if available.path is not None:
        return _sha256_from_sums(available.path.parent.as_uri(), build) or _sha256_from_uv(build, _uv_builds(project, build.version))
    return (
        _sha256_from_metadata(available.url, os.environ)
        or _sha256_from_uv(build, [available])
        or _sha256_from_sums(available.url.rpartition("/")[0], build)
    )


def _sha256_from_uv(build: Standalone, available: Sequence[_AvailableBuild]) -> Sha256 | None:
    key = next((each.uv_key for each in available if each.build.filename == build.filename), "")
    return uv.python_sha256(key, build.release, build.filename) if key else None


def _sha256_from_sums(directory_url: str, build: Standalone) -> Sha256 | None:
    """Return the hash from the SHA256SUMS file next to a release's archives."""
    from shipwheel.download.fetch import fetch_bytes

    try:
        text = fetch_bytes(f"{directory_url}/{_CHECKSUMS_FILE}", label=_CHECKSUMS_FILE).decode("utf-8", "replace")
    except FetchError:
        return None
    match = re.search(rf"^([0-9a-f]{{64}}) [ *]{re.escape(build.filename)}\r?$", text, re.MULTILINE)
    return as_sha256(match[1]) if match else None


def _sha256_from_metadata(url: str, environ: Mapping[str, str]) -> Sha256 | None:
    """Return the hash from the metadata that uv is set up to use instead of its own (python-downloads-json-url).

    uv lists such builds without their hashes.
    """
    configured = (settings.get("python-downloads-json-url") for _, settings in uv_files(environ))
    location = environ.get("UV_PYTHON_DOWNLOADS_JSON_URL") or str(next(filter(None, configured), ""))
    if not location:
        return None
    from shipwheel.download.fetch import fetch_bytes

    path = _local_path(location)
    try:
        data = path.read_bytes() if path is not None else fetch_bytes(location, label="the list of Pythons")
        table = decode_json(data, dict[str, dict[str, object]])
    except (OSError, FetchError, InvalidDocument):
        return None  # uv reads it as well, and reports what is wrong with it
    name = unquote(url.rpartition("/")[2])
    hashes = (as_sha256(str(item.get("sha256", ""))) for item in table.values() if unquote(str(item.get("url", ""))).endswith(f"/{name}"))
    return next(filter(None, hashes), None)


def _no_common_version(project: Project, platforms: Sequence[Platform], available: Sequence[_AvailableBuild]) -> FetchError:
    versions = ", ".join(sorted({f"{each.build.version} for {each.build.architecture}" for each in available}))
    architectures = " and ".join(platform.architecture for platform in platforms)
    where = f" in {project.settings.python_builds}" if project.settings.python_builds else " that uv knows of"
    why = f"there is no standalone build of it{where} for {architectures}"
    return _unavailable(project, f"{why}, only {versions}" if versions else why)


def _unavailable(project: Project, why: str) -> FetchError:
    minor = minor_version(project.python)
    allowed = [
        version
        for version in allowed_pythons([project.requires_python] if project.requires_python else [])
        if version != project.unsuitable_python
    ]
    versions = " or ".join(filter(None, (", ".join(allowed[:-1]), *allowed[-1:])))
    if allowed:
        debian = f"Debian's Python {versions}, which the project allows (--python {allowed[0]}); "
    else:
        nearest = min(map(minor_number, allowed_pythons([])), key=lambda number: (abs(number - minor_number(minor)), -number))
        debian = f"Debian's Python 3.{nearest}, if the project runs with it: let its requirement {project.requires_python} allow that; "
    return FetchError(
        f"Python {project.python} is not available: no Debian suite has Python {minor}, and {why}",
        hint=(
            f"Alternatives: {debian}a standalone build from a mirror or from disk (--python-builds with a URL, a directory or an "
            f"archive of python-build-standalone); an image with Python {minor} (--base)."
        ),
    )
