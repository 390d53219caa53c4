"""Django: manage.py, the application that its settings name, who serves its static files, and migrations."""

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from shipwheel.errors import ProjectError
from shipwheel.files.entry import parents
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.entrypoint.applications import Application
from shipwheel.project.entrypoint.evidence import Evidence
from shipwheel.project.entrypoint.frameworks import Framework, FrameworkKind
from shipwheel.project.entrypoint.launch import Launch, StaticFront, launch_application, with_rivals
from shipwheel.project.entrypoint.module import Module
from shipwheel.project.entrypoint.path_eval import is_plain_path
from shipwheel.project.entrypoint.project_paths import is_within
from shipwheel.project.entrypoint.reached import modules_by_name, reached_modules, served_name
from shipwheel.project.entrypoint.scan import Scan
from shipwheel.project.entrypoint.servers import PROGRAM_PACKAGES, choose_server
from shipwheel.project.entrypoint.syntax import ModulePath

__all__ = [
    "find_django",
    "is_in_django_project",
    "migration_steps",
    "missing_static_files",
    "refuse_own_template",
    "refuse_template",
    "with_settings_module",
    "with_static_files",
    "with_static_front",
    "without_static_volume",
    "without_templates",
]

_SETTINGS_MODULE = "DJANGO_SETTINGS_MODULE"
_WSGI_APPLICATIONS = frozenset({"django.core.wsgi.get_wsgi_application"})
_ASGI_APPLICATIONS = frozenset({"django.core.asgi.get_asgi_application", "channels.routing.ProtocolTypeRouter"})
"""Functions and classes that make an application of Django's."""
_ROUTER = "channels.routing.ProtocolTypeRouter"
_LOADERS = ("django.setup", ".get_wsgi_application", ".get_asgi_application", ".get_default_application")
"""Ends of the calls that load the apps of a Django project."""
_SERVERS = frozenset({*PROGRAM_PACKAGES, *PROGRAM_PACKAGES.values(), "uwsgi"})
"""Programs, and modules that Python runs, which import the application that their command names."""
_FACTORY_OPTIONS = frozenset({"--factory", "--call"})
_STATIC_SERVERS = ("whitenoise", "servestatic", "dj-static")
_PRODUCTION = ("production", "prod", "live", "deploy", "deployment")
"""Names of settings modules for production, surest first."""
_OF_DEVELOPERS = frozenset({"dev", "devel", "develop", "development", "local", "debug"})
"""Words in the names of settings modules for developing."""
_ASSIGNS = lazy_pattern(rf"""^\s*(os\.)?environ\[["']{_SETTINGS_MODULE}["']\]\s*=""", re.MULTILINE)
"""An assignment, which takes no other settings from the environment."""
_COMMON = ("base", "common", "defaults")
"""Names of settings modules that others import: all that is left where nothing names one, and none is for production."""
_APPLICATION_SETTINGS = ("WSGI_APPLICATION", "ASGI_APPLICATION")


class _DjangoProject(msgspec.Struct, frozen=True):
    """A Django project, as its manage.py shows it."""

    manager: Module
    directory: str
    """The directory of manage.py with a trailing slash; empty for the root."""
    modules: Mapping[str, Module]
    """Import name -> module, of those in that directory."""
    settings: Mapping[str, str]
    """WSGI_APPLICATION, ASGI_APPLICATION and STATIC_ROOT."""


