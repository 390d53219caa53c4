"""What is in a directory: a package, an app with its requirements, or a single-file script.

Reads; never imports or runs the user's code.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import msgspec

from shipwheel.errors import ProjectError
from shipwheel.project.entrypoint.find import Evidence, Launch, find_launch
from shipwheel.project.metadata import Metadata, dependency_names, read_group, read_metadata, read_script
from shipwheel.project.python_version import choose_python
from shipwheel.project.requirements import read_requirements
from shipwheel.settings import Settings, load_settings, settings_from
from shipwheel.user_files import read_text
from shipwheel.versions import minor_version, normalized

__all__ = ["Project", "detect", "find_settings", "with_dependencies", "with_python"]

_LOOKED_FOR = (
    "pyproject.toml with [project] or [tool.poetry], setup.py, setup.cfg, requirements.txt, requirements/*.txt, Pipfile, "
    "a script with inline metadata"
)
_REQUIREMENTS = (
    "requirements.txt",
    *(f"requirements/{name}.txt" for name in ("production", "prod", "requirements", "base", "main", "common", "default")),
    *(f"requirements{dash}{name}.txt" for name in ("production", "prod", "base", "main") for dash in ("-", "_", ".")),
    "requirements.in",
)


@dataclass(frozen=True, slots=True)
class Project:
    """A project, as far as reading tells."""

    root: Path
    name: str
    """Normalised (PEP 503)."""
    version: str | None
    kind: Literal["package", "app"]
    """A package is built into a wheel and installed; of an app, the directory goes into /app."""
    requires_python: str | None
    """The version specifier (PEP 440) that `python` satisfies."""
    python: str
    """The wanted Python: "3.11", or with the micro version when the user wrote it. Whether there is a base with it is another question."""
    python_reason: str
    settings: Settings
    other_pythons: tuple[str, ...] = ()
    """What would do as well as `python`, the best first: empty where the user names it."""
    requirements: tuple[Path, ...] = ()
    """The requirements files that decide the lock; empty when the project's metadata does."""
    script: Path | None = None
    """The single-file script with inline metadata that decides the lock."""
    lock_inputs: tuple[str, ...] = ()
    """The files that decide the lock, relative to the root."""
    dependencies: frozenset[str] = frozenset()
    """Normalised names of the direct dependencies, chosen extras and groups included."""
    dynamic: bool = False
    """Whether only building the project tells all its dependencies."""
    scripts: dict[str, str] | None = None
    """Console script -> module:function."""
    packaged: frozenset[str] = frozenset()
    """Top-level import names in the project's wheel."""
    only: tuple[str, ...] = ()
    """The files that are the whole app, for `list_app`; empty: the directory."""
    launch: Launch | None = None
    """None only when `dynamic`, or when detection was asked to leave it out."""
    notes: tuple[str, ...] = ()
    """What the user should know of the choices made, a sentence each."""

    @property
    def volumes(self) -> tuple[str, ...]:
        """The settings' volumes, and those that the command needs."""
        return self.settings.volumes or (self.launch.volumes if self.launch else ())

    @property
    def before_start(self) -> tuple[tuple[str, ...], ...]:
        """The settings' one-time steps, or those that the command needs."""
        return self.settings.before_start or (self.launch.before_start if self.launch else ())

    @property
    def every_start(self) -> tuple[tuple[str, ...], ...]:
        """Those of `before_start` that run at every start: none of the settings'."""
        return () if self.settings.before_start or self.launch is None else self.launch.every_start


def find_settings(path: Path) -> Settings:
    """The settings of a project directory, or of a single-file script in its inline metadata. Raises as load_settings."""
    if not path.is_file():
        return load_settings(path)
    found = read_script(path)
    tool = found.tables.get("tool") if found is not None else None
    if isinstance(tool, dict) and "shipwheel" in tool:
        return settings_from(tool["shipwheel"], f"{path} [tool.shipwheel]")
    return Settings()


def detect(path: Path, settings: Settings | None = None, *, dependencies: frozenset[str] | None = None, launch: bool = True) -> Project:
    """The project in a directory or script. `settings` default to what the files say; `dependencies` are names from a lock.

    Raises ProjectError when there is none, or no command to start is found; UsageError for wrong settings.
    """
    path = path.absolute()
    if not path.exists():
        raise ProjectError(f"{path} does not exist", hint="Give the directory of a project.")
    settings = find_settings(path) if settings is None else settings
    project = _script_project(path, settings) if path.is_file() else _directory_project(path, settings)
    if dependencies is not None:
        return with_dependencies(project, dependencies, launch=launch)
    return _launched(project, project.dependencies, complete=not project.dynamic) if launch else project


def with_dependencies(project: Project, dependencies: frozenset[str], *, launch: bool = True) -> Project:
    """The project with the names that its lock has, and the command chosen by them. Raises ProjectError when none is found."""
    names = frozenset(map(normalized, dependencies))
    return _launched(project, names, complete=True) if launch else project


