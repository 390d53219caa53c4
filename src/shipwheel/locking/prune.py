"""Turn the pylock.toml that uv wrote into the one to keep: only what serves this Python version, and nothing of this machine."""

import io
import re
import tarfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from shipwheel.errors import FetchError
from shipwheel.locking.no_compatible_file import system_names
from shipwheel.locking.pylock import file_name
from shipwheel.locking.target import python_tags
from shipwheel.project.lock_inputs import relative_path

if TYPE_CHECKING:
    from packaging.tags import Tag

__all__ = ["drop_other_pythons", "has_linux_wheel", "note_systems", "relocate", "without_credentials"]


_MAX_SOURCE_BYTES = 32 << 20
_MAX_MEMBERS = 10_000


def drop_other_pythons(pylock: dict[str, Any], minor: str) -> None:
    """Drop wheels for other Python versions. A package without any wheel for this one keeps them: they explain what is missing."""
    pylock["requires-python"] = f"=={minor}.*"
    usable = python_tags(minor)
    for package in pylock.get("packages", []):
        wheels = [wheel for wheel in package.get("wheels", []) if _python_tags(wheel) & usable]
        if wheels:
            package["wheels"] = wheels


def has_linux_wheel(package: Mapping[str, Any], minor: str) -> bool:
    """Return whether a package of a lock has a wheel that a Python version may use on some Linux."""
    usable = python_tags(minor)
    wheels = [wheel for wheel in package.get("wheels", ()) if _python_tags(wheel) & usable]
    return any("linux" in file_name(wheel) or file_name(wheel).endswith("-any.whl") for wheel in wheels)


def _python_tags(wheel: Mapping[str, Any]) -> set[tuple[str, str]]:
    pythons, abis = file_name(wheel).removesuffix(".whl").split("-")[-3:-1]
    return {(python, abi) for python in pythons.split(".") for abi in abis.split(".")}


def note_systems(pylock: dict[str, Any], every_file: Callable[[str, str], Mapping[str, Any] | None]) -> None:
    """Note in packages with a source and wheels for other systems only what their files say about Linux.

    `serves-linux` means that their metadata says that they run on Linux. `only-for` lists the systems of the wheels for other Python
    versions, if there is none for this one. `every_file` returns the package of a name and a specifier with its files for all Pythons.
    """
    for package in pylock.get("packages", []):
        if "url" not in package.get("sdist", {}) or "version" not in package:
            continue
        of_this_python = package.get("wheels", [])
        wheels = of_this_python or (every_file(package["name"], f"=={package['version']}") or {}).get("wheels", [])
        if not wheels or not all(_is_for_other_system(wheel) for wheel in wheels):
            continue
        if _serves_linux({**package, "wheels": wheels}):
            package["tool"] = {"shipwheel": {"serves-linux": True}}
        elif not of_this_python:
            package["tool"] = {"shipwheel": {"only-for": system_names([tag for wheel in wheels for tag in _tags(wheel)])}}


def _tags(wheel: Mapping[str, Any]) -> "frozenset[Tag]":
    from packaging.utils import parse_wheel_filename

    return parse_wheel_filename(file_name(wheel))[3]


def _is_for_other_system(wheel: Mapping[str, Any]) -> bool:
    return file_name(wheel).removesuffix(".whl").rpartition("-")[2].startswith(("win", "macosx", "ios", "android"))


def _serves_linux(package: Mapping[str, Any]) -> bool:
    """Return whether the classifiers of a package name Linux: those of a wheel, or of its source if the index has no metadata files."""
    head = _wheel_metadata(str(package["wheels"][0].get("url", ""))) if package.get("wheels") else None
    head = head if head is not None else _source_metadata(str(package["sdist"]["url"]))
    systems = [line.partition(":: ")[2] for line in head.splitlines() if line.startswith("Classifier: Operating System ::")]
    return any(system.startswith(("POSIX", "Unix", "OS Independent")) and not system.endswith("MacOS") for system in systems)


