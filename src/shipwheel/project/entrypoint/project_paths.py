"""The paths that a project's source reads and writes, resolved across its modules, and the files that its image has."""

import posixpath
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from shipwheel.container.venv import VENV
from shipwheel.errors import ProjectError
from shipwheel.files.entry import directories_above, parents
from shipwheel.project.entrypoint.beside_wheel import imports_beside_wheel
from shipwheel.project.entrypoint.evidence import Evidence
from shipwheel.project.entrypoint.launch import Launch
from shipwheel.project.entrypoint.module import Module
from shipwheel.project.entrypoint.path_eval import INSTANCE, ROOT, Names, is_plain_path, reference
from shipwheel.project.entrypoint.write_scan import Write, WriteKind

__all__ = [
    "OWN_DIRECTORIES",
    "SYSTEM_DIRECTORIES",
    "SYSTEM_FILES",
    "AppFiles",
    "WrittenPath",
    "find_outside_wheel",
    "find_written_paths",
    "is_within",
    "list_app_files",
]

SYSTEM_FILES = tuple("/dev /proc /sys /tmp /run /boot /bin /sbin /lib /lib64 /usr/bin /usr/sbin /usr/lib /var/run /var/tmp".split())  # noqa: SIM905
"""Directories of the kernel, of the system's programs, and of what is temporary."""
SYSTEM_DIRECTORIES = (*SYSTEM_FILES, "/var/lock", "/etc", "/usr", "/opt", "/home", "/root", "/Users", "/mnt")
"""Directories that hold no data of an app: the system's, and those of a developer's machine."""
OWN_DIRECTORIES = (f"/{VENV}", "/opt/shipwheel")
"""Directories that shipwheel fills."""
_INSTANCE_PARENT = f"/{VENV}/var/"
"""The directory in which Flask puts the instance directory of an installed app."""
_FLASK_FAMILY = frozenset({"flask", "apiflask", "eve", "flask-openapi3"})
"""Flask, and the frameworks whose application class derives from Flask's."""
_FRAMEWORK_WRITES = {"python-fasthtml": Write(".sesskey", WriteKind.SESSION_KEY)}
"""Files that a framework writes by itself, by its Python package."""


class WrittenPath(msgspec.Struct, frozen=True):
    """A path that the app writes to."""

    path: str
    """Absolute, in the image."""
    in_workdir: str
    """Relative to the working directory; empty for a path outside it."""
    kind: WriteKind

    @property
    def is_directory(self) -> bool:
        """True if the path is a directory."""
        return self.kind.is_directory


class AppFiles(msgspec.Struct, frozen=True):
    """The project's paths in the image, relative to the working directory. Nothing else on this machine's disk affects detection."""

    files: frozenset[str] = frozenset()
    """Files and symbolic links."""
    directories: frozenset[str] = frozenset()
    links: frozenset[str] = frozenset()

    def has(self, path: str) -> bool:
        """Return whether this is a file or a directory."""
        return path in self.files or path in self.directories

    def is_behind_file(self, path: str) -> bool:
        """Return whether a parent of the path is a file or a symbolic link."""
        return any(parent in self.files for parent in parents(path))


def list_app_files(evidence: Evidence, include: Iterable[str] = ()) -> AppFiles | None:
    """Return the files that the build will put into the image; None if it will refuse to."""
    # Reading ignore files takes a library that is slow to load and most projects do not need here.
    from shipwheel.project.app_tree import list_app
    from shipwheel.project.secret_files import secret_rules

    settings = evidence.settings
    only = () if evidence.single_file is None else (evidence.single_file,)
    try:
        tree = list_app(
            evidence.root,
            include=(*settings.include, *include),
            exclude=settings.exclude,
            only=only,
            secret_rules=secret_rules(settings),
        )
    except ProjectError:
        return None
    files = frozenset(file.path for file in tree.files)
    links = frozenset(file.path for file in tree.files if file.link is not None)
    return AppFiles(files, frozenset(directories_above(files)), links)


def is_within(path: str, directories: Iterable[str]) -> bool:
    """Return whether a path is one of these directories or below one."""
    return any(path == directory or path.startswith(f"{directory}/") for directory in directories)


def find_written_paths(launch: Launch, evidence: Evidence, modules: Sequence[Module]) -> tuple[WrittenPath, ...]:
    """Return the paths that the app writes to and that may have to outlive a container."""
    return tuple(dict.fromkeys(_written_paths(launch, evidence, modules)))


