"""Write settings into the project's own file: what a person wrote stays as it is, with its comments and its order."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

__all__ = ["SettingsEdit", "edit_settings"]


class SettingsEdit(msgspec.Struct, frozen=True):
    """A change of the settings file: its path, and its text before and after. `before` is empty for a new file."""

    path: Path
    before: str
    after: str


def edit_settings(root: Path, values: Iterable[tuple[str, Any, str]]) -> SettingsEdit:
    """Return the edit that sets (key, value, comment) in shipwheel.toml, else in pyproject.toml, else in a new shipwheel.toml.

    Values replace those of the same key: callers put what was there into a list's new value.
    """
    import tomlkit

    own, pyproject = root / "shipwheel.toml", root / "pyproject.toml"
    path = own if own.is_file() or not pyproject.is_file() else pyproject
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    document = tomlkit.parse(before)
    table: Any = document
    if path == pyproject:
        tool = document.setdefault("tool", tomlkit.table(is_super_table=True))
        table = tool.setdefault("shipwheel", tomlkit.table())
    for key, value, comment in values:
        item = _item(value)
        if key in table:
            table[key] = item
        else:
            table.add(tomlkit.comment(comment))
            table.add(key, item)
    return SettingsEdit(path, before, tomlkit.dumps(document))


def _item(value: Any) -> Any:
    import tomlkit

    if isinstance(value, Mapping):
        table = tomlkit.inline_table()
        table.update(value)
        return table
    if isinstance(value, (list, tuple)):
        array = tomlkit.array()
        array.extend([list(item) if isinstance(item, tuple) else item for item in value])
        return array
    return value
