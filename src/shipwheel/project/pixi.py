"""pixi's manifests: pixi.toml, or the table [tool.pixi] of a pyproject.toml.

Counted is what an installation of the default environment on Linux has; other environments are those of tests and documentation.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from shipwheel.project.conda_manifest import CondaManifest
from shipwheel.user.files import UserFiles, table_at

__all__ = ["PIXI_FILE", "read_pixi"]

PIXI_FILE = "pixi.toml"
_TARGETS = ("unix", "linux", "linux-64")
_EVERY_VERSION = ("", "*")


def read_pixi(files: UserFiles, root: Path) -> CondaManifest | None:
    """Return a directory's manifest; None without one. Raise ProjectError for a syntax error."""
    has_file = files.is_file(root / PIXI_FILE)
    tables = files.read_toml(root / PIXI_FILE) if has_file else table_at(files.read_tables(root), "tool", "pixi")
    if not tables:
        return None
    parts = [part for table in (tables, *_default_features(tables)) for part in _on_linux(table)]
    conda = {name: rule for part in parts for name, rule in table_at(part, "dependencies").items()}
    index = {name: rule for part in parts for name, rule in table_at(part, "pypi-dependencies").items()}
    stated = table_at(tables, "workspace") or table_at(tables, "project")
    return CondaManifest(
        PIXI_FILE if has_file else "pyproject.toml",
        str(stated.get("name") or ""),
        tuple((name, _version(rule)) for name, rule in conda.items()),
        tuple(text for name, rule in index.items() if (text := _requirement(name, rule, root))),
        _version(conda.get("python")),
    )


def _default_features(tables: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    default = table_at(tables, "environments").get("default")
    names = default.get("features") if isinstance(default, Mapping) else default
    yield from (table_at(tables, "feature", name) for name in (names if isinstance(names, list) else ()) if isinstance(name, str))


def _on_linux(table: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield table
    yield from (table_at(table, "target", name) for name in _TARGETS)


def _version(rule: object) -> str:
    version = rule.get("version") if isinstance(rule, Mapping) else rule
    return version.strip() if isinstance(version, str) and version.strip() not in _EVERY_VERSION else ""


def _requirement(name: str, rule: object, root: Path) -> str:
    """Return an entry of pypi-dependencies as a requirement; empty for the project itself."""
    table: Mapping[str, Any] = rule if isinstance(rule, Mapping) else {}
    listed = table.get("extras")
    extras = f"[{','.join(map(str, listed))}]" if isinstance(listed, list) and listed else ""
    if isinstance(path := table.get("path"), str):
        folder = (root / path.replace("\0", "")).resolve()
        return "" if folder == root.resolve() else f"{name}{extras} @ {folder.as_uri()}"
    if isinstance(url := table.get("git") or table.get("url"), str):
        reference = next((f"@{table[key]}" for key in ("rev", "tag", "branch") if table.get(key)), "")
        below = f"#subdirectory={table['subdirectory']}" if table.get("subdirectory") else ""
        return f"{name}{extras} @ {'git+' if 'git' in table else ''}{url}{reference}{below}"
    version = _version(rule)
    # A bare version is that version: PEP 440 wants to see an operator.
    return f"{name}{extras}{f'=={version}' if version[:1].isdigit() else version}"
