"""Turn a Python project into container images for linux/amd64 and linux/arm64: no Dockerfile, no daemon, no emulation.

    from shipwheel import build, make_request

    delivered = build(make_request("examples/fastapi", tag="hello:1"))
    print(delivered.path, delivered.built.index.digest)

A `Request` says what to build: a project, its `Settings`, a `Store` that caches what was
downloaded and made, and a `Reporter` that takes events. `make_request` fills it in as the
command line does. Then:

    plan(request)      what would be built, and why       -> BuildPlan
    lock(request)      pylock.toml, for all platforms     -> Locked
    build(request)     images on disk or in a registry    -> Delivered
    push(layout, ref)  a layout into a registry           -> "NAME@DIGEST"
    copy(ref, ref)     an image to another repository     -> "NAME@DIGEST"
    validate(path)     every digest of a layout, anew     -> Report

Nothing here prints. Every error a user can cause is a `ShipwheelError` with a message, a
hint and an exit code; `shipwheel.errors` has the kinds. Names are imported when they are
first used, so `import shipwheel` stays cheap. Before version 1.0 they may change.
"""

TYPE_CHECKING = False  # type checkers take it for true by its name; importing typing would double the cost of this module
if TYPE_CHECKING:
    from shipwheel.api import build, copy, lock, make_request, plan, push
    from shipwheel.errors import ShipwheelError
    from shipwheel.events import Event, Moved, Reporter, StageFinished, StageStarted, Warned
    from shipwheel.oci.validate.check import ImageReport, Report, validate
    from shipwheel.pipeline.deliver import Delivered
    from shipwheel.pipeline.lock_project import Locked
    from shipwheel.pipeline.plan import BuildPlan, PlatformPlan
    from shipwheel.platform import Platform
    from shipwheel.request import LockMode, Request
    from shipwheel.settings.settings import Settings, load_settings
    from shipwheel.store.store import Store, default_root

__all__ = [
    "BuildPlan",
    "Delivered",
    "Event",
    "ImageReport",
    "LockMode",
    "Locked",
    "Moved",
    "Platform",
    "PlatformPlan",
    "Report",
    "Reporter",
    "Request",
    "Settings",
    "ShipwheelError",
    "StageFinished",
    "StageStarted",
    "Store",
    "Warned",
    "__version__",
    "build",
    "copy",
    "default_root",
    "load_settings",
    "lock",
    "make_request",
    "plan",
    "push",
    "validate",
]

__version__ = "0.1.0"

_MODULES = {
    "api": ("build", "copy", "lock", "make_request", "plan", "push"),
    "errors": ("ShipwheelError",),
    "events": ("Event", "Moved", "Reporter", "StageFinished", "StageStarted", "Warned"),
    "oci.validate.check": ("ImageReport", "Report", "validate"),
    "pipeline.deliver": ("Delivered",),
    "pipeline.lock_project": ("Locked",),
    "pipeline.plan": ("BuildPlan", "PlatformPlan"),
    "platform": ("Platform",),
    "request": ("LockMode", "Request"),
    "settings.settings": ("Settings", "load_settings"),
    "store.store": ("Store", "default_root"),
}
"""Module -> the public names that it defines; the same as the imports above."""

if not TYPE_CHECKING:

    def __getattr__(name):
        from importlib import import_module

        for module, names in _MODULES.items():
            if name in names:
                return getattr(import_module(f"shipwheel.{module}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
