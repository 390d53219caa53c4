"""The command that starts a project, and the parts that finders build one from."""

import posixpath
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from shipwheel.known_packages import PACKAGE_OF_MODULE
from shipwheel.project.entrypoint.applications import Application
from shipwheel.project.entrypoint.command_address import without_flags
from shipwheel.project.entrypoint.evidence import Evidence
from shipwheel.project.entrypoint.module import Module
from shipwheel.project.entrypoint.reached import entry_module, modules_by_name, reached_modules, unrelated_modules
from shipwheel.project.entrypoint.scan import Scan
from shipwheel.project.entrypoint.servers import EVERY_ADDRESS, PROGRAM_PACKAGES, Server
from shipwheel.project.entrypoint.syntax import ModulePath
from shipwheel.settings.build import AssetSettings, StepSettings
from shipwheel.versions import normalized

__all__ = [
    "FRONT_MODULE",
    "INITIAL_SUFFIX",
    "Finder",
    "FrontEnd",
    "Launch",
    "StaticFront",
    "also_found",
    "import_roots",
    "imports_neighbours",
    "launch_application",
    "launch_file",
    "launch_module",
    "loopback_note",
    "started_modules",
    "with_rivals",
    "with_server",
]

FRONT_MODULE = "shipwheel_static"
"""The module of the image that has an application behind the handler of its static files."""
INITIAL_SUFFIX = ".initial"
"""Appended to the name of a file of the app if a link into a volume replaces it in the image."""

_MAX_RIVALS = 3
"""Other applications that are named."""

_ARGUMENT_PARSERS = frozenset({"argparse", "click", "typer", "fire", "docopt", "optparse", "cyclopts", "tyro"})


class FrontEnd(msgspec.Struct, frozen=True):
    """A front end that node has to build: the settings for that, and why, in one sentence without its full stop."""

    settings: AssetSettings
    reason: str


class StaticFront(msgspec.Struct, frozen=True):
    """An application of Django's that the image serves behind Django's own handler of static files."""

    application: str
    """The application as a server's command names it: shop.wsgi:application, shop.wsgi, or django.core.wsgi:get_wsgi_application()."""
    is_asgi: bool
    is_factory: bool
    before: str = ""
    """The start of the word that names it in the command: `wsgi:` or `--module=`."""
    loads_apps: bool = False
    """True if Django's apps have to be loaded before the application is imported."""

    @property
    def word(self) -> str:
        """The word of the command that names it."""
        return self.before + self.application

    @property
    def served(self) -> str:
        """The word of the command in its place: the same name in the module of the image that puts the handler in front."""
        return f"{self.before}{FRONT_MODULE}:{self.application.partition(':')[2] or 'application'}"


