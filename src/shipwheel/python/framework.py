"""The production command of a project, found by reading: settings, Procfile, console scripts, application objects, scripts.

Dependencies count by their exact normalised names. The development servers of Flask and Django are never chosen: where no
production server is among the dependencies, one is added and the plan says why.
"""

import re
from collections.abc import Callable
from dataclasses import replace

from shipwheel.config import read_text
from shipwheel.errors import ProjectError
from shipwheel.python.applications import AppObject
from shipwheel.python.django import launch_django, with_static_files
from shipwheel.python.fileserver import launch_aiohttp, launch_served_file
from shipwheel.python.launch import Evidence, Launch, launch_file, launch_served
from shipwheel.python.procfile import parse_command, parse_procfile
from shipwheel.python.scan import Module, find_modules
from shipwheel.python.server import Served, serve

__all__ = ["Evidence", "Launch", "find_launch"]

_SCRIPTS = ("main.py", "app.py", "__main__.py", "run.py", "server.py", "bot.py", "start.py", "cli.py", "worker.py")


def find_launch(evidence: Evidence) -> Launch:
    """The command to start. Raises ProjectError, with the settings lines to add, when none is found or it needs a shell."""
    launch = _explicit(evidence) or _from_procfile(evidence)
    static = evidence.has("whitenoise")
    modules = find_modules(evidence.root, evidence.only) if launch is None or static else ()
    launch = launch or _search(evidence, modules)
    if launch is None:
        raise _nothing(evidence)
    if static:
        launch = with_static_files(launch, evidence, modules)
    ports = evidence.settings.ports or launch.ports
    needs_source = evidence.kind == "app" or launch.needs_source or _names_source(evidence, launch.command)
    return replace(launch, ports=ports, needs_source=needs_source)


def _search(evidence: Evidence, modules: tuple[Module, ...]) -> Launch | None:
    web = _web(evidence, modules)
    if web is not None and not web.extra_requirements:
        return web
    finders: tuple[Callable[[Evidence, tuple[Module, ...]], Launch | None], ...] = (
        _console_script,
        lambda *_: web,
        launch_served_file,
        _worker,
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
    objects = [app for app in objects if app.framework.kind != "celery"]
    if not objects:
        return launch_django(evidence, modules)
    best = objects[0]
    if best.framework.kind == "dash":
        best = next((app for app in objects if app.framework.distribution == "dash" and app.framework.kind == "wsgi"), best)
    if best.framework.kind == "dash" and best.factory:
        raise ProjectError(
            f"{best.file}: {best.variable}() makes a Dash application, which no production server can call",
            hint=f"Add the line `server = {best.variable}().server` to the module, or set command in the settings.",
        )
    main = next((module for module in modules if module.file == best.file), None)
    if best.framework.kind == "aiohttp" and main is not None and "aiohttp.web.run_app" in main.calls:
        return launch_aiohttp(evidence, [main])
    served = serve(best.framework.kind, best.framework.distribution, evidence.dependencies, evidence.port or "8000")
    others = [f"{app.module}:{app.variable}" for app in objects if app.file != best.file][:3]
    verb, call = ("makes", "()") if best.factory else ("has", "")
    what = f"{best.file} {verb} a {best.framework.distribution} application ({best.variable}{call})"
    also = f"; also seen: {', '.join(others)}" if others else ""
    return launch_served(evidence, best, served, f"{what}, served by {served.server}{also}.")


def _counts(evidence: Evidence, app: AppObject) -> bool:
    """Whether an application object is the project's own: the framework is there, or may come with another dependency."""
    return app.framework.distribution in evidence.dependencies or evidence.kind == "app" or not evidence.complete


def _console_script(evidence: Evidence, _modules: tuple[Module, ...]) -> Launch | None:
    if evidence.kind != "package" or not evidence.scripts:
        return None
    same = [name for name in evidence.scripts if re.sub(r"[-_.]+", "-", name).lower() == evidence.name]
    if len(evidence.scripts) != 1 and not same:
        return None
    name = same[0] if same else next(iter(evidence.scripts))
    return Launch((name,), True, reason=f"{name} is the project's console script ({evidence.scripts[name]}).")


def _worker(evidence: Evidence, modules: tuple[Module, ...]) -> Launch | None:
    objects = sorted(
        (app for module in modules for app in module.objects if app.framework.kind == "celery" and not app.factory),
        key=lambda app: app.rank,
    )
    if not objects or not evidence.has("celery"):
        return None
    app = objects[0]
    served = Served("celery", "", ("-A", "{target}", "worker", "--loglevel", "INFO"))
    launch = launch_served(evidence, app, served, f"{app.file} has a Celery application ({app.variable}).")
    return replace(launch, ports=())


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
    guarded = [module for module in modules if module.is_main and "/" not in module.file and module.file != "setup.py"]
    if len(guarded) == 1:
        return launch_file(guarded[0], (), f"{guarded[0].file} is the only script.")
    return None


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
        " web framework (main.py, app.py, PACKAGE/main.py, …), manage.py, Streamlit, Gradio, Chainlit, Panel, NiceGUI, Celery,"
        " PACKAGE/__main__.py, and a script",
        hint=f"Say it in {where}: command = {words}, and for a service ports = [8000].",
    )
