"""The package indexes of Poetry, PDM and Pipenv in uv's form, with the logins that Poetry and PDM keep outside the project.

In uv's form, the default index comes last, and an explicit index serves only the packages that are bound to it.
"""

import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from shipwheel.errors import ProjectError
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.user.directories import config_home, home
from shipwheel.user.files import read_toml, table_at
from shipwheel.witness.witness import note_look

__all__ = ["bound_packages", "pipfile_indexes", "tool_indexes"]

_VARIABLE = lazy_pattern(r"\$\{(\w+)\}|\$(\w+)")
_PUBLIC = "pypi"
"""The name of the public index in Poetry, PDM and Pipenv; uv's default index takes its place."""


def tool_indexes(tool: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """Return the indexes in [[tool.poetry.source]] and [[tool.pdm.source]], with their logins in the URLs.

    A primary source of Poetry replaces the public index unless that is listed too; a source of PDM replaces it if it has its name.
    """
    environ = os.environ if environ is None else environ
    return [*_poetry(_sources(tool, "poetry"), environ), *_pdm(_sources(tool, "pdm"), environ)]


def _sources(tool: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = table_at(tool, name).get("source", [])
    return [source for source in found if isinstance(source, Mapping)] if isinstance(found, list) else []


def _poetry(sources: list[Mapping[str, Any]], environ: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    public = any(str(source.get("name", "")).lower() == _PUBLIC for source in sources)
    for source in sources:
        if not source.get("url"):
            continue
        name, priority = str(source.get("name", "")), str(source.get("priority", "primary"))
        stem = f"POETRY_HTTP_BASIC_{re.sub(r'[-.]', '_', name.upper())}"
        user, password = environ.get(f"{stem}_USERNAME", ""), environ.get(f"{stem}_PASSWORD", "")
        if not user:
            stored = table_at(_settings(_configuration("pypoetry", "POETRY_CONFIG_DIR", environ) / "auth.toml"), "http-basic", name)
            user, password = str(stored.get("username", "")), str(stored.get("password", ""))
        index = _index(name, str(source["url"]), user, password)
        if priority in ("primary", "default") and not public:
            public = True
            index["default"] = True
        yield index | ({"explicit": True} if priority == "explicit" else {})


def _pdm(sources: list[Mapping[str, Any]], environ: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    known = table_at(_settings(_configuration("pdm", "PDM_CONFIG_HOME", environ) / "config.toml"), "pypi") if sources else {}
    for source in sources:
        if not source.get("url") or source.get("type", "index") != "index":
            continue
        name = str(source.get("name", ""))
        stored = known if name == _PUBLIC else table_at(known, name)
        user = str(source.get("username") or stored.get("username", ""))
        password = str(source.get("password") or stored.get("password", ""))
        index = _index(name, _expanded(str(source["url"]), environ), _expanded(user, environ), _expanded(password, environ))
        yield index | ({"default": True} if name == _PUBLIC else {})


def pipfile_indexes(data: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """Return the indexes of a Pipfile: the first is the default unless it is the public index, the others are explicit."""
    environ = os.environ if environ is None else environ
    found = []
    for number, source in enumerate(data.get("source", [])):
        if source.get("url") and not (number == 0 and source.get("name") == _PUBLIC):
            index = _index(str(source.get("name", "")), _expanded(str(source["url"]), environ), "", "")
            found.append(index | ({"explicit": True} if number else {"default": True}))
    return found


def bound_packages(tool: Mapping[str, Any]) -> dict[str, str]:
    """Return package -> index, as Poetry's `source` and PDM's `include_packages` bind them."""
    tables = [table_at(tool, "poetry", "dependencies"), table_at(tool, "poetry", "dev-dependencies")]
    tables += [table_at(group, "dependencies") for group in table_at(tool, "poetry", "group").values()]
    found = {}
    for table in tables:
        for name, value in table.items():
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, Mapping) and one.get("source"):
                    found[str(name)] = str(one["source"])
    for source in _sources(tool, "pdm"):
        found |= {str(name): str(source.get("name", "")) for name in source.get("include_packages", ()) if "*" not in str(name)}
    return found


def _index(name: str, url: str, user: str, password: str) -> dict[str, Any]:
    parts = urlsplit(url)
    if user and "@" not in parts.netloc:
        url = parts._replace(netloc=f"{quote(user, safe='')}:{quote(password, safe='')}@{parts.netloc}").geturl()
    # uv allows no other characters in names.
    return {"url": url} | ({"name": name} if re.fullmatch(r"[A-Za-z0-9_.-]+", name) else {})


def _expanded(text: str, environ: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda found: environ.get(found[1] or found[2], found[0]), text)


def _configuration(name: str, variable: str, environ: Mapping[str, str]) -> Path:
    """Return the directory of a tool's configuration (platformdirs' user_config_dir)."""
    if environ.get(variable):
        return Path(environ[variable])
    if sys.platform == "darwin":
        return home(environ) / "Library" / "Application Support" / name
    return config_home(environ) / name


def _settings(path: Path) -> dict[str, Any]:
    note_look(path)
    try:
        return read_toml(path) if path.is_file() else {}
    except ProjectError:
        return {}  # the tool itself reports what is wrong with it
