"""User names and passwords of package indexes, for the files that they serve: the lock's addresses have none.

They come from where uv takes them for an index: its address in uv's variables, the project's settings or its requirements files, variables
with the index's name, and .netrc. Each is bound to the scheme, host and port that it was given for.
"""

import netrc
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from urllib.parse import quote, urlsplit

from shipwheel.python.project import Project
from shipwheel.python.requirements import read_requirements
from shipwheel.python.workspace import uv_settings

__all__ = ["Credentials", "credentials_of"]

_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL")

Credentials = Callable[[str], str]
"""Takes an address and returns it, with the user name and password of its server if there are some."""


def credentials_of(project: Project, environ: Mapping[str, str] | None = None) -> Credentials:
    """The credentials that a project's indexes are asked with."""
    environ = os.environ if environ is None else environ

    @cache
    def known() -> dict[str, str]:
        # The first one counts; variables come before files.
        return {origin: user for url in reversed([*_addresses(project, environ)]) if (user := _user(url)) and (origin := _origin(url))}

    def signed(url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or "@" in parts.netloc:
            return url
        user = known().get(_origin(url)) or _from_netrc(parts.hostname or "", environ)
        return parts._replace(netloc=f"{user}@{parts.netloc}").geturl() if user else url

    return signed


def _addresses(project: Project, environ: Mapping[str, str]) -> Iterator[str]:
    """The addresses of all indexes, those with a name and variables for it with these in it."""
    named: list[tuple[str, str]] = []
    for variable in _VARIABLES:
        for word in environ.get(variable, "").split():
            name, equals, url = word.partition("=")
            named.append((name, url) if equals and "://" not in name else ("", word))
    settings = uv_settings(project.root)
    named += [(str(index.get("name", "")), str(index["url"])) for index in settings.get("index", [])]
    named += [("", str(url)) for key in ("index-url", "extra-index-url") for url in _texts(settings.get(key))]
    if project.requirements:
        listed = read_requirements(project.requirements)
        named += [("", url) for url in (listed.index_url, *listed.extra_index_urls) if url]
    for name, url in named:
        yield _with_variables(name, url, environ)


def _texts(value: object) -> Iterable[object]:
    return value if isinstance(value, list) else [value] if value else []


def _with_variables(name: str, url: str, environ: Mapping[str, str]) -> str:
    # uv: "UV_INDEX_INTERNAL_PROXY_USERNAME" for the index named internal-proxy.
    stem = f"UV_INDEX_{re.sub(r'[^A-Z0-9]', '_', name.upper())}"
    user, password = environ.get(f"{stem}_USERNAME", ""), environ.get(f"{stem}_PASSWORD", "")
    if not name or not (user or password):
        return url
    parts = urlsplit(url)
    return parts._replace(netloc=f"{_userinfo(user, password)}@{parts.netloc.rpartition('@')[2]}").geturl()


def _userinfo(user: str, password: str) -> str:
    return quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")


def _user(url: str) -> str:
    try:
        return urlsplit(url).netloc.rpartition("@")[0]
    except ValueError:
        return ""


def _origin(url: str) -> str:
    """Scheme, host and port; empty for what is no address."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
        return f"{parts.scheme}://{parts.hostname}:{port}"
    except ValueError:
        return ""


def _from_netrc(host: str, environ: Mapping[str, str]) -> str:
    path = Path(environ.get("NETRC") or Path(environ.get("HOME") or os.path.expanduser("~")) / ".netrc")  # noqa: PTH111
    try:
        found = netrc.netrc(str(path)).authenticators(host)
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        return ""
    return _userinfo(found[0], found[2] or "") if found else ""
