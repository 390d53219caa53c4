"""What a project's files say about how its dependencies are found: uv workspaces, sources, indexes, and which files count as inputs."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shipwheel.project.tool_indexes import bound_packages, tool_indexes
from shipwheel.user_files import read_toml
from shipwheel.versions import normalized

__all__ = ["input_files", "members", "project_name", "relative_path", "relevant", "sources", "uv_settings", "workspace_root"]

_SETTINGS = frozenset(
    """
    index index-url extra-index-url find-links no-index index-strategy keyring-provider allow-insecure-host native-tls system-certs
    constraint-dependencies override-dependencies exclude-dependencies build-constraint-dependencies dependency-metadata prerelease
    resolution fork-strategy no-sources no-sources-package config-settings config-settings-package extra-build-dependencies
    extra-build-variables exclude-newer exclude-newer-package
    """.split()  # noqa: SIM905
)
"""Settings of uv that decide what is resolved, and how. The environments are ours."""

_PROJECT = ("name", "requires-python", "dependencies", "optional-dependencies", "dynamic")
_BACKENDS = ("poetry", "pdm", "flit", "hatch", "setuptools")


def _table(root: Path) -> dict[str, Any]:
    path = root / "pyproject.toml"
    return read_toml(path) if path.is_file() else {}


def project_name(root: Path) -> str:
    """The normalized name that pyproject.toml says, of [project] or [tool.poetry]; empty when it says none."""
    data = _table(root)
    name = data.get("project", {}).get("name") or data.get("tool", {}).get("poetry", {}).get("name", "")
    return normalized(str(name))


def workspace_root(root: Path) -> Path | None:
    """The root of the uv workspace that a project is, or is a member of; None when it is in none."""
    root = root.resolve()
    for folder in (root, *root.parents):
        workspace = _uv(folder).get("workspace")
        if isinstance(workspace, dict):
            return folder if folder == root or root in members(folder) else None
    return None


def members(top: Path) -> list[Path]:
    """The directories of a workspace's members, its root not counted."""
    workspace = _uv(top).get("workspace", {})
    excluded = {path for pattern in workspace.get("exclude", []) for path in top.glob(pattern)}
    found = {path.resolve() for pattern in workspace.get("members", []) for path in top.glob(pattern) if path not in excluded}
    return sorted(path for path in found if (path / "pyproject.toml").is_file())


def _uv(folder: Path) -> dict[str, Any]:
    table = _table(folder).get("tool", {}).get("uv", {})
    return table if isinstance(table, dict) else {}


def uv_settings(root: Path) -> dict[str, Any]:
    """uv's settings for a project, with absolute paths: of its workspace's root, uv.toml first; and Poetry's and PDM's indexes."""
    top = workspace_root(root) or root
    own = read_toml(top / "uv.toml") if (top / "uv.toml").is_file() else _uv(top)
    found = {key: value for key, value in own.items() if key in _SETTINGS}
    indexes = [*found.get("index", []), *tool_indexes(_table(root).get("tool", {}))]
    if indexes:
        found["index"] = [{**index, "url": _absolute(str(index.get("url", "")), top)} for index in indexes]
    if "find-links" in found:
        found["find-links"] = [_absolute(str(place), top) for place in found["find-links"]]
    return found


def _absolute(place: str, folder: Path) -> str:
    return place if "://" in place or place.startswith("file:") else str((folder / place).resolve())


def sources(root: Path) -> dict[str, Any]:
    """[tool.uv.sources] of a project and its workspace, with absolute paths and workspace members as directories."""
    top = workspace_root(root)
    known = {name: path for path in (members(top) if top else []) if (name := project_name(path))}
    if top:
        known[project_name(top)] = top
    tool = _table(root).get("tool", {})
    indexes = {index["name"] for index in tool_indexes(tool) if "name" in index and not index.get("default")}
    found: dict[str, Any] = {normalized(name): {"index": index} for name, index in bound_packages(tool).items() if index in indexes}
    for folder in dict.fromkeys([*([top] if top else []), root.resolve()]):
        for name, source in _uv(folder).get("sources", {}).items():
            many = source if isinstance(source, list) else [source]
            made = [_source(one, normalized(name), folder, known) for one in many]
            found[normalized(name)] = made if isinstance(source, list) else made[0]
    return found


def _source(source: dict[str, Any], name: str, folder: Path, known: dict[str, Path]) -> dict[str, Any]:
    rest = {key: value for key, value in source.items() if key not in ("workspace", "path", "editable")}
    if source.get("workspace") and name in known:
        return {**rest, "path": str(known[name])}
    if "path" in source:
        return {**rest, "path": _absolute(str(source["path"]), folder)}
    return dict(source)


def input_files(root: Path) -> list[Path]:
    """The files that say what a project needs: its own, its workspace's, and those of the directories it takes packages from."""
    root = root.resolve()
    top = workspace_root(root)
    folders = [root, *([top, *members(top)] if top else [])]
    for source in sources(root).values():
        for one in source if isinstance(source, list) else [source]:
            path = Path(str(one.get("path", "")))
            if one.get("path") and path.is_dir():
                folders.append(path)
    names = ["pyproject.toml", "setup.py", "setup.cfg", "uv.toml"]
    found = [folder / name for folder in dict.fromkeys(folders) for name in names]
    return [path for path in found if path.is_file()] + [root / name for name in _referred(root) if (root / name).is_file()]


def _referred(root: Path) -> Iterator[str]:
    """Files that setuptools reads dependencies from."""
    dynamic = _table(root).get("tool", {}).get("setuptools", {}).get("dynamic", {})
    for value in (dynamic.get("dependencies"), *dict(dynamic.get("optional-dependencies", {})).values()):
        files = value.get("file", []) if isinstance(value, dict) else []
        yield from [files] if isinstance(files, str) else files


def relevant(path: Path) -> Any:
    """What of such a file decides what is locked: of a pyproject.toml some tables, of others a checksum of all."""
    if path.name != "pyproject.toml":
        return hashlib.sha256(path.read_bytes()).hexdigest()
    data = read_toml(path)
    project = {key: value for key, value in data.get("project", {}).items() if key in _PROJECT}
    tool = data.get("tool", {})
    uv = {key: value for key, value in tool.get("uv", {}).items() if key in _SETTINGS | {"sources", "workspace", "package"}}
    # Where the dependencies are not written in [project], the backend's own tables say them.
    static = bool(project) and "dependencies" not in project.get("dynamic", ())
    backends = {} if static else {name: tool[name] for name in _BACKENDS if name in tool}
    groups = data.get("dependency-groups", {})
    return {"project": project, "groups": groups, "build-system": data.get("build-system", {}), "uv": uv, "backends": backends}


def relative_path(path: Path, root: Path) -> str:
    """A path as PEP 751 wants it: relative to the lock's directory, with forward slashes."""
    return os.path.relpath(path, root.resolve()).replace(os.sep, "/")
