"""How long uv takes answers of the public package index, and of its mirrors, from its cache.

A lock takes several resolutions. Where a proxy or a mirror drops the headers for caches, uv would fetch each page again for every one of
them, and download and build the sources again whose metadata only a build tells.
"""

import os
from collections.abc import Mapping
from typing import Any

from shipwheel.download.mirrors import is_index_mirror
from shipwheel.locking import uv
from shipwheel.project.indexes import DEFAULT_VARIABLES, Indexes

__all__ = ["with_cache_control"]

_CONTROL = {"api": "max-age=600", "files": "max-age=365000000, immutable"}
"""The index's own rule: a page holds for ten minutes, and a file for ever, since its URL has a hash of the contents."""


def with_cache_control(settings: Mapping[str, Any], indexes: Indexes) -> dict[str, Any]:
    """Return uv's settings of a project with this rule for the public index and its mirrors; any other index has its own.

    uv has no such rule for an index that its variables name.
    """
    if settings.get("no-index"):
        return dict(settings)
    is_named = indexes.default or indexes.origin or any(os.environ.get(name) for name in DEFAULT_VARIABLES)
    if is_named and not settings.get("index"):
        return dict(settings)
    public = uv.default_index()
    listed = [_controlled(index, public) for index in settings.get("index", ())]
    if public and not (is_named or any(index.get("default") for index in listed)):
        listed.append({"url": public, "default": True, "cache-control": _CONTROL})
    return {**settings, "index": listed} if listed else dict(settings)


def _controlled(index: Mapping[str, Any], public: str) -> Mapping[str, Any]:
    return {"cache-control": _CONTROL, **index} if _is_public(str(index.get("url", "")), public) else index


def _is_public(url: str, public: str) -> bool:
    return bool(url) and (url.rstrip("/") == public or is_index_mirror(url)) and "@" not in url
