"""The small project that stands for the user's while uv locks: the same requirements and settings, one Python version, Linux."""

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from shipwheel.errors import LockError, ProjectError
from shipwheel.lock import uv
from shipwheel.lock.diagnose.uv_errors import resolution_error
from shipwheel.lock.uv_output import ROOT
from shipwheel.platform import DEBIAN_ARCHITECTURES, Platform
from shipwheel.project.metadata import read_script
from shipwheel.project.poetry import poetry_requirements
from shipwheel.project.requirements import Line, Requirements
from shipwheel.project.source_copy import private_copy
from shipwheel.project.workspace import project_name, sources, uv_settings, workspace_root
from shipwheel.versions import normalized

__all__ = ["SYNTHETIC", "Synthetic", "from_project", "from_requirements", "from_script", "script_requirements"]

SYNTHETIC = ROOT

_OLDEST = ">=3.7"
_MACHINES = " or ".join(f"platform_machine == '{Platform('linux', name).machine}'" for name in DEBIAN_ARCHITECTURES)
_LINUX = f"sys_platform == 'linux' and platform_python_implementation == 'CPython' and ({_MACHINES})"


@dataclass(slots=True)
class Synthetic:
    """What uv locks. `moved` maps private copies to the user's directories; `project` is the user's own, left out of the lock."""

    python: str
    origin: str
    dependencies: list[str] = field(default_factory=list)
    sources: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    project: str = ""
    moved: dict[str, str] = field(default_factory=dict)
    names: dict[Line, str] = field(default_factory=dict)
    kept: tuple[Mapping[str, Any], ...] = ()
    """Packages of a previous lock, which stay at their versions where they can."""

    @property
    def export(self) -> tuple[str, ...]:
        """Options for uv's export."""
        return ("--no-emit-package", self.project) if self.project else ()

    def name_of(self, line: Line) -> str:
        """The normalized name of a line's distribution; empty when it is not known."""
        requirement = line.requirement
        return normalized(requirement.name if requirement is not None else self.names.get(line, ""))

    def _python(self) -> str:
        """The one Python version, as a marker: `requires-python` would want an interpreter of it, and hide the wheels of others."""
        major, minor = (int(part) for part in self.python.split("."))
        return f"python_full_version >= '{major}.{minor}' and python_full_version < '{major}.{minor + 1}'"

    def write(self, folder: Path, *, everywhere: bool) -> None:
        """Writes its pyproject.toml; `everywhere` for all operating systems, else Linux."""
        self._write(folder, {"environments": [self._python() if everywhere else f"{self._python()} and {_LINUX}"]})

    def write_open(self, folder: Path) -> None:
        """Writes its pyproject.toml for no Python and no system in particular."""
        self._write(folder, {})

    def _write(self, folder: Path, settings: Mapping[str, Any]) -> None:
        import tomli_w

        tool: dict[str, Any] = {**self.settings, "workspace": {"members": []}, **settings}
        if self.sources:
            tool["sources"] = self.sources
        project = {"name": SYNTHETIC, "version": "0", "requires-python": _OLDEST, "dependencies": self.dependencies}
        (folder / "pyproject.toml").write_text(tomli_w.dumps({"project": project, "tool": {"uv": tool}}), encoding="utf-8")


def script_requirements(script: Path) -> list[str]:
    """What a single-file script's inline metadata asks for."""
    found = read_script(script)
    return list(found.dependencies) if found is not None else []


def from_script(script: Path, python: str) -> Synthetic:
    """The project of a single-file script with inline metadata (PEP 723)."""
    found = read_script(script)
    tool = found.tables.get("tool", {}).get("uv", {}) if found is not None else {}
    settings = {
        key: value for key, value in tool.items() if key in ("index", "constraint-dependencies", "override-dependencies", "prerelease")
    }
    return Synthetic(python, script.name, script_requirements(script), sources=dict(tool.get("sources", {})), settings=settings)


def from_requirements(root: Path, listed: Requirements, python: str, stack: ExitStack, folder: Path) -> Synthetic:
    """The project of requirements files. Raises LockError."""
    made = Synthetic(python, listed.files[0].name if listed.files else "requirements.txt", settings=_list_settings(root, listed))
    unnamed: list[tuple[Line, str]] = []
    explicit = {index["name"] for index in made.settings.get("index", []) if "name" in index and not index.get("default")}
    made.sources = {name: {"index": index} for name, index in listed.bound.items() if index in explicit}
    for line in listed.lines:
        if line.requirement is not None:
            _named(made, line, stack)
        elif not _local(made, line):
            unnamed.append((line, _copied(made, line, stack)))
    made.settings["constraint-dependencies"] = [
        *made.settings.get("constraint-dependencies", []),
        *(line.text for line in listed.constraints if line.requirement is not None),
    ]
    for line, text in unnamed:
        _add_unnamed(made, line, text, folder)
    itself = listed.itself(root)
    made.project = made.name_of(itself) if itself is not None else ""
    return made


