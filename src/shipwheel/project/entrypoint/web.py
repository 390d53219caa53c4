"""Web applications: an application object or factory in the source, with a production server for it.

Development servers, such as those of Flask and Django, are never chosen: without a production server among the dependencies, one is added.
"""

import posixpath
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from operator import itemgetter
from pathlib import Path

from msgspec.structs import replace

from shipwheel.errors import ProjectError
from shipwheel.project.entrypoint.applications import Application
from shipwheel.project.entrypoint.configured import lacking_values
from shipwheel.project.entrypoint.django import find_django, is_in_django_project
from shipwheel.project.entrypoint.evidence import Evidence
from shipwheel.project.entrypoint.file_servers import find_file_server, launch_aiohttp
from shipwheel.project.entrypoint.flask_app import with_flask_app_first
from shipwheel.project.entrypoint.frameworks import Framework, FrameworkKind
from shipwheel.project.entrypoint.launch import Launch, also_found, launch_application, launch_file, with_rivals
from shipwheel.project.entrypoint.module import Module
from shipwheel.project.entrypoint.protocol_servers import SERVERS
from shipwheel.project.entrypoint.reached import modules_by_name, reached_modules, unrelated_modules
from shipwheel.project.entrypoint.scan import Scan
from shipwheel.project.entrypoint.scripts import USUAL_FILES
from shipwheel.project.entrypoint.servers import DEFAULT_PORT, Server, choose_server
from shipwheel.project.entrypoint.syntax import ModulePath

__all__ = [
    "find_other_applications",
    "find_run_object",
    "find_served_web_application",
    "find_surrounding_program",
    "find_unrequired_web_application",
    "find_web_application",
]

_WEBPY_PORT = "8080"
_DASH_PORT = "8050"
_DASH = "dash"
_TCP_SITE = "aiohttp.web.TCPSite"
_DECISIVE = 3
"""Parts of an application's rank before its variable: two that are equal in these are told apart by nothing."""
_CONVENTIONAL_MODULES = {"wsgi": FrameworkKind.WSGI, "asgi": FrameworkKind.ASGI}
_CONVENTIONAL_VARIABLES = ("application", "app")
_IMPORTED = (FrameworkKind.ASGI, FrameworkKind.WSGI, FrameworkKind.DASH, FrameworkKind.SANIC)
"""Kinds of applications that one module may take from another."""
_RUN_CALLS = frozenset({".run", ".run_server", "uvicorn.run"})


def find_served_web_application(evidence: Evidence, scan: Scan) -> Launch | None:
    """Return the project's web application if a server for it is among the dependencies.

    One whose module parses the command line when it is imported would refuse the server's: a program of the project starts it.
    """
    launch = find_web_application(evidence, scan)
    if launch is None or launch.extra_requirements:
        return None
    served = {word.partition(":")[0] for word in launch.command}
    return None if any(module.parses_when_imported and module.name in served for module in scan.modules) else launch


def find_surrounding_program(evidence: Evidence, scan: Scan) -> Launch | None:
    """Return the program that runs the project's only web application in a thread or process beside its own work.

    One that listens on the loopback interface only is left to a server: nothing would reach it. So is one that starts by itself, or is
    the project's main file, if only a file without a program's usual name runs it so: that may be a benchmark of it.
    """
    apps = _ranked_applications(evidence, scan)
    running = {module.name: module for module in scan.modules for app in apps[:1] if _runs_beside(module, app)}
    if not running or len({(app.module.file, app.variable) for app in apps}) > 1:
        return None
    by_name = modules_by_name(scan.modules)
    reached = {module.name: {it.name for it in reached_modules(module.name, by_name)} for module in scan.modules}
    programs = [name for name, found in reached.items() if found & running.keys()]
    tops = [name for name in programs if not any(name in reached[other] for other in programs if other != name)]
    starter = next(iter(running.values()))
    usual = [name for name in USUAL_FILES for top in tops if by_name[top].file == name]
    chosen = usual[0] if usual else by_name[tops[0]].file if len(tops) == 1 else ""
    program = next((module for module in scan.modules if module.file == chosen), None)
    if program is None or starter.loopback_only or (program.file not in USUAL_FILES and _is_complete(apps[0], starter, scan)):
        return None
    if (served := find_file_server(evidence, scan)) is not None and program.file in served.command:
        return served
    reason = f"{program.file} runs the {apps[0].framework.label} application of {apps[0].module.file} beside its own work."
    return launch_file(evidence, program, (f"{port}/tcp" for port in starter.ports[:1]), reason)


def _is_complete(app: Application, starter: Module, scan: Scan) -> bool:
    """Return whether an application starts without the file that runs it beside other work."""
    own = next((module for module in scan.modules if module.file == app.module.file), None)
    return own is not None and own.file != starter.file and (own.file == USUAL_FILES[0] or (own.is_script and bool(own.ports)))


