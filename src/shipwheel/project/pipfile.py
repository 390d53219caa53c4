"""Pipenv's Pipfile: what a project requires."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from shipwheel.errors import LockError
from shipwheel.project.metadata import Metadata
from shipwheel.project.requirements import Line, Requirements
from shipwheel.project.tool_indexes import pipfile_indexes
from shipwheel.user.files import UserFiles
from shipwheel.versions import normalized

__all__ = ["Pipfile", "category_table", "entry_markers", "entry_url", "line_numbers", "read_pipfile"]

_MAIN_TABLES = ("packages", "dev-packages")
_OTHER_TABLES = ("source", "requires", "scripts", "pipenv", "pipfile")
"""Tables that are not categories of packages."""
_MARKER_VARIABLES = (
    "os_name",
    "sys_platform",
    "platform_machine",
    "platform_system",
    "python_version",
    "python_full_version",
    "implementation_name",
)


class Pipfile(msgspec.Struct, frozen=True):
    """A Pipfile: its tables, the hex sha256 of its contents, and the line of each normalized name."""

    path: Path
    tables: Mapping[str, Any]
    sha256: str
    lines: Mapping[str, int]

    def metadata(self) -> Metadata:
        """Return the dependencies, with categories as dependency groups."""
        categories = [table for table in self.tables if table not in _OTHER_TABLES and table not in _MAIN_TABLES]
        groups = {table: self._texts(table) for table in categories}
        groups["dev"] = groups["dev-packages"] = self._texts("dev-packages")
        return Metadata(origin="Pipfile", dependencies=tuple(self._texts("packages")), tables={"dependency-groups": groups})

    def requirements(self, groups: tuple[str, ...]) -> Requirements:
        """Return the requirements of [packages] and of the chosen categories ("dev", or the name of a table). Raises LockError."""
        lines = [
            Line(_requirement(str(name), value, self.path.parent), self.path, self.lines.get(normalized(str(name)), 0))
            for table in ("packages", *(category_table(self.tables, group) for group in groups))
            for name, value in self.tables.get(table, {}).items()
        ]
        entries = {str(name): value for table in self.tables if table not in _OTHER_TABLES for name, value in self.tables[table].items()}
        return Requirements(
            lines=tuple(lines),
            files={self.path: self.sha256},
            prereleases=bool(self.tables.get("pipenv", {}).get("allow_prereleases")),
            indexes=tuple(pipfile_indexes(self.tables)),
            index_of={normalized(name): str(it["index"]) for name, it in entries.items() if isinstance(it, Mapping) and it.get("index")},
        )

    def local_paths(self) -> Iterator[Path]:
        """Yield the paths that entries of any category name."""
        for table in self.tables:
            entries = self.tables[table] if table not in _OTHER_TABLES else {}
            for entry in entries.values() if isinstance(entries, Mapping) else ():
                location = str(entry.get("path") or entry.get("file") or "") if isinstance(entry, Mapping) else ""
                if location and "://" not in location:
                    # No file system has a path with a NUL.
                    yield (self.path.parent / location.replace("\0", "")).resolve()

    def _texts(self, table: str) -> list[str]:
        return [_requirement(str(name), value, self.path.parent) for name, value in self.tables.get(table, {}).items()]


def read_pipfile(files: UserFiles, path: Path) -> Pipfile:
    """Read a Pipfile. Raises ProjectError."""
    numbers = line_numbers(files.read_text(path), r'"?([A-Za-z0-9][A-Za-z0-9._-]*)"?\s*=')
    digest = hashlib.sha256(files.read_bytes(path)).hexdigest()
    return Pipfile(path, files.read_toml(path), digest, {name: lines[0] for name, lines in numbers.items()})


def category_table(tables: Mapping[str, Any], group: str) -> str:
    """Return the Pipfile table of a category, as Pipenv names them. Raises LockError."""
    name = "dev-packages" if group in ("dev", "develop", "dev-packages") else group
    if name not in tables:
        known = [table for table in tables if table not in (*_OTHER_TABLES, "packages")]
        raise LockError(f"Pipfile has no category {group!r}", hint=f"Categories: {', '.join(known) or 'none'}.")
    return name


def _requirement(name: str, value: Any, root: Path) -> str:
    entry: Mapping[str, Any] = value if isinstance(value, Mapping) else {"version": str(value)}
    extras = f"[{','.join(entry['extras'])}]" if entry.get("extras") else ""
    url = entry_url(entry, root)
    version = str(entry.get("version", "*"))
    head = f"{name}{extras} @ {url}" if url else f"{name}{extras}{'' if version == '*' else version}"
    markers = [f"({marker})" for marker in entry_markers(entry)]
    return f"{head} ; {' and '.join(markers)}" if markers else head


def entry_markers(entry: Mapping[str, Any]) -> Iterator[str]:
    """Yield an entry's markers: `markers` itself, and variables as keys (sys_platform = "== 'win32'")."""
    if entry.get("markers"):
        yield str(entry["markers"])
    for key in _MARKER_VARIABLES:
        if entry.get(key):
            yield f"{key} {entry[key]}"


def entry_url(entry: Mapping[str, Any], root: Path) -> str:
    """Return the URL that follows `name @` for an entry (PEP 508); empty for one from an index."""
    sub = f"#subdirectory={entry['subdirectory']}" if entry.get("subdirectory") else ""
    if "git" in entry:
        ref = f"@{entry['ref']}" if entry.get("ref") else ""
        return f"git+{entry['git']}{ref}{sub}"
    location = str(entry.get("path") or entry.get("file") or "")
    return "" if not location else location + sub if "://" in location else f"{(root / location).resolve().as_uri()}{sub}"


def line_numbers(text: str, pattern: str) -> dict[str, list[int]]:
    """Map normalized names to the lines on which their entries begin; the pattern's first group is the name."""
    found: dict[str, list[int]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if match := re.match(pattern, line):
            found.setdefault(normalized(match[1]), []).append(number)
    return found