def find_django(evidence: Evidence, scan: Scan) -> Launch | None:
    """Return the WSGI or ASGI application of the shallowest manage.py. Raises ProjectError if that leads to none."""
    project = _read_project(scan.modules)
    if project is None or not _is_django(evidence, project.manager):
        return None
    manager, server_kind, target = project.manager, *_target(evidence, project)
    own_settings = next((name for name in _settings_of(manager) if name in project.modules), "")
    is_factory = not target and bool(own_settings)
    if is_factory:
        # What Django's runserver serves of such a project.
        target = "django.core.wsgi.get_wsgi_application"
    if not target:
        raise ProjectError(
            f"{manager.file} is Django's, but there is no WSGI_APPLICATION in its settings and no wsgi.py",
            hint='Set the command: command = ["gunicorn", "--bind", "0.0.0.0:8000", "PROJECT.wsgi"].',
        )
    server = choose_server(server_kind, "django", evidence)
    name, _, variable = target.rpartition(".")
    path = ModulePath(project.modules.get(name, manager).file, name, project.directory.rstrip("/"))
    app = Application(path, variable, Framework("django", server_kind), is_factory)
    reason = f"{server.program} serves {target}, the application of the Django project in {manager.file}."
    launch = launch_application(evidence, app, server, reason)
    env = {_SETTINGS_MODULE: own_settings} if is_factory else {}
    launch = replace(launch, env={**launch.env, **env}, notes=(*launch.notes, *_development_settings(project, name)))
    return with_rivals(launch, manager, (each for each in _managers(scan.modules) if _depth(each) == _depth(manager)), scan.modules)


def is_in_django_project(file: str, modules: Sequence[Module]) -> bool:
    """Return whether a file lies below the directory of Django's manage.py, among the apps of its project."""
    manager = _find_manager(modules)
    return manager is not None and _depth(manager) < file.count("/") and file.startswith(manager.file.removesuffix("manage.py"))


def refuse_template(_evidence: Evidence, scan: Scan) -> None:
    """Raise ProjectError for a template of Django projects, whose files have placeholders in place of the project's name."""
    for manager in filter(_is_of_template, scan.modules):
        folder = manager.file.removesuffix("manage.py") or "./"
        raise ProjectError(
            f"{manager.file} has a placeholder in place of the project's name: {folder} is a template of Django projects",
            hint=f"Make a project from it, and build that: django-admin startproject --template={folder} NAME.",
        )


def refuse_own_template(evidence: Evidence, scan: Scan) -> None:
    """Raise ProjectError as `refuse_template`, if the project itself is one, and does not only hold one to make projects from."""
    refuse_template(evidence, replace(scan, modules=tuple(module for module in scan.modules if not _depth(module))))


def without_templates(scan: Scan) -> Scan:
    """Return the scan without what lies below the manage.py of a template: no worker, wsgi.py or program of it can be started."""
    folders = tuple(module.file.removesuffix("manage.py") for module in scan.modules if _is_of_template(module))
    kept = tuple(module for module in scan.modules if _is_of_template(module) or not module.file.startswith(folders))
    return replace(scan, modules=kept) if folders else scan


def _development_settings(project: _DjangoProject, application: str) -> Iterator[str]:
    """Yield what the settings that the application starts with have for development only."""
    starters = (module for module in (project.modules.get(application), project.manager) if module is not None)
    named = (value for module in starters for value in _settings_of(module))
    settings = project.modules.get(next(named, ""))
    if settings is None:
        return
    if "DEBUG" in settings.true_names:
        yield (
            f"{settings.file} sets DEBUG = True: error pages show source and settings to every caller."
            ' Write DEBUG = os.environ.get("DEBUG") == "1", and name your hosts in ALLOWED_HOSTS.'
        )
    if any(name == "SECRET_KEY" and value for name, value in settings.strings):
        yield (
            f"{settings.file} holds the SECRET_KEY: whoever has the image can sign sessions."
            ' Write SECRET_KEY = os.environ["SECRET_KEY"], and give it where the container runs.'
        )


