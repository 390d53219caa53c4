"""The pages that a project's routes name: some servers have none at the usual paths."""

import re
from collections.abc import Iterator, Sequence
from itertools import chain, islice

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.trial.paths import USUAL_PATHS

__all__ = ["declared_pages"]

_ROUTE = lazy_pattern(
    r"(?:@\w+(?:\.\w+)*\.(?:route|get|api_route)|\b(?:add_get|add_route|add_url_rule|add_resource|add_api_route|Route))"
    r"\(\s*(?:[\w.]+,\s*|[\"']GET[\"'],\s*)?[\"'](?P<path>/?[\w./~-]+)[\"'](?P<rest>[^)]*)"
)
_PREFIX = lazy_pattern(r"\b(?:url_)?prefix\s*=\s*[\"'](/[\w./~-]*\w)/?[\"']")
_OUTER_PREFIX = lazy_pattern(
    r"^[ \t]*(?:\w+_prefix|api_v\d+_str)[ \t]*(?::[ \t]*\w+[ \t]*)?=[ \t]*[\"'](/[\w./~-]*\w)/?[\"']", re.MULTILINE | re.IGNORECASE
)
"""A setting with the prefix of all routes: `api_prefix: str = "/api/v1"`."""
_METHODS = lazy_pattern(r"\bmethods\s*=")
_GET = lazy_pattern(r"\bget\b", re.IGNORECASE)
_UNSAFE = lazy_pattern(
    r"(?<![a-z])(?:shut_?-?down|quit|exit|kill|stop|restart|reboot|reset|delete|remove|drop|clear|log_?-?out)", re.IGNORECASE
)
"""Words in paths of pages that end the server, or undo what it has, although GET is to be safe (RFC 9110, section 9.2.1)."""
_MCP = lazy_pattern(r"^[ \t]*(?:from|import)[ \t]+(?:fast)?mcp\b", re.MULTILINE)
_MCP_PATH = lazy_pattern(r"(?<!\w)(?:sse_|message_|streamable_http_)?path\s*=\s*[\"'](/[\w./~-]+)[\"']")
_MCP_PAGES = ("/mcp", "/mcp/", "/sse")
"""The only pages of most servers of the Model Context Protocol: by streamable HTTP, or by events as before."""
_MAX = 30
"""Each costs a request, and this many only if none is there."""


def declared_pages(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the paths of the routes for GET in the source's texts that have no parameters: plain ones first, then behind each prefix.

    Where a setting has a prefix, each route is asked for with and without it.
    Those of a server of the Model Context Protocol come last.
    """
    routes = list(dict.fromkeys(path for text in texts for path in _routes(text)))
    prefixes = dict.fromkeys(prefix for text in texts for prefix in _PREFIX.findall(text))
    outer = tuple(dict.fromkeys(prefix for text in texts for prefix in _OUTER_PREFIX.findall(text)))
    first = (f"{prefix}{path}" for path in routes for prefix in ("", *outer))
    pages = chain(first, (f"{prefix}{path}" for prefix in prefixes for path in routes))
    spoken = [text for text in texts if _MCP.search(text) is not None]
    named = (path for text in spoken for path in _MCP_PATH.findall(text) if _UNSAFE.search(path) is None)
    protocol = (*islice(named, _MAX), *_MCP_PAGES) if spoken else ()
    return tuple(dict.fromkeys((*islice((page for page in pages if page not in USUAL_PATHS), _MAX), *protocol)))


def _routes(text: str) -> Iterator[str]:
    for match in _ROUTE.finditer(text):
        is_got = _METHODS.search(match["rest"]) is None or _GET.search(match["rest"]) is not None
        if is_got and _UNSAFE.search(match["path"]) is None:
            yield f"/{match['path'].lstrip('/')}"