class Launch(msgspec.Struct, frozen=True):
    """How a container of the project's image starts."""

    command: tuple[str, ...]
    """The first word is a console script or `python`, found on PATH."""
    is_program: bool = False
    """True if it is a command-line program: the command becomes the Entrypoint, so that users append arguments."""
    arguments: tuple[str, ...] = ()
    """Default arguments of a program: the Cmd after the Entrypoint."""
    ports: tuple[str, ...] = ()
    """Ports with their protocol, for example 8000/tcp."""
    env: dict[str, str] = msgspec.field(default_factory=dict)
    workers_variable: str = ""
    """The environment variable from which the server takes its number of processes; the launcher sets it from the container's CPUs."""
    directory: str = ""
    """The directory in the project that the command starts in; empty for the project's own."""
    needs_source: bool = False
    """True if the project's directory must be in /app: always for an app; for a package if its wheel lacks what the command names."""
    python_path: tuple[str, ...] = ()
    """Directories below /app that must be on the import path."""
    extra_requirements: tuple[str, ...] = ()
    """Python packages that the command needs and the project does not require."""
    reason: str = ""
    """One sentence: why this command."""
    application: tuple[str, ...] = ()
    """The command that would serve the web application in the source, if `command` is a command-line program or runs an unknown object."""
    application_reason: str = ""
    """One sentence: why that command."""
    alternatives: tuple[tuple[str, ...], ...] = ()
    """The commands of the project's other web applications and servers, the likeliest first."""
    declared_at: str = ""
    """File and line of the deployment file that declares the command; empty if it comes from elsewhere."""
    notes: tuple[str, ...] = ()
    """Remarks about the command for the user, one sentence each."""
    source_names: dict[str, str] = msgspec.field(default_factory=dict)
    """Word of the command -> the one by which the source, read from the project's directory, has that application."""
    volumes: tuple[str, ...] = ()
    """Paths that the command writes to, used if the settings name no volumes."""
    before_start: tuple[tuple[str, ...], ...] = ()
    """Steps that run before the command, and before those in the settings."""
    every_start: tuple[tuple[str, ...], ...] = ()
    """Those of `before_start` that run at every start, since a new image may bring more for them to do."""
    steps: tuple[StepSettings, ...] = ()
    """Programs that run in the finished image while it is built, used if the settings name none."""
    step_places: dict[tuple[str, ...], str] = msgspec.field(default_factory=dict)
    """The command of a step -> the file and line that run it."""
    optional_steps: tuple[StepSettings, ...] = ()
    """Those of `steps` that no Dockerfile runs: the start of a container does, or the settings seem to want them."""
    front_ends: tuple[FrontEnd, ...] = ()
    """Front ends that are not built: what would build them."""
    include: tuple[str, ...] = ()
    """Patterns of files that the command needs even if .gitignore excludes them."""
    outside_wheel: tuple[str, ...] = ()
    """Paths in the project's directory that a package reads outside its wheel, or writes where an installed package cannot."""
    processes: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """(name, command) of all processes that the image can run, `web` for this one; empty if there is no other."""
    health: str = ""
    """The path of a URL that tells that the app is well, from a health check; empty if there is none."""
    companions: tuple[str, ...] = ()
    """Other services that the app is deployed with, with their image: "db (postgres:16)"."""
    aliases: tuple[tuple[str, str], ...] = ()
    """(absolute path, path in the project or "" for itself) of links to where another image has files of the project."""
    copies: tuple[tuple[str, str], ...] = ()
    """(absolute path, path in the project) of files that a Dockerfile copies out of the working directory."""
    translations: str = ""
    """The file and line of a step that compiles translations, or the package that reads them; the image then has them. Empty if there is
    neither."""
    links: tuple[tuple[str, str], ...] = ()
    """(path below the working directory, path on a volume) of the files that the app writes beside its code."""
    static_front: StaticFront | None = None
    """The application that `command` serves behind the handler of its static files; None if another server or package serves those."""

    @property
    def source_command(self) -> tuple[str, ...]:
        """The command with the application that the project's source has."""
        front = self.static_front
        words = self.command if front is None else (front.word if word == front.served else word for word in self.command)
        return tuple(self.source_names.get(word, word) for word in words)


Finder = Callable[[Evidence, Scan], Launch | None]
"""Looks for one kind of command; returns None if there is none. Raises ProjectError if there is one that cannot be used."""


def launch_module(evidence: Evidence, module: ModulePath, command: tuple[str, ...], reason: str) -> Launch:
    """Return the launch of a command that imports a module, from the wheel or, if that lacks it, from /app."""
    packaged = module.top_level in evidence.packaged
    root = "" if packaged else module.import_root
    # The package app/ would hide app/app.py from a server that starts beside it. A folder without __init__.py hides no module.
    is_hidden = bool(root) and all(map(evidence.has_file, (f"{root}/__init__.py", f"{root}/{posixpath.basename(root)}.py")))
    directory, python_path = (root, ()) if is_hidden else ("", (root,) if root else ())
    return Launch(command, needs_source=not packaged, directory=directory, python_path=python_path, reason=reason)


def launch_application(evidence: Evidence, app: Application, server: Server, reason: str) -> Launch:
    """Return the launch of a server with an application."""
    launch = launch_module(evidence, app.module, server.command(app), reason)
    return replace(launch, ports=(f"{server.port}/tcp",), extra_requirements=server.requirements, workers_variable=server.workers_variable)


