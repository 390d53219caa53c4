"""Read pdm.lock: with the groups and markers of each package (inherit_metadata, the default since PDM 2.11), or with its graph alone."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from shipwheel.errors import LockError
from shipwheel.locking.formats.tool_lock import Dependency, Entry, ToolLock, lacking, parse_dependency
from shipwheel.locking.inputs import LockRequest
from shipwheel.project.lock_inputs import OtherLock
from shipwheel.project.metadata import read_group
from shipwheel.project.pipfile import line_numbers
from shipwheel.user.files import decode_text, parse_toml
from shipwheel.versions import normalized

__all__ = ["read_pdm_lock"]


def read_pdm_lock(lock: OtherLock, request: LockRequest) -> ToolLock:
    """Read a lock for the request's extras and groups. Raises LockError, ProjectError."""
    path, project, extras, groups = lock.path, request.inputs.tables, request.extras, request.groups
    text = decode_text(lock.content, path)
    data = parse_toml(text, str(path))
    lines = line_numbers(text, r'name = "([^"]+)"')
    metadata, files = data.get("metadata", {}), data.get("metadata", {}).get("files", {})
    locked = {str(group) for group in metadata.get("groups", ["default"])}
    if missing := [name for name in (*extras, *groups) if normalized(name) not in {normalized(group) for group in locked}]:
        raise LockError(f"{path.name} was made without {missing[0]!r}", hint=f"Make it again with that group: pdm lock -G {missing[0]}.")
    entries = tuple(_entry(package, path.parent, files, lines) for package in data.get("package", []))
    direct = tuple(_direct(project, extras, groups))
    chosen = {normalized(name) for name in (*extras, *groups)}
    is_current = _is_current(str(metadata.get("content_hash", "")), project)
    return ToolLock(
        path=path,
        entries=entries,
        direct=direct,
        groups=frozenset({"default", *(group for group in locked if normalized(group) in chosen)}),
        changed="" if is_current else "pyproject.toml",
        lacking=() if is_current else lacking(entries, (dependency.name for dependency in direct)),
        locations={dependency.name: "pyproject.toml" for dependency in direct},
    )


def _entry(package: Mapping[str, Any], root: Path, all_files: Mapping[str, Any], lines: dict[str, list[int]]) -> Entry:
    name, version = normalized(str(package["name"])), str(package.get("version", ""))
    files = package.get("files", all_files.get(f"{package['name']} {version}", []))
    groups, numbers = package.get("groups"), lines.get(name, [0])
    marker = str(package.get("marker", ""))
    return Entry(
        name=name,
        version=version,
        requires_python=str(package.get("requires_python", "")),
        markers=dict.fromkeys(map(str, groups), marker) if groups is not None else None,
        dependencies=tuple(parse_dependency(str(text)) for text in package.get("dependencies", ())),
        hashes=tuple(sha256 for file in files if (sha256 := str(file.get("hash", "")).partition("sha256:")[2])),
        url=_url(package, root),
        line=numbers.pop(0) if len(numbers) > 1 else numbers[0],
        extras=frozenset(normalized(str(extra)) for extra in package.get("extras", ())),
    )


def _url(package: Mapping[str, Any], root: Path) -> str:
    fragment = f"#subdirectory={package['subdirectory']}" if package.get("subdirectory") else ""
    if "git" in package:
        return f"git+{package['git']}@{package.get('revision') or package.get('ref', '')}{fragment}"
    if "path" in package:
        return f"{(root / str(package['path'])).resolve().as_uri()}{fragment}"
    return f"{package['url']}{fragment}" if "url" in package else ""


def _direct(project: Mapping[str, Any], extras: tuple[str, ...], groups: tuple[str, ...]) -> Iterator[Dependency]:
    table = project.get("project", {})
    texts = [*table.get("dependencies", ())]
    for extra in extras:
        texts += table.get("optional-dependencies", {}).get(extra, ())
    for group in groups:
        texts += read_group(project, group) if group in project.get("dependency-groups", {}) else ()
        texts += project.get("tool", {}).get("pdm", {}).get("dev-dependencies", {}).get(group, ())
    yield from (parse_dependency(str(text)) for text in texts if not str(text).startswith("-e "))


def _is_current(content_hash: str, project: Mapping[str, Any]) -> bool:
    """Return whether PDM's `content_hash`, `sha256:<hex>` over what it resolves from, is that of the project."""
    table, pdm = project.get("project", {}), project.get("tool", {}).get("pdm", {})
    content: dict[str, Any] = {
        "sources": pdm.get("source", []),
        "dependencies": table.get("dependencies", []),
        "dev-dependencies": {**project.get("dependency-groups", {}), **pdm.get("dev-dependencies", {})},
        "optional-dependencies": table.get("optional-dependencies", {}),
        "requires-python": table.get("requires-python", ""),
        "resolution": pdm.get("resolution", {}),
    }
    older = {key: value for key, value in content.items() if key != "resolution"} | {
        "overrides": pdm.get("resolution", {}).get("overrides", {})
    }
    digests = {hashlib.sha256(json.dumps(one, sort_keys=True, default=str).encode()).hexdigest() for one in (content, older)}
    return not content_hash.startswith("sha256:") or content_hash.partition(":")[2] in digests
