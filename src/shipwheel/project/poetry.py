"""Poetry's own dependency tables as PEP 508 requirements: for projects without a package and for groups, which have no other metadata."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from shipwheel.errors import LockError
from shipwheel.user.files import table_at

__all__ = ["poetry_group", "poetry_pythons", "poetry_requirements", "poetry_specifiers", "unversioned_requirements"]


def poetry_requirements(
    poetry: Mapping[str, Any], root: Path, extras: tuple[str, ...], groups: tuple[str, ...], *, main: bool
) -> list[str]:
    """Return the PEP 508 requirements of [tool.poetry.dependencies] (if `main`) with the chosen extras, and of the chosen groups.

    Raises LockError for an unknown group or a constraint that PEP 440 cannot express.
    """
    chosen = {str(name).lower() for extra in extras for name in poetry.get("extras", {}).get(extra, [])}
    found = []
    if main:
        found += list(_table(poetry.get("dependencies", {}), root, chosen))
    for group in groups:
        table = poetry_group(poetry, group)
        if table is None:
            raise LockError(
                f"pyproject.toml has no Poetry group {group!r}", hint="Groups: " + (", ".join(poetry.get("group", {})) or "none") + "."
            )
        found += list(_table(table, root, chosen))
    return found


def poetry_group(poetry: Mapping[str, Any], group: str) -> dict[str, Any] | None:
    """Return the dependencies of a group, as Poetry's table or as that of its first version has them; None if there is no such group."""
    found = table_at(poetry, "group", group).get("dependencies")
    found = poetry.get("dev-dependencies") if found is None and group == "dev" else found
    return found if isinstance(found, dict) else None


def unversioned_requirements(table: Mapping[str, Any]) -> Iterator[str]:
    """Yield the requirements of a table without their versions: names, extras and markers are enough to find the command."""
    for name, entry in _entries(table, set()):
        marker = f" ; {entry['markers']}" if isinstance(entry.get("markers"), str) else ""
        yield f"{name}{_extras(entry)}{marker}"


def _table(table: Mapping[str, Any], root: Path, chosen: set[str]) -> Iterator[str]:
    yield from (_requirement(name, entry, root) for name, entry in _entries(table, chosen))


def _entries(table: Mapping[str, Any], chosen: set[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield (name, what is said about it) of the packages that a table requires, with the `chosen` ones of those that are optional."""
    for name, value in table.items():
        if name.lower() == "python":
            continue
        for one in value if isinstance(value, list) else [value]:
            entry = one if isinstance(one, dict) else {"version": one}
            if not entry.get("optional") or name.lower() in chosen:
                yield name, entry


def _extras(entry: Mapping[str, Any]) -> str:
    extras = entry.get("extras") or ()
    names = (extras,) if isinstance(extras, str) else extras
    return f"[{','.join(map(str, names))}]" if names else ""


def _requirement(name: str, entry: Mapping[str, Any], root: Path) -> str:
    extras = _extras(entry)
    if "git" in entry:
        ref = next((f"@{entry[key]}" for key in ("rev", "tag", "branch") if key in entry), "")
        sub = f"#subdirectory={entry['subdirectory']}" if "subdirectory" in entry else ""
        head = f"{name}{extras} @ git+{entry['git']}{ref}{sub}"
    elif "url" in entry:
        head = f"{name}{extras} @ {entry['url']}"
    elif "path" in entry or "file" in entry:
        head = f"{name}{extras} @ {(root / str(entry.get('path') or entry['file'])).resolve().as_uri()}"
    else:
        head = f"{name}{extras}{poetry_specifiers(str(entry.get('version', '*')), name)}"
    markers = [f"({text})" for text in (entry.get("markers"), _python(entry), _platform(entry)) if text]
    return f"{head} ; {' and '.join(markers)}" if markers else head


def _platform(entry: Mapping[str, Any]) -> str:
    return f"sys_platform == '{entry['platform']}'" if "platform" in entry else ""


def _python(entry: Mapping[str, Any]) -> str:
    if "python" not in entry:
        return ""
    bounds = []
    for part in poetry_specifiers(str(entry["python"]), "python").split(","):
        if found := re.match(r"(===|==|!=|~=|<=|>=|<|>)(.+)", part):
            name = "python_full_version" if found[2].count(".") > 1 and not found[2].endswith("*") else "python_version"
            bounds.append(f"{name} {found[1]} '{found[2]}'")
    return " and ".join(bounds)


def poetry_pythons(text: str) -> tuple[str, ...]:
    """Return Poetry's constraint on Python as PEP 440 specifiers, one for each alternative. Raises LockError."""
    return tuple(poetry_specifiers(each, "python") for each in re.split(r"\|\|?", text))


def poetry_specifiers(text: str, name: str) -> str:
    """Return Poetry's version constraint as PEP 440 specifiers, separated by commas; empty for any version. Raises LockError."""
    if "||" in text or "|" in text:
        raise LockError(f"pyproject.toml: {name} = {text!r}: PEP 440 has no alternatives (||)", hint="Write one range.")
    parts = [part for part in re.split(r"\s*,\s*|(?<=[\w*])\s+(?=[<>=!~^])", text.strip()) if part]
    return ",".join(filter(None, (_one(part.strip()) for part in parts)))


def _one(part: str) -> str:
    if part == "*":
        return ""
    if found := re.fullmatch(r"([\^~])\s*(v?(\d+(?:\.\d+)*).*)", part):
        return f">={found[2]},<{_ceiling(found[3], caret=found[1] == '^')}"
    if found := re.fullmatch(r"(===|==|!=|~=|<=|>=|<|>|=)?\s*(v?\d\S*)", part):
        operator = "==" if found[1] in (None, "=") else found[1]
        return f"{operator}{found[2].replace('.x', '.*')}"
    raise LockError(f"pyproject.toml: {part!r} is not a version constraint", hint="Correct the constraint.")


def _ceiling(version: str, *, caret: bool) -> str:
    """Return the excluded upper bound: ^1.2.3 < 2, ^0.2.3 < 0.3, ^0.0.3 < 0.0.4, ~1.2.3 < 1.3, ~1 < 2."""
    numbers = [int(number) for number in version.split(".")]
    first = next((index for index, number in enumerate(numbers) if number), len(numbers) - 1)
    last = first if caret else min(1, len(numbers) - 1)
    return ".".join(str(number) for number in (*numbers[:last], numbers[last] + 1))
