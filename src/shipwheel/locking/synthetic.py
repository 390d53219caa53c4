"""The small project that uv locks in place of the user's: the same requirements and settings, one Python version, Linux."""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec
from msgspec.structs import replace

from shipwheel.cleanup.scratch import scratch_directory
from shipwheel.errors import LockError, ProjectError
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.locking import uv
from shipwheel.locking.build_requirements import BuildRequirements
from shipwheel.locking.diagnose.uv_errors import resolution_error
from shipwheel.locking.index_cache import with_cache_control
from shipwheel.locking.inputs import LockRequest
from shipwheel.locking.kept_copies import lent_copy
from shipwheel.locking.sandbox import is_for_loader
from shipwheel.locking.uv_output import ROOT
from shipwheel.platform import DEBIAN_ARCHITECTURES, Platform
from shipwheel.project.git_history import repository_root
from shipwheel.project.indexes import Indexes
from shipwheel.project.lock_inputs import LocalPath, LockInputs
from shipwheel.project.poetry import poetry_requirements
from shipwheel.project.requirements import Line, Requirements
from shipwheel.similar import did_you_mean
from shipwheel.versions import minor_number, normalized, requirement_name

__all__ = ["SYNTHETIC", "Synthetic", "make_synthetic"]

SYNTHETIC = ROOT
"""The name of the project that uv locks."""

_REQUIRES_PYTHON = ">=3.7"
_MACHINES = " or ".join(f"platform_machine == '{Platform('linux', name).machine}'" for name in DEBIAN_ARCHITECTURES)
_LINUX = f"sys_platform == 'linux' and platform_python_implementation == 'CPython' and ({_MACHINES})"
_EXTRA = "extra-build-dependencies"
_CONSTRAINTS = "build-constraint-dependencies"
_VARIABLES = "extra-build-variables"
_OUTSIDE = lazy_pattern(r"PATH|(SHIPWHEEL|UV|DYLD)_\w+", re.ASCII)
"""Variables by which programs are found, and those between shipwheel, uv and its builds."""
_METADATA = "dependency-metadata"
_SCRIPT_SETTINGS = ("index", "constraint-dependencies", "override-dependencies", "prerelease")


class Synthetic(msgspec.Struct, frozen=True):
    """A project for uv to lock.

    `origin` is the user's file that errors name. `project` is the user's own package, which is left out of the lock. `copies` maps private
    copies to the user's directories. `names` are the names of requirements that do not state one. `preferred` are packages of a previous
    lock that stay at their versions if they can.
    """

    python: str
    origin: str
    dependencies: tuple[str, ...] = ()
    sources: Mapping[str, Any] = msgspec.field(default_factory=dict)
    settings: Mapping[str, Any] = msgspec.field(default_factory=dict)
    project: str = ""
    copies: Mapping[str, str] = msgspec.field(default_factory=dict)
    names: Mapping[Line, str] = msgspec.field(default_factory=dict)
    preferred: tuple[Mapping[str, Any], ...] = ()

    @property
    def export_options(self) -> tuple[str, ...]:
        """Options for `uv export`."""
        return ("--no-emit-package", self.project) if self.project else ()

    def readable(self) -> tuple[str, ...]:
        """Return the directories that a build in one of them may read: private copies, and the repositories of what the sources name."""
        named = [
            Path(it["path"])
            for source in self.sources.values()
            for it in (source if isinstance(source, list) else [source])
            if "path" in it
        ]
        repositories = (repository_root(path) for path in named)
        return (*self.copies, *dict.fromkeys(str(path) for path in repositories if path is not None))

    def name_of(self, line: Line) -> str:
        """Return the normalized name of the package that a line requires; empty if it is not known."""
        requirement = line.requirement
        return normalized(requirement.name if requirement is not None else self.names.get(line, ""))

    def extended(self, option: str, requirements: Sequence[str]) -> "Synthetic":
        """Return the project with more requirements in one of uv's settings, such as "constraint-dependencies"."""
        return replace(self, settings={**self.settings, option: [*self.settings.get(option, []), *requirements]})

    def write(self, folder: Path, *, everywhere: bool) -> None:
        """Write the project's pyproject.toml, for Linux or, with `everywhere`, for all operating systems."""
        # `requires-python` would need an interpreter of that version, and hide wheels for other versions.
        number = minor_number(self.python)
        python = f"python_full_version >= '3.{number}' and python_full_version < '3.{number + 1}'"
        self._write(folder, {"environments": [python if everywhere else f"{python} and {_LINUX}"]})

    def write_for_all(self, folder: Path) -> None:
        """Write the project's pyproject.toml for every Python and operating system."""
        self._write(folder, {})

    def _write(self, folder: Path, settings: Mapping[str, Any]) -> None:
        import tomli_w

        _check_variables(self.settings, self.origin)
        tool: dict[str, Any] = {**self.settings, "workspace": {"members": []}, **settings}
        if self.sources:
            tool["sources"] = self.sources
        project = {"name": SYNTHETIC, "version": "0", "requires-python": _REQUIRES_PYTHON, "dependencies": list(self.dependencies)}
        (folder / "pyproject.toml").write_text(tomli_w.dumps({"project": project, "tool": {"uv": tool}}), encoding="utf-8")


