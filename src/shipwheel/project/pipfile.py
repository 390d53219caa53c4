"""Pipenv's Pipfile: what a project requires."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from shipwheel.errors import LockError
from shipwheel.project.metadata import Metadata
from shipwheel.project.requirements import Line, Requirements
from shipwheel.project.tool_indexes import pipfile_indexes
from shipwheel.user_files import parse_toml, read_text, read_toml
from shipwheel.versions import normalized

__all__ = ["category_table", "entry_markers", "entry_url", "line_numbers", "pipfile_metadata", "read_pipfile"]

_MAIN_TABLES = ("packages", "dev-packages")
_NO_CATEGORY = ("source", "requires", "scripts", "pipenv", "pipfile")


def pipfile_metadata(root: Path) -> Metadata | None:
    """What a directory's Pipfile says, its categories as dependency groups; None when there is none. Raises as read_pipfile."""
    path = root / "Pipfile"
    if not path.is_file():
        return None
    groups = {table: _texts(path, table) for table in read_toml(path) if table not in _NO_CATEGORY and table not in _MAIN_TABLES}
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
    for table in ("packages", *(category_table(data, group) for group in groups)):
        for name, value in data.get(table, {}).items():
            found.lines.append(Line(_requirement(str(name), value, path.parent), path, numbers.get(normalized(str(name)), [0])[0]))
    found.indexes = list(pipfile_indexes(data))
    entries = {str(name): value for table in data if table not in _NO_CATEGORY for name, value in data[table].items()}
    found.bound = {normalized(name): str(it["index"]) for name, it in entries.items() if isinstance(it, Mapping) and it.get("index")}
    found.prereleases = bool(data.get("pipenv", {}).get("allow_prereleases"))
    return found


def category_table(data: Mapping[str, Any], group: str) -> str:
    """Return the Pipfile table of a category, as Pipenv names them. Raises LockError."""
    name = "dev-packages" if group in ("dev", "develop", "dev-packages") else group
    if name not in data:
        known = [table for table in data if table not in (*_NO_CATEGORY, "packages")]
        raise LockError(f"Pipfile has no category {group!r}", hint=f"Categories: {', '.join(known) or 'none'}.")
    return name


def _requirement(name: str, value: Any, root: Path) -> str:
    entry: Mapping[str, Any] = value if isinstance(value, Mapping) else {"version": str(value)}
    extras = f"[{','.join(entry['extras'])}]" if entry.get("extras") else ""
    place = entry_url(entry, root)
    version = str(entry.get("version", "*"))
    head = f"{name}{extras} @ {place}" if place else f"{name}{extras}{'' if version == '*' else version}"
    markers = [f"({marker})" for marker in entry_markers(entry)]
    return f"{head} ; {' and '.join(markers)}" if markers else head


def entry_markers(entry: Mapping[str, Any]) -> Iterator[str]:
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


def entry_url(entry: Mapping[str, Any], root: Path) -> str:
    """Return what stands behind `name @` for an entry (PEP 508), empty for one from an index."""
    sub = f"#subdirectory={entry['subdirectory']}" if entry.get("subdirectory") else ""
    if "git" in entry:
        ref = f"@{entry['ref']}" if entry.get("ref") else ""
        return f"git+{entry['git']}{ref}{sub}"
    where = str(entry.get("path") or entry.get("file") or "")
    return "" if not where else where + sub if "://" in where else f"{(root / where).resolve().as_uri()}{sub}"


def line_numbers(text: str, pattern: str) -> dict[str, list[int]]:
    """Normalised name -> the lines that its entries begin at; the pattern's first group is the name."""
    found: dict[str, list[int]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if match := re.match(pattern, line):
            found.setdefault(normalized(match[1]), []).append(number)
    return found