def _runs_beside(module: Module, app: Application) -> bool:
    """Return whether a module runs an application, its own or one that it imports, in a thread or process."""
    if module.file == app.module.file:
        return app.variable in module.background
    return any(f".{app.module.name}.{app.variable}".endswith(f".{name.lstrip('.')}") and "." in name for name in module.background)


def find_web_application(evidence: Evidence, scan: Scan) -> Launch | None:
    """Return the project's web application, Django's included. Raises ProjectError if no production server can serve it."""
    apps = _ranked_applications(evidence, scan)
    if not apps:
        return find_django(evidence, scan) or _conventional(evidence, scan)
    best = _choose(apps, scan.modules)
    if (
        not best.has_usual_name
        and is_in_django_project(best.module.file, scan.modules)
        and (django := find_django(evidence, scan)) is not None
    ):
        return django
    launch = _launch(best, apps, evidence, scan)
    module = next((module for module in scan.modules if module.file == best.module.file), None)
    if launch is None or module is None:
        return launch
    if module.started_beside and launch.command[0] != "python":
        note = (
            f"{module.file}, line {module.started_beside}: what is started there if the file is run as a program does not run in the image,"
            f' which serves the application alone. If it belongs to the app: command = ["python", "{module.file}"].'
        )
        launch = replace(launch, notes=(*launch.notes, note))
    equal = {app.module.file for app in apps if app.rank[:_DECISIVE] == best.rank[:_DECISIVE]} - {module.file}
    launch = with_rivals(launch, module, (each for each in scan.modules if each.file in equal), scan.modules)
    return _with_page_beside(launch, module, evidence, scan)


def _with_page_beside(launch: Launch, module: Module, evidence: Evidence, scan: Scan) -> Launch:
    """Return the launch of `module` with a note about a page of Streamlit or the like, which has a server of its own."""
    page = find_file_server(evidence, scan)
    named = {*page.command} if page is not None and not page.extra_requirements else set[str]()
    files = [each for each in scan.modules if each.file in named or each.name in named]
    if page is None or not unrelated_modules(module, files, scan.modules):
        return launch
    note = (
        f"The image serves {module.file}, and not {files[0].file}, which has a server of its own: `{' '.join(page.command)}`."
        " If it belongs to the app, name it in [tool.shipwheel.processes]; if it is what is meant, set `command`."
    )
    return replace(launch, notes=(*launch.notes, note))


def find_unrequired_web_application(evidence: Evidence, scan: Scan) -> Launch | None:
    """Return the web application of a package whose framework a requirements file lists, and its metadata does not require.

    A library may have an application to be tried with, whose framework nothing lists.
    """
    frameworks = {app.framework.distribution for module in scan.modules for app in module.applications}
    listed = (frameworks & evidence.listed) - evidence.dependencies
    return find_web_application(replace(evidence, dependencies=evidence.dependencies | listed), scan) if listed else None


def find_run_object(launch: Launch, evidence: Evidence, scan: Scan) -> Launch | None:
    """Return a server for the one object whose method `run` a script calls, if the source does not show what the object is.

    If it is a Flask application, its `run` listens on the loopback interface.
    """
    program, started = launch.command[0], launch.command[-1]
    module = next((module for module in scan.modules if program == "python" and started in (module.file, module.name)), None)
    if module is None or module.applications or any(call.startswith(SERVERS) for call in module.calls):
        return None
    origins = {**{name: name for name in module.names}, **{name: origin for name, origin in module.imported if name in module.names}}
    objects = [name for name, origin in origins.items() if not module.calls.isdisjoint((f"{name}.run", f"{origin}.run"))]
    if len(objects) != 1 or _lacking(objects[0], module, scan):
        return None
    server = choose_server(FrameworkKind.WSGI, "", evidence)
    app = Application(module, objects[0], Framework("", FrameworkKind.WSGI))
    reason = f"{server.program} serves {app.variable} in {module.file}, whose method `run` it calls."
    return launch_application(evidence, app, server, reason)


def find_other_applications(evidence: Evidence, scan: Scan) -> Iterator[Launch]:
    """Yield how each of the project's web applications is served, the likeliest first."""
    apps = _ranked_applications(evidence, scan)
    for app in apps:
        with suppress(ProjectError):
            for served in filter(None, (_entry_point(app, scan.modules), app)):
                if (launch := _launch(served, apps, evidence, scan)) is not None:
                    yield launch
                    if launch.command[0] == "python":
                        break  # the bare application lacks what its program gives it


