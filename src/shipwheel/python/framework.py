"""The production command of a project, found by reading: settings, Procfile, console scripts, application objects, scripts.

Dependencies count by their exact normalised names. The development servers of Flask and Django are never chosen: where no
production server is among the dependencies, one is added and the plan says why.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from shipwheel.config import Settings, read_text
from shipwheel.errors import ProjectError
from shipwheel.python.procfile import parse_command, parse_procfile
from shipwheel.python.scan import AppObject, Framework, Module, find_modules
from shipwheel.python.server import EVERYWHERE, Served, serve

__all__ = ["Evidence", "Launch", "find_launch"]

_SCRIPTS = ("main.py", "app.py", "__main__.py", "run.py", "server.py", "bot.py", "start.py", "cli.py", "worker.py")
_PROGRAM_IMPORTS = frozenset({"argparse", "click", "typer", "fire", "docopt", "optparse", "cyclopts", "tyro"})


@dataclass(frozen=True, slots=True)
class Evidence:
    """What detection knows of a project when it looks for its command."""

    root: Path
    name: str
    kind: str
    """package or app, as in Project."""
    settings: Settings = field(default_factory=Settings)
    scripts: dict[str, str] = field(default_factory=dict)
    dependencies: frozenset[str] = frozenset()
    """Normalised names."""
    complete: bool = True
    """Whether `dependencies` are all direct ones; otherwise an import in the source counts too."""
    packaged: frozenset[str] = frozenset()
    """Top-level import names that are in the project's wheel."""
    only: tuple[str, ...] = ()
    """The files that are the whole project, for a single-file script."""

    @property
    def port(self) -> str | None:
        """The first TCP port of the settings."""
        return next((port.removesuffix("/tcp") for port in self.settings.ports if port.endswith("/tcp")), None)


@dataclass(frozen=True, slots=True)
class Launch:
    """How the image starts."""

    command: tuple[str, ...]
    """The first word is a console script or `python`, to be found on PATH."""
    is_program: bool = False
    """A command-line program: the command becomes the Entrypoint, so that arguments append."""
    arguments: tuple[str, ...] = ()
    """Default arguments of a program: the Cmd behind the Entrypoint."""
    ports: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    needs_source: bool = False
    """Whether the project's directory must be in /app; always for an app, for a package when the command is not in its wheel."""
    python_path: tuple[str, ...] = ()
    """Directories below /app that must be on the import path (through a .pth file in the venv)."""
    extra_requirements: tuple[str, ...] = ()
    """Distributions that the command needs and that the project does not ask for."""
    reason: str = ""
    """One sentence: why this command."""


def find_launch(evidence: Evidence) -> Launch:
    """The command to start. Raises ProjectError, with the settings lines to add, when none is found or it needs a shell."""
    launch = _explicit(evidence) or _from_procfile(evidence)
    if launch is None:
        modules = find_modules(evidence.root, evidence.only)
        launch = _search(evidence, modules)
    if launch is None:
        raise _nothing(evidence)
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
        _served_file,
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
        return _django(evidence, modules)
    best = objects[0]
    if best.framework.kind == "dash":
        best = next((app for app in objects if app.framework.distribution == "dash" and app.framework.kind == "wsgi"), best)
    if best.framework.kind == "dash":
        raise ProjectError(
            f"{best.file}: the Dash application {best.variable} has no server variable that a production server can start",
            hint=f"Add the line `server = {best.variable}.server` below it, or set command in the settings.",
        )
    main = next((module for module in modules if module.file == best.file), None)
    if best.framework.kind == "aiohttp" and main is not None and "aiohttp.web.run_app" in main.calls:
        return _python_file(main, ("8080/tcp",), f"{main.file} runs an aiohttp application.")
    served = serve(best.framework.kind, best.framework.distribution, evidence.dependencies, evidence.port or "8000")
    others = [f"{app.module}:{app.variable}" for app in objects if app.file != best.file][:3]
    verb, call = ("makes", "()") if best.factory else ("has", "")
    what = f"{best.file} {verb} a {best.framework.distribution} application ({best.variable}{call})"
    also = f"; also seen: {', '.join(others)}" if others else ""
    return _launch_served(evidence, best, served, f"{what}, served by {served.server}{also}.")


