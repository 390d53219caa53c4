"""Which engine is used: the one that was named, or the first that answers."""

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
"""Name -> (module, class). A module is imported when its engine is asked for."""

_ALIASES = {"ctr": "containerd", "bubblewrap": "bwrap"}


def find(name: str | None, reporter: Reporter) -> Engine:
    """The engine of that name, or, without one, the first of docker, podman, nerdctl and containerd that answers.

    Those that are installed and were passed over are warned of, with why. Raises EngineError, with the reason and a next step for each, if
    there is none; UsageError for a name that is none.
    """
    if name is not None:
        return _connect(name)
    passed_over: list[tuple[str, EngineError]] = []
    for known in ENGINES[:-1]:
        try:
            engine = _connect(known)
        except EngineError as error:
            passed_over.append((known, error))
            continue
        for other, why in passed_over:
            if not isinstance(why, NotInstalled):
                reporter(Warned(f"{engine.name} is used, since {why.message}", f"{why.hint} Or name the engine: {other}, {engine.name}."))
        return engine
    reasons = "\n".join(f"  {error.message}\n    {error.hint}" for _, error in passed_over)
    raise EngineError(
        f"no container engine can be used:\n{reasons}", hint="Do one of these. On Linux, --engine bwrap runs an image without an engine."
    )


def _connect(name: str) -> Engine:
    known = _ALIASES.get(name, name)
    if known not in _CLASSES:
        raise UsageError(f"there is no engine {name!r}", hint=f"Engines that are known: {', '.join(ENGINES)}.")
    module, kind = _CLASSES[known]
    connect: Callable[[], Engine] = getattr(import_module(f"shipwheel.engine.{module}"), kind).connect
    return connect()
