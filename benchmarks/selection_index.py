"""A package index that stores the pages of the real one, so that all tools read the same pages.

It has no files: the choice of a wheel depends on the page only, on names, Requires-Python and yanked files. Its metadata (PEP 658)
contains name and version only. Each page (PEP 691) is requested once and stays in the directory.
"""

import json
import re
import threading
from collections.abc import Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import httpx

from shipwheel.locking import uv
from shipwheel.project.indexes import read_indexes

__all__ = ["PageIndex", "upstream"]

_JSON = "application/vnd.pypi.simple.v1+json"
_PAGE = re.compile(r"/simple/([a-z0-9-]+)/?")
_METADATA = re.compile(r"/files/([^/-]+)-([^/-]+)-[^/]+\.whl\.metadata")


def upstream() -> str:
    """Return the index that this machine is configured for, or uv's default."""
    return read_indexes({}).default or uv.default_index()


class PageIndex:
    """Serves the pages of `index` and stores them in `folder`. A context manager."""

    def __init__(self, folder: Path, index: str) -> None:
        self._folder = folder
        self._index = index.rstrip("/")
        self._only: dict[str, frozenset[str]] = {}
        self._served: dict[str, bytes] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._client = httpx.Client(headers={"Accept": _JSON}, follow_redirects=True, timeout=60)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True

    @property
    def simple(self) -> str:
        """The URL for clients."""
        return f"http://127.0.0.1:{self._server.server_port}/simple"

    def narrow(self, versions: Mapping[str, Iterable[str]]) -> None:
        """List only the files of these versions, so that clients do not spend time on all others."""
        self._only = {name: frozenset(wanted) for name, wanted in versions.items()}
        self._served.clear()

    def answer(self, path: str) -> bytes:
        """Return the content of a path, or b"". Raise httpx.HTTPError or ValueError if the real index fails."""
        if found := _PAGE.fullmatch(path):
            return self._page(found[1])
        if found := _METADATA.fullmatch(unquote(path)):
            return f"Metadata-Version: 2.1\nName: {found[1]}\nVersion: {found[2]}\n".encode()
        return b""

    def _page(self, name: str) -> bytes:
        path = self._folder / f"{name}.json"
        with self._locks.setdefault(name, threading.Lock()):
            if name not in self._served:
                if not path.exists():
                    path.parent.mkdir(parents=True, exist_ok=True)
                    part = path.with_suffix(".part")
                    part.write_bytes(self._asked(name))
                    part.replace(path)
                data = path.read_bytes()
                self._served[name] = json.dumps(self._own(json.loads(data))).encode() if data else b""
            return self._served[name]

    def _asked(self, name: str) -> bytes:
        answer = self._client.get(f"{self._index}/{name}/")
        if answer.status_code == 404:
            return b""
        answer.raise_for_status()
        return answer.content

    def _own(self, page: dict[str, Any]) -> dict[str, Any]:
        root = self.simple.removesuffix("/simple")
        only = self._only.get(page["name"])
        files = []
        for file in page["files"]:
            if only is not None and _version(file["filename"]) not in only:
                continue
            # Both of its names (PEP 714): older clients know the first one alone.
            named = dict.fromkeys(("dist-info-metadata", "core-metadata"), file["filename"].endswith(".whl"))
            files.append({**file, **named, "url": f"{root}/files/{quote(file['filename'])}"})
        return {**page, "files": files}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        index = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                try:
                    body = index.answer(self.path)
                    status = 200 if body else 404
                except (httpx.HTTPError, ValueError, KeyError):
                    body, status = b"", 502
                self.send_response(status)
                self.send_header("Content-Type", _JSON if self.path.startswith("/simple/") else "text/plain")
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Cache-Control", "max-age=3600")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        return Handler

    def __enter__(self) -> "PageIndex":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._client.close()


def _version(filename: str) -> str:
    """Return the version in the name of a wheel, or ""."""
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    try:
        return str(parse_wheel_filename(filename)[1])
    except InvalidWheelFilename:
        return ""