def with_python(project: Project, version: str) -> Project:
    """The project for one of its `other_pythons`, whose markers may let other dependencies count. Raises as detect."""
    path = project.root / project.only[0] if project.only else project.root
    found = detect(path, msgspec.structs.replace(project.settings, python=version))
    reason = f"what the project wants cannot be had for {project.python}"
    return replace(found, settings=project.settings, python_reason=reason, notes=(*project.notes, *found.notes))


def _launched(project: Project, dependencies: frozenset[str], *, complete: bool) -> Project:
    evidence = Evidence(
        project.root,
        project.name,
        project.kind,
        project.settings,
        project.scripts or {},
        dependencies,
        complete,
        project.packaged,
        project.only[0] if project.only else None,
    )
    try:
        launch = find_launch(evidence)
    except ProjectError:
        if complete:
            raise
        return project
    if launch.outside_wheel:
        plain = _in_place(project, launch.outside_wheel)
        return _launched(plain, dependencies | plain.dependencies, complete=complete)
    return replace(project, launch=launch)


def _in_place(project: Project, beside: tuple[str, ...]) -> Project:
    """A package as an app: with its requirements file, if that has all that the metadata asks for, and more."""
    listed = ", ".join(beside[:3])
    note = f"{project.name} uses {listed} of its directory, for which a wheel would not do: the directory goes into /app as it is."
    plain = replace(project, kind="app", scripts={}, packaged=frozenset(), notes=(*project.notes, note))
    files = _requirements_files(project.root) if not project.requirements else ()
    if not files:
        return plain
    fuller = _app(project.root, project.settings, read_metadata(project.root), files, note)
    return fuller if plain.dependencies < fuller.dependencies else plain


def _directory_project(root: Path, settings: Settings) -> Project:
    metadata = read_metadata(root)
    listed = tuple(root / name for name in settings.requirements) or _requirements_files(root)
    if metadata is None or (settings.requirements and not metadata.package):
        from shipwheel.project.pipfile import pipfile_metadata

        if not listed and (pipfile := pipfile_metadata(root)) is not None:
            found = _app(root, settings, pipfile, ())
            return replace(found, lock_inputs=tuple(name for name in ("Pipfile", "Pipfile.lock") if (root / name).is_file()))
        return _app(root, settings, metadata, listed) if listed else _without_metadata(root, settings)
    packaged = _packaged(root, metadata)
    if not metadata.package or packaged is None:
        own = metadata.dependencies or metadata.dynamic or not listed
        note = (
            ""
            if not metadata.package
            else f"Nothing to put into a wheel was found for {metadata.name}, so its directory goes into /app as it is."
        )
        return _app(root, settings, metadata, () if own else listed, note)
    decisive = listed if settings.requirements or _decide(root, metadata, listed) else ()
    return _project(root, settings, metadata, "package", decisive, packaged)


def _decide(root: Path, metadata: Metadata, listed: tuple[Path, ...]) -> bool:
    """Whether a package's requirements files say what is installed with it: they list the package itself, or it says nothing."""
    if not listed:
        return False
    found = read_requirements(listed)
    return found.itself(root) is not None or (bool(found.lines) and not metadata.dependencies and not metadata.dynamic)


def _app(root: Path, settings: Settings, metadata: Metadata | None, listed: tuple[Path, ...], note: str = "") -> Project:
    shell = metadata or Metadata(origin=listed[0].relative_to(root).as_posix())
    project = _project(root, settings, shell, "app", listed, frozenset())
    return replace(project, scripts={}, notes=(*project.notes, *([note] if note else ())))


def _project(
    root: Path, settings: Settings, metadata: Metadata, kind: Literal["package", "app"], listed: tuple[Path, ...], packaged: frozenset[str]
) -> Project:
    python = choose_python(root, settings, metadata)
    wanted = [*metadata.dependencies]
    inputs = [name for name in ("pyproject.toml", "setup.py", "setup.cfg") if (root / name).is_file()]
    if listed:
        found = read_requirements(listed)
        wanted = [*(wanted if kind == "package" else ()), *(line.text for line in found.lines)]
        inputs = [_relative(file, root) for file in found.files]
    for extra in settings.extras:
        wanted += metadata.extras.get(normalized(extra), ())
    for group in settings.groups:
        wanted += read_group(metadata.tables, group)
    return Project(
        root=root,
        name=normalized(settings.name or metadata.name or _directory_name(root)),
        version=metadata.version,
        kind=kind,
        requires_python=python.specifier,
        python=python.version,
        python_reason=python.reason,
        settings=settings,
        other_pythons=python.others,
        requirements=listed,
        lock_inputs=tuple(inputs),
        dependencies=dependency_names(wanted, minor_version(python.version)),
        dynamic=metadata.dynamic and not (listed and kind == "app"),
        scripts=dict(metadata.scripts),
        packaged=packaged,
        notes=(python.note,) if python.note else (),
    )


