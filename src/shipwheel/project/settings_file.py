"""Add settings to the project's own file: what a person wrote stays as it is, with its comments and its order."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from shipwheel.errors import ProjectError
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.user.files import parse_toml

__all__ = ["Addition", "SettingsEdit", "edit_settings"]

_MARK = "\ufeff"
"""The byte order mark that some editors write."""

_SCRIPT = lazy_pattern(r"^# /// script[^\S\n]*\n((?:#(?: .*)?\n)*)# ///[^\S\n]*$", re.MULTILINE)
_HEAD = lazy_pattern(r"(?:#!.*\n)?(?:#.*coding[:=].*\n)?")
"""The first lines of a script, which have to stay the first."""


class Addition(msgspec.Struct, frozen=True):
    """A setting to add, and the comment for it.

    The items of a list are appended; another value, also one of a table's key, takes the place of the old one.
    """

    key: str
    value: Any
    comment: str = ""


class SettingsEdit(msgspec.Struct, frozen=True):
    """A change of the settings file: its path, and its text before and after. `before` is empty for a new file."""

    path: Path
    before: str
    after: str

    def write(self) -> None:
        """Write the text after the change, with the line ends that it has."""
        self.path.write_text(self.after, encoding="utf-8", newline="")


def edit_settings(project: Path, additions: Iterable[Addition]) -> SettingsEdit:
    """Return the edit that adds settings to a project's directory or single-file script.

    A directory has them in shipwheel.toml, else in pyproject.toml, else in a new shipwheel.toml; a script in its inline metadata (PEP 723).
    """
    own, pyproject = project / "shipwheel.toml", project / "pyproject.toml"
    path = project if project.is_file() else own if own.is_file() or not pyproject.is_file() else pyproject
    before = path.read_bytes().decode("utf-8") if path.is_file() else ""
    plain = before.removeprefix(_MARK).replace("\r\n", "\n")
    after = _edited_script(plain, additions) if path == project else _edited(plain, additions, nested=path == pyproject)
    # One line that ends like Windows' lines: all do.
    ends = "\r\n" if "\r\n" in before else "\n"
    return SettingsEdit(path, before, (_MARK if before.startswith(_MARK) else "") + after.replace("\n", ends))


def _edited_script(text: str, additions: Iterable[Addition]) -> str:
    """Return the text of a script with the additions in its inline metadata."""
    found = _SCRIPT.search(text)
    lines = found[1].splitlines() if found is not None else []
    toml = _edited("".join(f"{line[2:]}\n" for line in lines), additions, nested=True)
    block = "\n".join(("# /// script", *(f"# {line}" if line else "#" for line in toml.splitlines()), "# ///"))
    if found is not None:
        return text[: found.start()] + block + text[found.end() :]
    head = _HEAD.match(text)
    cut = head.end() if head is not None else 0
    return f"{text[:cut]}{block}\n{text[cut:]}"


def _edited(text: str, additions: Iterable[Addition], *, nested: bool) -> str:
    """Return the text of a TOML document with the additions, below [tool.shipwheel] if `nested`.

    Raises ProjectError if no way to write them leaves everything else as it is.
    """
    additions = tuple(additions)
    expected = _merged(parse_toml(text, "the settings file"), additions, nested=nested)
    for way in (_with_header, _with_keys):
        after = way(text, additions, nested=nested)
        try:
            if parse_toml(after, "the settings file") == expected:
                return after
        except ProjectError:
            continue
    lines = _new_lines(additions).strip()
    raise ProjectError("the settings file has a form that cannot be edited", hint=f"Add these lines to the settings yourself:\n{lines}")


def _merged(document: Mapping[str, Any], additions: Iterable[Addition], *, nested: bool) -> dict[str, Any]:
    """Return the tables of a document with the additions."""
    if nested:
        tool = document.get("tool", {})
        return {**document, "tool": {**tool, "shipwheel": _merged(tool.get("shipwheel", {}), additions, nested=False)}}
    table = dict(document)
    for key, value in ((addition.key, _plain(addition.value)) for addition in additions):
        before = table.get(key)
        if isinstance(value, dict):
            table[key] = {**(before or {}), **value}
        elif isinstance(value, list) and key != "command" and before is not None:
            table[key] = [*(before if isinstance(before, list) else [before]), *value]
        else:
            table[key] = value
    return table


def _with_header(text: str, additions: Iterable[Addition], *, nested: bool) -> str:
    """Return the text with what is new below a [tool.shipwheel] of its own, which may stand behind its sub-tables; not always valid."""
    document, table = _parse(text, nested=nested)
    new = [addition for addition in additions if not _extend(table, addition)]
    kept = document.as_string()
    return kept if not new else f"{kept}{'' if kept.endswith(chr(10)) else chr(10)}\n[tool.shipwheel]\n{_new_lines(new)}" if nested else ""


def _with_keys(text: str, additions: Iterable[Addition], *, nested: bool) -> str:
    """Return the text with what is new among the settings that are there; not always valid."""
    document, table = _parse(text, nested=nested)
    for addition in additions:
        if not _extend(table, addition):
            table[addition.key] = _item(addition, table)
    return str(document.as_string())


def _parse(text: str, *, nested: bool) -> tuple[Any, Any]:
    """Return the document, and its table of settings."""
    import tomlkit

    document = tomlkit.parse(text)
    return document, document.get("tool", {}).get("shipwheel", {}) if nested else document


def _extend(table: Any, addition: Addition) -> bool:
    """Add to the value that a table has for a key. Return whether it has one."""
    key, value = addition.key, _plain(addition.value)
    if key not in table:
        return False
    before = table[key]
    if isinstance(value, dict):
        for name in value:
            before[name] = value[name]
    elif isinstance(value, list) and key != "command":
        if not isinstance(before, list):
            table[key] = [before, *value]
        elif "\n" in before.as_string():  # type: ignore[attr-defined]
            before.add_line(*value, indent="  ")  # type: ignore[attr-defined]
        else:
            before.extend(value)
    else:
        table[key] = value
    return True


def _new_lines(additions: Iterable[Addition]) -> str:
    import tomlkit

    document = tomlkit.document()
    for addition in additions:
        document.add(addition.key, _item(addition, document))
    return document.as_string()


def _item(addition: Addition, table: Any) -> Any:
    """Return the value with its comment as the text before the key: a comment of its own would stand behind the tables that follow."""
    import tomlkit
    from tomlkit.items import InlineTable

    value = _plain(addition.value)
    item: Any = tomlkit.item(value)
    if isinstance(value, dict):
        item = tomlkit.inline_table()
        item.update(value)
    if isinstance(value, list) and any(isinstance(each, dict) for each in value):
        item = tomlkit.array()
        for each in value:
            row = tomlkit.inline_table()
            row.update(each)
            item.append(row)
    if addition.comment and not isinstance(table, InlineTable):
        printable = "".join(char if char.isprintable() else "\n" for char in addition.comment)
        item.trivia.indent = "".join(f"# {line}\n" for line in printable.split("\n"))
    return item


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
