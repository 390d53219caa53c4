"""Read a user's project from its directory or script, without running any of it."""

import os
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from msgspec.structs import replace

from shipwheel.errors import NoCommand, NoRequirements, ProjectError
from shipwheel.project.conda import CondaEnvironment, read_conda
from shipwheel.project.deployed_settings import installs_beside, with_deployed
from shipwheel.project.deployment.read import Deployment
from shipwheel.project.entrypoint.find import Evidence, Launch, find_launch
from shipwheel.project.entrypoint.module import Module
from shipwheel.project.entrypoint.python_2 import refuse_python_2
from shipwheel.project.entrypoint.scan import Scanner
from shipwheel.project.entrypoint.scripts import USUAL_FILES
from shipwheel.project.entrypoint.shell_users import shell_call
from shipwheel.project.git_history import old_last_commit
from shipwheel.project.import_names import packaged_names
from shipwheel.project.likelier_place import likelier_place, notebook_hint
from shipwheel.project.listed_imports import lines_beside, listed_imports
from shipwheel.project.lock_inputs import own_line, read_lock_inputs
from shipwheel.project.metadata import Metadata, dependency_names, read_group, read_metadata, read_script
from shipwheel.project.nested_projects import list_beside_code, nested_projects
from shipwheel.project.old_interfaces import still_wsgi
from shipwheel.project.old_names import old_names
from shipwheel.project.outside_imports import common_requirements, outside_imports
from shipwheel.project.pins import Pins, pins_beside
from shipwheel.project.pipfile import Pipfile, read_pipfile
from shipwheel.project.pixi import read_pixi
from shipwheel.project.project import Project
from shipwheel.project.python_version import choose_python, python_floor
from shipwheel.project.requirements import Requirements, read_requirements
from shipwheel.project.requirements_files import find_requirements, other_lists
from shipwheel.settings.settings import Settings, load_settings, settings_from
from shipwheel.user.files import UserFiles, table_at
from shipwheel.versions import minor_version, normalized

__all__ = ["find_settings", "read_project", "with_dependencies", "with_launch", "with_python"]

_LOOKED_FOR = (
    "pyproject.toml with [project] or [tool.poetry], setup.py, setup.cfg, requirements.txt, requirements/*.txt, Pipfile, "
    "environment.yml, pixi.toml, a script with inline metadata"
)
_MAX_REPORTED = 8
_MAX_HINT_DEPTH = 4


def find_settings(path: Path, files: UserFiles | None = None) -> Settings:
    """Read the settings of a project directory, or of a single-file script in its inline metadata. Raises as load_settings."""
    files = files or UserFiles()
    if not path.is_file():
        return load_settings(path, files)
    script = read_script(files, path)
    tool = script.tables.get("tool") if script is not None else None
    if isinstance(tool, dict) and "shipwheel" in tool:
        return settings_from(tool["shipwheel"], f"{path} [tool.shipwheel]")
    return Settings()


def read_project(
    path: Path,
    settings: Settings | None = None,
    *,
    launch: bool = True,
    files: UserFiles | None = None,
    scanner: Scanner | None = None,
) -> Project:
    """Read the project in a directory, or a single-file script; each file is opened once, and the source scanned once with a `scanner`.

    `settings` default to those in the project's files. Without `launch`, no command to start is looked for. Raises ProjectError if there
    is no project or no command to start, UsageError for wrong settings, LockError for requirements that are not understood.
    """
    # What compares paths takes `..` for a name.
    path, files = path.resolve() if ".." in path.parts else path.absolute(), files or UserFiles()
    if not path.exists():
        raise ProjectError(f"{path} does not exist", hint="Give the directory of a project.")
    settings = find_settings(path, files) if settings is None else settings
    root = path.parent if path.is_file() else path
    scanner = scanner or Scanner(root, path.name if path.is_file() else None, files)
    read = _Reader(root, settings, files, _read_deployment(scanner), scanner)
    project = replace(read.script(path) if path.is_file() else read.directory(), scanner=scanner)
    return with_launch(project) if launch else project


def _read_deployment(scanner: Scanner) -> Deployment:
    try:
        return scanner.scan_deployment()
    except ProjectError:
        # Reported when the command is looked for; a lock needs none.
        return Deployment()