def _script_project(path: Path, settings: Settings) -> Project:
    if path.suffix != ".py":
        raise ProjectError(f"{path} is not a Python script", hint="Give a project's directory, or a .py file.")
    metadata = read_script(path)
    shell = metadata or Metadata(origin=path.name, name=path.stem)
    listed = tuple(path.parent / name for name in settings.requirements)
    project = _project(path.parent, settings, replace(shell, name=_plain_name(path.stem)), "app", listed, frozenset())
    script = path if metadata is not None and not listed else None
    inputs = project.lock_inputs if listed else (path.name,) if script else ()
    return replace(project, script=script, lock_inputs=inputs, only=(path.name,))


def _without_metadata(root: Path, settings: Settings) -> Project:
    """A directory whose only metadata is one script's inline metadata; raises ProjectError for any other."""
    names = sorted(path.name for path in root.iterdir() if not path.name.startswith("."))
    scripts = [root / name for name in names if name.endswith(".py") and (root / name).is_file()]
    inline = [script for script in scripts if _has_inline(script)]
    if len(inline) == 1:
        merged = settings if settings != Settings() else find_settings(inline[0])
        return replace(_script_project(inline[0], merged), only=())
    if len(inline) > 1:
        listed = ", ".join(script.name for script in inline)
        raise ProjectError(f"{root} holds several scripts with inline metadata: {listed}", hint=f"Name one: shipwheel build {inline[0]}.")
    raise ProjectError(f"{root} is not a project. Looked for: {_LOOKED_FOR}. Found: {_shown(names)}", hint=_next_step(root, names, scripts))


def _has_inline(script: Path) -> bool:
    try:
        return "# /// script" in read_text(script) and read_script(script) is not None
    except ProjectError:
        return False


def _next_step(root: Path, names: list[str], scripts: list[Path]) -> str:
    if found := next((name for name in names if name in ("environment.yml", "environment.yaml")), None):
        return f"Conda environments cannot be built: list the distributions of {found} in a requirements.txt."
    for name in names:
        if any((root / name / file).is_file() for file in ("pyproject.toml", "requirements.txt", "setup.py")):
            return f"There is a project in {root / name}: build that directory."
    if scripts:
        return "List what the code imports in a requirements.txt, which may be empty, and build again."
    return "Give the directory that holds one of these files."


def _shown(names: list[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "") if names else "an empty directory"


def _requirements_files(root: Path) -> tuple[Path, ...]:
    return next(((root / name,) for name in _REQUIREMENTS if (root / name).is_file()), ())


def _packaged(root: Path, metadata: Metadata) -> frozenset[str] | None:
    """Top-level import names in the wheel; None when the build backend would find nothing, as in an app with a package's metadata."""
    found = frozenset(_importable(root))
    if metadata.packages is not None:
        return frozenset(metadata.packages)
    own = normalized(metadata.name or "").replace("-", "_")
    if metadata.backend.startswith("setuptools") or not metadata.backend:
        src = frozenset(_names_in(root / "src"))
        return src or found or (frozenset() if metadata.origin != "pyproject.toml" else None)
    if re.match(r"poetry|hatchling|flit|uv_build|pdm", metadata.backend):
        matching = frozenset(name for name in found | frozenset(_names_in(root / "src")) if name.lower() == own)
        fallback = frozenset(_names_in(root / "src")) if re.match(r"hatchling|pdm", metadata.backend) else frozenset()
        return matching or fallback or _single(root, metadata.backend, found)
    return found | frozenset(_names_in(root / "src"))


def _single(root: Path, backend: str, found: frozenset[str]) -> frozenset[str] | None:
    """The one package that Hatchling and PDM take when none has the project's name."""
    packages = frozenset(name for name in found if (root / name / "__init__.py").is_file())
    return packages if len(packages) == 1 and re.match(r"hatchling|pdm", backend) else None


def _importable(root: Path) -> Iterator[str]:
    skip = {"tests", "test", "docs", "examples", "setup", "conftest", "scripts", "benchmarks"}
    for name in _names_in(root):
        if name not in skip:
            yield name


def _names_in(directory: Path) -> Iterator[str]:
    if not directory.is_dir():
        return
    for path in sorted(directory.iterdir()):
        if path.suffix == ".py" and path.stem.isidentifier() and path.is_file() and directory.name != "src":
            yield path.stem
        elif path.name.isidentifier() and path.is_dir() and _is_package(path, namespace=directory.name == "src"):
            yield path.name


def _is_package(path: Path, *, namespace: bool) -> bool:
    return (path / "__init__.py").is_file() or (namespace and any(path.rglob("*.py")))


def _directory_name(root: Path) -> str:
    return _plain_name(root.resolve().name)


def _plain_name(text: str) -> str:
    return normalized(re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("._-")) or "app"


def _relative(path: Path, root: Path) -> str:
    import os

    return Path(os.path.relpath(path, root)).as_posix()
