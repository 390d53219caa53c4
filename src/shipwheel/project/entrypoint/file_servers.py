"""Frameworks whose own program takes a file, or whose file is run as it is."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from shipwheel.project.entrypoint.launch import Evidence, Launch, launch_file
from shipwheel.project.entrypoint.scan import Module
from shipwheel.project.entrypoint.servers import EVERYWHERE

__all__ = ["launch_aiohttp", "launch_served_file"]


def launch_served_file(evidence: Evidence, modules: tuple[Module, ...]) -> Launch | None:
    """Frameworks whose own program takes a file, or whose file is run as it is."""
    for distribution, top, build in _FILE_SERVERS:
        using = [module for module in modules if top in module.imports and not re.search(r"(^|/)pages/", module.file)]
        if not using or not (evidence.has(distribution) or not evidence.complete or evidence.kind == "app"):
            continue
        chosen = build(evidence, sorted(using, key=lambda module: _file_rank(module, evidence.name)))
        if chosen is not None:
            # Some places that run such files bring the framework themselves.
            missing = evidence.complete and not evidence.has(distribution)
            return replace(chosen, extra_requirements=(distribution, *chosen.extra_requirements)) if missing else chosen
    return None


def _file_rank(module: Module, name: str) -> tuple[object, ...]:
    file = Path(module.file).name
    stem = re.sub(r"[^a-z]+", "", Path(file).stem.lower())
    own = name.replace("-", "_") + ".py"
    preferred = ("streamlitapp", "app", "main", "home", "index", "webui", "ui", "demo")
    return (module.file.count("/"), file != own and stem not in preferred, preferred.index(stem) if stem in preferred else 99, module.file)


def _streamlit(evidence: Evidence, using: list[Module]) -> Launch:
    # Helpers use it too; the page that is run says how it looks, or has others beside it.
    pages = [
        module
        for module in using
        if "streamlit.set_page_config" in module.calls or (evidence.root / module.file).with_name("pages").is_dir()
    ]
    using = [*pages, *(module for module in using if module not in pages)]
    port = evidence.port or "8501"
    command = ("streamlit", "run", using[0].file, "--server.port", port, "--server.address", EVERYWHERE, "--server.headless", "true")
    return _file_launch(command, using, port, "a Streamlit application")


def _chainlit(evidence: Evidence, using: list[Module]) -> Launch:
    """It writes where its settings are: into the app's directory, or, as long as the app has none, into /tmp."""
    port = evidence.port or "8000"
    command = ("chainlit", "run", using[0].file, "--host", EVERYWHERE, "--port", port, "--headless")
    launch = _file_launch(command, using, port, "a Chainlit application")
    own = [name for name in (".chainlit", "chainlit.md", "public") if (evidence.root / name).exists()]
    if not own:
        return replace(launch, env={"CHAINLIT_APP_ROOT": "/tmp"})  # noqa: S108 - a path in the image
    workdir = evidence.settings.workdir.rstrip("/")
    return replace(launch, volumes=(f"{workdir}/.files", *([] if ".chainlit" in own else [f"{workdir}/.chainlit"])))


def _panel(evidence: Evidence, using: list[Module]) -> Launch | None:
    using = [module for module in using if ".servable" in module.calls]
    port = evidence.port or "5006"
    return (
        replace(
            _file_launch(("panel", "serve", using[0].file, "--address", EVERYWHERE, "--port", port), using, port, "a Panel application"),
            notes=(_ORIGIN,),
        )
        if using
        else None
    )


def _gradio(evidence: Evidence, using: list[Module]) -> Launch | None:
    using = [module for module in using if ".launch" in module.calls]
    if not using:
        return None
    # What the call says comes before the environment.
    port = (*using[0].ports, evidence.port or "7860")[0]
    launch = _file_launch(("python", using[0].file), using, port, "a Gradio application")
    return replace(launch, env={"GRADIO_SERVER_NAME": EVERYWHERE, "GRADIO_SERVER_PORT": port})


def _nicegui(_evidence: Evidence, using: list[Module]) -> Launch | None:
    using = [module for module in using if "nicegui.ui.run" in module.calls]
    return _file_launch(("python", using[0].file), using, (*using[0].ports, "8080")[0], "a NiceGUI application") if using else None


def _solara(evidence: Evidence, using: list[Module]) -> Launch | None:
    using = [module for module in using if "solara.component" in module.calls or "Page" in module.names]
    port = evidence.port or "8765"
    if not using:
        return None
    command = ("solara", "run", using[0].file, "--host", EVERYWHERE, "--port", port, "--production")
    return _file_launch(command, using, port, "a Solara application")