def _check_variables(settings: Mapping[str, Any], origin: str) -> None:
    """Raise ProjectError for a variable that decides what runs outside of the sandbox: uv sets them where it starts a build."""
    stated = settings.get(_VARIABLES, {})
    for package, variables in stated.items() if isinstance(stated, Mapping) else ():
        names = variables if isinstance(variables, Mapping) else {}
        if taken := sorted(name for name in names if _OUTSIDE.fullmatch(name) or is_for_loader(name)):
            what = f"{origin}: {_VARIABLES} of {package} in [tool.uv] sets {', '.join(taken)}, which acts outside of the build's sandbox"
            raise ProjectError(what, hint="Leave it out: a build finds its own programs and libraries.")


def make_synthetic(
    request: LockRequest,
    requirements: Requirements | None,
    stack: ExitStack,
    folder: Path,
    build_requirements: BuildRequirements = MappingProxyType({}),
) -> Synthetic:
    """Make the project that uv locks for a request: of the given requirements, else of the script or the project's metadata.

    A build backend that has to be asked runs in a private copy, which lives as long as `stack`. `build_requirements` are for packages that
    are built to learn their metadata. Raises LockError, ProjectError.
    """
    maker = _Maker(_with_build_requirements(request.inputs, build_requirements), request.python, request.indexes, stack)
    if requirements is not None:
        return maker.from_requirements(requirements, folder)
    if request.inputs.script is not None:
        return _from_script(request)
    return maker.from_metadata(request.extras, request.groups)


def _with_build_requirements(inputs: LockInputs, more: BuildRequirements) -> LockInputs:
    """Return the inputs with further build requirements among uv's settings, and the project's name, by which uv assigns them."""
    if not more:
        return inputs
    settings = dict(inputs.workspace.settings)
    stated = settings.get(_EXTRA, {})
    settings[_EXTRA] = {**stated, **{name: [*stated.get(name, ()), *requirements] for name, requirements in more.items()}}
    # uv forgets them once the backend has asked for more; it keeps constraints.
    bounds = [each for requirements in more.values() for each in requirements if "<" in each]
    settings[_CONSTRAINTS] = [*settings.get(_CONSTRAINTS, ()), *dict.fromkeys(bounds)]
    project = msgspec.structs.replace(inputs.project, name=inputs.project.name or inputs.stated_name)
    return msgspec.structs.replace(inputs, workspace=replace(inputs.workspace, settings=settings), project=project)


def _from_script(request: LockRequest) -> Synthetic:
    script = request.inputs.script
    assert script is not None  # noqa: S101 - the caller checked
    tool = script.tables.get("tool", {}).get("uv", {})
    settings = with_cache_control({key: value for key, value in tool.items() if key in _SCRIPT_SETTINGS}, request.indexes)
    return Synthetic(request.python, script.origin, script.dependencies, dict(tool.get("sources", {})), settings)


