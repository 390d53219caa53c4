"""The production command of a project, found by reading: settings, Procfile, console scripts, application objects, Dockerfile, scripts.

Dependencies count by their exact normalised names. The development servers of Flask and Django are never chosen: where no
production server is among the dependencies, one is added and the plan says why.
"""

import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from shipwheel.errors import ProjectError
from shipwheel.project.entrypoint.applications import AppObject, Framework
from shipwheel.project.entrypoint.described import launch_described
from shipwheel.project.entrypoint.django import launch_django, with_static_files
from shipwheel.project.entrypoint.dockerfile import launch_dockerfile
from shipwheel.project.entrypoint.file_servers import launch_aiohttp, launch_served_file
from shipwheel.project.entrypoint.launch import Evidence, Launch, launch_file, launch_served
from shipwheel.project.entrypoint.procfile import parse_command, parse_procfile
from shipwheel.project.entrypoint.scan import Module, find_modules
from shipwheel.project.entrypoint.servers import serve
from shipwheel.project.entrypoint.volumes import read_beside, with_kept
from shipwheel.project.entrypoint.workers import launch_worker
from shipwheel.settings import read_text
from shipwheel.versions import normalized

__all__ = ["Evidence", "Launch", "find_launch"]

_SCRIPTS = ("main.py", "app.py", "__main__.py", "run.py", "server.py", "bot.py", "start.py", "cli.py", "worker.py")


def find_launch(evidence: Evidence) -> Launch:
    """The command to start. Raises ProjectError, with the settings lines to add, when none is found or it needs a shell."""
    launch = _explicit(evidence) or _from_procfile(evidence)
    modules = find_modules(evidence.root, evidence.only) if launch is None or _counts_too(evidence, launch) else ()
    launch = launch or _search(evidence, modules)
    if launch is None:
        raise _nothing(evidence)
    if evidence.has("whitenoise"):
        launch = with_static_files(launch, evidence, modules)
    ports = evidence.settings.ports or launch.ports
    needs_source = evidence.kind == "app" or launch.needs_source or _names_source(evidence, launch.command)
    beside = () if needs_source or launch.is_program or launch.command[0] in evidence.scripts else read_beside(evidence, modules)
    return with_kept(replace(launch, ports=ports, needs_source=needs_source, beside=beside), evidence, modules)


def _counts_too(evidence: Evidence, launch: Launch) -> bool:
    """Whether what the source says counts beside a command that is given: static files, what is written, what a wheel would lack."""
    return evidence.has("whitenoise") or not (launch.is_program or (evidence.settings.volumes and evidence.kind == "app"))


def _search(evidence: Evidence, modules: tuple[Module, ...]) -> Launch | None:
    web = _web(evidence, modules)
    if web is not None and not web.extra_requirements:
        return web
    finders: tuple[Callable[[Evidence, tuple[Module, ...]], Launch | None], ...] = (
        _dockerfile_script,
        _console_script,
        lambda *_: web,
        launch_served_file,
        launch_dockerfile,
        launch_described,
        launch_worker,
        _script,
    )
    return next((launch for finder in finders if (launch := finder(evidence, modules)) is not None), None)


def _explicit(evidence: Evidence) -> Launch | None:
    settings = evidence.settings
    if settings.entrypoint:
        return Launch(settings.entrypoint, True, settings.command, reason="The settings say so (entrypoint).")
    if settings.command:
        return Launch(settings.command, reason="The settings say so (command).")
    return None


def _from_procfile(evidence: Evidence) -> Launch | None:
    path = evidence.root / "Procfile"
    if evidence.only or not path.is_file():
        return None
    types = {name: found for name, found in parse_procfile(read_text(path)).items() if name != "release"}
    name = "web" if "web" in types else next(iter(types), None) if len(types) == 1 else None
    if name is None:
        if not types:
            return None
        listed = ", ".join(types)
        raise ProjectError(
            f"{path} has no web process but several others: {listed}", hint='Choose one in the settings: command = ["...", "..."].'
        )
    port = evidence.port or evidence.settings.env.get("PORT") or "8000"
    number, text = types[name]
    env, words = parse_command(text, f"{path}, line {number}", {"PORT": port, **evidence.settings.env})
    if name == "web":
        # Servers that a platform starts this way read PORT themselves, gunicorn among them.
        env = {"PORT": port, **env}
    others = [other for other in types if other != name]
    return Launch(
        words,
        ports=(f"{port}/tcp",) if name == "web" else (),
        env=env,
        reason=f"The Procfile's {name} line" + (f"; its other process types are {', '.join(others)}." if others else "."),
    )