def with_settings_module(launch: Launch, evidence: Evidence, modules: Sequence[Module]) -> Launch:
    """Return the launch with the settings of the application that is served: manage.py's own may be others, and its wsgi.py name none."""
    project = _read_project(modules)
    if project is None or _SETTINGS_MODULE in {**evidence.settings.env, **launch.env}:
        return launch
    served = [module for word in launch.command[1:] if (module := project.modules.get(word.partition(":")[0])) is not None]
    settings = next((value for module in served for value in _settings_of(module)), "")
    others = settings in project.modules and settings not in _settings_of(project.manager)
    last: tuple[str, ...] = ()
    if served and not settings and _names_no_settings(served[0], project, evidence):
        candidates = (*_settings_of(project.manager), f"{served[0].top_level}.settings")
        settings = next((name for name in candidates if name in project.modules), "")
        others, last = bool(settings), _COMMON
        launch = replace(launch, notes=tuple(dict.fromkeys((*launch.notes, *_development_settings(project, served[0].name)))))
    if inner := _in_empty_package(settings, project, evidence, last):
        named = f"names no settings, and {settings} is" if last else f"names the settings {settings},"
        note = f"{served[0].file} {named} a package with nothing in it: {_SETTINGS_MODULE} is {inner}."
        return replace(launch, env={**launch.env, _SETTINGS_MODULE: inner}, notes=(*launch.notes, note))
    used = settings or next(iter(_settings_of(project.manager)), "")
    may_choose = bool(served) and not _ASSIGNS.search(evidence.read_text(served[0].file))
    if may_choose and not used and (only := _only_for_production(project.modules)):
        note = f"{_SETTINGS_MODULE} is {only}: nothing else names settings that are for production."
        return replace(launch, env={**launch.env, _SETTINGS_MODULE: only}, notes=(*launch.notes, note))
    if may_choose and (better := _for_production(used, project.modules)):
        note = f"{_SETTINGS_MODULE} is {better}, and not {used} for developing, which the project names."
        file = project.modules[used].file if used in project.modules else used
        kept = (each for each in launch.notes if not each.startswith(f"{file} "))
        return replace(launch, env={**launch.env, _SETTINGS_MODULE: better}, notes=(*kept, note))
    return replace(launch, env={**launch.env, _SETTINGS_MODULE: settings}) if others else launch


def _only_for_production(modules: Mapping[str, Module]) -> str:
    """Return the only module for production in a package of settings; empty without one, or if there are more."""
    found = [
        name for name in modules for package, _, last in (name.rpartition("."),) if last in _PRODUCTION and package.endswith("settings")
    ]
    return found[0] if len(found) == 1 else ""


def _for_production(name: str, modules: Mapping[str, Module]) -> str:
    """Return the settings for production beside those for developing; empty if a module is for neither, or there are none."""
    package, _, last = name.rpartition(".")
    parts = last.split("_")
    if not package or _OF_DEVELOPERS.isdisjoint(parts):
        return ""
    same = ("_".join(word if part in _OF_DEVELOPERS else part for part in parts) for word in _PRODUCTION)
    return next((found for each in (*same, *_PRODUCTION) if (found := f"{package}.{each}") in modules), "")


def _in_empty_package(name: str, project: _DjangoProject, evidence: Evidence, last: Sequence[str]) -> str:
    """Return the settings for production in a package that says nothing itself, or else those of manage.py, or one of the names `last`.

    Empty for a package that says something, or that has none of them.
    """
    if not name or ((module := project.modules.get(name)) is not None and not _is_empty(evidence.root / module.file)):
        return ""
    named = (f"{name}.{word}" for word in _PRODUCTION)
    own = (each for each in _settings_of(project.manager) if each.startswith(f"{name}."))
    common = (f"{name}.{word}" for word in last)
    return next((each for each in (*named, *own, *common) if each in project.modules), "")


def _is_empty(file: Path) -> bool:
    """Return whether a file has nothing but comments."""
    try:
        return all(not line.strip() or line.lstrip().startswith(b"#") for line in file.read_bytes().splitlines())
    except OSError:
        return False


def _names_no_settings(served: Module, project: _DjangoProject, evidence: Evidence) -> bool:
    """Return whether an application that Django makes says nothing about its settings, nor does what it imports."""
    if _ROUTER not in served.calls and not any(call.endswith((".get_wsgi_application", ".get_asgi_application")) for call in served.calls):
        return False
    return not any(_SETTINGS_MODULE in evidence.read_text(module.file) for module in reached_modules(served.name, project.modules))


def _settings_of(module: Module) -> tuple[str, ...]:
    return tuple(value for name, value in module.strings if name == _SETTINGS_MODULE)