def _launch(best: Application, apps: Sequence[Application], evidence: Evidence, scan: Scan) -> Launch | None:
    kind, distribution, file = best.framework.kind, best.framework.distribution, best.module.file
    if kind is FrameworkKind.DASH and best.is_factory:
        raise ProjectError(
            f"{file}: {best.variable}() creates a Dash application, which no production server can call",
            hint=f"Add the line `server = {best.variable}().server` to the module, or set command in the settings.",
        )
    if distribution in evidence.still_wsgi:
        kind = FrameworkKind.WSGI
    module = next((module for module in scan.modules if module.file == file), None)
    runs_itself = kind is FrameworkKind.AIOHTTP and module is not None and not module.loopback_only
    if runs_itself and module is not None and (program := launch_aiohttp(evidence, [module], scan.modules)) is not None:
        return program
    if kind is FrameworkKind.AIOHTTP and (starter := _site_starter(best, scan.modules)) is not None:
        return launch_file(evidence, starter, (f"{starter.ports[0]}/tcp",), f"{starter.file} runs the aiohttp application of {file}.")
    if kind is FrameworkKind.WEBPY and module is not None and best.module.name in sys.stdlib_module_names:
        # A server would import the standard library's module of that name: web.py's tutorial calls its file code.py.
        return launch_file(evidence, module, (f"{(*module.ports, _WEBPY_PORT)[0]}/tcp",), f"{file} runs a web.py application.")
    if module is not None and distribution == _DASH and _completes_when_run(best, module) and not module.loopback_only:
        reason = f"{file} completes its Dash application, and runs it."
        note = (
            f"{file} adds to its application only if it is run as a program, so that the image runs Dash's own server, which is for"
            " development: add it at the top level, and a production server serves it."
        )
        launch = launch_file(evidence, module, (f"{evidence.port or (*module.ports, _DASH_PORT)[0]}/tcp",), reason)
        return replace(launch, notes=(*launch.notes, note))
    if module is not None and (lacking := _lacking(best.variable, module, scan)):
        program = _with_given_values(best, module, lacking, evidence)
        if program is not None:
            return program
    server = choose_server(kind, distribution, evidence)
    what = f"application that {best.variable}() in {file} creates" if best.is_factory else f"application {best.variable} in {file}"
    others = also_found(f"{app.module.name}:{app.variable}" for app in apps if app.module.file != file)
    reason = f"{server.program} serves the {best.framework.label} {what}{others}."
    launch = launch_application(evidence, best, server, reason)
    launch = _in_package(launch, best, server, evidence) if module is not None and module.needs_package else launch
    return replace(launch, env={"FLASK_RUN_FROM_CLI": "true"}) if module is not None and module.ignored_run else launch


def _lacking(variable: str, module: Module, scan: Scan) -> tuple[tuple[str, int], ...]:
    return lacking_values(variable, module.given, (each.given for each in scan.modules))


def _with_given_values(app: Application, module: Module, lacking: Sequence[tuple[str, int]], evidence: Evidence) -> Launch | None:
    """Return the launch of the program that gives an application what its pages read; None if nothing outside would reach it."""
    if module.loopback_only or not module.is_script:
        return None
    names = ", ".join(name for name, _ in lacking)
    reason = f"{module.file} gives its application {names} before it runs it (line {lacking[0][1]})."
    note = (
        f"The pages of {app.variable} read {names}, which only {module.file} sets, as a program: the image runs that program's own server."
        " Set them when the module is imported, and a production server serves it."
    )
    launch = launch_file(evidence, module, (f"{evidence.port or (*module.ports, DEFAULT_PORT)[0]}/tcp",), reason)
    return replace(launch, notes=(*launch.notes, note))


def _in_package(launch: Launch, app: Application, server: Server, evidence: Evidence) -> Launch:
    """Return the launch of an application in the project's directory with that as the package which its file is a part of."""
    name, file = posixpath.basename(evidence.workdir), app.module.file
    is_shadowed = any(map(evidence.exists, (name, f"{name}.py")))
    if "/" in file or evidence.kind != "app" or not name.isidentifier() or is_shadowed:
        return launch
    stem = file.removesuffix(".py")
    path = ModulePath(file, name if stem == "__init__" else f"{name}.{stem}", "..")
    served = launch_application(evidence, replace(app, module=path), server, launch.reason)
    return replace(served, source_names=dict(zip(served.command, launch.command, strict=True)))


def _site_starter(app: Application, modules: Sequence[Module]) -> Module | None:
    """Return the program that starts a site of aiohttp with an application of another module, maybe beside work of its own."""
    names = _dotted_names(app, modules)
    starters = (module for module in modules if module.is_script and module.ports and _TCP_SITE in module.calls_when_run)
    return next((module for module in starters if not module.loopback_only and _imported_as(module, names) is not None), None)