class _Maker:
    """Collects dependencies and sources, and makes private copies where a build backend has to run."""

    def __init__(self, inputs: LockInputs, python: str, indexes: Indexes, stack: ExitStack) -> None:
        self._inputs = inputs
        self._indexes = indexes
        self._stack = stack
        self._made = Synthetic(python, "")
        self._dependencies: list[str] = []
        self._sources: dict[str, Any] = {}
        self._copies: dict[str, str] = {}
        self._names: dict[Line, str] = {}

    def _finish(self, project: str = "") -> Synthetic:
        return replace(
            self._made,
            dependencies=tuple(self._dependencies),
            sources=dict(self._sources),
            project=project,
            copies=dict(self._copies),
            names=dict(self._names),
        )

    def from_requirements(self, requirements: Requirements, folder: Path) -> Synthetic:
        """Make the project of requirements files, a Pipfile, or another tool's lock."""
        settings = with_cache_control(_requirements_settings(self._inputs.workspace.settings, requirements), self._indexes)
        explicit = {index["name"] for index in settings.get("index", []) if "name" in index and not index.get("default")}
        self._sources = {name: {"index": index} for name, index in requirements.index_of.items() if index in explicit}
        self._made = replace(self._made, origin=requirements.origin, settings=settings)
        unnamed: list[tuple[Line, str]] = []
        for line in requirements.lines:
            if line.requirement is not None:
                self._add_named(line)
            elif not self._add_local(line):
                unnamed.append((line, self._with_copy(line)))
        constraints = [line.text for line in requirements.constraints if line.requirement is not None]
        self._made = self._made.extended("constraint-dependencies", constraints)
        for line, text in unnamed:
            self._add_unnamed(line, text, folder)
        own = next((line for line in requirements.lines if self._is_own(line)), None)
        return self._finish(self._finish().name_of(own) if own is not None else "")

    def from_metadata(self, extras: tuple[str, ...], groups: tuple[str, ...]) -> Synthetic:
        """Make the project of a directory with pyproject.toml, setup.cfg or setup.py."""
        inputs = self._inputs
        tables, settings = inputs.tables, with_cache_control(inputs.workspace.settings, self._indexes)
        self._made = replace(self._made, origin="pyproject.toml" if tables else "setup.py", settings=settings)
        project, poetry = tables.get("project", {}), tables.get("tool", {}).get("poetry", {})
        if "build-system" not in tables and "name" not in project and not poetry and not inputs.has_setup:
            raise ProjectError(
                f"{inputs.project.path / 'pyproject.toml'} has no [project] table",
                hint="Add [project] with name, version and dependencies, or use a requirements.txt.",
            )
        name = ""
        if poetry and "name" not in project and (poetry.get("package-mode") is False or "name" not in poetry):
            self._dependencies += poetry_requirements(poetry, inputs.project.path, extras, groups, main=True)
        else:
            name = self._add_project(extras)
            self._dependencies += _group_requirements(tables, inputs.project.path, groups)
        named = {requirement_name(text) for text in self._dependencies}
        self._sources = {**{name: source for name, source in inputs.workspace.sources.items() if name in named}, **self._sources}
        return self._finish(name)

    def _add_project(self, extras: tuple[str, ...]) -> str:
        """Depend on the user's project, so that uv reads its metadata, and return its name."""
        own, project = self._inputs.project, self._inputs.tables.get("project", {})
        chosen = f"[{','.join(extras)}]" if extras else ""
        declared = project.get("optional-dependencies", {})
        unknown = [extra for extra in extras if normalized(extra) not in {normalized(name) for name in declared}]
        if unknown and own.is_static:
            hint = f"{did_you_mean(unknown[0], declared)}Extras: {', '.join(declared) or 'none'}."
            raise LockError(f"pyproject.toml has no extra {', '.join(unknown)}", hint=hint)
        # A project that states its dependencies needs no build for them, even if its version is dynamic.
        static = bool(project.get("name")) and not {"dependencies", "optional-dependencies"} & set(project.get("dynamic", ()))
        directory = own.path if static else self._buildable(own)
        if not own.name:
            return self._add_by_backend(f"{directory}{chosen}")
        if static and "version" not in project and not self._inputs.workspace.sources:
            # uv would run the backend for the version alone, and fail with it.
            stated = self._made.settings.get(_METADATA, [])
            self._made = replace(self._made, settings={**self._made.settings, _METADATA: [*stated, _stated_metadata(own.name, project)]})
        self._dependencies.append(f"{own.name}{chosen}")
        self._sources[own.name] = {"path": str(directory), **({"package": False} if static else {})}
        return own.name

    def _add_by_backend(self, text: str) -> str:
        """Depend on a project whose name only its build backend knows, and return the name."""
        line = Line(text, self._inputs.root / "setup.py", 1)
        folder = self._stack.enter_context(scratch_directory("shipwheel-lock-"))
        self._add_unnamed(line, text, folder)
        return self._finish().name_of(line)

    def _add_named(self, line: Line) -> None:
        requirement = line.requirement
        assert requirement is not None  # noqa: S101 - the caller checked
        url = urlsplit(requirement.url or "")
        local = self._inputs.local_paths.get(Path(unquote(url.path))) if url.scheme == "file" else None
        _require_existing(local, line)
        if local is not None and local.is_directory and (directory := self._buildable(local)) != Path(unquote(url.path)):
            self._dependencies.append(line.text.replace(requirement.url or "", directory.as_uri()))
        else:
            self._dependencies.append(line.text)

    def _add_local(self, line: Line) -> bool:
        """Depend on a local directory or wheel whose name is known without building it; return whether it is one."""
        found = re.match(r"([^\[;]+?)\s*(\[[^\]]*\])?\s*(;.*)?$", line.text)
        local = self._inputs.local_paths.get(Path(found[1])) if found is not None and "://" not in line.text else None
        if found is None or local is None:
            return False
        path = Path(found[1])
        _require_existing(local, line)
        if local.is_directory and local.is_static:
            name = local.name
        elif path.suffix == ".whl":
            name = normalized(path.name.split("-", 1)[0])
        else:
            return False
        self._sources[name] = {"path": str(path)}
        self._names[line] = name
        self._dependencies.append(f"{name}{found[2] or ''} {found[3] or ''}".strip())
        return True

    def _with_copy(self, line: Line) -> str:
        """Return the line with a private copy of its directory: a build backend that is asked for a name leaves files behind."""
        head = re.split(r"[\[;]", line.text, maxsplit=1)[0].strip()
        local = self._inputs.local_paths.get(Path(head)) if "://" not in head else None
        if local is None or not local.is_directory:
            return line.text
        return line.text.replace(head, str(self._buildable(local)), 1)

    def _add_unnamed(self, line: Line, text: str, folder: Path) -> None:
        """Let uv find the name of a requirement that states none: a directory, an archive, a URL or a repository."""
        self._finish().write(folder, everywhere=True)
        listed = folder / "unnamed.txt"
        listed.write_text(f"{text}\n", encoding="utf-8")
        try:
            uv.add_requirements(folder, listed, self._made.python, readable=self._finish().readable())
        except uv.UvFailed as error:
            raise resolution_error(error.failure, line.place, {str(listed): line.path.name, str(folder): "", **self._copies}) from None
        after = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
        new = [text for text in after if text not in self._dependencies]
        self._dependencies = list(after)
        if new:
            self._names[line] = requirement_name(new[0])

    def _is_own(self, line: Line) -> bool:
        """True if a line requires the project itself, as `-e .` does."""
        path = line.local_path
        local = self._inputs.local_paths.get(path) if path is not None else None
        return local is not None and local.path == self._inputs.project.path

    def _buildable(self, local: LocalPath) -> Path:
        """Return the directory itself if no build backend will run in it, else its private copy."""
        if local.is_static:
            return local.path
        for copy, original in self._copies.items():
            if local.path.is_relative_to(original):
                return Path(copy) / local.path.relative_to(original)
        copied = lent_copy(local.tree, self._stack)
        self._copies[str(copied)] = str(local.tree)
        return copied / local.path.relative_to(local.tree)