def with_static_front(launch: Launch, evidence: Evidence, modules: Sequence[Module]) -> Launch:
    """Return the launch with Django's handler of static files before the application, as runserver has it, if nothing else serves them."""
    project = _read_project(modules)
    if project is None or launch.is_program or evidence.has(*_STATIC_SERVERS) or _SERVERS.isdisjoint(launch.command):
        return launch
    for position, word in enumerate(launch.command[1:], 1):
        if (front := _static_front(word, launch.command, project)) is not None:
            front = replace(front, loads_apps=front.loads_apps and _SETTINGS_MODULE in launch.env)
            command = (*launch.command[:position], front.served, *launch.command[position + 1 :])
            reason = f"{launch.reason} Django's own handler serves the static files, which nothing else does; WhiteNoise is faster."
            return replace(launch, command=command, static_front=front, reason=reason)
    return launch


def _static_front(word: str, command: Sequence[str], project: _DjangoProject) -> StaticFront | None:
    """Return the front of the application that a word of a server's command names; None for another word, and if it is not Django's."""
    application = served_name(word)
    name, colon, variable = application.partition(":")
    variable = variable or "application"
    called = variable.removesuffix("()")
    if not called.isidentifier() or not (colon or "gunicorn" in command or "uwsgi" in command):
        return None
    module = project.modules.get(name)
    makers = _makers(module, variable) if module is not None else {f"{name}.{called}"}
    is_asgi = not makers.isdisjoint(_ASGI_APPLICATIONS)
    # Only one of them makes what is served.
    if is_asgi is not makers.isdisjoint(_WSGI_APPLICATIONS):
        return None
    outer = (app.framework.kind for app in module.applications if app.variable == called) if module is not None else iter(())
    kind = next(outer, FrameworkKind.ASGI if is_asgi else FrameworkKind.WSGI)
    is_factory = called != variable or not _FACTORY_OPTIONS.isdisjoint(command)
    if kind not in (FrameworkKind.ASGI, FrameworkKind.WSGI):
        return None
    # Of Channels 2: its runserver has loaded the apps when it imports the routes.
    loads = module is not None and _ROUTER in makers and not _loads_apps(module, project)
    return StaticFront(application, kind is FrameworkKind.ASGI, is_factory, word.removesuffix(application), loads)


def _loads_apps(module: Module, project: _DjangoProject) -> bool:
    """Return whether importing a module loads the apps of its Django project."""
    return any(call.endswith(_LOADERS) for each in reached_modules(module.name, project.modules) for call in each.calls)


def _makers(module: Module, variable: str) -> frozenset[str]:
    """Return the functions that may make the application in a variable: the one that it is assigned from, or else all that are called."""
    made = dict(module.unresolved).get(variable, "")
    return frozenset((made,)) if made in _WSGI_APPLICATIONS | _ASGI_APPLICATIONS else module.calls


def with_static_files(launch: Launch, evidence: Evidence, modules: Sequence[Module]) -> Launch:
    """Return a command of a Django project with the static files that WhiteNoise serves, if somebody collected them before the build."""
    folder, _ = _static_root(evidence, modules)
    return replace(launch, include=(*launch.include, f"/{folder}/")) if folder and evidence.has_entries(folder) else launch


def without_static_volume(launch: Launch, evidence: Evidence, modules: Sequence[Module]) -> Launch:
    """Return the launch without a volume at the static files that a step collects: the volume would keep them out of the image.

    Compose files have one for a proxy, which shares it.
    """
    folder, _ = _static_root(evidence, modules)
    if not folder or not any("collectstatic" in step.run for step in launch.steps):
        return launch
    kept = (path for path in launch.volumes if not is_within(path, [f"{evidence.workdir}/{folder}"]))
    return replace(launch, volumes=tuple(kept))


def missing_static_files(launch: Launch, evidence: Evidence, modules: Sequence[Module]) -> tuple[str, ...]:
    """Return the command that collects the static files which WhiteNoise serves; empty if they are there, or their place is not known."""
    folder, manager = _static_root(evidence, modules)
    if not folder or evidence.has_entries(folder):
        return ()
    return ("python", _seen_from(launch.directory, manager), "collectstatic", "--noinput")


