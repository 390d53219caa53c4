"""Run an image under the observer, in any engine."""

import os
from collections.abc import Mapping
from importlib.resources import files

import msgspec

from shipwheel.engine.interface import Engine, Mount, RunSpec
from shipwheel.engine.run_options import slug
from shipwheel.errors import EngineError
from shipwheel.oci.execution import ExecutionConfig
from shipwheel.oci.processes import read_health_path
from shipwheel.oci.reference import Reference
from shipwheel.platform import Platform
from shipwheel.trial.observation import Observation
from shipwheel.trial.source_facts import SourceFacts

__all__ = ["Conditions", "Subject", "observe", "observer_source", "paths_of", "program_of", "split_init", "trial_name"]

_EMULATED = 6
"""How many times longer everything may take under an emulator."""

_TIMEOUT_S = 60.0
_QUIET_S = 10.0
"""Seconds that a program without a port is watched."""

_STARTING = 4
"""How many times longer a program is watched that computes all the time: it may still be loading."""

_MAX_HOSTS = 5

_MARGIN_S = 60.0
"""Seconds beyond the observer's own limits after which the engine is given up."""


class Subject(msgspec.Struct, frozen=True):
    """An image that an engine has: the engine's name for it, its config and platform, and the project's name."""

    image: str
    config: ExecutionConfig
    platform: Platform
    project: str


class Conditions(msgspec.Struct, frozen=True):
    """How the trial runs the image.

    `timeout` is how long it waits for the first socket, `patience` how long from then on for a good answer, in seconds. Without a timeout
    it is a minute, or some seconds for an image that exposes no port. `paths` are asked in order. `writable` gives the container root, and
    a root file system that it can write and that is thrown away.
    """

    timeout: float | None = None
    patience: float = 15.0
    grace: float = 10.0
    paths: tuple[str, ...] = ("/",)
    host: str = "localhost"
    source: SourceFacts = SourceFacts()
    """Names further hosts to ask for, if the server refuses the first."""
    env: Mapping[str, str] = {}
    network: str = "none"
    writable: bool = False
    command: tuple[str, ...] = ()
    """Replaces the image's command, behind its init."""
    times_imports: bool = False
    """Have every interpreter write down its imports, for `Observation.imports`."""
    speaks: bool = False
    """Have every interpreter print the errors that it logs."""


def observe(engine: Engine, subject: Subject, conditions: Conditions) -> Observation:
    """Run the image's command once and return what was seen. Raises EngineError if the engine could not run it."""
    factor = 1 if engine.host().matches(subject.platform) else _EMULATED
    if conditions.timeout is None:
        conditions = msgspec.structs.replace(conditions, timeout=_TIMEOUT_S if subject.config.exposed_ports else _QUIET_S)
    spec = _spec(subject, conditions, factor)
    result = engine.capture(spec, (_starting(conditions) + conditions.patience + conditions.grace) * factor + _MARGIN_S)
    lines = [line for line in result.stdout.splitlines() if line.startswith("{")]
    try:
        return msgspec.json.decode(lines[-1] if lines else "", type=Observation)
    except msgspec.MsgspecError:
        hint = f"Start it by hand to see more: shipwheel run --engine {engine.name} …"
        reason = next((line for line in reversed(result.stderr.splitlines()) if line.strip()), result.reason)
        raise EngineError(f"{engine.name} could not run the check in {subject.image}: {reason[:400]}", hint=hint) from None


def _starting(conditions: Conditions) -> float:
    """Return the seconds after which a program that listens nowhere is no longer watched although it still computes."""
    return (conditions.timeout or 0) * _STARTING


def _spec(subject: Subject, conditions: Conditions, factor: int) -> RunSpec:
    config = subject.config
    volumes = config.volumes
    init, command = split_init((*config.entrypoint, *config.cmd))
    command = conditions.command or command
    if not command:
        raise EngineError(f"{subject.image} has no command to try", hint="Build it with the setting `command`.")
    options = {
        "command": command,
        "ports": [port.number for port in config.exposed_ports],
        "paths": paths_of(conditions, config),
        # With a network, what they do is done in services that last.
        "declared": conditions.source.pages if conditions.network == "none" else (),
        "hosts": tuple(dict.fromkeys((conditions.host, *conditions.source.host_names[:_MAX_HOSTS]))),
        "timeout": (conditions.timeout or 0) * factor,
        "starting": _starting(conditions) * factor,
        "patience": conditions.patience * factor,
        "grace": conditions.grace * factor,
        "signal": config.stop_signal,
        "look_in": ["/"] if conditions.writable else volumes,
        "skip": ["/tmp"],  # noqa: S108 - in the container
        "clock": _sitecustomize(conditions),
        "scratch": "/tmp",  # noqa: S108 - in the container
    }
    arguments = ("-I", "-S", "-c", observer_source(), msgspec.json.encode(options).decode())
    return RunSpec(
        image=subject.image,
        config=config,
        platform=subject.platform,
        name=f"{slug(subject.project)}-check-{os.urandom(3).hex()}",
        entrypoint=(*init, "python", *arguments),
        mounts=tuple(Mount("", path) for path in volumes),
        env=conditions.env,
        user="0:0" if conditions.writable else None,
        read_only=not conditions.writable,
        network=conditions.network,
        no_privileges=True,
    )


def paths_of(conditions: Conditions, config: ExecutionConfig) -> tuple[str, ...]:
    """Return the paths to ask for, in order: the first of the conditions, the one that the image says it is well at, the others."""
    health = [path] if (path := read_health_path(config.labels)) else []
    return tuple(dict.fromkeys((*conditions.paths[:1], *health, *conditions.paths[1:])))


def observer_source() -> str:
    """Return the program that watches from inside the container."""
    return program_of("pages", "import_log", "observer")


def _sitecustomize(conditions: Conditions) -> str:
    """Return the program that runs first in each interpreter; empty for none."""
    if conditions.times_imports:
        return program_of("aside", "import_clock")
    return program_of("aside", "spoken_errors") if conditions.speaks else ""


def program_of(*names: str) -> str:
    """Return a program for inside the container in one text: modules of `runtime` cannot import each other there."""
    texts = (files("shipwheel.runtime").joinpath(f"{name}.py").read_text(encoding="utf-8") for name in names)
    lines = (line for text in texts for line in text.splitlines() if not line.startswith(("from __future__", "from shipwheel.")))
    return "from __future__ import annotations\n" + "\n".join(lines) + "\n"


def trial_name(project: str) -> Reference:
    """Return the name under which an engine gets a project's image for a trial: the project's own name keeps what it has."""
    return Reference(slug(project), tag="check")


def split_init(command: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the words of the init and those of the command that it starts."""
    if len(command) > 2 and command[0].rpartition("/")[2] in ("tini", "tini-static") and "--" in command:
        cut = command.index("--") + 1
        return command[:cut], command[cut:]
    return (), command
