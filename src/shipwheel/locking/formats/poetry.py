"""Read poetry.lock in the lock versions 1.0 to 2.1; the last one has the groups and markers of each package."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from shipwheel.errors import LockError
from shipwheel.locking.formats.tool_lock import Dependency, Entry, ToolLock, lacking, parse_dependency
from shipwheel.locking.inputs import LockRequest
from shipwheel.project.lock_inputs import OtherLock
from shipwheel.project.metadata import read_group
from shipwheel.project.pipfile import line_numbers
from shipwheel.project.poetry import poetry_pythons, poetry_requirements, poetry_specifiers
from shipwheel.user.files import decode_text, parse_toml
from shipwheel.versions import normalized, requirement_name

__all__ = ["poetry_content_hashes", "read_poetry_lock"]

_LEGACY_KEYS = ("dependencies", "source", "extras", "dev-dependencies")
_PROJECT_KEYS = ("requires-python", "dependencies", "optional-dependencies")


def read_poetry_lock(lock: OtherLock, request: LockRequest) -> ToolLock:
    """Read a lock for the request's extras and groups. Raises LockError, ProjectError."""
    path, project, groups = lock.path, request.inputs.tables, request.groups
    text = decode_text(lock.content, path)
    data = parse_toml(text, str(path))
    lines = line_numbers(text, r'name = "([^"]+)"')
    packages = data.get("package", [])
    if not isinstance(packages, list):
        raise LockError(f"{path} has no packages", hint="Make it again: poetry lock.")
    files = data.get("metadata", {}).get("files", {})
    entries = tuple(_entry(package, path.parent, files, lines) for package in packages)
    known = set(project.get("tool", {}).get("poetry", {}).get("group", {})) | set(project.get("dependency-groups", {})) | {"dev"}
    if unknown := [group for group in groups if group not in known]:
        raise LockError(f"pyproject.toml has no group {unknown[0]!r}", hint=f"Groups: {', '.join(sorted(known))}.")
    direct = tuple(_direct(project, path.parent, request.extras, groups))
    has_groups = all(entry.markers is not None for entry in entries)
    names = _direct_names(project, groups) if has_groups else {dependency.name for dependency in direct}
    is_current = _is_current(data.get("metadata", {}), project)
    return ToolLock(
        path=path,
        entries=tuple(_with_extras(entries, direct)) if has_groups else entries,
        direct=() if has_groups else direct,
        groups=frozenset({"main", *groups}),
        changed="" if is_current else "pyproject.toml",
        lacking=() if is_current else lacking(entries, (dependency.name for dependency in direct)),
        locations=dict.fromkeys(names, "pyproject.toml"),
    )


def _entry(package: Mapping[str, Any], root: Path, all_files: Mapping[str, Any], lines: dict[str, list[int]]) -> Entry:
    name = normalized(str(package["name"]))
    files = package.get("files", all_files.get(package["name"], []))
    source, groups, marker = package.get("source", {}), package.get("groups"), package.get("markers", "")
    markers = None
    if groups is not None:
        markers = {str(group): str(marker.get(group, "") if isinstance(marker, Mapping) else marker) for group in groups}
    numbers = lines.get(name, [0])
    return Entry(
        name=name,
        version=str(package["version"]),
        requires_python=_requires_python(str(package.get("python-versions", ""))),
        markers=markers,
        dependencies=tuple(_dependencies(package)),
        hashes=tuple(sha256 for file in files if (sha256 := str(file.get("hash", "")).partition("sha256:")[2])),
        url=_url(source, root),
        line=numbers.pop(0) if len(numbers) > 1 else numbers[0],
        index=str(source.get("reference", "")) if source.get("type") == "legacy" else "",
    )


def _with_extras(entries: tuple[Entry, ...], direct: Iterable[Dependency]) -> Iterator[Entry]:
    """Yield the entries with all extras that are required anywhere, so that the lock shows what requires the packages of an extra."""
    required: dict[str, frozenset[str]] = {}
    for dependency in (*direct, *(dependency for entry in entries for dependency in entry.dependencies)):
        required[dependency.name] = required.get(dependency.name, frozenset()) | dependency.extras
    for entry in entries:
        yield replace(entry, extras=required.get(entry.name, frozenset()))