def _web(evidence: Evidence, modules: tuple[Module, ...]) -> Launch | None:
    objects = sorted((app for module in modules for app in module.objects if _counts(evidence, app)), key=lambda app: app.rank)
    objects = [app for app in objects if app.framework.kind != "worker"]
    if not objects:
        return launch_django(evidence, modules) or _conventional(evidence, modules)
    best = objects[0]
    entrance = _entrance(best, modules)
    if entrance is not None:
        best = entrance
    elif best.framework.kind == "dash":
        best = next((app for app in objects if app.framework.distribution == "dash" and app.framework.kind == "wsgi"), best)
    if best.framework.kind == "dash" and best.factory:
        raise ProjectError(
            f"{best.file}: {best.variable}() makes a Dash application, which no production server can call",
            hint=f"Add the line `server = {best.variable}().server` to the module, or set command in the settings.",
        )
    main = next((module for module in modules if module.file == best.file), None)
    if best.framework.kind == "aiohttp" and main is not None and "aiohttp.web.run_app" in main.calls and not main.local:
        return launch_aiohttp(evidence, [main])
    if best.framework.kind == "webpy" and main is not None and best.module in sys.stdlib_module_names:
        # Another server would find the standard library's module of that name: web.py's tutorial calls its file code.py.
        return launch_file(main, (f"{(*main.ports, '8080')[0]}/tcp",), f"{best.file} runs a web.py application.")
    served = serve(best.framework.kind, best.framework.distribution, evidence.dependencies, evidence.port or "8000")
    others = [f"{app.module}:{app.variable}" for app in objects if app.file != best.file][:3]
    verb, call = ("makes", "()") if best.factory else ("has", "")
    what = f"{best.file} {verb} a {best.framework.distribution} application ({best.variable}{call})"
    also = f"; also seen: {', '.join(others)}" if others else ""
    return launch_served(evidence, best, served, f"{what}, served by {served.server}{also}.")


def _entrance(best: AppObject, modules: tuple[Module, ...]) -> AppObject | None:
    """The module that is run, where it takes the object from another one: what it adds, routes or a layout, would be missing there."""
    if best.factory or best.framework.kind not in ("asgi", "wsgi", "dash"):
        return None
    found = []
    for module in modules:
        stem = Path(module.file).stem
        runs = module.is_main and module.calls & {".run", ".run_server", "uvicorn.run"} and stem != "manage"
        name = next((name for name, origin in module.imported if origin.lstrip(".") == f"{best.module}.{best.variable}"), None)
        if name is not None and module.file.count("/") <= best.file.count("/") and (stem in ("wsgi", "asgi") or runs):
            found.append(replace(best, file=module.file, module=module.module, variable=name, path=module.path))
    return min(found, key=lambda app: (Path(app.file).stem not in ("wsgi", "asgi"), app.rank), default=None)


def _counts(evidence: Evidence, app: AppObject) -> bool:
    """Whether an application object is the project's own: the framework is there, or may come with another dependency."""
    known = app.framework.distribution in evidence.dependencies or app.framework.distribution in ("WSGI", "ASGI")
    return known or evidence.kind == "app" or not evidence.complete


def _conventional(evidence: Evidence, modules: tuple[Module, ...]) -> Launch | None:
    """What a module called wsgi or asgi has under the usual name, whoever made it."""
    for kind in ("wsgi", "asgi"):
        for module in sorted(modules, key=lambda module: (module.file.count("/"), module.file)):
            variable = next((name for name in ("application", "app") if name in module.names), None)
            if module.module.rpartition(".")[2] == kind and variable is not None:
                app = AppObject(module.file, module.module, variable, Framework(kind.upper(), kind), path=module.path)
                served = serve(kind, "", evidence.dependencies, evidence.port or "8000")
                return launch_served(evidence, app, served, f"{module.file} has {variable}, served by {served.server}.")
    return None


