"""Programs that take jobs from a queue, run a schedule or crawl: found after everything that listens on a port.

To add a queue with an application object, add its class to `frameworks` and its command to `_COMMANDS`.
"""

from msgspec.structs import replace

from shipwheel.project.entrypoint.applications import Application
from shipwheel.project.entrypoint.evidence import Evidence
from shipwheel.project.entrypoint.frameworks import FrameworkKind
from shipwheel.project.entrypoint.launch import Launch, launch_file, launch_module
from shipwheel.project.entrypoint.reached import modules_by_name, reached_modules
from shipwheel.project.entrypoint.scan import Scan
from shipwheel.project.entrypoint.scripts import USUAL_FILES
from shipwheel.project.entrypoint.servers import DEFAULT_PORT

__all__ = ["find_worker"]

_DATA = "/data"
_COMMANDS = {
    "celery": ("Celery", ("celery", "-A", "{module}:{variable}", "worker", "--loglevel", "INFO")),
    "faust-streaming": ("Faust", ("faust", "--datadir", _DATA, "-A", "{module}:{variable}", "worker", "--loglevel", "INFO")),
    "faststream": ("FastStream", ("faststream", "run", "{module}:{variable}")),
    # Its console script does not find modules in the working directory.
    "huey": ("Huey", ("python", "-m", "huey.bin.huey_consumer", "{module}.{variable}")),
}
"""Python package -> (name for users, command of its worker)."""
_RUN_THEMSELVES = (
    "temporalio.worker.Worker",
    "rq.Worker",
    "rq.worker.Worker",
    "apscheduler.schedulers.blocking.BlockingScheduler",
    "nameko.runners.ServiceRunner",
    "kafka.KafkaConsumer",
    "confluent_kafka.Consumer",
    "pika.BlockingConnection",
)
"""Calls of a script that is a worker itself."""


def find_worker(evidence: Evidence, scan: Scan) -> Launch | None:
    """Return the worker of a queue's library, or else Scrapy's spider, or a script that is a worker itself."""
    finders = (_application, _arq, _dramatiq, _nameko, _scrapy, _script)
    return next((found for find in finders if (found := find(evidence, scan)) is not None), None)


def _application(evidence: Evidence, scan: Scan) -> Launch | None:
    every = (app for module in scan.modules for app in module.applications)
    apps = sorted((app for app in every if app.framework.kind is FrameworkKind.WORKER and not app.is_factory), key=lambda app: app.rank)
    app = next((app for app in apps if evidence.has(app.framework.distribution)), None)
    if app is None:
        return None
    label, command = _COMMANDS[app.framework.distribution]
    reason = f"{app.module.file} defines the {label} application {app.variable}."
    launch = launch_module(evidence, app.module, _filled(command, _with_tasks(app, scan)), reason)
    return replace(launch, volumes=(_DATA,)) if _DATA in command else launch


def _with_tasks(app: Application, scan: Scan) -> Application:
    """Return Huey's application under the name of the module that imports all tasks: its consumer knows those that are imported."""
    if app.framework.distribution != "huey":
        return app
    by_name = modules_by_name(scan.modules)
    origin = f"{app.module.name}.{app.variable}"
    users = {module.name: name for module in scan.modules for name, source in module.imported if source == origin}

    def reach(name: str) -> tuple[int, bool]:
        return len(users.keys() & {module.name for module in reached_modules(name, by_name)}), name == app.module.name

    best = max((app.module.name, *users), key=reach)
    return replace(app, module=by_name[best], variable=users.get(best, app.variable))


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


def _nameko(evidence: Evidence, scan: Scan) -> Launch | None:
    modules = [module for module in scan.modules if any(_is_nameko_entrypoint(call) for call in module.calls)]
    if not modules or not evidence.has("nameko"):
        return None
    config = next((name for name in ("config.yml", "config.yaml") if evidence.has_file(name)), "")
    command = ("nameko", "run", *(("--config", config) if config else ()), *(module.name for module in modules))
    launch = launch_module(evidence, modules[0], command, f"{modules[0].file} defines Nameko services.")
    serves = any("nameko.web.handlers.http" in module.calls for module in modules)
    port = evidence.port or DEFAULT_PORT
    return replace(launch, needs_source=launch.needs_source or bool(config), ports=(f"{port}/tcp",) if serves else ())


def _is_nameko_entrypoint(call: str) -> bool:
    return call.startswith("nameko.") and call.rpartition(".")[2] in ("rpc", "http", "event_handler", "timer", "consume")


def _script(evidence: Evidence, scan: Scan) -> Launch | None:
    """Return the only script, or the only one of such a name, that is a worker by what it calls; none beside one with a usual name."""
    found = [module for module in scan.modules if module.is_script and not module.calls.isdisjoint(_RUN_THEMSELVES)]
    named = [module for module in found if "worker" in module.name.rpartition(".")[2]]
    chosen = found if len(found) == 1 else named
    if any(module.is_script and module.file in USUAL_FILES and module not in found for module in scan.modules):
        return None
    return launch_file(evidence, chosen[0], (), f"{chosen[0].file} is a worker.") if len(chosen) == 1 else None


def _scrapy(evidence: Evidence, scan: Scan) -> Launch | None:
    if not evidence.has("scrapy") or not evidence.has_file("scrapy.cfg"):
        return None
    spider_modules = (module for module in scan.modules if "spiders" in module.name.split("."))
    spiders = sorted({value for module in spider_modules for name, value in module.strings if name == "name"})
    arguments = ("crawl", spiders[0]) if len(spiders) == 1 else ("list",)
    several = f" with the spiders {', '.join(spiders)}: start one with `crawl NAME`" if len(spiders) > 1 else ""
    return Launch(("scrapy",), True, arguments, needs_source=True, reason=f"scrapy.cfg describes a Scrapy project{several}.")
