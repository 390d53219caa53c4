"""poetry.lock: lock versions 1.0 to 2.1, the last of which says the groups and markers of each distribution."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from shipwheel.errors import LockError
from shipwheel.lock.formats.tool_lock import Asked, Entry, ToolLock, asked_of
from shipwheel.project.lock_inputs import OtherLock
from shipwheel.project.metadata import read_group
from shipwheel.project.pipfile import line_numbers
from shipwheel.project.poetry import poetry_requirements, poetry_specifiers
from shipwheel.user_files import decode_text, parse_toml
from shipwheel.versions import normalized

__all__ = ["poetry_content_hash", "read_poetry_lock"]

_LEGACY = ("dependencies", "source", "extras", "dev-dependencies")
_PROJECT = ("requires-python", "dependencies", "optional-dependencies")


def read_poetry_lock(lock: OtherLock, project: Mapping[str, Any], extras: tuple[str, ...], groups: tuple[str, ...]) -> ToolLock:
    """Read a lock for the chosen extras and groups; `project` are the tables of its pyproject.toml. Raises LockError, ProjectError."""
    path = lock.path
    text = decode_text(lock.content, path)
    data = parse_toml(text, str(path))
    lines = line_numbers(text, r'name = "([^"]+)"')
    packages = data.get("package", [])
    if not isinstance(packages, list):
        raise LockError(f"{path} has no packages", hint="Make it again: poetry lock.")
    hashes = data.get("metadata", {}).get("files", {})
    entries = tuple(_entry(package, path.parent, hashes, lines) for package in packages)
    known = set(project.get("tool", {}).get("poetry", {}).get("group", {})) | set(project.get("dependency-groups", {})) | {"dev"}
    if unknown := [group for group in groups if group not in known]:
        raise LockError(f"pyproject.toml has no group {unknown[0]!r}", hint=f"Groups: {', '.join(sorted(known))}.")
    saying = all(entry.markers is not None for entry in entries)
    if saying:
        entries = tuple(_with_extras(entries, _direct(project, path.parent, extras, groups)))
    places = {} if not saying else dict.fromkeys(_direct_names(project, groups), "pyproject.toml")
    direct = () if saying else tuple(_direct(project, path.parent, extras, groups))
    stale = "" if _fits(data.get("metadata", {}), project) else "pyproject.toml changed after it was made"
    places = places or {asked.name: "pyproject.toml" for asked in direct}
    return ToolLock(path, entries, direct, frozenset({"main", *groups}), stale, places)


def _entry(package: Mapping[str, Any], root: Path, files: Mapping[str, Any], lines: dict[str, list[int]]) -> Entry:
    name = normalized(str(package["name"]))
    listed = package.get("files", files.get(package["name"], []))
    hashes = [str(file.get("hash", "")).partition("sha256:")[2] for file in listed]
    groups = package.get("groups")
    marker = package.get("markers", "")
    by_group = None
    if groups is not None:
        by_group = {str(group): str(marker.get(group, "") if isinstance(marker, Mapping) else marker) for group in groups}
    numbers = lines.get(name, [0])
    return Entry(
        name=name,
        version=str(package["version"]),
        requires_python=_python(str(package.get("python-versions", ""))),
        markers=by_group,
        asks=tuple(_asks(package)),
        hashes=tuple(found for found in hashes if found),
        place=_place(package.get("source", {}), root),
        line=numbers.pop(0) if len(numbers) > 1 else numbers[0],
        index=str(package.get("source", {}).get("reference", "")) if package.get("source", {}).get("type") == "legacy" else "",
    )


def _with_extras(entries: tuple[Entry, ...], direct: Iterable[Asked]) -> Iterator[Entry]:
    """The entries with the extras that somebody asks for: so it is known who asks for what these bring."""
    wanted: dict[str, frozenset[str]] = {}
    for asked in (*direct, *(asked for entry in entries for asked in entry.asks)):
        wanted[asked.name] = wanted.get(asked.name, frozenset()) | asked.extras
    for entry in entries:
        yield replace(entry, extras=wanted.get(entry.name, frozenset()))


def _python(text: str) -> str:
    """Poetry's constraint as specifiers; alternatives stay separated by ||."""
    try:
        return " || ".join(poetry_specifiers(part, "python") for part in text.split("||")) if text not in ("", "*") else ""
    except LockError:
        return ""


