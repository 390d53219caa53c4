"""Frameworks whose own program serves a file of the project, or whose file serves itself.

To add one, add a row to `_FILE_SERVERS`.
"""

import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import partial
from pathlib import Path

import msgspec
from msgspec.structs import replace

from shipwheel.errors import ProjectError
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.entrypoint.command_address import tool_of, without_flags
from shipwheel.project.entrypoint.evidence import Evidence
from shipwheel.project.entrypoint.launch import Launch, also_found, launch_file, launch_module, with_rivals
from shipwheel.project.entrypoint.module import Module
from shipwheel.project.entrypoint.reached import entry_module, modules_by_name, program_using, reached_modules
from shipwheel.project.entrypoint.scan import Scan
from shipwheel.project.entrypoint.servers import DEFAULT_PORT, EVERY_ADDRESS
from shipwheel.project.entrypoint.syntax import definitions_with, parse_source

__all__ = [
    "find_file_server",
    "find_reflex",
    "find_twisted",
    "find_voila",
    "launch_aiohttp",
    "with_chainlit_files",
    "with_framework_settings",
    "with_reflex_files",
]

_PREFERRED_FILES = ("streamlitapp", "app", "main", "home", "index", "webui", "ui", "demo")
"""Usual names of the file to serve, letters only."""
_END_OF_MATTER = "---"
_MATTER_LINE = lazy_pattern(r"(sdk|sdk_version|app_file): *[\"']?([\w./-]+)[\"']?")
_VERSION = lazy_pattern(r"[0-9]+(?:\.[0-9]+)*(?:(?:a|b|rc)[0-9]+)?")
_STREAMLIT_PACKAGE = "streamlit"
_PAGE = lazy_pattern(r"(^|/)pages/")
_BOKEH_ORIGIN_NOTE = (
    "If browsers reach the app under an address other than localhost and its port, set BOKEH_ALLOW_WS_ORIGIN=HOST:PORT in its environment."
)
_AIOHTTP_PORT = "8080"
_RUN_AIOHTTP = "aiohttp.web.run_app"
_MESOP_PORT = "8080"
_MESOP = lazy_pattern(r"^import mesop as (\w+)", re.MULTILINE)
_VOILA_PORT = "8866"


class _PortFrom(Enum):
    """A place to look for the port of a file server."""

    SETTINGS = "settings"
    SOURCE = "source"
    """The call in the file that starts the server, which names a port."""


class _FileServer(msgspec.Struct, frozen=True):
    """How to serve a file with a framework.

    In `command` and in the values of `env`, `{file}`, `{module}` and `{port}` stand for the file, its import name and the port.
    """

    command: tuple[str, ...]
    what: str
    """The name of such a file in messages."""
    port: str
    """The port that is used if nothing names one."""
    serves: Callable[[Module], bool] | None = None
    """Selects the files to serve among those that import the framework; None for all of them."""
    port_from: tuple[_PortFrom, ...] = (_PortFrom.SETTINGS,)
    """The places to look for a port; the first that has one wins."""
    env: Mapping[str, str] = msgspec.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    """Added to the requirements of a project that has the framework."""

    def launch(self, evidence: Evidence, modules: list[Module]) -> Launch | None:
        """Return the launch of the first of these files that the framework can serve."""
        served = [module for module in modules if self.serves is None or self.serves(module)]
        if not served:
            return None
        first = served[0]
        port = self._port(evidence, first)
        values = {"{file}": first.file, "{module}": first.name, "{port}": port}
        return Launch(
            tuple(values.get(word, word) for word in self.command),
            ports=(f"{port}/tcp",),
            env={name: values.get(value, value) for name, value in self.env.items()},
            needs_source=True,
            reason=f"{first.file} is {self.what}{also_found(module.file for module in served[1:])}.",
            notes=self.notes,
            extra_requirements=self.requirements,
        )

    def added_to(self, launch: Launch, evidence: Evidence, module: Module) -> Launch:
        """Return a launch that runs this file by a command from elsewhere with what the framework needs to be reached."""
        port = next((port.removesuffix("/tcp") for port in launch.ports if port.endswith("/tcp")), None) or self._port(evidence, module)
        env = {name: port if value == "{port}" else value for name, value in self.env.items()}
        return replace(
            launch,
            env={**env, **launch.env},
            ports=launch.ports or (f"{port}/tcp",),
            extra_requirements=tuple(dict.fromkeys((*launch.extra_requirements, *self.requirements))),
        )

    def _port(self, evidence: Evidence, module: Module) -> str:
        for origin in self.port_from:
            port = evidence.port if origin is _PortFrom.SETTINGS else next(iter(module.ports), None)
            if port:
                return port
        return self.port