def _named(made: Synthetic, line: Line, stack: ExitStack) -> None:
    requirement = line.requirement
    assert requirement is not None  # noqa: S101
    url = urlsplit(requirement.url or "")
    path = Path(unquote(url.path))
    if url.scheme == "file" and path.is_dir() and (path != _private(made, path, stack)):
        copy = _private(made, path, stack)
        made.dependencies.append(line.text.replace(requirement.url or "", copy.as_uri()))
    else:
        made.dependencies.append(line.text)


def _list_settings(root: Path, listed: Requirements) -> dict[str, Any]:
    settings = uv_settings(root)
    indexes: list[Mapping[str, Any]] = [*({"url": url} for url in listed.extra_index_urls), *listed.indexes]
    if listed.index_url:
        indexes.append({"url": listed.index_url, "default": True})
    if indexes:
        settings["index"] = [*indexes, *settings.get("index", [])]
    if listed.extra_index_urls:
        # pip, whose file this is, takes the best version from whichever index has it.
        settings["index-strategy"] = "unsafe-best-match"
    if listed.find_links:
        settings["find-links"] = [*settings.get("find-links", []), *listed.find_links]
    if listed.no_index:
        settings["no-index"] = True
    if listed.prereleases:
        settings["prerelease"] = "allow"
    for option, names in (("no-binary", listed.no_binary), ("no-build", listed.only_binary)):
        if named := [name for name in names if name != ":all:"]:
            settings[f"{option}-package"] = named
        # To uv it would forbid to ask what is in a directory or repository, too.
        if ":all:" in names and not any(line.requirement is None or line.requirement.url for line in listed.lines):
            settings[option] = True
    return settings


def _local(made: Synthetic, line: Line) -> bool:
    """Takes a directory or wheel on this disk whose name can be known without building it."""
    found = re.match(r"([^\[;]+?)\s*(\[[^\]]*\])?\s*(;.*)?$", line.text)
    if found is None or "://" in line.text or not Path(found[1]).is_absolute():
        return False
    path = Path(found[1])
    if not path.exists():
        raise LockError(f"{line.place}: there is no {path}", hint="Correct the path; it is relative to the file it stands in.")
    if path.is_dir() and _is_static(path):
        name = project_name(path)
        made.sources[name] = {"path": str(path)}
    elif path.suffix == ".whl":
        name = normalized(path.name.split("-", 1)[0])
        made.sources[name] = {"path": str(path)}
    else:
        return False
    made.names[line] = name
    made.dependencies.append(f"{name}{found[2] or ''} {found[3] or ''}".strip())
    return True


def _copied(made: Synthetic, line: Line, stack: ExitStack) -> str:
    """The line with a private copy of its directory, since asking a build backend for a name leaves files behind."""
    head = re.split(r"[\[;]", line.text, maxsplit=1)[0].strip()
    path = Path(head)
    if "://" in head or not path.is_absolute() or not path.is_dir():
        return line.text
    return line.text.replace(head, str(_private(made, path, stack)), 1)


def _add_unnamed(made: Synthetic, line: Line, text: str, folder: Path) -> None:
    made.write(folder, everywhere=True)
    (folder / "unnamed.txt").write_text(f"{text}\n", encoding="utf-8")
    try:
        uv.add_requirements(folder, folder / "unnamed.txt")
    except uv.UvFailed as error:
        places = {str(folder / "unnamed.txt"): line.path.name, str(folder): "", **made.moved}
        raise resolution_error(error.failure, line.place, places) from None
    import tomllib

    listed = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    new = [text for text in listed if text not in made.dependencies]
    made.dependencies = list(listed)
    if new:
        made.names[line] = re.split(r"[\s\[@;]", new[0], maxsplit=1)[0]


def _is_static(root: Path) -> bool:
    """Whether pyproject.toml says the dependencies, so that no build backend has to be asked."""
    from shipwheel.user_files import read_toml

    path = root / "pyproject.toml"
    project = read_toml(path).get("project", {}) if path.is_file() else {}
    return bool(project.get("name")) and not {"dependencies", "optional-dependencies", "version"} & set(project.get("dynamic", ()))