def _wheel_metadata(url: str) -> str | None:
    """Return the fields in the metadata file of a wheel (PEP 658); None if the index has no such file."""
    from shipwheel.download.fetch import fetch_bytes

    if not url.startswith(("https://", "http://")):
        return None
    try:
        text = fetch_bytes(f"{url}.metadata", label="metadata", limit=1 << 20).decode(errors="replace")
    except FetchError:
        return None
    return text.split("\n\n", 1)[0]


def _source_metadata(url: str) -> str:
    """Return the fields in the PKG-INFO of a source distribution; empty if there is none, or if it is too large to look."""
    from shipwheel.download.fetch import fetch_bytes

    if not url.startswith(("https://", "http://")):
        return ""
    try:
        data = fetch_bytes(url, label="source distribution", limit=_MAX_SOURCE_BYTES)
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:*") as archive:
            for info in islice(archive, _MAX_MEMBERS):
                if info.isfile() and re.fullmatch(r"[^/]+/PKG-INFO", info.name) and info.size < 1 << 20:
                    stream = archive.extractfile(info)
                    return stream.read().decode(errors="replace").split("\n\n", 1)[0] if stream is not None else ""
    except (FetchError, tarfile.TarError, OSError, EOFError, ValueError, zlib.error):
        return ""  # whoever builds the source says what is wrong with it
    return ""


def relocate(pylock: dict[str, Any], folder: Path, root: Path, copies: Mapping[str, str]) -> None:
    """Make paths relative to the lock's directory (PEP 751), and drop logins and markers that repeat the lock's environments.

    `folder` is where uv wrote the lock, `root` where it belongs, `copies` maps private copies to the user's directories.
    """
    environments = [_marker_terms(text) for text in pylock.get("environments", [])]
    for package in pylock.get("packages", []):
        if "marker" in package and [_marker_terms(package["marker"])] == environments:
            del package["marker"]
        if str(package.get("index", "")).startswith("file:"):
            del package["index"]
        elif "index" in package:
            package["index"] = _without_credentials(package["index"])
        files = [*(package[key] for key in ("sdist", "directory", "archive", "vcs") if key in package), *package.get("wheels", [])]
        for file in files:
            url = urlsplit(str(file.get("url", "")))
            if url.scheme == "file":
                file["path"] = unquote(url.path)
                del file["url"]
            elif "url" in file:
                file["url"] = _without_credentials(file["url"])
            if "path" in file:
                file["path"] = relative_path(_original((folder / file["path"]).resolve(), copies), root)


def _marker_terms(text: str) -> tuple[str, ...]:
    return tuple(sorted(text.split(" and ")))


def _original(path: Path, copies: Mapping[str, str]) -> Path:
    for copy, original in copies.items():
        if path.is_relative_to(copy):
            return Path(original) / path.relative_to(copy)
    return path


def without_credentials(packages: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the packages without user names and passwords in their URLs."""
    found = []
    for package in packages:
        clean = {**package}
        for key, value in package.items():
            if key == "index" and isinstance(value, str):
                clean[key] = _without_credentials(value)
            elif key == "wheels" and isinstance(value, list):
                clean[key] = [_clean_file(file) for file in value]
            elif key in ("sdist", "archive", "vcs") and isinstance(value, Mapping):
                clean[key] = _clean_file(value)
        found.append(clean)
    return found


def _clean_file(file: Mapping[str, Any]) -> dict[str, Any]:
    return {**file, "url": _without_credentials(str(file["url"]))} if "url" in file else dict(file)


def _without_credentials(url: str) -> str:
    if re.match(r"(git\+)?ssh:", url):
        # The user belongs to the address: ssh://git@host/…
        return re.sub(r"(?<=://)([^/@:]+):[^/@]*@", r"\1@", url)
    return re.sub(r"(?<=://)[^/@]+@", "", url)
