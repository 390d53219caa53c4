"""From the pylock.toml that uv wrote to the one that is kept: only what serves this Python version, nothing of this machine."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from shipwheel.errors import FetchError
from shipwheel.lock.target import python_tags
from shipwheel.project.workspace import relative_path

__all__ = ["note_systems", "relocate", "tidy_wheels", "without_credentials"]


def tidy_wheels(pylock: dict[str, Any], minor: str) -> None:
    """Drops the wheels of other Python versions, where there are any of this one; where there are none, they say why."""
    pylock["requires-python"] = f"=={minor}.*"
    usable = python_tags(minor)
    for package in pylock.get("packages", []):
        wheels = [wheel for wheel in package.get("wheels", []) if _python_tags(wheel) & usable]
        if wheels:
            package["wheels"] = wheels


def _python_tags(wheel: Mapping[str, Any]) -> set[tuple[str, str]]:
    pythons, abis = _wheel_name(wheel).removesuffix(".whl").split("-")[-3:-1]
    return {(python, abi) for python in pythons.split(".") for abi in abis.split(".")}


def _wheel_name(wheel: Mapping[str, Any]) -> str:
    return unquote(str(wheel.get("name") or wheel.get("url") or wheel.get("path")).rpartition("/")[2])


def note_systems(pylock: dict[str, Any]) -> None:
    """Of what has wheels for other systems alone, and a source: whether its own metadata says that it runs on Linux too."""
    for package in pylock.get("packages", []):
        wheels = package.get("wheels", [])
        if "sdist" in package and wheels and all(_elsewhere(wheel) for wheel in wheels) and _serves_linux(str(wheels[0].get("url", ""))):
            package["tool"] = {"shipwheel": {"serves-linux": True}}


def _elsewhere(wheel: Mapping[str, Any]) -> bool:
    return _wheel_name(wheel).removesuffix(".whl").rpartition("-")[2].startswith(("win", "macosx", "ios", "android"))


def _serves_linux(url: str) -> bool:
    """Reads the classifiers from the metadata file beside a wheel (PEP 658); an index without such files says nothing."""
    from shipwheel.download.fetch import fetch_bytes

    if not url.startswith("https://"):
        return False
    try:
        text = fetch_bytes(f"{url}.metadata", label="metadata", limit=1 << 20).decode(errors="replace")
    except FetchError:
        return False
    head = text.split("\n\n", 1)[0]
    systems = [line.partition(":: ")[2] for line in head.splitlines() if line.startswith("Classifier: Operating System ::")]
    return any(system.startswith(("POSIX", "Unix", "OS Independent")) and not system.endswith("MacOS") for system in systems)


def relocate(pylock: dict[str, Any], folder: Path, root: Path, moved: Mapping[str, str]) -> None:
    """Paths as the user has them, relative to the lock's directory (PEP 751); no credentials; no marker that says what all say."""
    environments = [_normal_marker(text) for text in pylock.get("environments", [])]
    for package in pylock.get("packages", []):
        if "marker" in package and [_normal_marker(package["marker"])] == environments:
            del package["marker"]
        if str(package.get("index", "")).startswith("file:"):
            del package["index"]
        elif "index" in package:
            package["index"] = _without_credentials(package["index"])
        holders = [*(package[key] for key in ("sdist", "directory", "archive", "vcs") if key in package), *package.get("wheels", [])]
        for holder in holders:
            url = urlsplit(str(holder.get("url", "")))
            if url.scheme == "file":
                holder["path"] = unquote(url.path)
                del holder["url"]
            elif "url" in holder:
                holder["url"] = _without_credentials(holder["url"])
            if "path" in holder:
                holder["path"] = relative_path(_original((folder / holder["path"]).resolve(), moved), root)


def without_credentials(packages: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The packages with no user name or password in any address."""
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


def _normal_marker(text: str) -> tuple[str, ...]:
    return tuple(sorted(text.split(" and ")))


def _original(path: Path, moved: Mapping[str, str]) -> Path:
    for copy, original in moved.items():
        if path.is_relative_to(copy):
            return Path(original) / path.relative_to(copy)
    return path


def _without_credentials(url: str) -> str:
    if re.match(r"(git\+)?ssh:", url):
        # There the user belongs to the address: ssh://git@host/…
        return re.sub(r"(?<=://)([^/@:]+):[^/@]*@", r"\1@", url)
    return re.sub(r"(?<=://)[^/@]+@", "", url)
