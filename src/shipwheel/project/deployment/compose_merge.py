"""Services of compose files that are put together from several: an override with the file that it adds to, and `extends`.

Mappings are merged, lists are joined, and what a service runs is replaced (the Compose specification, "Merge").
"""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from shipwheel.project.deployment.yaml_file import YamlTable, parse_yaml, yaml_list, yaml_table, yaml_text
from shipwheel.user.files import UserFiles

__all__ = ["ComposeTables"]

_PLAIN = tuple(f"{name}.{end}" for name in ("compose", "docker-compose") for end in ("yaml", "yml"))
"""The files that Compose starts without being told which: those that others are added to."""
_REPLACED = frozenset({"command", "entrypoint", "test"})
_PAIRS = frozenset({"environment", "labels", "args"})
"""Keys with a mapping or a list of NAME=VALUE."""
_MAX_DEPTH = 5

_Found = tuple[YamlTable, int, Path]
"""A service with the line and the file that name what it runs."""


class ComposeTables(msgspec.Struct, frozen=True):
    """The contents of a project's compose files."""

    tables: Mapping[Path, YamlTable]
    files: UserFiles

    def services(self, path: Path) -> dict[str, _Found]:
        """Return the services that a file starts, by name: with those of the plain file beside it, if it cannot be started without."""
        own = {name: self._extended(path, name) for name in _named(self.tables[path])}
        base = next((path.with_name(name) for name in _PLAIN if path.with_name(name) in self.tables), None)
        if base is None or base == path or not _adds_to(self.tables[path], self.tables[base]):
            return own
        of_base = self.services(base)
        return {name: _joined(of_base.get(name), own.get(name)) for name in dict.fromkeys((*of_base, *own))}

    def _extended(self, path: Path, name: str, depth: int = 0) -> _Found:
        """Return a service with what it extends: a service of its file, or of one in the same directory."""
        services = _named(self._table(path))
        table = services.get(name, YamlTable())
        line = yaml_table(self._table(path).get("services")).line_of(name)
        extends = table.get("extends")
        wished = yaml_text(extends) or yaml_text(yaml_table(extends).get("service"))
        file = Path(os.path.normpath(path.parent / (yaml_text(yaml_table(extends).get("file")) or path.name)))
        if not wished or depth > _MAX_DEPTH or file.parent != path.parent or wished not in _named(self._table(file)):
            return table, line, path
        return _joined(self._extended(file, wished, depth + 1), (table, line, path))

    def _table(self, path: Path) -> YamlTable:
        if path in self.tables:
            return self.tables[path]
        try:
            return parse_yaml(self.files.read_bytes(path))
        except OSError:
            return YamlTable()


def _named(table: YamlTable) -> dict[str, YamlTable]:
    return {name: value for name, value in yaml_table(table.get("services")).items() if isinstance(value, YamlTable)}


def _adds_to(table: YamlTable, base: YamlTable) -> bool:
    """Return whether a service of a file has neither an image nor a build: Compose starts it with another file alone."""
    known = _named(base)
    without = [name for name, each in _named(table).items() if not {"image", "build", "extends"} & each.keys()]
    return bool(without) and all(name in known for name in without)


def _joined(base: _Found | None, own: _Found | None) -> _Found:
    """Return a service of two files: the place is that of the one that says what it runs."""
    if base is None or own is None:
        return own or base or (YamlTable(), 0, Path())
    table = _merged(base[0], own[0])
    _, line, path = own if "command" in own[0] or "command" not in base[0] else base
    return table, line, path


def _merged(base: YamlTable, own: YamlTable) -> YamlTable:
    found = YamlTable(own.line)
    for key in dict.fromkeys((*base, *own)):
        found[key] = _value(key, base.get(key), own.get(key)) if key in own else base[key]
        found.lines[key] = own.line_of(key) if key in own else base.line_of(key)
    return found


def _value(key: str, base: object, own: object) -> object:
    if key == "build":
        base, own = _build(base), _build(own)
    if key in _PAIRS:
        base, own = _pairs(base), _pairs(own)
    if key == "depends_on" and isinstance(base, YamlTable) != isinstance(own, YamlTable):
        base, own = _pairs(base), _pairs(own)
    if isinstance(base, YamlTable) and isinstance(own, YamlTable):
        return _merged(base, own)
    if isinstance(base, list) and isinstance(own, list) and key not in _REPLACED:
        return [*base, *own]
    return own


def _build(value: object) -> object:
    found = YamlTable()
    found["context"] = value
    return found if isinstance(value, str) else value


def _pairs(value: object) -> object:
    if not isinstance(value, list):
        return value
    found = YamlTable()
    for name, equals, text in (yaml_text(item).partition("=") for item in yaml_list(value)):
        found[name] = text if equals else None
    return found
