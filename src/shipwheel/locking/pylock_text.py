"""The text of a lock: a pylock.toml in canonical order, so that a change is one line."""

import json
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any

from shipwheel.lazy_pattern import lazy_pattern

__all__ = ["document", "file_name"]

_PACKAGE_KEYS = (
    *("name", "version", "marker", "requires-python", "dependencies", "vcs", "directory", "archive", "index", "sdist", "wheels"),
    *("attestation-identities", "tool"),
)
_TOP_KEYS = ("lock-version", "environments", "requires-python", "extras", "dependency-groups", "default-groups", "created-by")
_BARE = lazy_pattern(r"[A-Za-z0-9_-]+")


def file_name(file: Mapping[str, Any]) -> str:
    """Return the name of a wheel, sdist or archive from its table in a pylock.toml."""
    from urllib.parse import unquote, urlsplit

    name = file.get("name") or file.get("path") or unquote(urlsplit(str(file.get("url", ""))).path)
    return str(name).rpartition("/")[2]


def document(data: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a lock."""
    yield "# Made by shipwheel from the project's dependencies: commit it, do not edit it."
    for key in _TOP_KEYS:
        if key in data:
            yield f"{key} = {_inline(data[key])}"
    if not data.get("packages"):
        # PEP 751 requires the key, and a lock without it counts as damaged.
        yield "packages = []"
    for package in sorted(data.get("packages", []), key=lambda it: (it["name"], str(it.get("version", "")), str(it.get("marker", "")))):
        yield "\n[[packages]]"
        yield from (f"{key} = {_lines(_sorted(key, package[key]))}" for key in _PACKAGE_KEYS if key in package)
    for name, table in sorted(data.get("tool", {}).items()):
        yield from _table(f"tool.{_key(name)}", table)


def _sorted(key: str, value: Any) -> Any:
    if key == "wheels":
        return sorted(value, key=file_name)
    if key == "dependencies":
        return sorted(value, key=lambda it: (it["name"], str(it.get("version", "")), str(it.get("marker", ""))))
    return value


def _table(name: str, table: Mapping[str, Any]) -> Iterator[str]:
    plain = {key: value for key, value in table.items() if not isinstance(value, Mapping)}
    if plain or not table:
        yield f"\n[{name}]"
    for key, value in plain.items():
        yield f"{_key(key)} = {_lines(value)}"
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _table(f"{name}.{_key(key)}", value)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _string(key)


def _string(text: str) -> str:
    # A JSON string is a TOML basic string, except that TOML requires DEL to be escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _lines(value: Any) -> str:
    """Return an array of tables with one line for each table if it is long, and any other value in one line."""
    if isinstance(value, list | tuple) and value and isinstance(value[0], Mapping):
        line = _inline(value)
        return line if len(line) <= 110 else "[\n" + "".join(f"    {_inline(item)},\n" for item in value) + "]"
    return _inline(value)


def _inline(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _string(value)
        case int() | float():
            return repr(value)
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case Mapping():
            items = ", ".join(f"{_key(key)} = {_inline(item)}" for key, item in value.items())
            return f"{{ {items} }}" if items else "{}"
        case _:
            return "[" + ", ".join(_inline(item) for item in value) + "]"