def _place(source: Mapping[str, Any], root: Path) -> str:
    url = str(source.get("url", ""))
    sub = f"#subdirectory={source['subdirectory']}" if source.get("subdirectory") else ""
    match source.get("type"):
        case "git":
            return f"git+{url}@{source.get('resolved_reference') or source.get('reference', '')}{sub}"
        case "url":
            return f"{url}{sub}"
        case "file" | "directory":
            return f"{(root / url).resolve().as_uri()}{sub}"
        case _:
            return ""


def _asks(package: Mapping[str, Any]) -> Iterator[Asked]:
    extras = {
        normalized(str(extra)): {normalized(re.split(r"[\s\[(;<>=!~]", str(text), maxsplit=1)[0]) for text in wanted}
        for extra, wanted in package.get("extras", {}).items()
    }
    for name, value in package.get("dependencies", {}).items():
        for one in value if isinstance(value, list) else [value]:
            entry = one if isinstance(one, Mapping) else {"version": one}
            marker, plain = str(entry.get("markers", "")), normalized(str(name))
            by_extra = {extra for extra, names in extras.items() if plain in names} if entry.get("optional") else set()
            try:
                specifier = poetry_specifiers(str(entry.get("version", "*")), plain)
            except LockError:
                specifier = ""
            wanted = frozenset(normalized(str(extra)) for extra in entry.get("extras", ()))
            yield Asked(plain, wanted, marker, specifier, frozenset() if "extra ==" in marker else frozenset(by_extra))


def _direct(project: Mapping[str, Any], root: Path, extras: tuple[str, ...], groups: tuple[str, ...]) -> Iterator[Asked]:
    table = project.get("project", {})
    for text in table.get("dependencies", ()):
        yield asked_of(str(text))
    for extra in extras:
        yield from (asked_of(str(text)) for text in table.get("optional-dependencies", {}).get(extra, ()))
    listed = [group for group in groups if group in project.get("dependency-groups", {})]
    for group in listed:
        yield from (asked_of(text) for text in read_group(project, group))
    poetry = project.get("tool", {}).get("poetry", {})
    others = tuple(group for group in groups if group not in listed)
    for text in poetry_requirements(poetry, root, extras, others, main="dependencies" not in table):
        yield asked_of(text)


def _direct_names(project: Mapping[str, Any], groups: tuple[str, ...]) -> set[str]:
    poetry = project.get("tool", {}).get("poetry", {})
    found = {str(name) for name in poetry.get("dependencies", {})}
    texts = [*project.get("project", {}).get("dependencies", ())]
    for group in groups:
        texts += read_group(project, group)
        found |= set(poetry.get("group", {}).get(group, {}).get("dependencies", {}))
    for wanted in project.get("project", {}).get("optional-dependencies", {}).values():
        texts += wanted
    found |= {re.split(r"[\s\[@(;<>=!~]", str(text), maxsplit=1)[0] for text in texts}
    return {normalized(name) for name in found} - {"python"}


def _fits(metadata: Mapping[str, Any], project: Mapping[str, Any]) -> bool:
    known = str(metadata.get("content-hash", ""))
    return not known or known in poetry_content_hash(project)


def poetry_content_hash(project: Mapping[str, Any]) -> set[str]:
    """The checksums of pyproject.toml that versions of Poetry write: of [tool.poetry] alone, and with [project] and groups."""
    poetry, table = project.get("tool", {}).get("poetry", {}), project.get("project", {})
    legacy = {key: poetry.get(key) for key in _LEGACY} | ({"group": poetry["group"]} if "group" in poetry else {})
    # Before groups there was no key for them; before [project] counted, only the table of Poetry did.
    contents: list[Any] = [legacy, {key: poetry.get(key) for key in _LEGACY}]
    mine = {key: table[key] for key in _PROJECT if table.get(key) is not None}
    own = {key: poetry[key] for key in (*_LEGACY, "group") if poetry.get(key) is not None}
    listed: list[dict[str, Any]] = [{}, project.get("dependency-groups", {})]
    contents += [
        {**({"project": mine} if mine else {}), **({"dependency-groups": some} if some else {}), "tool": {"poetry": own}}
        for some in listed
        if mine or some
    ]
    return {hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest() for content in contents}