def _marimo(evidence: Evidence, using: list[Module]) -> Launch | None:
    using = [module for module in using if "marimo.App" in module.calls]
    port = evidence.port or "2718"
    command = ("marimo", "run", using[0].file, "--host", EVERYWHERE, "--port", port, "--headless") if using else ()
    return _file_launch(command, using, port, "a marimo notebook") if using else None


def _bokeh(evidence: Evidence, using: list[Module]) -> Launch | None:
    using = [module for module in using if any(call.startswith("bokeh.") and call.endswith(".curdoc") for call in module.calls)]
    port = evidence.port or "5006"
    command = ("bokeh", "serve", using[0].file, "--address", EVERYWHERE, "--port", port) if using else ()
    return replace(_file_launch(command, using, port, "a Bokeh application"), notes=(_ORIGIN,)) if using else None


def _shiny(evidence: Evidence, using: list[Module]) -> Launch | None:
    """Shiny Express: the file itself is the page."""
    using = [module for module in using if any("shiny.express" in call for call in module.calls)]
    port = evidence.port or "8000"
    command = ("shiny", "run", "--host", EVERYWHERE, "--port", port, using[0].file) if using else ()
    return _file_launch(command, using, port, "a Shiny application") if using else None


def _robyn(evidence: Evidence, using: list[Module]) -> Launch | None:
    using = [module for module in using if "robyn.Robyn" in module.calls]
    if not using:
        return None
    port = evidence.port or (*using[0].ports, "8080")[0]
    launch = _file_launch(("python", using[0].file), using, port, "a Robyn application")
    return replace(launch, env={"ROBYN_HOST": EVERYWHERE, "ROBYN_PORT": port})


def _bentoml(evidence: Evidence, using: list[Module]) -> Launch | None:
    using = [module for module in using if "bentoml.service" in module.calls]
    port = evidence.port or "3000"
    command = ("bentoml", "serve", using[0].module, "--host", EVERYWHERE, "--port", port) if using else ()
    return _file_launch(command, using, port, "a BentoML service") if using else None


def _file_launch(command: tuple[str, ...], using: list[Module], port: str, what: str) -> Launch:
    others = [module.file for module in using[1:4]]
    also = f"; also seen: {', '.join(others)}" if others else ""
    return Launch(command, ports=(f"{port}/tcp",), needs_source=True, reason=f"{using[0].file} is {what}{also}.")


def launch_aiohttp(_evidence: Evidence, using: list[Module]) -> Launch | None:
    """A file that runs its own server, which is the production one: its application is often a coroutine's, out of other servers' reach."""
    using = [module for module in using if "aiohttp.web.run_app" in module.calls]
    if not using:
        return None
    return launch_file(using[0], (f"{(*using[0].ports, '8080')[0]}/tcp",), f"{using[0].file} runs an aiohttp application.")


def _bottle(evidence: Evidence, using: list[Module]) -> Launch | None:
    """Routes of the default application: Bottle's own program loads them, and hands them to a production server."""
    using = [module for module in using if module.calls & {"bottle.run", "bottle.route", "bottle.get", "bottle.post"}]
    if not using:
        return None
    main = using[0]
    server = next((name for name in ("gunicorn", "waitress") if name in evidence.dependencies), "gunicorn")
    port = evidence.port or "8000"
    inside = main.module.split(".")[0] in evidence.packaged
    return Launch(
        ("python", "-m", "bottle", "--bind", f"{EVERYWHERE}:{port}", "--server", server, main.module),
        ports=(f"{port}/tcp",),
        needs_source=not inside,
        python_path=(main.path,) if main.path and not inside else (),
        extra_requirements=() if server in evidence.dependencies else (server,),
        reason=f"{main.file} has Bottle's routes, served by {server}.",
    )


_ORIGIN = (
    "Browsers that reach it under another address than localhost and its port need BOKEH_ALLOW_WS_ORIGIN=HOST:PORT in its environment."
)

_FileServer = Callable[[Evidence, list[Module]], Launch | None]
_FILE_SERVERS: tuple[tuple[str, str, _FileServer], ...] = (
    ("streamlit", "streamlit", _streamlit),
    ("chainlit", "chainlit", _chainlit),
    ("gradio", "gradio", _gradio),
    ("nicegui", "nicegui", _nicegui),
    ("panel", "panel", _panel),
    ("bokeh", "bokeh", _bokeh),
    ("shiny", "shiny", _shiny),
    ("solara", "solara", _solara),
    ("marimo", "marimo", _marimo),
    ("robyn", "robyn", _robyn),
    ("bentoml", "bentoml", _bentoml),
    ("bottle", "bottle", _bottle),
    ("aiohttp", "aiohttp", launch_aiohttp),
)