def with_launch(project: Project) -> Project:
    """Return the project with the command that suits its direct dependencies, or as it is if only a build tells these.

    Raises ProjectError if there is no command to start.
    """
    return project if project.dynamic else _with_launch(project, project.dependencies)


def with_dependencies(project: Project, dependencies: frozenset[str]) -> Project:
    """Return the project with the command that suits the packages in its lock. Raises ProjectError if there is none."""
    return _with_launch(project, frozenset(map(normalized, dependencies)))


def with_python(project: Project, version: str, *, launch: bool = True) -> Project:
    """Return the project for another Python, whose markers may select other dependencies. Raises as read_project."""
    path = project.root / project.only[0] if project.only else project.root
    settings = replace(project.settings, python=version)
    found = read_project(path, settings, launch=False, files=project.files, scanner=project.scanner)
    found = with_launch(found) if launch else found
    notes = tuple(dict.fromkeys((*project.notes, *found.notes)))
    found = replace(found, notes=notes, unlisted=project.unlisted, unsuitable_python=project.python)
    return replace(found, settings=project.settings, python_reason=f"the requirements have no solution for {project.python}")


def _with_launch(project: Project, dependencies: frozenset[str]) -> Project:
    evidence = Evidence(
        project.root,
        project.name,
        project.kind,
        project.settings,
        dict(project.scripts),
        dependencies,
        project.packaged,
        project.only[0] if project.only else None,
        project.still_wsgi,
        listed=dependency_names((line.text for line in lines_beside(project)[1]), minor_version(project.python)),
    )
    scanner = project.scanner or Scanner(project.root, evidence.single_file, project.files)
    project = replace(project, scanner=scanner)
    try:
        launch = find_launch(evidence, scanner)
    except NoCommand as error:
        raise _with_members(error, project) from None
    if launch.outside_wheel:
        app = _Reader(project.root, project.settings, project.files, _read_deployment(scanner), scanner).as_app(
            project, launch.outside_wheel
        )
        app = replace(app, scanner=scanner)
        return _with_launch(app, dependencies | app.dependencies)
    launch = _with_listed(project, launch, dependencies)
    call = shell_call(launch, project.scripts, scanner.scan_modules()) if project.settings.base is None else ""
    if call and "dash" not in project.packages:
        launch = replace(launch, notes=(*launch.notes, f"{call}, which needs a shell: the image has one, dash."))
        project = replace(project, system_packages=(*project.system_packages, "dash"))
    return replace(project, launch=launch)


def _with_listed(project: Project, launch: Launch, dependencies: frozenset[str]) -> Launch:
    """Return the launch with the packages that the code imports, a requirements file lists, and the metadata that counts lacks."""
    file, lines = lines_beside(project)
    modules = project.scanner.scan_modules() if project.scanner is not None else ()
    if not (more := listed_imports(launch, project.scripts, modules, lines, dependencies, project.python)):
        return launch
    names = ", ".join(sorted(dependency_names(more, minor_version(project.python))))
    note = f"The code imports {names}, which {file} lists and the project's metadata lacks: the image has them."
    return replace(launch, extra_requirements=(*launch.extra_requirements, *more), notes=(*launch.notes, note))


def _with_members(error: NoCommand, project: Project) -> NoCommand:
    """Return the error with the directories that may be meant in its hint: members of a uv workspace, or projects below."""
    workspace = project.inputs.workspace
    is_root = workspace.root == project.root.resolve() and bool(workspace.members)
    found = workspace.members if is_root else nested_projects(project.root, project.files, _MAX_HINT_DEPTH)
    names = [os.path.relpath(path, workspace.root if is_root else project.root) for path in found or ()]
    if not names:
        return error
    more = f" and {len(names) - _MAX_REPORTED} more" if len(names) > _MAX_REPORTED else ""
    listed = f"{', '.join(names[:_MAX_REPORTED])}{more}"
    what = (
        "This is the root of a uv workspace: name the member to build, one of"
        if is_root
        else "If a project below is meant, name its directory:"
    )
    return NoCommand(error.message, hint=f"{what} {listed}. {error.hint}")


def _may_be_started(module: Module) -> bool:
    """Return whether a file at the top is what a project starts, and not a tool beside what is written in another language."""
    return "/" not in module.file and (module.file in USUAL_FILES or bool(module.ports or module.applications))


