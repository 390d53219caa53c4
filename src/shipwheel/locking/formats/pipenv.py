"""Read Pipfile.lock, in which Pipenv pins the packages of a Pipfile."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shipwheel.errors import LockError
from shipwheel.locking.formats.tool_lock import Entry, ToolLock, lacking
from shipwheel.locking.inputs import LockRequest
from shipwheel.project.lock_inputs import OtherLock
from shipwheel.project.pipfile import category_table, entry_markers, entry_url, line_numbers
from shipwheel.project.requirements import Requirements
from shipwheel.project.tool_indexes import pipfile_indexes
from shipwheel.user.files import decode_text
from shipwheel.versions import normalized, requirement_name

__all__ = ["read_pipfile_lock"]

_TABLES = {"packages": "default", "dev-packages": "develop"}
"""Tables of the lock by the table of the Pipfile."""


def read_pipfile_lock(lock: OtherLock, request: LockRequest) -> ToolLock:
    """Read a lock for the request's groups, which are Pipenv's categories. Raises LockError, ProjectError."""
    path, pipfile, groups = lock.path, request.inputs.pipfile, request.groups
    text = decode_text(lock.content, path)
    try:
        data = json.loads(text)
    except ValueError as error:
        raise LockError(f"{path}: {error}", hint="Make it again: pipenv lock.") from None
    project = pipfile.tables if pipfile is not None else {}
    tables = ["default", *(_TABLES.get(table, table) for table in (category_table(project, group) for group in groups))]
    lines = line_numbers(text, r'        "([^"]+)": \{')
    requirements = pipfile.requirements(groups) if pipfile is not None else Requirements()
    markers = {normalized(it.name): str(it.marker or "") for line in requirements.lines if (it := line.requirement) is not None}
    entries = [
        _entry(str(name), value, path.parent, table, lines, markers) for table in tables for name, value in data.get(table, {}).items()
    ]
    content_hash = str(data.get("_meta", {}).get("hash", {}).get("sha256", ""))
    is_current = "source" not in project or not content_hash or content_hash == _content_hash(project)
    places = {requirement_name(line.text): line.place for line in requirements.lines}
    return ToolLock(
        path=path,
        entries=tuple(entries),
        groups=frozenset(tables),
        changed="" if is_current else "Pipfile",
        lacking=() if is_current else lacking(entries, places),
        locations=places,
        indexes=tuple(pipfile_indexes(project)),
    )


def _entry(name: str, value: Mapping[str, Any], root: Path, table: str, lines: dict[str, list[int]], markers: Mapping[str, str]) -> Entry:
    """Return an entry; `markers` are those of the Pipfile."""
    specifier = str(value.get("version", "")).strip()
    version = specifier.lstrip("=").strip() if specifier.startswith("==") and "*" not in specifier else ""
    marker = " and ".join(f"({one})" for one in entry_markers(value))
    if not version and not marker:
        # Pipenv does not pin what the locking machine did not need, and may have dropped its marker.
        marker = markers.get(normalized(name), "")
    return Entry(
        name=normalized(name),
        version=version,
        markers={table: marker},
        hashes=tuple(sha256 for text in value.get("hashes", ()) if (sha256 := str(text).partition("sha256:")[2])),
        url=entry_url(value, root),
        line=lines.get(normalized(name), [0])[0],
        extras=frozenset(map(str, value.get("extras", ()))),
        specifier="" if version or specifier == "*" else specifier,
        index=str(value.get("index", "")),
    )


def _content_hash(project: Mapping[str, Any]) -> str:
    """Return the checksum that Pipenv records of a Pipfile."""
    data: dict[str, Any] = {
        "_meta": {"sources": project.get("source", []), "requires": project.get("requires", {})},
        "default": project.get("packages", {}),
        "develop": project.get("dev-packages", {}),
    }
    known = {"source", "packages", "dev-packages", "requires", "scripts", "pipfile", "pipenv", "default", "develop"}
    data |= {key: value for key, value in project.items() if key not in known}
    return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":"), default=str).encode()).hexdigest()
