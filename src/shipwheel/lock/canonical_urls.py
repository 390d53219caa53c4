"""The lock's addresses are those of the package index itself, whichever mirror the lock was made through.

Mirrors have every file under the path that the index has it (`packages/ab/cd/…/file`), so an address is turned back by its path. Where
the index has its files is asked once of the index that uv knows as its own, and remembered beside the store.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from shipwheel.download.mirrors import MIRRORS
from shipwheel.events import Reporter, Warned
from shipwheel.lock import uv
from shipwheel.project.indexes import Indexes, bare, files_root, shared_path
from shipwheel.store import default_root

__all__ = ["canonical", "canonical_root"]

_PATIENCE = 5.0
_RECORD = "package-index.json"

_ASKED = "pip"
"""The project whose page is looked at: a public one, since the names of the user's are nobody's business."""

Root = Callable[[], str]
"""Says where the package index has its files; empty when it cannot be known."""


def canonical(data: dict[str, Any], indexes: Indexes, reporter: Reporter, root: Root | None = None) -> dict[str, Any]:
    """The lock with the addresses of no mirror in it; a warning when it must keep some."""
    used = [indexes.default, *indexes.mirrors, *(mirror.index for mirror in MIRRORS)]
    roots = {bare(found) for index in used if (found := files_root(index))}
    names = {bare(index).rstrip("/") for index in used if index}
    strange = [file for package in data["packages"] for file in _files(package) if _is_mirrored(file, roots)]
    if not strange:
        return data
    base = (root or canonical_root)()
    if not base:
        what = f"the lock holds the addresses of {_host(strange[0]['url'])}: uv's own index could not be asked where it has the files"
        reporter(Warned(what, "It builds through whatever mirror is chosen; make it again where that index can be reached."))
        return data
    own = uv.default_index()
    return {**data, "packages": [_package(package, roots, names, base, own) for package in data["packages"]]}


def _files(package: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from package.get("wheels", [])
    if "sdist" in package:
        yield package["sdist"]


def _is_mirrored(file: Mapping[str, Any], roots: set[str]) -> bool:
    """Whether an address can be made again from the mirror's and the path: only then may it be turned back."""
    url = str(file.get("url", ""))
    path = shared_path(url)
    return bool(path) and url.removesuffix(path.removeprefix("packages")) in roots


def _package(package: Mapping[str, Any], roots: set[str], names: set[str], base: str, own: str) -> dict[str, Any]:
    def turned(file: Mapping[str, Any]) -> dict[str, Any]:
        return {**file, "url": f"{base}/{shared_path(file['url']).removeprefix('packages/')}"} if _is_mirrored(file, roots) else dict(file)

    done = dict(package)
    if not any(_is_mirrored(file, roots) for file in _files(package)):
        return done
    if "wheels" in done:
        done["wheels"] = [turned(file) for file in done["wheels"]]
    if "sdist" in done:
        done["sdist"] = turned(done["sdist"])
    if own and str(done.get("index", "")).rstrip("/") in names:
        done["index"] = own
    return done


def canonical_root(index: str | None = None, store: Path | None = None) -> str:
    """Where the package index has its files, without a slash at the end: from memory, else asked by the page of one project."""
    index = uv.default_index() if index is None else index
    record = (store or default_root()) / _RECORD
    try:
        known = json.loads(record.read_text(encoding="utf-8"))
        if known["index"] == index:
            return str(known["files"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    found = _asked(f"{index}/{_ASKED}/") if index else ""
    if found:
        try:
            record.parent.mkdir(parents=True, exist_ok=True)
            record.write_text(json.dumps({"index": index, "files": found}) + "\n", encoding="utf-8")
        except OSError:
            pass  # asked again the next time
    return found


def _asked(url: str) -> str:
    """From the first file of a page of the simple API, however long the page is."""
    import httpx

    data = b""
    accept = {"Accept": "application/vnd.pypi.simple.v1+json, text/html;q=0.2"}
    try:
        with httpx.stream("GET", url, headers=accept, timeout=_PATIENCE, follow_redirects=True) as response:
            for piece in response.iter_bytes():
                data += piece
                found = re.search(rb'["\'](https?://[^"\'\s@]+?)/packages/[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{60}/', data)
                if found and response.status_code == 200:
                    return found[1].decode("ascii", "replace") + "/packages"
                if len(data) > 1 << 20:
                    break
    except (httpx.HTTPError, httpx.InvalidURL):
        return ""
    return ""


def _host(url: str) -> str:
    from urllib.parse import urlsplit

    return urlsplit(url).hostname or "a mirror"