def find_outside_wheel(evidence: Evidence, launch: Launch, modules: Sequence[Module]) -> tuple[str, ...]:
    """Return the project's paths that make an installed wheel fail.

    They are modules and files outside the package that it imports and reads, and files that it writes inside.
    """
    own = [module for module in modules if module.top_level in evidence.packaged]
    if not own or any(call.endswith("metadata.version") for module in own for call in module.calls):
        # Only an installed package can ask for its own version.
        return ()
    names = _project_names(evidence, modules)
    packages = {posixpath.join(module.import_root, module.top_level) for module in own}
    joined = {*_below_root(names, (text for module in own for text in module.paths.joined))}
    image = list_app_files(evidence) if joined else None
    read = {path for path in joined if image is not None and image.has(path)}
    outside = {path for path in read if not is_within(path, packages) and not any(is_within(package, [path]) for package in packages)}
    written = _below_root(names, (write.path for module in own for write in module.paths.writes))
    return tuple(sorted({*outside, *written, *imports_beside_wheel(evidence, launch, modules)}))


def _written_paths(launch: Launch, evidence: Evidence, modules: Sequence[Module]) -> Iterator[WrittenPath]:
    names = _project_names(evidence, modules)
    flask = _flask_module(modules)
    for framework in sorted({app.framework.distribution for module in modules for app in module.applications}):
        write = _FRAMEWORK_WRITES.get(framework)
        if write is not None and (written := _in_image(write.path, write.kind, launch, evidence)) is not None:
            yield written
    for module in modules:
        for write in module.paths.writes:
            for candidate in _flask_candidates(write, names.resolve(write.path), evidence, flask):
                path = names.resolve(candidate)
                if path is not None and (written := _in_image(path, write.kind, launch, evidence)) is not None:
                    yield written


def _in_image(path: str, kind: WriteKind, launch: Launch, evidence: Evidence) -> WrittenPath | None:
    """Return where in the image a written path is; None if it is temporary, the system's, or not in the image."""
    workdir = evidence.workdir
    if path == ROOT or path.startswith(f"{ROOT}/"):
        if not launch.needs_source:
            return None
        path = workdir + path[len(ROOT) :]
    path = posixpath.normpath(posixpath.join(workdir, launch.directory, path))
    is_instance = path.startswith(_INSTANCE_PARENT)
    if not is_plain_path(path) or (is_within(path, OWN_DIRECTORIES) and not is_instance):
        return None
    if path.startswith(f"{workdir}/"):
        return WrittenPath(path, path[len(workdir) + 1 :], kind)
    if is_within(path, SYSTEM_DIRECTORIES) and not is_instance:
        return None
    return WrittenPath(path, "", kind)


def _project_names(evidence: Evidence, modules: Sequence[Module]) -> Names:
    """Return the values of names in all modules; of several modules that assign one, the first counts."""
    values: dict[str, str] = {}
    for module in modules:
        for name, text in module.paths.constants:
            values.setdefault(name, text)
    flask = _flask_module(modules)
    return Names(values if flask is None else {**values, INSTANCE: _instance_directory(evidence, flask)})


def _flask_module(modules: Sequence[Module]) -> Module | None:
    return next((module for module in modules if any(app.framework.distribution in _FLASK_FAMILY for app in module.applications)), None)


def _instance_directory(evidence: Evidence, flask: Module) -> str:
    """Return Flask's instance directory: beside the code, or in the virtual environment for an installed package."""
    if flask.top_level in evidence.packaged:
        return f"{_INSTANCE_PARENT}{flask.top_level}-instance"
    return f"{ROOT}/{flask.import_root}/instance"


def _flask_candidates(write: Write, path: str | None, evidence: Evidence, flask: Module | None) -> Iterator[str]:
    """Yield where a write may be, whose path without references is `path`.

    Flask-SQLAlchemy resolves a relative URL from the instance directory, before version 3 from the app's.
    """
    is_relative = path is not None and not path.startswith(("/", ROOT))
    if not is_relative or not write.in_url or flask is None or not evidence.has("flask-sqlalchemy"):
        yield write.path
        return
    yield f"{reference(INSTANCE)}/{path}"
    yield f"{ROOT}/{posixpath.dirname(flask.file)}/{path}"


def _below_root(names: Names, templates: Iterable[str]) -> Iterator[str]:
    """Yield the paths that start from `__file__` and stay below the project's root, relative to it."""
    paths = (names.resolve(template) for template in templates)
    return (path[2:] for path in paths if path is not None and path.startswith(f"{ROOT}/") and not path.startswith(f"{ROOT}/."))