def _require_existing(local: LocalPath | None, line: Line) -> None:
    """Raise LockError for a line that names a path that does not exist."""
    if local is not None and not local.exists:
        hint = "Correct the path; it is relative to the file that holds it. For a package of the index, write its name and version alone."
        raise LockError(f"{line.place}: {local.path} does not exist", hint=hint)


def _requirements_settings(settings: Mapping[str, Any], requirements: Requirements) -> dict[str, Any]:
    """Return uv's settings for the options in requirements files."""
    found = dict(settings)
    indexes: list[Mapping[str, Any]] = [*({"url": url} for url in requirements.extra_index_urls), *requirements.indexes]
    if requirements.index_url:
        indexes.append({"url": requirements.index_url, "default": True})
    if indexes:
        # Requirements files decide; uv takes one default, and an index of another tool is one among others then.
        others = found.get("index", [])
        if any(index.get("default") for index in indexes):
            others = [{key: value for key, value in index.items() if key != "default"} for index in others]
        found["index"] = [*indexes, *others]
    if requirements.extra_index_urls:
        # pip takes the highest version from any index.
        found["index-strategy"] = "unsafe-best-match"
    if requirements.find_links:
        found["find-links"] = [*found.get("find-links", []), *requirements.find_links]
    if requirements.no_index:
        found["no-index"] = True
    if requirements.prereleases:
        found["prerelease"] = "allow"
    for option, names in (("no-binary", requirements.no_binary), ("no-build", requirements.only_binary)):
        if named := [name for name in names if name != ":all:"]:
            found[f"{option}-package"] = named
        # With this setting, uv would refuse to read the metadata of a directory or repository too.
        if ":all:" in names and not any(line.requirement is None or line.requirement.url for line in requirements.lines):
            found[option] = True
    return found


