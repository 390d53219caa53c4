"""Pipenv: Pipfile says what is wanted, Pipfile.lock what that came to."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from shipwheel.config import parse_toml, read_text, read_toml
from shipwheel.errors import LockError
from shipwheel.python.metadata import Metadata, normalized
from shipwheel.python.requirements import Line, Requirements
from shipwheel.python.toolindexes import pipfile_indexes
from shipwheel.python.toollock import Entry, ToolLock, line_numbers

__all__ = ["pipfile_metadata", "read_pipfile", "read_pipfile_lock"]

_TABLES = {"packages": "default", "dev-packages": "develop"}
_NO_CATEGORY = ("source", "requires", "scripts", "pipenv", "pipfile")


def pipfile_metadata(root: Path) -> Metadata | None:
    """What a directory's Pipfile says, its categories as dependency groups; None when there is none. Raises as read_pipfile."""
    path = root / "Pipfile"
    if not path.is_file():
        return None
    groups = {table: _texts(path, table) for table in read_toml(path) if table not in _NO_CATEGORY and table not in _TABLES}
    groups["dev"] = groups["dev-packages"] = _texts(path, "dev-packages")
    return Metadata(origin="Pipfile", dependencies=tuple(_texts(path, "packages")), tables={"dependency-groups": groups})


def _texts(path: Path, table: str) -> list[str]:
    entries = read_toml(path).get(table, {})
    return [_requirement(str(name), value, path.parent) for name, value in entries.items()]


def read_pipfile(path: Path, groups: tuple[str, ...]) -> Requirements:
    """What the Pipfile's packages, and those of the chosen categories ("dev", or any other table), ask for. Raises LockError."""
    text = read_text(path)
    data = parse_toml(text, str(path))
    numbers = line_numbers(text, r'"?([A-Za-z0-9][A-Za-z0-9._-]*)"?\s*=')
    found = Requirements(files=[path])
    for table in ("packages", *(_table(data, group) for group in groups)):
        for name, value in data.get(table, {}).items():
            found.lines.append(Line(_requirement(str(name), value, path.parent), path, numbers.get(normalized(str(name)), [0])[0]))
    found.indexes = list(pipfile_indexes(data))
    entries = {str(name): value for table in data if table not in _NO_CATEGORY for name, value in data[table].items()}
    found.bound = {normalized(name): str(it["index"]) for name, it in entries.items() if isinstance(it, Mapping) and it.get("index")}
    found.prereleases = bool(data.get("pipenv", {}).get("allow_prereleases"))
    return found


def _table(data: Mapping[str, Any], group: str) -> str:
    name = "dev-packages" if group in ("dev", "develop", "dev-packages") else group
    if name not in data:
        known = [table for table in data if table not in (*_NO_CATEGORY, "packages")]
        raise LockError(f"Pipfile has no category {group!r}", hint=f"Categories: {', '.join(known) or 'none'}.")
    return name


def _requirement(name: str, value: Any, root: Path) -> str:
    entry: Mapping[str, Any] = value if isinstance(value, Mapping) else {"version": str(value)}
    extras = f"[{','.join(entry['extras'])}]" if entry.get("extras") else ""
    place = _place(entry, root)
    version = str(entry.get("version", "*"))
    head = f"{name}{extras} @ {place}" if place else f"{name}{extras}{'' if version == '*' else version}"
    markers = [f"({marker})" for marker in _markers(entry)]
    return f"{head} ; {' and '.join(markers)}" if markers else head


def _markers(entry: Mapping[str, Any]) -> Iterator[str]:
    """`markers`, and any variable of PEP 508 as a key: sys_platform = "== 'win32'"."""
    if entry.get("markers"):
        yield str(entry["markers"])
    for key in (
        "os_name",
        "sys_platform",
        "platform_machine",
        "platform_system",
        "python_version",
        "python_full_version",
        "implementation_name",
    ):
        if entry.get(key):
            yield f"{key} {entry[key]}"


def _place(entry: Mapping[str, Any], root: Path) -> str:
    sub = f"#subdirectory={entry['subdirectory']}" if entry.get("subdirectory") else ""
    if "git" in entry:
        ref = f"@{entry['ref']}" if entry.get("ref") else ""
        return f"git+{entry['git']}{ref}{sub}"
    where = str(entry.get("path") or entry.get("file") or "")
    return "" if not where else where + sub if "://" in where else f"{(root / where).resolve().as_uri()}{sub}"


def read_pipfile_lock(path: Path, groups: tuple[str, ...]) -> ToolLock:
    """The lock with the chosen categories. Raises LockError, ProjectError."""
    text = read_text(path)
    try:
        data = json.loads(text)
    except ValueError as error:
        raise LockError(f"{path}: {error}", hint="Make it again: pipenv lock.") from None
    pipfile = path.parent / "Pipfile"
    project = read_toml(pipfile) if pipfile.is_file() else {}
    tables = ["default", *(_TABLES.get(table, table) for table in (_table(project, group) for group in groups))]
    lines = line_numbers(text, r'        "([^"]+)": \{')
    wanted = read_pipfile(pipfile, groups) if project else Requirements()
    asked = {normalized(it.name): str(it.marker or "") for line in wanted.lines if (it := line.requirement) is not None}
    entries = [
        _entry(str(name), value, path.parent, table, lines, asked) for table in tables for name, value in data.get(table, {}).items()
    ]
    places = {normalized(re.split(r"[\s\[@;<>=!~(]", line.text, maxsplit=1)[0]): line.place for line in wanted.lines}
    known = str(data.get("_meta", {}).get("hash", {}).get("sha256", ""))
    stale = "" if "source" not in project or not known or known == _hash(project) else "Pipfile changed after it was made"
    return ToolLock(path, tuple(entries), (), frozenset(tables), stale, places, tuple(pipfile_indexes(project)))


def _entry(name: str, value: Mapping[str, Any], root: Path, table: str, lines: dict[str, list[int]], asked: Mapping[str, str]) -> Entry:
    said = str(value.get("version", "")).strip()
    version = said.lstrip("=").strip() if said.startswith("==") and "*" not in said else ""
    specifier = "" if version or said == "*" else said
    marker = " and ".join(f"({one})" for one in _markers(value))
    if not version and not marker:
        # What the locking machine had no use for is left open, and may have lost its marker.
        marker = asked.get(normalized(name), "")
    return Entry(
        name=normalized(name),
        version=version,
        markers={table: marker},
        hashes=tuple(found for text in value.get("hashes", ()) if (found := str(text).partition("sha256:")[2])),
        place=_place(value, root),
        line=lines.get(normalized(name), [0])[0],
        extras=frozenset(map(str, value.get("extras", ()))),
        specifier=specifier,
        index=str(value.get("index", "")),
    )


def _hash(project: Mapping[str, Any]) -> str:
    """Pipenv's checksum of a Pipfile."""
    data: dict[str, Any] = {
        "_meta": {"sources": project.get("source", []), "requires": project.get("requires", {})},
        "default": project.get("packages", {}),
        "develop": project.get("dev-packages", {}),
    }
    others = {"source", "packages", "dev-packages", "requires", "scripts", "pipfile", "pipenv", "default", "develop"}
    data |= {key: value for key, value in project.items() if key not in others}
    return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":"), default=str).encode()).hexdigest()