def find_file_server(evidence: Evidence, scan: Scan) -> Launch | None:
    """Return the launch of a file of Streamlit, Gradio and other frameworks that serve files."""
    matter = _front_matter(evidence)
    servers: tuple[_Row, ...] = (*_FILE_SERVERS, ("aiohttp", "aiohttp", partial(launch_aiohttp, every=scan.modules)))
    for distribution, package, launch in servers:
        hosted = matter if matter.get("sdk") == distribution else {}
        using = [module for module in scan.modules if package in module.imports and not _PAGE.search(module.file)]
        using = _with_programs(using, scan.modules) if distribution == _STREAMLIT_PACKAGE else using
        if not using or not (evidence.has(distribution) or evidence.kind == "app"):
            continue
        named = [module for module in using if module.file == posixpath.normpath(hosted.get("app_file", ""))]
        found = launch(evidence, named) if named else None
        if found is None and (found := launch(evidence, sorted(using, key=lambda module: _file_rank(module, evidence.name)))) is not None:
            found = _with_rivals(found, evidence, using, scan)
        if found is not None:
            # Hosting services for such files install the framework themselves, so its requirement may be missing.
            known = evidence.has(distribution)
            version = hosted.get("sdk_version", "")
            requirement = f"{distribution}=={version}" if _VERSION.fullmatch(version) else distribution
            return found if known else replace(found, extra_requirements=(requirement, *found.extra_requirements))
    return None


def _front_matter(evidence: Evidence) -> Mapping[str, str]:
    """Return what the front matter of the README tells a hosting service: the framework, its version, and the file that it starts."""
    lines = [line.rstrip() for line in evidence.read_text("README.md").splitlines()]
    has_matter = lines[:1] == [_END_OF_MATTER] and _END_OF_MATTER in lines[1:]
    matter = map(_MATTER_LINE.fullmatch, lines[1 : lines.index(_END_OF_MATTER, 1)] if has_matter else ())
    return {match[1]: match[2] for match in matter if match is not None}


def _with_rivals(launch: Launch, evidence: Evidence, using: Sequence[Module], scan: Scan) -> Launch:
    """Return the launch with a note about files that could be served as well, by their names and places."""
    served = next((module for module in using if {module.file, module.name}.intersection(launch.command)), None)
    if served is None:
        return launch
    rank = _file_rank(served, evidence.name)[:-1]
    return with_rivals(launch, served, (each for each in using if _file_rank(each, evidence.name)[:-1] == rank), scan.modules)


def _file_rank(module: Module, project: str) -> tuple[object, ...]:
    path = Path(module.file)
    stem = re.sub(r"[^a-z]+", "", path.stem.lower())
    own = path.name == f"{project.replace('-', '_')}.py"
    position = _PREFERRED_FILES.index(stem) if stem in _PREFERRED_FILES else len(_PREFERRED_FILES)
    return (module.file.count("/"), not own and stem not in _PREFERRED_FILES, position, module.file)


def _with_programs(using: list[Module], modules: Sequence[Module]) -> list[Module]:
    """Return the files that use Streamlit, or the programs that import them if they only define functions: run, they show nothing."""
    if any(call.startswith(f"{_STREAMLIT_PACKAGE}.") for module in using for call in module.calls_when_run):
        return using
    by_name = modules_by_name(modules)
    files = {module.file for module in using}
    programs = [each for each in modules if each.is_script and any(it.file in files for it in reached_modules(each.name, by_name))]
    return programs or using


def _streamlit(evidence: Evidence, modules: list[Module]) -> Launch | None:
    """Return the launch of the main page: a file that configures the page or has a directory of pages, not a helper that it imports."""

    def is_helper(module: Module) -> bool:
        pages = Path(module.file).with_name("pages").as_posix()
        return "streamlit.set_page_config" not in module.calls and not evidence.has_directory(pages)

    return _STREAMLIT.launch(evidence, sorted(modules, key=is_helper))