def _launch_served(evidence: Evidence, app: AppObject, served: Served, reason: str) -> Launch:
    inside = app.module.split(".")[0] in evidence.packaged
    return Launch(
        served.command(app.module, app.variable, app.factory),
        ports=(f"{served.port}/tcp",),
        needs_source=not inside,
        python_path=(app.path,) if app.path and not inside else (),
        extra_requirements=served.extra,
        reason=reason,
    )


def _counts(evidence: Evidence, app: AppObject) -> bool:
    """Whether an application object is the project's own: the framework is there, or may come with another dependency."""
    return app.framework.distribution in evidence.dependencies or evidence.kind == "app" or not evidence.complete


def _django(evidence: Evidence, modules: tuple[Module, ...]) -> Launch | None:
    managers = [module for module in modules if Path(module.file).name == "manage.py"]
    if not managers or not (_has(evidence, "django") or any("django" in module.imports for module in managers)):
        return None
    manager = min(managers, key=lambda module: (module.file.count("/"), module.file))
    base = manager.file.removesuffix("manage.py")
    ours = {module.module: module for module in modules if module.file.startswith(base)}
    settings = next((value for name, value in sorted(manager.strings) if name == "DJANGO_SETTINGS_MODULE"), "")
    stated = _stated_applications(settings, ours)
    wsgi = stated.get("WSGI_APPLICATION") or _entry(ours, "wsgi")
    asgi = stated.get("ASGI_APPLICATION") or _entry(ours, "asgi")
    asynchronous = asgi and (
        not wsgi or (_has(evidence, "daphne", "uvicorn", "hypercorn") and not _has(evidence, "gunicorn", "waitress", "uwsgi"))
    )
    target = asgi if asynchronous else wsgi
    if not target:
        raise ProjectError(
            f"{manager.file} is Django's, but neither WSGI_APPLICATION in its settings nor a wsgi.py was found",
            hint='Say how to start it: command = ["gunicorn", "--bind", "0.0.0.0:8000", "PROJECT.wsgi"].',
        )
    module, _, variable = target.rpartition(".")
    served = serve("asgi" if asynchronous else "wsgi", "django", evidence.dependencies, evidence.port or "8000")
    home = ours.get(module, manager)
    app = AppObject(home.file, module, variable, Framework("django", "wsgi"), path=base.rstrip("/"))
    return _launch_served(evidence, app, served, f"{manager.file} is Django's; {target} is served by {served.server}.")


def _stated_applications(settings: str, ours: dict[str, Module]) -> dict[str, str]:
    """WSGI_APPLICATION and ASGI_APPLICATION of the settings module, or of its neighbours when it is one of a package."""
    package = settings.rpartition(".")[0]
    near = [
        name
        for name in ours
        if name == settings or name.startswith(settings + ".") or (package and name.startswith(package + ".") and "settings" in name)
    ]
    order = sorted(near, key=lambda name: (name != settings, name))
    found: dict[str, str] = {}
    for name in order:
        for key, value in ours[name].strings:
            if key in ("WSGI_APPLICATION", "ASGI_APPLICATION") and "." in value:
                found.setdefault(key, value)
    return found


def _entry(ours: dict[str, Module], name: str) -> str:
    found = sorted((module for module in ours if module.rpartition(".")[2] == name), key=lambda module: (module.count("."), module))
    return f"{found[0]}.application" if found else ""


def _console_script(evidence: Evidence, _modules: tuple[Module, ...]) -> Launch | None:
    if evidence.kind != "package" or not evidence.scripts:
        return None
    same = [name for name in evidence.scripts if re.sub(r"[-_.]+", "-", name).lower() == evidence.name]
    if len(evidence.scripts) != 1 and not same:
        return None
    name = same[0] if same else next(iter(evidence.scripts))
    return Launch((name,), True, reason=f"{name} is the project's console script ({evidence.scripts[name]}).")


def _served_file(evidence: Evidence, modules: tuple[Module, ...]) -> Launch | None:
    """Frameworks whose own program takes a file, or whose file is run as it is."""
    for distribution, top, build in _FILE_SERVERS:
        using = [module for module in modules if top in module.imports and not re.search(r"(^|/)pages/", module.file)]
        if not using or not (_has(evidence, distribution) or not evidence.complete or evidence.kind == "app"):
            continue
        chosen = build(evidence, sorted(using, key=lambda module: _file_rank(module, evidence.name)))
        if chosen is not None:
            return chosen
    return None


