"""Everything in a user's directory that decides what is locked, read once."""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.git_history import locked_version, pretended_version, repository_root
from shipwheel.project.metadata import Metadata, has_setup_script, read_script
from shipwheel.project.own_lock import is_own_lock
from shipwheel.project.pins import Pins, pins_of_lock
from shipwheel.project.pipfile import Pipfile, read_pipfile
from shipwheel.project.requirements import Line, Requirements, decode, read_requirements
from shipwheel.project.workspace import UV_SETTINGS, Workspace, name_in, read_workspace, workspace_root
from shipwheel.user.files import UserFiles, table_at
from shipwheel.versions import normalized

__all__ = ["InputFile", "LocalPath", "LockInputs", "OtherLock", "own_line", "read_lock_inputs", "relative_path"]

_METADATA = ("pyproject.toml", "setup.py", "setup.cfg")
_LOCKS = ("pylock.toml", "uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock")
_MAX_LOCK_BYTES = 32 << 20

_PROJECT_KEYS = ("name", "requires-python", "dependencies", "optional-dependencies", "dynamic")
_BACKENDS = ("poetry", "pdm", "flit", "hatch", "setuptools")

_LOCATION = lazy_pattern(r"""^[ \t]*"?(?:path|file|url)"?\s*[:=]\s*"((?:(?!://)[^"\\\n])+)\"""", re.MULTILINE)
"""A path in poetry.lock, pdm.lock or Pipfile.lock; parsing such a file as a whole takes far longer."""


class LocalPath(msgspec.Struct, frozen=True):
    """A local requirement, or the project itself: `path` with symbolic links resolved.

    `name` is the normalized name in its pyproject.toml, empty without one. `is_static` tells whether that file states name, version and
    dependencies, so that no build backend has to run. `tree` is the directory that a build backend needs: the root of the workspace, or of
    the repository if the metadata leads out of `path`; else `path`.
    """

    path: Path
    exists: bool
    is_directory: bool = False
    name: str = ""
    is_static: bool = False
    tree: Path = Path()


class InputFile(msgspec.Struct, frozen=True):
    """A file that takes part in the checksum of the lock's inputs: its path relative to the project, and what of it counts."""

    name: str
    facts: Any


class OtherLock(msgspec.Struct, frozen=True):
    """A lock that another tool wrote: uv.lock, poetry.lock, pdm.lock, Pipfile.lock, or a pylock.toml of another tool."""

    path: Path
    content: bytes

    @property
    def sha256(self) -> str:
        """The contents' checksum in hex."""
        return hashlib.sha256(self.content).hexdigest()


class LockInputs(msgspec.Struct, frozen=True):
    """The statements of a user's directory about its dependencies.

    One of `requirements`, `script` and `pipfile` decides what is locked; where all are None, the project's metadata does. `lock_path` is
    where shipwheel's own lock belongs. `other_lock` is another tool's lock, which is honoured unless the user chooses a day.
    """

    root: Path
    tables: Mapping[str, Any]
    """pyproject.toml; empty when there is none."""
    has_pyproject: bool
    has_setup: bool
    """True if there is a setup.py or setup.cfg."""
    project: LocalPath
    workspace: Workspace
    lock_path: Path
    main_lock: Path | None = None
    """The lock of the project itself if `lock_path` is that of a variant."""
    requirements: Requirements | None = None
    own_line: Line | None = None
    """The line of the requirements that names the project itself, as `-e .` does."""
    script: Metadata | None = None
    pipfile: Pipfile | None = None
    other_lock: OtherLock | None = None
    files: tuple[InputFile, ...] = ()
    local_paths: Mapping[Path, LocalPath] = {}
    """The local requirements, by the path as it is written."""
    pins: Pins = Pins()
    """The versions that the project is known to run with; the lock takes them where the requirements are open."""
    stated_name: str = ""
    """The normalized name that the project's metadata states, in whichever file."""
    pretended_version: Mapping[str, str] = {}
    """Variables for build backends that would ask git for the version where there is no repository."""
    locked_version: Mapping[str, str] = {}
    """Variables for the build backend while the project is locked: its version does not matter then."""
    texts: Mapping[str, bytes] = {}
    """The contents of the files that state requirements and of other tools' locks, by path relative to the project."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines of the requirements that are not taken as they are, a sentence each."""
        return self.requirements.notes if self.requirements is not None else ()