def _requires_python(constraint: str) -> str:
    """Return Poetry's constraint as specifiers; alternatives stay separated by ||."""
    try:
        return " || ".join(poetry_pythons(constraint))
    except LockError:
        return ""


def _url(source: Mapping[str, Any], root: Path) -> str:
    url = str(source.get("url", ""))
    fragment = f"#subdirectory={source['subdirectory']}" if source.get("subdirectory") else ""
    match source.get("type"):
        case "git":
            return f"git+{url}@{source.get('resolved_reference') or source.get('reference', '')}{fragment}"
        case "url":
            return f"{url}{fragment}"
        case "file" | "directory":
            return f"{(root / url).resolve().as_uri()}{fragment}"
        case _:
            return ""


def _dependencies(package: Mapping[str, Any]) -> Iterator[Dependency]:
    names_by_extra = {
        normalized(str(extra)): {requirement_name(str(text)) for text in texts} for extra, texts in package.get("extras", {}).items()
    }
    for name, value in package.get("dependencies", {}).items():
        for one in value if isinstance(value, list) else [value]:
            entry = one if isinstance(one, Mapping) else {"version": one}
            marker, plain = str(entry.get("markers", "")), normalized(str(name))
            for_extras = {extra for extra, names in names_by_extra.items() if plain in names} if entry.get("optional") else set()
            try:
                specifier = poetry_specifiers(str(entry.get("version", "*")), plain)
            except LockError:
                specifier = ""
            extras = frozenset(normalized(str(extra)) for extra in entry.get("extras", ()))
            yield Dependency(plain, extras, marker, specifier, frozenset() if "extra ==" in marker else frozenset(for_extras))


def _direct(project: Mapping[str, Any], root: Path, extras: tuple[str, ...], groups: tuple[str, ...]) -> Iterator[Dependency]:
    table = project.get("project", {})
    yield from (parse_dependency(str(text)) for text in table.get("dependencies", ()))
    for extra in extras:
        yield from (parse_dependency(str(text)) for text in table.get("optional-dependencies", {}).get(extra, ()))
    standard = [group for group in groups if group in project.get("dependency-groups", {})]
    for group in standard:
        yield from (parse_dependency(text) for text in read_group(project, group))
    poetry = project.get("tool", {}).get("poetry", {})
    own = tuple(group for group in groups if group not in standard)
    for text in poetry_requirements(poetry, root, extras, own, main="dependencies" not in table):
        yield parse_dependency(text)


def _direct_names(project: Mapping[str, Any], groups: tuple[str, ...]) -> set[str]:
    poetry = project.get("tool", {}).get("poetry", {})
    names = {str(name) for name in poetry.get("dependencies", {})}
    texts = [*project.get("project", {}).get("dependencies", ())]
    for group in groups:
        texts += read_group(project, group)
        names |= set(poetry.get("group", {}).get(group, {}).get("dependencies", {}))
    for some in project.get("project", {}).get("optional-dependencies", {}).values():
        texts += some
    names |= {requirement_name(str(text)) for text in texts}
    return {normalized(name) for name in names} - {"python"}


def _is_current(metadata: Mapping[str, Any], project: Mapping[str, Any]) -> bool:
    content_hash = str(metadata.get("content-hash", ""))
    return not content_hash or content_hash in poetry_content_hashes(project)


def poetry_content_hashes(project: Mapping[str, Any]) -> set[str]:
    """Return the checksums of pyproject.toml that versions of Poetry record: over [tool.poetry] alone, or with [project] and groups."""
    poetry, table = project.get("tool", {}).get("poetry", {}), project.get("project", {})
    legacy = {key: poetry.get(key) for key in _LEGACY_KEYS} | ({"group": poetry["group"]} if "group" in poetry else {})
    # Old versions have no key for groups, and later ones count [tool.poetry] alone.
    contents: list[Any] = [legacy, {key: poetry.get(key) for key in _LEGACY_KEYS}]
    mine = {key: table[key] for key in _PROJECT_KEYS if table.get(key) is not None}
    own = {key: poetry[key] for key in (*_LEGACY_KEYS, "group") if poetry.get(key) is not None}
    group_tables: list[dict[str, Any]] = [{}, project.get("dependency-groups", {})]
    contents += [
        {**({"project": mine} if mine else {}), **({"dependency-groups": some} if some else {}), "tool": {"poetry": own}}
        for some in group_tables
        if mine or some
    ]
    return {hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest() for content in contents}
