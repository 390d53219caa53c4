"""Programs that take jobs from a queue, run a schedule or crawl: found after everything that listens on a port."""

from dataclasses import replace

from shipwheel.project.entrypoint.launch import Evidence, Launch, launch_served
from shipwheel.project.entrypoint.scan import Module
from shipwheel.project.entrypoint.servers import Served

__all__ = ["launch_worker"]

_OBJECTS = {
    "celery": ("-A", "{target}", "worker", "--loglevel", "INFO"),
    "faust-streaming": ("-A", "{target}", "worker", "--loglevel", "INFO"),
    "faststream": ("run", "{target}"),
    "huey": ("{target}",),
}
_PROGRAMS = {"faust-streaming": "faust", "huey": "huey_consumer"}


def launch_worker(evidence: Evidence, modules: tuple[Module, ...]) -> Launch | None:
    """The worker of a queue: Celery, Faust, FastStream, Huey, arq, Dramatiq; else Scrapy's spider."""
    return _of_object(evidence, modules) or _arq(evidence, modules) or _dramatiq(evidence, modules) or _scrapy(evidence, modules)


def _of_object(evidence: Evidence, modules: tuple[Module, ...]) -> Launch | None:
    objects = sorted(
        (app for module in modules for app in module.objects if app.framework.kind == "worker" and not app.factory),
        key=lambda app: app.rank,
    )
    app = next((app for app in objects if evidence.has(app.framework.distribution)), None)
    if app is None:
        return None
    name = app.framework.distribution
    program = _PROGRAMS.get(name, name)
    # Huey names an object as an attribute of its module.
    words = tuple(word.replace("{target}", f"{app.module}.{app.variable}") for word in _OBJECTS[name]) if name == "huey" else _OBJECTS[name]
    reason = f"{app.file} has a {program.split('_')[0].capitalize()} application ({app.variable})."
    return replace(launch_served(evidence, app, Served(program, "", words), reason), ports=())


def _arq(evidence: Evidence, modules: tuple[Module, ...]) -> Launch | None:
    if not evidence.has("arq"):
        return None
    module = next((module for module in modules if "WorkerSettings" in module.classes), None)
    return None if module is None else _of_module(evidence, module, ("arq", f"{module.module}.WorkerSettings"), "arq's WorkerSettings")


def _dramatiq(evidence: Evidence, modules: tuple[Module, ...]) -> Launch | None:
    acting = [module for module in modules if "dramatiq.actor" in module.calls]
    if not acting or not evidence.has("dramatiq"):
        return None
    return _of_module(evidence, acting[0], ("dramatiq", *(module.module for module in acting)), "Dramatiq's actors")


def _of_module(evidence: Evidence, module: Module, command: tuple[str, ...], what: str) -> Launch:
    inside = module.module.split(".")[0] in evidence.packaged
    path = (module.path,) if module.path and not inside else ()
    return Launch(command, needs_source=not inside, python_path=path, reason=f"{module.file} has {what}.")


def _scrapy(evidence: Evidence, modules: tuple[Module, ...]) -> Launch | None:
    if not evidence.has("scrapy") or not (evidence.root / "scrapy.cfg").is_file():
        return None
    spiders = sorted(
        {value for module in modules if "spiders" in module.module.split(".") for name, value in module.strings if name == "name"}
    )
    arguments = ("crawl", spiders[0]) if len(spiders) == 1 else ("list",)
    more = f" with the spiders {', '.join(spiders)}: crawl one of them" if len(spiders) > 1 else ""
    return Launch(("scrapy",), True, arguments, needs_source=True, reason=f"scrapy.cfg is Scrapy's{more}.")
