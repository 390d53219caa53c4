"""Pipfile.lock: what Pipenv resolved a Pipfile to."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shipwheel.errors import LockError
from shipwheel.lock.formats.tool_lock import Entry, ToolLock
from shipwheel.project.lock_inputs import OtherLock
from shipwheel.project.pipfile import Pipfile, category_table, entry_markers, entry_url, line_numbers
from shipwheel.project.requirements import Requirements
from shipwheel.project.tool_indexes import pipfile_indexes
from shipwheel.user_files import decode_text
from shipwheel.versions import normalized

__all__ = ["read_pipfile_lock"]

_TABLES = {"packages": "default", "dev-packages": "develop"}


def read_pipfile_lock(lock: OtherLock, pipfile: Pipfile | None, groups: tuple[str, ...]) -> ToolLock:
    """Read a lock for the chosen categories. Raises LockError, ProjectError."""
    path = lock.path
    text = decode_text(lock.content, path)
    try:
        data = json.loads(text)
    except ValueError as error:
        raise LockError(f"{path}: {error}", hint="Make it again: pipenv lock.") from None
    project = pipfile.tables if pipfile is not None else {}
    tables = ["default", *(_TABLES.get(table, table) for table in (category_table(project, group) for group in groups))]
    lines = line_numbers(text, r'        "([^"]+)": \{')
    wanted = pipfile.requirements(groups) if pipfile is not None else Requirements()
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
    marker = " and ".join(f"({one})" for one in entry_markers(value))
    if not version and not marker:
        # What the locking machine had no use for is left open, and may have lost its marker.
        marker = asked.get(normalized(name), "")
    return Entry(
        name=normalized(name),
        version=version,
        markers={table: marker},
        hashes=tuple(found for text in value.get("hashes", ()) if (found := str(text).partition("sha256:")[2])),
        place=entry_url(value, root),
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