def _completes_when_run(app: Application, module: Module) -> bool:
    return not module.completed_when_run.isdisjoint((app.variable, *(each.variable for each in module.applications)))


def _ranked_applications(evidence: Evidence, scan: Scan) -> list[Application]:
    """Return the project's own web applications, the likeliest first: those before all that the Dockerfile copies."""
    # `import app` finds the package beside app.py.
    packages = {module.file.removesuffix("/__init__.py") for module in scan.modules}
    importable = (module for module in scan.modules if module.file.removesuffix(".py") not in packages)
    every = (app for module in importable for app in module.applications)
    own = [app for app in every if app.framework.kind is not FrameworkKind.WORKER and _is_own(evidence, app)]
    dockerfile = scan.deployment.dockerfile
    copied = {app.module.file for app in own if dockerfile is not None and dockerfile.files.has_copy_of(app.module.file)}
    return with_flask_app_first(sorted(own, key=lambda app: (app.module.file not in copied, app.rank)), evidence, scan)


def _is_own(evidence: Evidence, app: Application) -> bool:
    """Return whether an application is the project's own: its framework is a dependency, or may come with one."""
    known = not app.framework.distribution or app.framework.distribution in evidence.dependencies
    return known or evidence.kind == "app"


def _choose(apps: Sequence[Application], modules: Sequence[Module]) -> Application:
    best = apps[0]
    entry_point = _entry_point(best, modules)
    if entry_point is not None:
        return entry_point
    if best.framework.kind is FrameworkKind.DASH:
        # The line `server = app.server` names a WSGI application, which every server can serve.
        return next((app for app in apps if app.framework.distribution == _DASH and app.framework.kind is FrameworkKind.WSGI), best)
    return best


def _entry_point(app: Application, modules: Sequence[Module]) -> Application | None:
    """Return the application as the module that is run imports it, which may add routes or a layout, or as one that does add some."""
    if app.is_factory or app.framework.kind not in _IMPORTED:
        return None
    names = _dotted_names(app, modules)
    own = {each.file for each in reached_modules(app.module.name, modules_by_name(modules, (app.module.import_root,)))}
    # One that has routes needs none of a file that nothing imports, which may be for developing.
    whole = [each for each in modules if each.file in own or each.file == app.module.file]
    has_routes = any((_imported_as(each, names) or app.variable) in each.completed | each.routed for each in whole)
    found: list[tuple[tuple[object, ...], Application]] = []
    # An asgi.py may wrap a WSGI application for other servers, and the reverse.
    interface = FrameworkKind.ASGI if app.framework.kind in (FrameworkKind.ASGI, FrameworkKind.SANIC) else FrameworkKind.WSGI
    for module in modules:
        stem = Path(module.file).stem
        is_run = module.is_script and not module.calls.isdisjoint(_RUN_CALLS) and stem != "manage"
        variable = _imported_as(module, names)
        if variable is None or module.file.count("/") > app.module.file.count("/"):
            continue
        conventional = _CONVENTIONAL_MODULES.get(stem) is interface
        adds = module.file not in own and (variable in module.completed or (variable in module.routed and not has_routes))
        if conventional or is_run or adds:
            it = replace(app, module=module, variable=variable)
            found.append(((not conventional, not is_run, it.rank), it))
    return min(found, key=itemgetter(0))[1] if found else None


def _dotted_names(app: Application, modules: Sequence[Module]) -> frozenset[str]:
    """Return the absolute names by which an application can be imported: its own, and those that packages give it."""
    own = f"{app.module.name}.{app.variable}"
    packages = (each for each in modules if each.file.endswith("__init__.py"))
    return frozenset({own, *(f"{each.name}.{name}" for each in packages if (name := _imported_as(each, {own})) is not None)})


def _imported_as(module: Module, names: Collection[str]) -> str | None:
    """Return the name in a module of what it imports under one of these absolute names; None if it imports none of them."""
    absolute = [f".{name}" for name, _ in module.required if name in names]
    for name, origin in module.imported:
        relative = origin.lstrip(".")
        if relative in names or any(each.endswith(f".{relative}") for each in absolute):
            return name
    return None


def _conventional(evidence: Evidence, scan: Scan) -> Launch | None:
    """Return what a module called wsgi or asgi has under a usual name, however it was created."""
    for name, kind in _CONVENTIONAL_MODULES.items():
        for module in sorted(scan.modules, key=lambda module: (module.file.count("/"), module.file)):
            variable = next((variable for variable in _CONVENTIONAL_VARIABLES if variable in module.names), None)
            if module.name.rpartition(".")[2] == name and variable is not None:
                app = Application(module, variable, Framework("", kind))
                server = choose_server(kind, "", evidence)
                reason = f"{server.program} serves {variable} in {module.file}."
                return launch_application(evidence, app, server, reason)
    return None