_CHAINLIT_TRANSLATIONS = ".chainlit/translations"
"""Chainlit makes it beside the settings when it starts, unless it is there."""


def with_chainlit_files(launch: Launch, evidence: Evidence) -> Launch:
    """Return the launch of Chainlit, which writes where its settings are: into the app's directory, or into /tmp if that has none."""
    if tool_of(launch.command) != "chainlit" or launch.volumes or "CHAINLIT_APP_ROOT" in launch.env:
        return launch
    own = [name for name in (".chainlit", "chainlit.md", "public") if evidence.exists(name)]
    if not own:
        return replace(launch, env={**launch.env, "CHAINLIT_APP_ROOT": "/tmp"})  # noqa: S108 - a path in the image
    made = () if evidence.exists(_CHAINLIT_TRANSLATIONS) else (_CHAINLIT_TRANSLATIONS,)
    directories = (".files", *made) if ".chainlit" in own else (".files", ".chainlit")
    return replace(launch, volumes=tuple(f"{evidence.workdir}/{name}" for name in directories))


def with_framework_settings(launch: Launch, evidence: Evidence, modules: Sequence[Module]) -> Launch:
    """Return the launch of a file that serves itself, as of Gradio, with the variables and requirements by which it is reached."""
    by_name = modules_by_name(modules)
    runs_own_code = launch.command[0] == "python" or launch.command[0] in evidence.scripts
    words = without_flags((*launch.command, *launch.arguments))
    entry = entry_module(words, launch.directory, evidence.scripts, by_name) if runs_own_code else ""
    for module in reached_modules(entry, by_name) if entry else ():
        if module.is_script and module.name != entry:
            # What it serves when it is run itself is not served when it is imported.
            continue
        for package, server in _SERVE_THEMSELVES.items():
            if package in module.imports and (server.serves is None or server.serves(module)):
                return server.added_to(launch, evidence, module)
    return launch


def launch_aiohttp(evidence: Evidence, modules: Sequence[Module], every: Sequence[Module]) -> Launch | None:
    """Return the launch of a program that runs aiohttp's own server, which is a production server, by a call in one of `modules`.

    The application is often created by a coroutine, where other servers cannot reach it.
    """
    running = next((module for module in modules if _RUN_AIOHTTP in module.calls), None)
    if running is None or (program := _program(running, evidence, every)) is None:
        return None
    port = (*running.ports, evidence.port or _AIOHTTP_PORT)[0]
    return launch_file(evidence, program, (f"{port}/tcp",), f"{program.file} runs an aiohttp application.")


def _program(running: Module, evidence: Evidence, every: Sequence[Module]) -> Module | None:
    """Return the program that makes the call in a module: that itself, or one that uses a function of it which does; None if none does."""
    if _RUN_AIOHTTP in running.calls_when_run:
        return running
    source = parse_source(running, evidence.read_text(running.file).encode())
    return program_using((f"{running.name}.{name}" for name in definitions_with(source, {_RUN_AIOHTTP})), every)


def _bottle(evidence: Evidence, modules: list[Module]) -> Launch | None:
    """Return the launch of Bottle's own program, which imports the routes and passes them to a production server.

    It passes on no options, and waitress has threads without any.
    """
    using = [module for module in modules if not module.calls.isdisjoint({"bottle.run", "bottle.route", "bottle.get", "bottle.post"})]
    if not using:
        return None
    server = next((name for name in ("waitress", "gunicorn") if evidence.has(name)), "waitress")
    port = evidence.port or DEFAULT_PORT
    command = ("python", "-m", "bottle", "--bind", f"{EVERY_ADDRESS}:{port}", "--server", server, using[0].name)
    launch = launch_module(evidence, using[0], command, f"{server} serves the Bottle routes in {using[0].file}.")
    return replace(launch, ports=(f"{port}/tcp",), extra_requirements=() if evidence.has(server) else (server,))