def launch_file(evidence: Evidence, module: Module, ports: Iterable[str], reason: str) -> Launch:
    """Return the launch of a script, on `ports` or else on the first port that its source names.

    A file of a package runs as a module: as a script, its own directory would come first on the import path, and hide modules of others.
    A file that imports its neighbours by their own names wants just that.
    """
    ports = tuple(ports) or tuple(f"{port}/tcp" for port in module.ports[:1])
    is_program = (module.reads_arguments or not module.imports.isdisjoint(_ARGUMENT_PARSERS)) and not ports
    notes = (loopback_note(module),) if module.loopback_only else ()
    folder = module.file.rpartition("/")[0]
    importable = not module.import_root or module.top_level in evidence.packaged
    is_package = evidence.has_file(f"{folder}/__init__.py") or module.top_level in evidence.packaged
    in_package = bool(folder) and is_package and importable
    as_module = in_package and not imports_neighbours(evidence, module)
    words = ("-m", module.name.removesuffix(".__main__")) if as_module else (module.file,)
    return Launch(("python", *words), is_program, ports=ports, needs_source=True, reason=reason, notes=notes)


def loopback_note(module: Module) -> str:
    """Return a sentence about a file whose server nothing outside of the container reaches."""
    return (
        f"{module.file} starts a server that listens on 127.0.0.1 only, which cannot be reached from outside the container:"
        f" make it listen on {EVERY_ADDRESS}."
    )


def import_roots(launch: Launch) -> tuple[str, ...]:
    """Return the directories of the project that a command imports from, in Python's order; the project's own is an empty text."""
    words = without_flags(launch.source_command)
    script = words[1] if words[:1] == ("python",) and len(words) > 1 and words[1] != "-m" else ""
    # Python imports from the directory of a script, and else from the one that it starts in.
    folder = posixpath.normpath(posixpath.join(launch.directory, posixpath.dirname(script)))
    return ("" if folder == "." else folder, *launch.python_path)


def started_modules(launch: Launch, scripts: Mapping[str, str], modules: Iterable[Module]) -> tuple[Module, ...]:
    """Return those of a project's modules that its command imports when it starts, the one that it runs or serves first.

    `scripts` maps a console script to its module:function.
    """
    by_name = modules_by_name(modules, import_roots(launch))
    words = without_flags((*launch.source_command, *launch.arguments))
    return reached_modules(entry_module(words, launch.directory, scripts, by_name), by_name)


def imports_neighbours(evidence: Evidence, module: Module) -> bool:
    """Return whether a file imports files of its own directory by their names alone, as only a script can."""
    folder = module.file.rpartition("/")[0]
    imported = {name.split(".")[0] for name, _ in module.required} - sys.stdlib_module_names if folder else set[str]()
    outside = {name for name in imported if evidence.has(normalized(name), normalized(PACKAGE_OF_MODULE.get(name, name)))}
    return any(evidence.has_file(f"{folder}/{name}.py") and not evidence.has_file(f"{name}.py") for name in imported - outside)


def also_found(others: Iterable[str]) -> str:
    """Return the end of a reason that names up to three other candidates."""
    names = [*others][:3]
    return f"; also found: {', '.join(names)}" if names else ""


def with_rivals(launch: Launch, module: Module, others: Iterable[Module], modules: Sequence[Module]) -> Launch:
    """Return the launch of `module` with a note about `others` that are as likely to be meant, and have nothing to do with it."""
    files = [other.file for other in unrelated_modules(module, others, modules)]
    if not files:
        return launch
    more = f" and {len(files) - _MAX_RIVALS} more" if len(files) > _MAX_RIVALS else ""
    note = (
        f"The image serves {module.file}, and no other application, such as {', '.join(files[:_MAX_RIVALS])}{more}:"
        " build the directory of the one that is meant, or set `command`."
    )
    return replace(launch, notes=(*launch.notes, note))


def with_server(launch: Launch, evidence: Evidence) -> Launch:
    """Return the launch with the Python package of a server that its command names and the project does not depend on."""
    package = PROGRAM_PACKAGES.get(launch.command[0])
    if package is None or launch.command[0] in evidence.scripts or evidence.has(package) or package in launch.extra_requirements:
        return launch
    return replace(launch, extra_requirements=(*launch.extra_requirements, package))