def _name_and_backend(files: UserFiles, root: Path) -> tuple[str, str]:
    tables = files.read_tables(root)
    name = table_at(tables, "project").get("name") or table_at(tables, "tool", "poetry").get("name") or root.resolve().name
    return str(name), str(table_at(tables, "build-system").get("build-backend", ""))


def read_lock_inputs(
    files: UserFiles,
    root: Path,
    *,
    requirements: tuple[Path, ...] | None = None,
    script: Path | None = None,
    pipfile: Path | None = None,
    pins: Pins | None = None,
    name: str = "",
    lock: str = "",
) -> LockInputs:
    """Read what decides the lock of the project in `root`: the given files, or else its metadata.

    `requirements` without any file means that only the settings name packages; `name` is the name in the metadata, `lock` that of the
    lock of a variant. Raises LockError, ProjectError.
    """
    listed = read_requirements(requirements, files) if requirements is not None else None
    pipenv = read_pipfile(files, pipfile) if pipfile else None
    workspace = read_workspace(files, root)
    main_lock = _lock_path(files, root) if lock else None
    if main_lock is not None:
        pins = pins_of_lock(files, main_lock) or pins
    other_lock = _other_lock(files, root, workspace, listed is not None, script is not None, pipfile)
    own_name, backend = _name_and_backend(files, root)
    return LockInputs(
        root=root,
        tables=files.read_tables(root),
        has_pyproject=files.is_file(root / "pyproject.toml"),
        has_setup=has_setup_script(files, root) or files.is_file(root / "setup.cfg"),
        project=_local_path(files, root),
        workspace=workspace,
        lock_path=root / lock if lock else _lock_path(files, root),
        main_lock=main_lock,
        requirements=listed,
        own_line=own_line(listed, root) if listed else None,
        script=read_script(files, script) if script else None,
        pipfile=pipenv,
        other_lock=other_lock,
        files=tuple(InputFile(relative_path(path, root), _facts(files, path)) for path in _input_files(files, root, workspace)),
        local_paths=_local_paths(files, root, listed, pipenv, other_lock),
        pins=Pins() if other_lock is not None or pins is None else pins,
        stated_name=normalized(name),
        pretended_version=pretended_version(root, own_name, backend),
        locked_version=locked_version(own_name),
        texts=_texts(files, root, listed, script, pipenv),
    )


def own_line(requirements: Requirements, root: Path) -> Line | None:
    """Return the line that requires the project in `root`, as `-e .` does; None if no line does."""
    real = root.resolve()
    return next((line for line in requirements.lines if (path := line.local_path) is not None and path.resolve() == real), None)


def relative_path(path: Path, root: Path) -> str:
    """Return a path as PEP 751 wants it: relative to the lock's directory, with forward slashes."""
    return os.path.relpath(path, root.resolve()).replace(os.sep, "/")


def _lock_path(files: UserFiles, root: Path) -> Path:
    """Return the path of shipwheel's lock: pylock.toml, or pylock.shipwheel.toml beside another tool's pylock.toml."""
    return root / ("pylock.shipwheel.toml" if _is_foreign(files, root / "pylock.toml") else "pylock.toml")


def _is_foreign(files: UserFiles, path: Path) -> bool:
    """Return whether another tool wrote this pylock.toml."""
    try:
        return files.is_file(path) and not is_own_lock(files.read_bytes(path))
    except OSError:
        return False


def _other_lock(
    files: UserFiles, root: Path, workspace: Workspace, has_requirements: bool, is_script: bool, pipfile: Path | None
) -> OtherLock | None:
    if is_script:
        return None
    if _is_foreign(files, root / "pylock.toml"):
        candidates = [root / "pylock.toml"]
    elif has_requirements:
        candidates = []
    elif pipfile is not None:
        candidates = [root / "Pipfile.lock"]
    elif files.is_file(root / "pyproject.toml"):
        candidates = [(workspace.root or root) / "uv.lock", root / "poetry.lock", root / "pdm.lock"]
    else:
        candidates = []
    path = next((path for path in candidates if files.is_file(path)), None)
    return OtherLock(path, files.read_bytes(path)) if path is not None else None


def _input_files(files: UserFiles, root: Path, workspace: Workspace) -> list[Path]:
    """Return the files that say what a project needs: its own, its workspace's, and those of the directories it takes packages from."""
    root = root.resolve()
    folders = [root, *([workspace.root, *workspace.members] if workspace.root else [])]
    folders += [path for path in workspace.source_directories if path.is_dir()]
    found = [folder / name for folder in dict.fromkeys(folders) for name in (*_METADATA, "uv.toml")]
    included = [root / name for name in _included_by_setuptools(files.read_tables(root))]
    return [path for path in (*found, *included) if files.is_file(path)]


