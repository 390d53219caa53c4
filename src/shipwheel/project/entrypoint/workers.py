"""Programs that take jobs from a queue, run a schedule or crawl: found after everything that listens on a port.

To add a queue with an application object, add its class to `frameworks` and its command to `_COMMANDS`.
"""

from shipwheel.project.entrypoint.applications import Application
from shipwheel.project.entrypoint.evidence import Evidence
from shipwheel.project.entrypoint.frameworks import FrameworkKind
from shipwheel.project.entrypoint.launch import Launch, launch_module
from shipwheel.project.entrypoint.scan import Scan

__all__ = ["find_worker"]

_COMMANDS = {
    "celery": ("Celery", ("celery", "-A", "{module}:{variable}", "worker", "--loglevel", "INFO")),
    "faust-streaming": ("Faust", ("faust", "-A", "{module}:{variable}", "worker", "--loglevel", "INFO")),
    "faststream": ("FastStream", ("faststream", "run", "{module}:{variable}")),
    "huey": ("Huey", ("huey_consumer", "{module}.{variable}")),
}
"""Python package -> (name for users, command of its worker)."""


def find_worker(evidence: Evidence, scan: Scan) -> Launch | None:
    """Return the worker of Celery, Faust, FastStream, Huey, arq or Dramatiq, or else Scrapy's spider."""
    return _application(evidence, scan) or _arq(evidence, scan) or _dramatiq(evidence, scan) or _scrapy(evidence, scan)


def _application(evidence: Evidence, scan: Scan) -> Launch | None:
    every = (app for module in scan.modules for app in module.applications)
    apps = sorted((app for app in every if app.framework.kind is FrameworkKind.WORKER and not app.is_factory), key=lambda app: app.rank)
    app = next((app for app in apps if evidence.has(app.framework.distribution)), None)
    if app is None:
        return None
    label, command = _COMMANDS[app.framework.distribution]
    reason = f"{app.module.file} defines the {label} application {app.variable}."
    return launch_module(evidence, app.module, _filled(command, app), reason)


def _filled(command: tuple[str, ...], app: Application) -> tuple[str, ...]:
    return tuple(word.replace("{module}", app.module.name).replace("{variable}", app.variable) for word in command)


def _arq(evidence: Evidence, scan: Scan) -> Launch | None:
    module = next((module for module in scan.modules if "WorkerSettings" in module.classes), None)
    if module is None or not evidence.has("arq"):
        return None
    return launch_module(evidence, module, ("arq", f"{module.name}.WorkerSettings"), f"{module.file} defines arq's WorkerSettings.")


def _dramatiq(evidence: Evidence, scan: Scan) -> Launch | None:
    modules = [module for module in scan.modules if "dramatiq.actor" in module.calls]
    if not modules or not evidence.has("dramatiq"):
        return None
    command = ("dramatiq", *(module.name for module in modules))
    return launch_module(evidence, modules[0], command, f"{modules[0].file} defines Dramatiq actors.")


def _scrapy(evidence: Evidence, scan: Scan) -> Launch | None:
    if not evidence.has("scrapy") or not evidence.has_file("scrapy.cfg"):
        return None
    spider_modules = (module for module in scan.modules if "spiders" in module.name.split("."))
    spiders = sorted({value for module in spider_modules for name, value in module.strings if name == "name"})
    arguments = ("crawl", spiders[0]) if len(spiders) == 1 else ("list",)
    several = f" with the spiders {', '.join(spiders)}: start one with `crawl NAME`" if len(spiders) > 1 else ""
    return Launch(("scrapy",), True, arguments, needs_source=True, reason=f"scrapy.cfg describes a Scrapy project{several}.")
