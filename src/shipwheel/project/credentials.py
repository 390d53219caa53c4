"""User names and passwords of package indexes, for downloading the files in the lock, whose URLs have none.

They come from the places where uv looks for an index's login:

* the index's URL in uv's variables, in the settings of the project, the user and the machine, and in requirements files;
* the variables for the index's name;
* .netrc, the logins that `uv auth login` stored, and the keyring, if uv is configured to ask it.

They also come from pip's settings, and from the places where Poetry, PDM and Pipenv keep the logins of a project's sources. Each login
is sent to no other scheme, host and port than the one that it is configured for. A login in .netrc names only a host: it is sent without
encryption only to the loopback interface, and to hosts that uv is told to use insecurely (UV_INSECURE_HOST, allow-insecure-host).
"""

import netrc
import os
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from shipwheel.download.http import is_loopback
from shipwheel.errors import ProjectError
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.indexes import without_login
from shipwheel.project.machine_settings import pip_settings, uv_files
from shipwheel.project.project import Project
from shipwheel.project.requirements import decode
from shipwheel.project.tool_indexes import pipfile_indexes
from shipwheel.user.directories import data_home, home
from shipwheel.user.files import read_toml

__all__ = ["Credentials", "credentials_of"]

_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL")
_URL_WITH_LOGIN = lazy_pattern(r"https?://[^\s/@\"'#$]+@[^\s/@\"'#]+")
_KEYRING_TIMEOUT_S = 20.0
"""A keyring may have to be unlocked first."""

Credentials = Callable[[str], str]
"""Takes a URL and returns it with the user name and password for its server, if there are any."""


def credentials_of(project: Project, environ: Mapping[str, str] | None = None) -> Credentials:
    """Return the logins of a project's indexes. They are looked up when the first URL is asked for."""
    environ = os.environ if environ is None else environ

    @cache
    def configured() -> dict[str, str]:
        # The first login of a server wins; variables come before files.
        return {origin: user for url in reversed([*_index_urls(project, environ)]) if (user := _user(url)) and (origin := _origin(url))}

    @cache
    def stored(origin: str, user: str) -> str:
        return _from_uv(origin, user, environ) or _from_keyring(origin, user, project, environ)

    def login(origin: str) -> str:
        user = configured().get(origin, "")
        return user if ":" in user else _from_netrc(origin, environ) or stored(origin, user) or user

    def with_login(url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or "@" in parts.netloc:
            return url
        user = login(_origin(url))
        return parts._replace(netloc=f"{user}@{parts.netloc}").geturl() if user else url

    return with_login


def _index_urls(project: Project, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield the URLs of all indexes; an index with variables for its name has their login in its URL."""
    inputs = project.inputs
    named: list[tuple[str, str]] = []
    for variable in _VARIABLES:
        for word in environ.get(variable, "").split():
            name, equals, url = word.partition("=")
            named.append((name, url) if equals and "://" not in name else ("", word))
    for settings in (inputs.workspace.settings, *(table for _, table in uv_files(environ))):
        named += [(str(index.get("name", "")), str(index.get("url", ""))) for index in settings.get("index", [])]
        named += [("", str(url)) for key in ("index-url", "extra-index-url") for url in _as_list(settings.get(key))]
    named += [("", url) for text in pip_settings(environ).values() for url in text.split()]
    if inputs.requirements is not None:
        named += [("", url) for url in (inputs.requirements.index_url, *inputs.requirements.extra_index_urls) if url]
    if inputs.pipfile is not None:
        named += [(str(index.get("name", "")), str(index["url"])) for index in pipfile_indexes(inputs.pipfile.tables, environ)]
    for name, url in named:
        yield _with_variables(name, url, environ)
    for text in inputs.texts.values():
        # URLs of single files, in the project's requirements or in another tool's lock.
        yield from _URL_WITH_LOGIN.findall(decode(text))


def _as_list(value: object) -> Iterable[object]:
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
    """Return scheme, host and port; empty for a malformed URL."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
        return f"{parts.scheme}://{parts.hostname}:{port}"
    except ValueError:
        return ""


def _from_netrc(origin: str, environ: Mapping[str, str]) -> str:
    parts = urlsplit(origin)
    host = parts.hostname or ""
    if parts.scheme != "https" and not is_loopback(host) and not _is_insecure_on_purpose(host, parts.port, environ):
        return ""
    path = Path(environ.get("NETRC") or home(environ) / ".netrc")
    try:
        # authenticators() would send the login of `default` to every host.
        found = netrc.netrc(str(path)).hosts.get(host)
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        return ""
    return _userinfo(found[0], found[2] or "") if found else ""


def _is_insecure_on_purpose(host: str, port: int | None, environ: Mapping[str, str]) -> bool:
    """Return whether the user or the machine tells uv to use a host insecurely. A project cannot."""
    names = environ.get("UV_INSECURE_HOST", "").split()
    names += [str(name) for _, table in uv_files(environ) for name in _as_list(table.get("allow-insecure-host"))]
    return not {host, f"{host}:{port}"}.isdisjoint(name.rpartition("://")[2].rstrip("/").lower() for name in names)


def _from_uv(origin: str, user: str, environ: Mapping[str, str]) -> str:
    """Return the login that `uv auth login` stored."""
    path = Path(environ.get("UV_CREDENTIALS_DIR") or data_home(environ) / "uv" / "credentials") / "credentials.toml"
    try:
        stored = read_toml(path).get("credential", []) if path.is_file() else []
        for each in stored:
            if each["scheme"] == "basic" and _origin(each["service"]) == origin and user in ("", quote(each["username"], safe="")):
                return _userinfo(each["username"], each["password"])
    except (ProjectError, KeyError, TypeError, AttributeError):
        return ""
    return ""


def _from_keyring(origin: str, user: str, project: Project, environ: Mapping[str, str]) -> str:
    """Ask the `keyring` program, if uv is set to do so, for the URL of each index of the server, and then for its host."""
    settings = (project.inputs.workspace.settings, *(table for _, table in uv_files(environ)))
    provider = environ.get("UV_KEYRING_PROVIDER") or next((it["keyring-provider"] for it in settings if it.get("keyring-provider")), "")
    services = dict.fromkeys(without_login(url) for url in _index_urls(project, environ) if _origin(url) == origin)
    if provider != "subprocess" or not services:
        return ""
    host = urlsplit(origin).hostname or ""
    for service in (*services, host):
        found = (
            _ask_keyring(["get", service, unquote(user)], environ) if user else _ask_keyring(["--mode", "creds", "get", service], environ)
        )
        if user and found:
            return f"{user}:{quote(found[0], safe='')}"
        if len(found) == 2:
            return _userinfo(found[0], found[1])
    return ""


def _ask_keyring(arguments: list[str], environ: Mapping[str, str]) -> list[str]:
    """Return the lines that keyring prints: a password, or a user name and a password; none if it knows no login."""
    try:
        done = subprocess.run(
            ["keyring", *arguments],
            env={**environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_KEYRING_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return []
    return done.stdout.splitlines() if done.returncode == 0 else []