def _mesop(evidence: Evidence, modules: list[Module]) -> Launch | None:
    """Return the launch of gunicorn with Mesop, which is itself the WSGI application, by its name in a file: `import mesop as me`."""
    using = [module for module in modules if "mesop.page" in module.calls]
    if not using:
        return None
    port = evidence.port or _MESOP_PORT
    named = _MESOP.search(evidence.read_text(using[0].file))
    target = f"{using[0].name}:{(named and named[1]) or 'mesop'}"
    command = ("gunicorn", "--bind", f"{EVERY_ADDRESS}:{port}", "--threads", "8", target)
    launch = launch_module(evidence, using[0], command, f"{using[0].file} has the pages of a Mesop application.")
    extra = () if evidence.has("gunicorn") else ("gunicorn",)
    return replace(launch, ports=(f"{port}/tcp",), extra_requirements=extra, workers_variable="WEB_CONCURRENCY")


def find_reflex(evidence: Evidence, _scan: Scan) -> Launch | None:
    """Raise ProjectError for a Reflex app, whose front end node compiles when it starts; return None for any other project."""
    if not (evidence.has("reflex") and evidence.has_file("rxconfig.py")):
        return None
    raise ProjectError(
        f"{evidence.root}: rxconfig.py describes a Reflex app. Its front end is compiled with node when it starts, which the image lacks",
        hint="Make the pages with `reflex export --frontend-only`, for a web server of their own. For the back end alone, set"
        ' command = ["reflex", "run", "--env", "prod", "--backend-only"], ports = [8000] and state = [".states/", ".web/"].',
    )


def with_reflex_files(launch: Launch, evidence: Evidence) -> Launch:
    """Return the launch of a Reflex app's back end with the directories that it writes, and a note that it has no pages."""
    if tool_of(launch.command) != "reflex" or "--backend-only" not in (*launch.command, *launch.arguments):
        return launch
    note = "--backend-only serves no pages: make them with `reflex export --frontend-only`, for a web server of their own."
    volumes = launch.volumes or (f"{evidence.workdir}/.states", f"{evidence.workdir}/.web")
    return replace(launch, volumes=volumes, notes=(*launch.notes, note))


def find_twisted(evidence: Evidence, scan: Scan) -> Launch | None:
    """Return the launch of the only .tac file of a project that depends on Twisted."""
    if len(scan.tac_files) != 1 or not evidence.has("twisted"):
        return None
    (tac,) = scan.tac_files
    command = ("twistd", "--nodaemon", "--pidfile=", "--logfile=-", "--python", tac.file)
    ports = tuple(f"{port}/tcp" for port in tac.ports)
    return Launch(command, ports=ports, needs_source=True, reason=f"{tac.file} is a Twisted application.")


def find_voila(evidence: Evidence, scan: Scan) -> Launch | None:
    """Return the launch of the only notebook, or of all in the directory, in a project that depends on Voilà."""
    if not scan.notebooks or not evidence.has("voila"):
        return None
    port = evidence.port or _VOILA_PORT
    target, what = (scan.notebooks[0], scan.notebooks[0]) if len(scan.notebooks) == 1 else (".", "the notebooks")
    command = ("voila", target, "--no-browser", f"--port={port}", f"--Voila.ip={EVERY_ADDRESS}")
    return Launch(command, ports=(f"{port}/tcp",), needs_source=True, reason=f"Voilà serves {what}.")


def _calls(*names: str) -> Callable[[Module], bool]:
    return lambda module: not module.calls.isdisjoint(names)


def _uses_bokeh_document(module: Module) -> bool:
    return any(call.startswith("bokeh.") and call.endswith(".curdoc") for call in module.calls)


def _is_shiny_express(module: Module) -> bool:
    return any("shiny.express" in call for call in module.calls)


def _is_solara_page(module: Module) -> bool:
    return "solara.component" in module.calls or "Page" in module.names


