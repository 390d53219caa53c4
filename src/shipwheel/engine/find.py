"""Find the engine to use: the one that the user names, or the first that works."""

from collections.abc import Callable
from importlib import import_module

from shipwheel.engine.interface import ENGINES, Engine
from shipwheel.errors import EngineError, NotInstalled, UsageError
from shipwheel.events import Reporter, Warned

__all__ = ["find"]

_CLASSES = {
    "docker": ("docker", "Docker"),
    "podman": ("podman", "Podman"),
    "nerdctl": ("nerdctl", "Nerdctl"),
    "containerd": ("ctr", "Ctr"),
    "bwrap": ("bwrap", "Bwrap"),
}
"""Name -> (module, class). A module is imported when its engine is needed."""

_ALIASES = {"ctr": "containerd", "bubblewrap": "bwrap"}


def find(name: str | None, reporter: Reporter, *, bwrap: bool = False) -> Engine:
    """Return the engine of that name, or for None the first of docker, podman, nerdctl and containerd that works, with `bwrap` also that.

    Warns of engines that are installed but do not work. Raises EngineError that explains each failure if none works, UsageError for an
    unknown name.
    """
    if name is not None:
        return _connect(name)
    failures: list[tuple[str, EngineError]] = []
    for candidate in ENGINES if bwrap else ENGINES[:-1]:
        try:
            engine = _connect(candidate)
        except EngineError as error:
            failures.append((candidate, error))
            continue
        for failed, failure in failures:
            if not isinstance(failure, NotInstalled):
                hint = f"{failure.hint} Or name an engine: {failed}, {engine.name}."
                reporter(Warned(f"using {engine.name}, since {failure.message}", hint))
        return engine
    reasons = "\n".join(f"  {failure.message}\n    {failure.hint}" for _, failure in failures)
    hint = "Do one of these." if bwrap else "Do one of these. On Linux, --engine bwrap runs an image without an engine."
    raise EngineError(f"no container engine works:\n{reasons}", hint=hint)


def _connect(name: str) -> Engine:
    name = _ALIASES.get(name, name)
    if name not in _CLASSES:
        raise UsageError(f"unknown engine {name!r}", hint=f"Known engines: {', '.join(ENGINES)}.")
    module, kind = _CLASSES[name]
    connect: Callable[[], Engine] = getattr(import_module(f"shipwheel.engine.{module}"), kind).connect
    return connect()