class _Reader:
    """Reads one directory with given settings."""

    def __init__(self, root: Path, settings: Settings, files: UserFiles, deployment: Deployment, scanner: Scanner) -> None:
        self._root = root
        self._settings = settings
        self._files = files
        self._deployment = deployment
        self._scanner = scanner

    def directory(self) -> Project:
        """Read the directory: by its metadata, requirements files, Pipfile, or the one script with inline metadata."""
        root, settings = self._root, self._settings
        metadata = read_metadata(self._files, root)
        listed = tuple(root / name for name in settings.requirements) or self._requirements_files()
        if metadata is None or (settings.requirements and not metadata.package):
            if not listed and self._files.is_file(root / "Pipfile"):
                pipfile = read_pipfile(self._files, root / "Pipfile")
                return self._project(pipfile.metadata(), "app", pipfile=pipfile.path)
            return self._app(metadata, listed) if listed else self._only_script()
        if not listed and (fuller := self._fuller_pipfile(metadata)) is not None:
            stated = replace(fuller.metadata(), name=metadata.name, version=metadata.version, requires_python=metadata.requires_python)
            return self._project(stated, "app", pipfile=fuller.path)
        decisive = listed if listed and (settings.requirements or self._decide(metadata, listed)) else None
        if settings.install == "source" and metadata.package:
            return self._app(metadata, decisive or (listed if metadata.dynamic else ()))
        packaged = packaged_names(root, metadata)
        if not metadata.package or packaged is None:
            declares = metadata.dependencies or metadata.dynamic or not listed
            note = f"No importable code was found for a wheel of {metadata.name}: its directory goes into /app as it is."
            return self._app(metadata, () if declares else listed, note if metadata.package else "")
        return self._project(metadata, "package", listed=decisive, packaged=packaged)

    def script(self, path: Path) -> Project:
        """Read a single-file script."""
        if path.suffix != ".py":
            raise ProjectError(f"{path} is not a Python script", hint="Give the directory of a project, or a .py file.")
        inline = read_script(self._files, path)
        metadata = replace(inline or Metadata(origin=path.name), name=_plain_name(path.stem))
        listed = tuple(path.parent / name for name in self._settings.requirements)
        project = self._project(metadata, "app", listed=listed or None, script=path if inline is not None and not listed else None)
        return replace(project, only=(path.name,))

    def as_app(self, package: Project, outside_wheel: tuple[str, ...]) -> Project:
        """Return a package as an app, with its requirements file if that has all that the metadata asks for, and more."""
        needed = ", ".join(outside_wheel[:3])
        note = f"{package.name} uses {needed} of its directory, which a wheel would not contain: the directory goes into /app as it is."
        app = replace(package, kind="app", scripts={}, packaged=frozenset(), notes=(*package.notes, note))
        files = self._requirements_files() if package.inputs.requirements is None else ()
        if not files:
            return app
        fuller = self._app(read_metadata(self._files, self._root), files, note)
        return fuller if app.dependencies < fuller.dependencies else app

    def _fuller_pipfile(self, metadata: Metadata) -> Pipfile | None:
        """Return the Pipfile beside metadata that asks for all of what this asks for, and more; None if another tool's lock is there.

        A Pipfile that installs the project itself, or a console script of it, needs the project's wheel.
        """
        path, files = self._root / "Pipfile", self._files
        if not files.is_file(path) or any(files.is_file(self._root / name) for name in ("uv.lock", "poetry.lock", "pdm.lock")):
            return None
        if metadata.dynamic or any(":" in target for target in metadata.scripts.values()):
            return None
        try:
            pipfile = read_pipfile(files, path)
        except ProjectError:
            # The metadata suffices.
            return None
        if self._root.resolve() in pipfile.local_paths():
            return None
        return pipfile if _names(metadata.dependencies) < _names(pipfile.metadata().dependencies) else None

    def _decide(self, metadata: Metadata, listed: tuple[Path, ...]) -> bool:
        """True if a package's requirements files decide its lock.

        They name the package itself, or its metadata names no dependency, or fewer than the files that the Dockerfile installs. One that
        installs no more than these need not have all that the metadata names.
        """
        if not listed:
            return False
        found = read_requirements(listed, self._files)
        if own_line(found, self._root) is not None or (bool(found.lines) and not metadata.dependencies and not metadata.dynamic):
            return True
        installs = self._deployment.installs
        if metadata.dynamic or not installs.requirements or installs.extras or installs.groups:
            return False
        own, more = _names(metadata.dependencies), _names(line.text for line in found.lines)
        return own < more or (not installs.project and len(own) < len(more) and len(own & more) * 2 >= len(own))

    def _app(self, metadata: Metadata | None, listed: tuple[Path, ...], note: str = "") -> Project:
        metadata = metadata or Metadata(origin=listed[0].relative_to(self._root).as_posix())
        project = self._project(metadata, "app", listed=listed or None)
        return replace(project, scripts={}, notes=(*project.notes, *([note] if note else ())))

    def _project(
        self,
        metadata: Metadata,
        kind: Literal["package", "app"],
        *,
        listed: tuple[Path, ...] | None = None,
        script: Path | None = None,
        pipfile: Path | None = None,
        packaged: frozenset[str] = frozenset(),
    ) -> Project:
        root, settings = self._root, with_deployed(self._settings, self._deployment, metadata)
        decides = listed is not None or script is not None or pipfile is not None
        conda = None if decides else self._conda(metadata)
        if conda is not None:
            metadata = replace(metadata, requires_python=metadata.requires_python or tuple(filter(None, [conda.python])))
            settings = replace(settings, dependencies=(*settings.dependencies, *conda.requirements))
        last_change = old_last_commit(root, datetime.now(UTC).date())
        pins = Pins() if script or pipfile else pins_beside(self._files, root, () if listed is not None else self._requirements_files())
        inputs = read_lock_inputs(
            self._files,
            root,
            requirements=listed,
            script=script,
            pipfile=pipfile,
            pins=pins,
            name=metadata.name or "",
            lock=settings.lock or "",
        )
        requirements = _stated(metadata, settings, inputs.requirements, kind)
        found = old_names(self._scanner.scan_modules(), requirements)
        outgrown = tuple(each for each in found if inputs.other_lock is None or not each.package)
        old, floor = next(iter(outgrown), None), python_floor(self._scanner.scan_modules())
        python = choose_python(self._files, root, settings, metadata, self._deployment.installs, last_change, old, floor)
        name = normalized(settings.name or metadata.name or _plain_name(root.resolve().name))
        settings, notes = installs_beside(settings, self._deployment, name, requirements, python.version)
        return Project(
            root=root,
            name=name,
            version=metadata.version,
            kind=kind,
            requires_python=python.specifier,
            python=python.version,
            python_reason=python.reason,
            settings=settings,
            inputs=inputs,
            old_names=outgrown,
            still_wsgi=still_wsgi(requirements, settings.as_of or last_change),
            other_pythons=python.others,
            oldest_python=floor.minor if floor is not None else 0,
            python_is_named=python.is_named,
            wanted_python=python.wanted,
            dependencies=dependency_names((*requirements, *settings.dependencies), minor_version(python.version)),
            dynamic=metadata.dynamic and not (listed is not None and kind == "app"),
            scripts=dict(metadata.scripts),
            packaged=packaged,
            system_packages=self._deployment.installs.system.names,
            header_packages=self._deployment.installs.system.headers,
            notes=(*filter(None, (python.note, conda.note if conda else "")), *inputs.notes, *notes, *self._deployment.installs.all_notes),
            files=self._files,
        )

    def _only_script(self) -> Project:
        """Read a directory whose only metadata is that of one script. Raises ProjectError for any other."""
        root = self._root
        names = sorted(path.name for path in root.iterdir() if not path.name.startswith("."))
        scripts = [root / name for name in names if name.endswith(".py") and self._files.is_file(root / name)]
        inline = [script for script in scripts if self._has_inline(script)]
        if len(inline) == 1:
            merged = self._settings if self._settings != Settings() else find_settings(inline[0], self._files)
            return replace(_Reader(root, merged, self._files, Deployment(), self._scanner).script(inline[0]), only=())
        if len(inline) > 1:
            listed = ", ".join(script.name for script in inline)
            raise ProjectError(f"{root} has several scripts with inline metadata: {listed}", hint=f"Name one: shipwheel build {inline[0]}.")
        if self._settings.dependencies or self._deployment.installs.packages:
            return self._project(Metadata(origin="the setting dependencies"), "app", listed=())
        if len(lists := other_lists(root, self._files)) == 1:
            return self._app(None, lists)
        found = ", ".join(names[:_MAX_REPORTED]) or "an empty directory"
        more = f" and {len(names) - _MAX_REPORTED} more" if len(names) > _MAX_REPORTED else ""
        message = f"{root} is not a project. Looked for: {_LOOKED_FOR}. Found: {found}{more}"
        imports = outside_imports(root, modules := self._scanner.scan_modules())
        conda = read_conda(self._files, root, (name for name, _ in imports)) if scripts or imports else None
        if conda is not None:
            name, python = _plain_name(conda.name) if conda.name else None, tuple(filter(None, [conda.python]))
            metadata = Metadata(conda.file, name, requires_python=python)
            project = self._requiring(conda.requirements, metadata)
            return replace(project, notes=tuple(filter(None, (*project.notes, conda.note))))
        if beside := list_beside_code(root, self._files, (name for name, _ in imports)):
            return self._app(None, beside)
        if (elsewhere := likelier_place(root, names)) or not (imports or scripts):
            raise ProjectError(message, hint=elsewhere or notebook_hint(names) or "Give the directory that holds one of these files.")
        refuse_python_2(None, {}, modules)
        needs_nothing = not (imports or lists) and any(map(_may_be_started, modules))
        if (common := () if needs_nothing else common_requirements(name for name, _ in imports)) is not None:
            project = self._requiring(common, Metadata(origin="the imports of the code"))
            note = "No file lists the packages that the code needs. It gets those that it imports: {}. List them in a requirements.txt."
            return replace(project, notes=(*project.notes, *([note.format(", ".join(common))] if common else ())))
        propose = "Let `shipwheel init` propose the packages that the code imports, or list them" if imports else "List the packages"
        if lists:
            propose = f"Name the right one of {', '.join(path.name for path in lists)} in the setting `requirements`. {propose}"
        raise NoRequirements(message, imports, hint=f"{propose} in a requirements.txt, which may be empty, and build again.")

    def _conda(self, metadata: Metadata) -> CondaEnvironment | None:
        """Return the conda environment of a project with metadata: pixi's adds to it, any other stands in for a list."""
        states = metadata.dependencies or metadata.dynamic or "dependencies" in table_at(metadata.tables, "project")
        counts = read_pixi(self._files, self._root) is not None or not states
        return read_conda(self._files, self._root, self._imports(), _names(metadata.dependencies)) if counts else None

    def _imports(self) -> Iterator[str]:
        yield from (name for name, _ in outside_imports(self._root, self._scanner.scan_modules()))

    def _requiring(self, requirements: Iterable[str], metadata: Metadata) -> Project:
        """Read an app whose requirements come from no list of its own."""
        settings = replace(self._settings, dependencies=(*self._settings.dependencies, *requirements))
        reader = _Reader(self._root, settings, self._files, self._deployment, self._scanner)
        return replace(reader._project(metadata, "app", listed=()), unlisted=settings.dependencies)

    def _has_inline(self, script: Path) -> bool:
        try:
            return "# /// script" in self._files.read_text(script) and read_script(self._files, script) is not None
        except ProjectError:
            return False

    def _requirements_files(self) -> tuple[Path, ...]:
        named = tuple(self._root / name for name in self._deployment.installs.requirements)
        return named or tuple(filter(None, [find_requirements(self._root, self._files)]))


def _stated(metadata: Metadata, settings: Settings, listed: Requirements | None, kind: Literal["package", "app"]) -> list[str]:
    """Return the requirements of a project with those of its chosen extras and groups."""
    found = [*metadata.dependencies] if listed is None or kind == "package" else []
    found += (line.text for line in (listed.lines if listed is not None else ()))
    for extra in settings.extras:
        found += metadata.extras.get(normalized(extra), ())
    for group in settings.groups:
        found += read_group(metadata.tables, group)
    return found


def _names(requirements: Iterable[str]) -> frozenset[str]:
    return dependency_names((requirement.partition(";")[0] for requirement in requirements), "3.13")


def _plain_name(text: str) -> str:
    return normalized(re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("._-")) or "app"