def _dockerfile_script(evidence: Evidence, modules: tuple[Module, ...]) -> Launch | None:
    """Of a package's console scripts a Dockerfile says which one, and with which arguments."""
    launch = launch_dockerfile(evidence, modules) if evidence.scripts else None
    return launch if launch is not None and launch.command[0] in evidence.scripts else None


def _console_script(evidence: Evidence, _modules: tuple[Module, ...]) -> Launch | None:
    if evidence.kind != "package" or not evidence.scripts:
        return None
    same = [name for name in evidence.scripts if normalized(name) == evidence.name]
    if len(evidence.scripts) != 1 and not same:
        return None
    name = same[0] if same else next(iter(evidence.scripts))
    return Launch((name,), True, reason=f"{name} is the project's console script ({evidence.scripts[name]}).")


def _script(evidence: Evidence, modules: tuple[Module, ...]) -> Launch | None:
    if evidence.only:
        return launch_file(modules[0], (), f"{modules[0].file} is the script to run.") if modules else None
    by_file = {module.file: module for module in modules}
    own = evidence.name.replace("-", "_")
    for file in (*_SCRIPTS, f"{own}.py"):
        for base in ("", "src/"):
            if base + file in by_file:
                return launch_file(by_file[base + file], (), f"{base + file} is there.")
    mains = [module for module in modules if module.module.endswith(".__main__") and module.module.count(".") == 1]
    if len(mains) == 1:
        package = mains[0].module.removesuffix(".__main__")
        inside = package in evidence.packaged
        path = (mains[0].path,) if mains[0].path and not inside else ()
        return Launch(
            ("python", "-m", package), True, needs_source=not inside, python_path=path, reason=f"{mains[0].file} makes {package} a program."
        )
    if (inner := _program_module(modules)) is not None:
        inside = inner.module.split(".")[0] in evidence.packaged
        path = (inner.path,) if inner.path and not inside else ()
        return replace(
            launch_file(inner, (), f"{inner.file} is a program."),
            command=("python", "-m", inner.module),
            needs_source=not inside,
            python_path=path,
        )
    guarded = [module for module in modules if module.is_main and "/" not in module.file and module.file != "setup.py"]
    if len(guarded) == 1:
        return launch_file(guarded[0], (), f"{guarded[0].file} is the only script.")
    return None


def _program_module(modules: tuple[Module, ...]) -> Module | None:
    """The one module of the usual name within a package that is meant to be run."""
    inner = [module for module in modules if module.is_main and module.module.count(".") == 1 and Path(module.file).name in _SCRIPTS]
    best = min((_SCRIPTS.index(Path(module.file).name) for module in inner), default=0)
    likeliest = [module for module in inner if _SCRIPTS.index(Path(module.file).name) == best]
    return likeliest[0] if len(likeliest) == 1 else None


def _names_source(evidence: Evidence, command: tuple[str, ...]) -> bool:
    """Whether a command names a file of the directory, or a module that is there and not in the wheel: manage.py, main:app."""
    for word in command[1:]:
        if word.startswith("-") or not word or len(word) > 200 or "\0" in word:
            continue
        if (evidence.root / word).is_file():
            return True
        top = re.split(r"[.:]", word)[0]
        if (
            top.isidentifier()
            and top not in evidence.packaged
            and ((evidence.root / f"{top}.py").is_file() or (evidence.root / top / "__init__.py").is_file())
        ):
            return True
    return False


def _nothing(evidence: Evidence) -> ProjectError:
    scripts = f"; its console scripts are {', '.join(sorted(evidence.scripts))}" if evidence.scripts else ""
    where = "[tool.shipwheel]" if (evidence.root / "pyproject.toml").is_file() else "shipwheel.toml"
    first = sorted(evidence.scripts)[0] if evidence.scripts else "python"
    words = f'["{first}"]' if evidence.scripts else '["python", "main.py"]'
    return ProjectError(
        f"{evidence.root}: no command to start was found{scripts}. Looked for a Procfile, a console script, an application object of a"
        " web framework (main.py, app.py, PACKAGE/main.py, …), manage.py, Streamlit, Gradio, Chainlit, Panel, NiceGUI and their kind,"
        " a Dockerfile, Celery and other workers, PACKAGE/__main__.py, and a script",
        hint=f"Say it in {where}: command = {words}, and for a service ports = [8000].",
    )
