"""The node that a front end is for: what the settings ask for, else the files beside its package.json, or above it in the project."""

import json
import posixpath
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from shipwheel.errors import ProjectError
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.npm_range import ANY, Interval, intervals
from shipwheel.settings.build import AssetSettings
from shipwheel.user.files import UserFiles

__all__ = ["NodeWish", "named_range", "node_wish", "package_ranges"]

_CODE_NAMES = {"argon": 4, "boron": 6, "carbon": 8, "dubnium": 10, "erbium": 12, "fermium": 14, "gallium": 16}
_CODE_NAMES |= {"hydrogen": 18, "iron": 20, "jod": 22, "krypton": 24}
"""The name of each line of node with long-term support -> its major version."""
_TOOL_VERSION = lazy_pattern(r"^(?:nodejs|node)[ \t]+(\S+)", re.MULTILINE)
_WORKFLOWS, _MAX_WORKFLOWS = ".github/workflows", 30
_SET_UP = lazy_pattern(r"^[ -]*node-version: *[\"']?([\w.*/]+)[\"']? *(?:#.*)?\r?$", re.MULTILINE)
_EXACT = lazy_pattern(r"v?(\d+\.\d+(?:\.\d+)?)")
_OF_NPM = lazy_pattern(r'"engines": *\{[^{}]*?"node": *"([^"]*)"')
_OF_PNPM = lazy_pattern(r"^ +engines: *\{[^{}\n]*?\bnode: *'?([^'{},\n]*)", re.MULTILINE)
_LOCKS = (("package-lock.json", _OF_NPM), ("npm-shrinkwrap.json", _OF_NPM), ("pnpm-lock.yaml", _OF_PNPM))
"""The lock files that have the ranges of their packages; the first that is there counts."""


class NodeWish(msgspec.Struct, frozen=True):
    """The versions of node that a front end is for, as a range of npm, and the `place` that says so: `ui/.nvmrc`; empty for any version."""

    range: str = "*"
    place: str = ""

    @property
    def intervals(self) -> tuple[Interval, ...]:
        """The intervals of the range, the highest first."""
        return intervals(self.range) or (ANY,)


def node_wish(files: UserFiles, root: Path, settings: AssetSettings) -> NodeWish:
    """Return the wish of a front end of the project in `root`."""
    if settings.node:
        return NodeWish(settings.node, "[[tool.shipwheel.assets]]")
    folders = tuple(_folders(settings.in_))
    # A version that a person works with says more than the range of all that should do.
    for read in (_of_version_files, _of_workflows, _of_engines):
        for folder in folders:
            for name, text in read(files, root / folder):
                if found := named_range(text):
                    return NodeWish(found, posixpath.normpath(posixpath.join(folder, name)))
    return NodeWish()


def package_ranges(files: UserFiles, root: Path, settings: AssetSettings) -> tuple[str, ...]:
    """Return the ranges of node that the packages of a front end are for, as far as its lock file has them, sorted."""
    folder = root / settings.in_
    return next((tuple(sorted({*pattern.findall(text)})) for name, pattern in _LOCKS if (text := _text(files, folder / name))), ())


def named_range(text: str) -> str:
    """Return the range for a version as `.nvmrc` names it: a number, "lts/iron", "lts/*"; empty for any, and for what nobody can read.

    A version with more than one number stands for its line, from it on.
    """
    text = text.strip().lower().removeprefix("lts/").removeprefix("node-")
    if text in _CODE_NAMES:
        return str(_CODE_NAMES[text])
    if exact := _EXACT.fullmatch(text):
        return f"^{exact[1]}"
    found = intervals(text)
    return text if found and found != (ANY,) else ""


def _folders(in_: str) -> Iterator[str]:
    """Yield the directory with package.json, and those above it up to the project's."""
    folder = posixpath.normpath(in_)
    while folder not in ("", "."):
        yield folder
        folder = posixpath.dirname(folder)
    yield "."


def _of_version_files(files: UserFiles, folder: Path) -> Iterator[tuple[str, str]]:
    """Yield (name of the file, version) for each file that names the version to work with."""
    yield from ((name, _first_line(_text(files, folder / name))) for name in (".nvmrc", ".node-version"))
    if tool := _TOOL_VERSION.search(_text(files, folder / ".tool-versions")):
        yield ".tool-versions", tool[1]
    yield from ((name, _at(_toml(files, folder / name), "tools", "node")) for name in ("mise.toml", ".mise.toml"))
    yield "package.json", _at(_json(files, folder / "package.json"), "volta", "node")


def _of_workflows(files: UserFiles, folder: Path) -> Iterator[tuple[str, str]]:
    """Yield (name of the directory, version) if all workflows of GitHub with a version of node have the same."""
    paths = sorted((folder / _WORKFLOWS).glob("*.y*ml"))[:_MAX_WORKFLOWS]
    found = {named_range(text) for path in paths for text in _SET_UP.findall(_text(files, path))} - {""}
    if len(found) == 1:
        yield _WORKFLOWS, found.pop()


def _of_engines(files: UserFiles, folder: Path) -> Iterator[tuple[str, str]]:
    yield "package.json", _at(_json(files, folder / "package.json"), "engines", "node")


def _first_line(text: str) -> str:
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return next(filter(None, lines), "")


def _at(data: object, table: str, key: str) -> str:
    found = data.get(table) if isinstance(data, Mapping) else None
    value = found.get(key) if isinstance(found, Mapping) else None
    return value if isinstance(value, str) else ""


def _text(files: UserFiles, path: Path) -> str:
    try:
        return files.read_text(path) if files.is_file(path) else ""
    except ProjectError:
        return ""


def _json(files: UserFiles, path: Path) -> object:
    try:
        return json.loads(_text(files, path) or "{}")
    except (ValueError, RecursionError):
        return {}


def _toml(files: UserFiles, path: Path) -> object:
    try:
        return tomllib.loads(_text(files, path))
    except (ValueError, RecursionError):
        return {}