def _file_rank(module: Module, name: str) -> tuple[object, ...]:
    file = Path(module.file).name
    stem = re.sub(r"[^a-z]+", "", Path(file).stem.lower())
    own = name.replace("-", "_") + ".py"
    preferred = ("streamlitapp", "app", "main", "home", "index", "webui", "ui", "demo")
    return (module.file.count("/"), file != own and stem not in preferred, preferred.index(stem) if stem in preferred else 99, module.file)


def _streamlit(evidence: Evidence, using: list[Module]) -> Launch:
    port = evidence.port or "8501"
    command = ("streamlit", "run", using[0].file, "--server.port", port, "--server.address", EVERYWHERE, "--server.headless", "true")
    return _file_launch(command, using, port, "a Streamlit application")


def _chainlit(evidence: Evidence, using: list[Module]) -> Launch:
    port = evidence.port or "8000"
    return _file_launch(
        ("chainlit", "run", using[0].file, "--host", EVERYWHERE, "--port", port, "--headless"), using, port, "a Chainlit application"
    )


def _panel(evidence: Evidence, using: list[Module]) -> Launch | None:
    using = [module for module in using if ".servable" in module.calls]
    port = evidence.port or "5006"
    return (
        _file_launch(("panel", "serve", using[0].file, "--address", EVERYWHERE, "--port", port), using, port, "a Panel application")
        if using
        else None
    )


def _gradio(evidence: Evidence, using: list[Module]) -> Launch | None:
    using = [module for module in using if ".launch" in module.calls]
    port = evidence.port or "7860"
    if not using:
        return None
    launch = _file_launch(("python", using[0].file), using, port, "a Gradio application")
    return replace(launch, env={"GRADIO_SERVER_NAME": EVERYWHERE, "GRADIO_SERVER_PORT": port})


def _nicegui(_evidence: Evidence, using: list[Module]) -> Launch | None:
    using = [module for module in using if "nicegui.ui.run" in module.calls]
    return _file_launch(("python", using[0].file), using, "8080", "a NiceGUI application") if using else None


def _file_launch(command: tuple[str, ...], using: list[Module], port: str, what: str) -> Launch:
    others = [module.file for module in using[1:4]]
    also = f"; also seen: {', '.join(others)}" if others else ""
    return Launch(command, ports=(f"{port}/tcp",), needs_source=True, reason=f"{using[0].file} is {what}{also}.")


_FileServer = Callable[[Evidence, list[Module]], Launch | None]
_FILE_SERVERS: tuple[tuple[str, str, _FileServer], ...] = (
    ("streamlit", "streamlit", _streamlit),
    ("chainlit", "chainlit", _chainlit),
    ("gradio", "gradio", _gradio),
    ("nicegui", "nicegui", _nicegui),
    ("panel", "panel", _panel),
)


def _worker(evidence: Evidence, modules: tuple[Module, ...]) -> Launch | None:
    objects = sorted(
        (app for module in modules for app in module.objects if app.framework.kind == "celery" and not app.factory),
        key=lambda app: app.rank,
    )
    if not objects or not _has(evidence, "celery"):
        return None
    app = objects[0]
    served = Served("celery", "", ("-A", "{target}", "worker", "--loglevel", "INFO"))
    launch = _launch_served(evidence, app, served, f"{app.file} has a Celery application ({app.variable}).")
    return replace(launch, ports=())


def _script(evidence: Evidence, modules: tuple[Module, ...]) -> Launch | None:
    if evidence.only:
        return _python_file(modules[0], (), f"{modules[0].file} is the script to run.") if modules else None
    by_file = {module.file: module for module in modules}
    own = evidence.name.replace("-", "_")
    for file in (*_SCRIPTS, f"{own}.py"):
        for base in ("", "src/"):
            if base + file in by_file:
                return _python_file(by_file[base + file], (), f"{base + file} is there.")
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
        return _python_file(guarded[0], (), f"{guarded[0].file} is the only script.")
    return None


def _python_file(module: Module, ports: Iterable[str], reason: str) -> Launch:
    program = bool(module.imports & _PROGRAM_IMPORTS) and not tuple(ports)
    return Launch(("python", module.file), program, ports=tuple(ports), needs_source=True, reason=reason)


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


def _is_module(path: Path) -> bool:
    return path.with_name(f"{path.name}.py").is_file() or (path / "__init__.py").is_file()


def _has(evidence: Evidence, *names: str) -> bool:
    return any(name in evidence.dependencies for name in names)


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