def _private(made: Synthetic, root: Path, stack: ExitStack) -> Path:
    """The directory itself if no backend will run in it, else its place in a copy."""
    root = root.resolve()
    if _is_static(root):
        return root
    for known, original in made.moved.items():
        if root == Path(original) or Path(original) in root.parents:
            return Path(known) / root.relative_to(original)
    top = workspace_root(root) or root
    copy = stack.enter_context(private_copy(top))
    made.moved[str(copy)] = str(top)
    return copy / root.relative_to(top)


def from_project(root: Path, python: str, extras: tuple[str, ...], groups: tuple[str, ...], stack: ExitStack) -> Synthetic:
    """The project of a directory with pyproject.toml, setup.cfg or setup.py. Raises LockError, ProjectError."""
    from shipwheel.user_files import read_toml

    root = root.resolve()
    path = root / "pyproject.toml"
    data = read_toml(path) if path.is_file() else {}
    made = Synthetic(python, path.name if data else "setup.py", settings=uv_settings(root))
    project, poetry = data.get("project", {}), data.get("tool", {}).get("poetry", {})
    if "build-system" not in data and "name" not in project and not poetry and not _has_setup(root):
        raise ProjectError(
            f"{path} has no [project] table", hint="Add [project] with name, version and dependencies, or use a requirements.txt."
        )
    if poetry and ("name" not in project) and (poetry.get("package-mode") is False or "name" not in poetry):
        made.dependencies += poetry_requirements(poetry, root, extras, groups, main=True)
    else:
        _itself(made, root, extras, data, stack)
        made.dependencies += _groups(data, poetry, root, groups)
    named = {normalized(re.split(r"[\s\[@;<>=!~(]", text, maxsplit=1)[0]) for text in made.dependencies}
    made.sources = {**{name: source for name, source in sources(root).items() if name in named}, **made.sources}
    return made


def _has_setup(root: Path) -> bool:
    return (root / "setup.py").is_file() or (root / "setup.cfg").is_file()


def _itself(made: Synthetic, root: Path, extras: tuple[str, ...], data: Mapping[str, Any], stack: ExitStack) -> None:
    """Depends on the user's project, so that uv reads its metadata; it is left out of the lock."""
    project = data.get("project", {})
    chosen = f"[{','.join(extras)}]" if extras else ""
    declared = project.get("optional-dependencies", {})
    unknown = [extra for extra in extras if normalized(extra) not in {normalized(name) for name in declared}]
    if unknown and _is_static(root):
        raise LockError(f"pyproject.toml has no extra {', '.join(unknown)}", hint=f"Extras: {', '.join(declared) or 'none'}.")
    name = project_name(root)
    # What says its dependencies itself needs no build for them, whatever its version.
    static = bool(project.get("name")) and not {"dependencies", "optional-dependencies"} & set(project.get("dynamic", ()))
    where = root if static else _private(made, root, stack)
    if not name:
        _by_backend(made, root, where, chosen, stack)
        return
    made.dependencies.append(f"{name}{chosen}")
    made.sources[name] = {"path": str(where), **({"package": False} if static else {})}
    made.project = name


def _by_backend(made: Synthetic, root: Path, where: Path, chosen: str, stack: ExitStack) -> None:
    """A project whose name only its build backend knows: setup.py."""
    line = Line(f"{where}{chosen}", root / "setup.py", 1)
    import tempfile

    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="shipwheel-lock-"))).resolve()
    _add_unnamed(made, line, line.text, folder)
    made.project = made.name_of(line)


def _groups(data: Mapping[str, Any], poetry: Mapping[str, Any], root: Path, groups: tuple[str, ...]) -> Iterator[str]:
    """The requirements of the chosen dependency groups (PEP 735, with include-group), or of Poetry's."""
    from packaging.dependency_groups import resolve_dependency_groups

    table = data.get("dependency-groups", {})
    known = {normalized(name) for name in table}
    for group in groups:
        if normalized(group) in known:
            try:
                yield from resolve_dependency_groups(table, group)
            except (ValueError, TypeError, LookupError, ExceptionGroup) as error:
                raise LockError(f"pyproject.toml: dependency group {group!r}: {error}", hint="Correct it there.") from None
        elif poetry.get("group", {}).get(group) or poetry.get(f"{group}-dependencies"):
            yield from poetry_requirements(poetry, root, (), (group,), main=False)
        else:
            raise LockError(f"pyproject.toml has no dependency group {group!r}", hint=f"Groups: {', '.join(table) or 'none'}.")