def _stated_metadata(name: str, project: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata that a [project] table states, for uv's setting `dependency-metadata`, with a version that nothing asks for."""
    extras = project.get("optional-dependencies", {})
    optional = (_for_extra(text, extra) for extra, texts in extras.items() for text in texts)
    return {"name": name, "version": "0", "requires-dist": [*project.get("dependencies", ()), *optional], "provides-extra": [*extras]}


def _for_extra(text: str, extra: str) -> str:
    """Return a requirement with the marker of an extra."""
    from packaging.markers import Marker
    from packaging.requirements import Requirement

    requirement = Requirement(text)
    others = f"({requirement.marker}) and " if requirement.marker is not None else ""
    requirement.marker = Marker(f"{others}extra == '{extra}'")
    return str(requirement)


def _group_requirements(tables: Mapping[str, Any], root: Path, groups: tuple[str, ...]) -> Iterator[str]:
    """Yield the requirements of the chosen dependency groups (PEP 735, with include-group), or of Poetry's groups."""
    from packaging.dependency_groups import resolve_dependency_groups

    table, poetry = tables.get("dependency-groups", {}), tables.get("tool", {}).get("poetry", {})
    known = {normalized(name) for name in table}
    for group in groups:
        if normalized(group) in known:
            try:
                yield from resolve_dependency_groups(table, group)
            except (ValueError, TypeError, LookupError, ExceptionGroup) as error:
                raise LockError(f"pyproject.toml: dependency group {group!r}: {error}", hint="Correct the group.") from None
        elif poetry.get("group", {}).get(group) or poetry.get(f"{group}-dependencies"):
            yield from poetry_requirements(poetry, root, (), (group,), main=False)
        else:
            hint = f"{did_you_mean(group, table)}Groups: {', '.join(table) or 'none'}."
            raise LockError(f"pyproject.toml has no dependency group {group!r}", hint=hint)
