"""uv's tables in pyproject.toml and uv.toml: the workspace that a project belongs to, its settings, and its sources."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from shipwheel.errors import ProjectError
from shipwheel.project.tool_indexes import bound_packages, tool_indexes
from shipwheel.user.files import UserFiles, table_at
from shipwheel.versions import normalized

__all__ = ["UV_SETTINGS", "Workspace", "is_project", "name_in", "read_workspace", "workspace_root"]

UV_SETTINGS = frozenset(
    """
    index index-url extra-index-url find-links no-index index-strategy keyring-provider allow-insecure-host native-tls system-certs
    constraint-dependencies override-dependencies exclude-dependencies build-constraint-dependencies dependency-metadata prerelease
    resolution fork-strategy no-sources no-sources-package config-settings config-settings-package extra-build-dependencies
    extra-build-variables exclude-newer exclude-newer-package no-build no-build-package
    """.split()  # noqa: SIM905
)
"""The settings of uv that decide what is resolved and how. `environments` is missing: shipwheel sets its own."""


class Workspace(msgspec.Struct, frozen=True):
    """The uv workspace of a project, with the settings and sources that uv would use.

    `root` is the root of the uv workspace that the project is, or is a member of; None without a workspace. `members` are the members'
    directories without the root. `settings` are uv's settings in their TOML form, with the indexes of Poetry and PDM added. `sources` is
    [tool.uv.sources] of the project and its workspace, by normalized name. All paths are absolute.
    """

    root: Path | None = None
    members: tuple[Path, ...] = ()
    settings: Mapping[str, Any] = msgspec.field(default_factory=dict)
    sources: Mapping[str, Any] = msgspec.field(default_factory=dict)

    @property
    def source_directories(self) -> tuple[Path, ...]:
        """The paths that sources name; some may be files."""
        each = [one for source in self.sources.values() for one in (source if isinstance(source, list) else [source])]
        return tuple(Path(str(one["path"])) for one in each if one.get("path"))


def read_workspace(files: UserFiles, root: Path) -> Workspace:
    """Read the workspace, settings and sources of the project in `root`. Raises ProjectError."""
    top = workspace_root(files, root)
    members = _members(files, top) if top else ()
    return Workspace(top, members, _settings(files, root, top or root), _sources(files, root, top, members))


def workspace_root(files: UserFiles, root: Path) -> Path | None:
    """Return the root of the uv workspace that a project is, or is a member of; None without one."""
    root = root.resolve()
    for folder in (root, *root.parents):
        if isinstance(_uv_table(files, folder).get("workspace"), dict):
            return folder if folder == root or root in _members(files, folder) else None
        if folder != root and "project" in files.read_tables(folder):
            # uv looks no further than a project around another one.
            return None
    return None


def is_project(files: UserFiles, folder: Path) -> bool:
    """Return whether a directory is a project itself, as the root of a workspace may be."""
    return bool(name_in(files.read_tables(folder)))


def name_in(tables: Mapping[str, Any]) -> str:
    """Return the normalized name in a pyproject.toml, from [project] or [tool.poetry]; empty without one."""
    name = table_at(tables, "project").get("name") or table_at(tables, "tool", "poetry").get("name", "")
    return normalized(str(name))


def _members(files: UserFiles, top: Path) -> tuple[Path, ...]:
    workspace = table_at(_uv_table(files, top), "workspace")
    excluded = set(_matching(top, workspace.get("exclude")))
    found = {path.resolve() for path in _matching(top, workspace.get("members")) if path not in excluded}
    return tuple(sorted(path for path in found if files.is_file(path / "pyproject.toml")))


def _matching(top: Path, patterns: object) -> Iterator[Path]:
    for pattern in _strings(patterns):
        try:
            yield from top.glob(pattern)
        except (NotImplementedError, ValueError):
            what = f"{top / 'pyproject.toml'}: [tool.uv.workspace] has the pattern {pattern!r}"
            raise ProjectError(what, hint="Write paths relative to that file, such as apps/*.") from None


def _uv_table(files: UserFiles, folder: Path) -> dict[str, Any]:
    return table_at(files.read_tables(folder), "tool", "uv")


def _strings(value: object) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _tables(value: object) -> list[dict[str, Any]]:
    return [table for table in value if isinstance(table, dict)] if isinstance(value, list) else []


def _settings(files: UserFiles, root: Path, top: Path) -> dict[str, Any]:
    """Return uv's settings: from uv.toml of the workspace's root, or from its pyproject.toml where there is no uv.toml."""
    own = files.read_toml(top / "uv.toml") if files.is_file(top / "uv.toml") else _uv_table(files, top)
    settings = {key: value for key, value in own.items() if key in UV_SETTINGS}
    indexes = [*_tables(settings.get("index")), *tool_indexes(table_at(files.read_tables(root), "tool"))]
    if indexes:
        settings["index"] = [{**index, "url": _absolute(str(index.get("url", "")), top)} for index in indexes]
    if "find-links" in settings:
        settings["find-links"] = [_absolute(location, top) for location in _strings(settings["find-links"])]
    return settings


def _sources(files: UserFiles, root: Path, top: Path | None, members: tuple[Path, ...]) -> dict[str, Any]:
    directories = {name: path for path in members if (name := name_in(files.read_tables(path)))}
    if top:
        directories[name_in(files.read_tables(top))] = top
    tool = table_at(files.read_tables(root), "tool")
    indexes = {index["name"] for index in tool_indexes(tool) if "name" in index and not index.get("default")}
    sources: dict[str, Any] = {normalized(name): {"index": index} for name, index in bound_packages(tool).items() if index in indexes}
    for folder in dict.fromkeys([*([top] if top else []), root.resolve()]):
        for name, source in table_at(_uv_table(files, folder), "sources").items():
            each = _tables(source if isinstance(source, list) else [source])
            made = [_source(one, normalized(name), folder, directories) for one in each]
            if made:
                sources[normalized(name)] = made if isinstance(source, list) else made[0]
    return sources


def _source(source: dict[str, Any], name: str, folder: Path, directories: Mapping[str, Path]) -> dict[str, Any]:
    rest = {key: value for key, value in source.items() if key not in ("workspace", "path", "editable")}
    if source.get("workspace") and name in directories:
        return {**rest, "path": str(directories[name])}
    if "path" in source:
        return {**rest, "path": _absolute(str(source["path"]), folder)}
    return dict(source)


def _absolute(location: str, folder: Path) -> str:
    return location if "://" in location or location.startswith("file:") else str((folder / location).resolve())
