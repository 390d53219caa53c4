"""Replace a mirror's URLs in a lock by those of the package index itself.

A mirror has each file under the index's own path (`packages/ab/cd/…/file`), so its URL can be mapped back. Where the index has its files
is asked once of uv's default index, and remembered beside the store.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from shipwheel.download.mirrors import MIRRORS
from shipwheel.events import Reporter, Warned
from shipwheel.locking import uv
from shipwheel.project.indexes import Indexes, files_root, shared_path, without_login
from shipwheel.store.store import default_root

__all__ = ["canonical", "canonical_root"]

_TIMEOUT_S = 5.0
_MAX_PAGE_BYTES = 1 << 20
_RECORD = "package-index.json"

_PUBLIC_PROJECT = "pip"
"""The project whose page is read: a public one, to disclose no name of the user's packages."""

Root = Callable[[], str]
"""Returns the URL below which the package index has its files; empty if it is unknown."""


def canonical(data: dict[str, Any], indexes: Indexes, reporter: Reporter, root: Root | None = None) -> dict[str, Any]:
    """Return the lock without any mirror's URL. Reports a warning if it must keep some."""
    used = [indexes.default, *indexes.mirrors, *(mirror.index for mirror in MIRRORS)]
    roots = {without_login(found) for index in used if (found := files_root(index))}
    mirrored = [file for package in data["packages"] for file in _files(package) if _is_mirrored(file, roots)]
    if not mirrored:
        return data
    base = (root or canonical_root)()
    if not base:
        host = urlsplit(str(mirrored[0]["url"])).hostname or "a mirror"
        message = f"the lock keeps the URLs of {host}: uv's default index could not be asked where it has its files"
        reporter(Warned(message, "Builds work with any mirror. To get the index's own URLs, lock again where that index can be reached."))
        return data
    names = {without_login(index).rstrip("/") for index in used if index}
    own = uv.default_index()
    return {**data, "packages": [_package(package, roots, names, base, own) for package in data["packages"]]}


def _files(package: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from package.get("wheels", [])
    if "sdist" in package:
        yield package["sdist"]


def _is_mirrored(file: Mapping[str, Any], roots: set[str]) -> bool:
    """True if the mirror's URL could be made again from the path: only such a URL is replaced."""
    url = str(file.get("url", ""))
    path = shared_path(url)
    return bool(path) and url.removesuffix(path.removeprefix("packages")) in roots


def _package(package: Mapping[str, Any], roots: set[str], names: set[str], base: str, own: str) -> dict[str, Any]:
    def replaced(file: Mapping[str, Any]) -> dict[str, Any]:
        return {**file, "url": f"{base}/{shared_path(file['url']).removeprefix('packages/')}"} if _is_mirrored(file, roots) else dict(file)

    found = dict(package)
    if not any(_is_mirrored(file, roots) for file in _files(package)):
        return found
    if "wheels" in found:
        found["wheels"] = [replaced(file) for file in found["wheels"]]
    if "sdist" in found:
        found["sdist"] = replaced(found["sdist"])
    if own and str(found.get("index", "")).rstrip("/") in names:
        found["index"] = own
    return found


def canonical_root(index: str | None = None, store: Path | None = None) -> str:
    """Return the URL below which the package index has its files, without a trailing slash; empty if it cannot be asked."""
    index = uv.default_index() if index is None else index
    record = (store or default_root()) / _RECORD
    try:
        known = json.loads(record.read_text(encoding="utf-8"))
        if known["index"] == index:
            return str(known["files"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # there is no record, or a damaged one: ask the index
    found = _fetch_root(f"{index}/{_PUBLIC_PROJECT}/") if index else ""
    if found:
        try:
            record.parent.mkdir(parents=True, exist_ok=True)
            record.write_text(json.dumps({"index": index, "files": found}) + "\n", encoding="utf-8")
        except OSError:
            pass  # the next lock asks again
    return found


def _fetch_root(url: str) -> str:
    """Read a page of the simple API up to its first file."""
    import httpx

    data = b""
    accept = {"Accept": "application/vnd.pypi.simple.v1+json, text/html;q=0.2"}
    try:
        with httpx.stream("GET", url, headers=accept, timeout=_TIMEOUT_S, follow_redirects=True) as response:
            for piece in response.iter_bytes():
                data += piece
                found = re.search(rb'["\'](https?://[^"\'\s@]+?)/packages/[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{60}/', data)
                if found and response.status_code == 200:
                    return found[1].decode("ascii", "replace") + "/packages"
                if len(data) > _MAX_PAGE_BYTES:
                    break
    except (httpx.HTTPError, httpx.InvalidURL):
        return ""
    return ""
