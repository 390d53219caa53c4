"""User names and passwords of package indexes, for the files that they serve: the lock's addresses have none.

They come from where uv takes them for an index: its address in uv's variables, in the settings of the project, the user and the machine,
or in requirements files; variables with the index's name, .netrc, what `uv auth login` stored, and the keyring where uv is told to ask
it; from pip's settings; and from where Poetry, PDM and Pipenv take them for the sources that a project names. Each is bound to the
scheme, host and port that it was given for.
"""

import netrc
import os
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from shipwheel.errors import ProjectError
from shipwheel.project.detect import Project
from shipwheel.project.indexes import bare, pip_settings, uv_files
from shipwheel.project.requirements import decode, read_requirements
from shipwheel.project.tool_indexes import pipfile_indexes
from shipwheel.project.workspace import uv_settings
from shipwheel.user_dirs import data_home, home
from shipwheel.user_files import read_toml

__all__ = ["Credentials", "credentials_of"]

_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL")

_LOCKS = ("pylock.toml", "uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock")
_LARGEST = 32 << 20
_SIGNED = re.compile(r"https?://[^\s/@\"'#$]+@[^\s/@\"'#]+")

_PATIENCE = 20.0
"""Seconds for a keyring, which may want to be unlocked."""

Credentials = Callable[[str], str]
"""Takes an address and returns it, with the user name and password of its server if there are some."""


def credentials_of(project: Project, environ: Mapping[str, str] | None = None) -> Credentials:
    """The credentials that a project's indexes are asked with."""
    environ = os.environ if environ is None else environ

    @cache
    def known() -> dict[str, str]:
        # The first one counts; variables come before files.
        return {origin: user for url in reversed([*_addresses(project, environ)]) if (user := _user(url)) and (origin := _origin(url))}

    @cache
    def stored(origin: str, user: str) -> str:
        return _from_uv(origin, user, environ) or _from_keyring(origin, user, project, environ)

    def found(origin: str, host: str) -> str:
        user = known().get(origin, "")
        return user if ":" in user else _from_netrc(host, environ) or stored(origin, user) or user

    def signed(url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or "@" in parts.netloc:
            return url
        user = found(_origin(url), parts.hostname or "")
        return parts._replace(netloc=f"{user}@{parts.netloc}").geturl() if user else url

    return signed


def _addresses(project: Project, environ: Mapping[str, str]) -> Iterator[str]:
    """The addresses of all indexes, those with a name and variables for it with these in it."""
    named: list[tuple[str, str]] = []
    for variable in _VARIABLES:
        for word in environ.get(variable, "").split():
            name, equals, url = word.partition("=")
            named.append((name, url) if equals and "://" not in name else ("", word))
    for settings in (uv_settings(project.root), *(found for _, found in uv_files(environ))):
        named += [(str(index.get("name", "")), str(index.get("url", ""))) for index in settings.get("index", [])]
        named += [("", str(url)) for key in ("index-url", "extra-index-url") for url in _texts(settings.get(key))]
    named += [("", url) for text in pip_settings(environ).values() for url in text.split()]
    if project.requirements:
        listed = read_requirements(project.requirements)
        named += [("", url) for url in (listed.index_url, *listed.extra_index_urls) if url]
    if "Pipfile" in project.lock_inputs:
        named += [
            (str(index.get("name", "")), str(index["url"])) for index in pipfile_indexes(read_toml(project.root / "Pipfile"), environ)
        ]
    for name, url in named:
        yield _with_variables(name, url, environ)
    yield from _written(project)


def _written(project: Project) -> Iterator[str]:
    """Beginnings of addresses of single files, in what the project or another tool's lock asks for."""
    for name in dict.fromkeys((*project.lock_inputs, *_LOCKS)):
        path = project.root / name
        if path.is_file() and path.stat().st_size < _LARGEST:
            yield from _SIGNED.findall(decode(path.read_bytes()))


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
    path = Path(environ.get("NETRC") or home(environ) / ".netrc")
    try:
        # Not authenticators(), which gives what stands behind `default` to any host at all.
        found = netrc.netrc(str(path)).hosts.get(host)
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        return ""
    return _userinfo(found[0], found[2] or "") if found else ""


def _from_uv(origin: str, user: str, environ: Mapping[str, str]) -> str:
    """What `uv auth login` stored, which is a file of uv's own."""
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
    """Asks the `keyring` program, as uv does when its setting says so, for the indexes of this server, by address and then by host."""
    settings = (uv_settings(project.root), *(found for _, found in uv_files(environ)))
    provider = environ.get("UV_KEYRING_PROVIDER") or next((it["keyring-provider"] for it in settings if it.get("keyring-provider")), "")
    services = dict.fromkeys(bare(url) for url in _addresses(project, environ) if _origin(url) == origin)
    if provider != "subprocess" or not services:
        return ""
    host = urlsplit(origin).hostname or ""
    for service in (*services, host):
        found = _asked(["get", service, unquote(user)], environ) if user else _asked(["--mode", "creds", "get", service], environ)
        if user and found:
            return f"{user}:{quote(found[0], safe='')}"
        if len(found) == 2:
            return _userinfo(found[0], found[1])
    return ""


def _asked(arguments: list[str], environ: Mapping[str, str]) -> list[str]:
    """The lines of the answer: a password, or a user and a password; none when it has no answer."""
    try:
        done = subprocess.run(
            ["keyring", *arguments],
            env={**environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE,
        )
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return []
    return done.stdout.splitlines() if done.returncode == 0 else []