def _static_root(evidence: Evidence, modules: Sequence[Module]) -> tuple[str, str]:
    """Return the directory of the collected static files in the project, and its manage.py; both empty if it is not known."""
    project = _read_project(modules)
    if project is None:
        return "", ""
    root = project.settings.get("STATIC_ROOT", "")
    folder = posixpath.normpath(project.directory + root)
    outside = posixpath.join(project.directory, root).startswith("/") or folder in (".", project.directory.rstrip("/"))
    if outside or not is_plain_path(f"/{folder}") or any(map(evidence.is_symlink, (folder, *parents(folder)))):
        return "", ""
    return folder, project.manager.file


def migration_steps(evidence: Evidence, modules: Sequence[Module], directory: str) -> tuple[tuple[str, ...], ...]:
    """Return the step that creates the tables of a Django project's database and updates them to a newer image's models.

    `directory` is the one in the project that the step starts in.
    """
    manager = _find_manager(modules)
    if manager is None or not _is_django(evidence, manager):
        return ()
    return (("python", _seen_from(directory, manager.file), "migrate", "--noinput"),)


def _seen_from(directory: str, file: str) -> str:
    """Return a file's path relative to the directory in the project that a step starts in."""
    return posixpath.relpath(file, directory or ".")


def _is_django(evidence: Evidence, manager: Module) -> bool:
    return evidence.has("django") or "django" in manager.imports


def _find_manager(modules: Sequence[Module]) -> Module | None:
    """Return the shallowest manage.py."""
    return min(_managers(modules), key=lambda module: (_depth(module), module.file), default=None)


def _managers(modules: Sequence[Module]) -> tuple[Module, ...]:
    return tuple(module for module in modules if _is_manager(module) and not _is_of_template(module))


def _is_manager(module: Module) -> bool:
    return Path(module.file).name == "manage.py"


def _is_of_template(module: Module) -> bool:
    return _is_manager(module) and any("{{" in value for value in _settings_of(module))


def _depth(module: Module) -> int:
    return module.file.count("/")


def _read_project(modules: Sequence[Module]) -> _DjangoProject | None:
    manager = _find_manager(modules)
    if manager is None:
        return None
    directory = manager.file.removesuffix("manage.py")
    inside = modules_by_name(module for module in modules if module.file.startswith(directory))
    settings = next(iter(sorted(_settings_of(manager))), "")
    return _DjangoProject(manager, directory, inside, _read_settings(settings, inside))


def _read_settings(name: str, modules: Mapping[str, Module]) -> dict[str, str]:
    """Return the values in the settings module, or in its neighbours if it is one of a package of settings."""
    package = name.rpartition(".")[0]
    near = [
        module
        for module in modules
        if module == name or module.startswith(f"{name}.") or (package and module.startswith(f"{package}.") and "settings" in module)
    ]
    found: dict[str, str] = {}
    for module in sorted(near, key=lambda module: (module != name, module)):
        for key, value in modules[module].strings:
            if key == "STATIC_ROOT" or (key in _APPLICATION_SETTINGS and "." in value):
                found.setdefault(key, value)
    return found


def _target(evidence: Evidence, project: _DjangoProject) -> tuple[FrameworkKind, str]:
    """Return the interface to serve and the dotted name of its application, which is empty if there is none."""
    wsgi = project.settings.get("WSGI_APPLICATION") or _conventional_target(project, "wsgi")
    own = _conventional_target(project, "asgi")
    # Channels 2: ASGI_APPLICATION is for runserver; asgi.py loads the apps, and returns the same.
    loads = own and "channels.routing.get_default_application" in project.modules[own.rpartition(".")[0]].calls
    asgi = own if loads else project.settings.get("ASGI_APPLICATION") or own
    only_asgi_server = evidence.has("daphne", "uvicorn", "hypercorn") and not evidence.has("gunicorn", "waitress", "uwsgi")
    if asgi and (not wsgi or evidence.has("channels") or only_asgi_server):
        return FrameworkKind.ASGI, asgi
    return FrameworkKind.WSGI, wsgi


def _conventional_target(project: _DjangoProject, name: str) -> str:
    """Return the application in the shallowest module called wsgi or asgi."""
    found = [module for module in project.modules if module.rpartition(".")[2] == name]
    return f"{min(found, key=lambda module: (module.count('.'), module))}.application" if found else ""
