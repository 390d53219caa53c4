"""What is known of a project when its command is looked for, and the command that was found."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from shipwheel.project.entrypoint.applications import AppObject
from shipwheel.project.entrypoint.scan import Module
from shipwheel.project.entrypoint.servers import EVERYWHERE, Served
from shipwheel.settings import Settings

__all__ = ["INITIAL", "Evidence", "Launch", "launch_file", "launch_served"]

INITIAL = ".initial"
"""Behind the name of a file of the app whose place a link has."""

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

    def has(self, *names: str) -> bool:
        """Whether one of these distributions is among the dependencies."""
        return any(name in self.dependencies for name in names)

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
    notes: tuple[str, ...] = ()
    """What the user should know of it, a sentence each."""
    volumes: tuple[str, ...] = ()
    """Paths that the command writes to, for settings that name none."""
    before_start: tuple[tuple[str, ...], ...] = ()
    """One-time steps that the command needs, for settings that name none."""
    every_start: tuple[tuple[str, ...], ...] = ()
    """Those of `before_start` that each start repeats: a new image brings more for them to do."""
    include: tuple[str, ...] = ()
    """Patterns of files that the command needs even where .gitignore leaves them out."""
    beside: tuple[str, ...] = ()
    """Paths of the project's directory that a package needs, and that its wheel has not, or where nothing can be written."""
    links: tuple[tuple[str, str], ...] = ()
    """(path below the working directory, path on a volume) of files that the app writes beside its code."""


def launch_served(evidence: Evidence, app: AppObject, served: Served, reason: str) -> Launch:
    """A server with an application object."""
    inside = app.module.split(".")[0] in evidence.packaged
    return Launch(
        served.command(app.module, app.variable, app.factory),
        ports=(f"{served.port}/tcp",),
        needs_source=not inside,
        python_path=(app.path,) if app.path and not inside else (),
        extra_requirements=served.extra,
        reason=reason,
    )


def launch_file(module: Module, ports: Iterable[str], reason: str) -> Launch:
    """A script run as it is; on the ports that it names when none are given."""
    ports = tuple(ports) or tuple(f"{port}/tcp" for port in module.ports[:1])
    program = (module.takes_arguments or bool(module.imports & _PROGRAM_IMPORTS)) and not ports
    note = f"{module.file} starts a server for 127.0.0.1 alone, which nobody outside the container reaches: let it listen on {EVERYWHERE}."
    notes = (note,) if module.local else ()
    return Launch(("python", module.file), program, ports=ports, needs_source=True, reason=reason, notes=notes)