_STREAMLIT = _FileServer(
    ("streamlit", "run", "{file}", "--server.port", "{port}", "--server.address", EVERY_ADDRESS, "--server.headless", "true"),
    "a Streamlit application",
    "8501",
)
_CHAINLIT = _FileServer(
    ("chainlit", "run", "{file}", "--host", EVERY_ADDRESS, "--port", "{port}", "--headless"), "a Chainlit application", "8000"
)
_GRADIO = _FileServer(
    ("python", "{file}"),
    "a Gradio application",
    "7860",
    _calls(".launch"),
    # An argument of the call takes precedence over the environment.
    (_PortFrom.SOURCE, _PortFrom.SETTINGS),
    {"GRADIO_SERVER_NAME": EVERY_ADDRESS, "GRADIO_SERVER_PORT": "{port}"},
)
_NICEGUI = _FileServer(("python", "{file}"), "a NiceGUI application", "8080", _calls("nicegui.ui.run"), (_PortFrom.SOURCE,))
_PANEL = _FileServer(
    ("panel", "serve", "{file}", "--address", EVERY_ADDRESS, "--port", "{port}"),
    "a Panel application",
    "5006",
    _calls(".servable"),
    notes=(_BOKEH_ORIGIN_NOTE,),
)
_BOKEH = _FileServer(
    ("bokeh", "serve", "{file}", "--address", EVERY_ADDRESS, "--port", "{port}"),
    "a Bokeh application",
    "5006",
    _uses_bokeh_document,
    notes=(_BOKEH_ORIGIN_NOTE,),
)
_SHINY = _FileServer(
    ("shiny", "run", "--host", EVERY_ADDRESS, "--port", "{port}", "{file}"), "a Shiny Express application", "8000", _is_shiny_express
)
_SOLARA = _FileServer(
    ("solara", "run", "{file}", "--host", EVERY_ADDRESS, "--port", "{port}", "--production"),
    "a Solara application",
    "8765",
    _is_solara_page,
)
_MARIMO = _FileServer(
    ("marimo", "run", "{file}", "--host", EVERY_ADDRESS, "--port", "{port}", "--headless"),
    "a marimo notebook",
    "2718",
    _calls("marimo.App"),
)
_ROBYN = _FileServer(
    ("python", "{file}"),
    "a Robyn application",
    "8080",
    _calls("robyn.Robyn"),
    (_PortFrom.SETTINGS, _PortFrom.SOURCE),
    {"ROBYN_HOST": EVERY_ADDRESS, "ROBYN_PORT": "{port}"},
)
_FLET = _FileServer(
    ("python", "{file}"),
    "a Flet application",
    "8550",
    _calls("flet.app", "flet.run"),
    (_PortFrom.SETTINGS, _PortFrom.SOURCE),
    {"FLET_FORCE_WEB_SERVER": "true", "FLET_SERVER_IP": EVERY_ADDRESS, "FLET_SERVER_PORT": "{port}"},
    requirements=("flet[web]",),
)
_BENTOML = _FileServer(
    ("bentoml", "serve", "{module}", "--host", EVERY_ADDRESS, "--port", "{port}"), "a BentoML service", "3000", _calls("bentoml.service")
)
_TAIPY = _FileServer(
    ("python", "{file}", "--host", EVERY_ADDRESS, "--port", "{port}"),
    "a Taipy application",
    "5000",
    _calls("taipy.Gui", "taipy.gui.Gui"),
    (_PortFrom.SETTINGS, _PortFrom.SOURCE),
)

_SERVE_THEMSELVES = {"gradio": _GRADIO, "robyn": _ROBYN, "flet": _FLET}
"""Top-level import -> the server whose address comes from the environment."""

_Row = tuple[str, str, Callable[[Evidence, list[Module]], Launch | None]]
_FILE_SERVERS: tuple[_Row, ...] = (
    ("streamlit", "streamlit", _streamlit),
    ("chainlit", "chainlit", _CHAINLIT.launch),
    ("gradio", "gradio", _GRADIO.launch),
    ("nicegui", "nicegui", _NICEGUI.launch),
    ("panel", "panel", _PANEL.launch),
    ("bokeh", "bokeh", _BOKEH.launch),
    ("shiny", "shiny", _SHINY.launch),
    ("solara", "solara", _SOLARA.launch),
    ("marimo", "marimo", _MARIMO.launch),
    ("robyn", "robyn", _ROBYN.launch),
    ("flet", "flet", _FLET.launch),
    ("bentoml", "bentoml", _BENTOML.launch),
    ("mesop", "mesop", _mesop),
    ("taipy", "taipy", _TAIPY.launch),
    ("taipy-gui", "taipy", _TAIPY.launch),
    ("bottle", "bottle", _bottle),
)
"""(Python package, top-level import, launch of the first fitting file), in order of precedence."""