def _included_by_setuptools(tables: Mapping[str, Any]) -> Iterator[str]:
    dynamic = table_at(tables, "tool", "setuptools", "dynamic")
    for value in (dynamic.get("dependencies"), *table_at(dynamic, "optional-dependencies").values()):
        names = table_at(value).get("file")
        yield from filter(None, map(str, names if isinstance(names, list) else [names] if isinstance(names, str) else ()))


def _facts(files: UserFiles, path: Path) -> Any:
    """Return what of a file decides the lock: some tables of a pyproject.toml, a checksum of any other file."""
    if path.name != "pyproject.toml":
        return hashlib.sha256(files.read_bytes(path)).hexdigest()
    tables = files.read_toml(path)
    project = {key: value for key, value in table_at(tables, "project").items() if key in _PROJECT_KEYS}
    tool = table_at(tables, "tool")
    uv = {key: value for key, value in table_at(tool, "uv").items() if key in UV_SETTINGS | {"sources", "workspace", "package"}}
    # Without dependencies in [project], the build backend reads them from its own tables.
    static = bool(project) and "dependencies" not in _names(project.get("dynamic"))
    backends = {} if static else {name: tool[name] for name in _BACKENDS if name in tool}
    groups = tables.get("dependency-groups", {})
    return {"project": project, "groups": groups, "build-system": tables.get("build-system", {}), "uv": uv, "backends": backends}


def _local_paths(
    files: UserFiles, root: Path, listed: Requirements | None, pipfile: Pipfile | None, other_lock: OtherLock | None
) -> dict[Path, LocalPath]:
    paths = [path for line in (listed.lines if listed else ()) if (path := line.local_path) is not None]
    paths += pipfile.local_paths() if pipfile else ()
    paths += _directories_in(other_lock, root) if other_lock else ()
    return {path: _local_path(files, path) for path in dict.fromkeys(paths)}


def _directories_in(lock: OtherLock, root: Path) -> Iterator[Path]:
    """Yield the directories that a poetry.lock, pdm.lock or Pipfile.lock names."""
    for match in _LOCATION.finditer(decode(lock.content)) if lock.path.name in ("poetry.lock", "pdm.lock", "Pipfile.lock") else ():
        path = (root / unquote(match[1])).resolve()
        if os.path.isdir(path):  # noqa: PTH112 - False for a name that the file system cannot have
            yield path


def _local_path(files: UserFiles, path: Path) -> LocalPath:
    if not os.path.exists(path):  # noqa: PTH110 - False for a name that the file system cannot have
        return LocalPath(Path(os.path.abspath(path)), False)  # noqa: PTH100 - as above
    real = path.resolve()
    if not real.is_dir():
        return LocalPath(real, True)
    tables = files.read_tables(real)
    project = table_at(tables, "project")
    dynamic = {"dependencies", "optional-dependencies", "version"} & _names(project.get("dynamic"))
    is_static = bool(project.get("name")) and not dynamic
    repository = repository_root(real) if not is_static and _leads_outside(files, real) else None
    return LocalPath(real, True, True, name_in(tables), is_static, workspace_root(files, real) or repository or real)


def _leads_outside(files: UserFiles, root: Path) -> bool:
    """Return whether the metadata of a directory names something above it, such as a sibling in the same repository."""
    texts = (files.read_bytes(root / name) for name in _METADATA if files.is_file(root / name))
    return any(b"../" in text or b'".."' in text or b"'..'" in text for text in texts)


def _names(value: object) -> set[str]:
    return {name for name in value if isinstance(name, str)} if isinstance(value, list) else set()


def _texts(files: UserFiles, root: Path, listed: Requirements | None, script: Path | None, pipfile: Pipfile | None) -> dict[str, bytes]:
    if listed is not None:
        names = [Path(os.path.relpath(path, root)).as_posix() for path in listed.files]
    elif script is not None:
        names = [script.name]
    else:
        names = ["Pipfile"] if pipfile is not None else [name for name in _METADATA if files.is_file(root / name)]
    locks = [name for name in _LOCKS if files.is_file(root / name) and (root / name).stat().st_size < _MAX_LOCK_BYTES]
    return {name: files.read_bytes(root / name) for name in (*names, *locks)}
