"""The container of a process in development: the image with the project's directory mounted over its copy. Pure."""

import json
import os
from collections.abc import Mapping, Sequence
from importlib.resources import files

import msgspec

from shipwheel.container.path import ContainerPath
from shipwheel.container.venv import VENV
from shipwheel.engine.interface import Mount
from shipwheel.errors import UsageError
from shipwheel.oci.execution import ExecutionConfig
from shipwheel.project.project import Project

__all__ = ["DevProcess", "debugged", "environment", "import_roots", "processes", "source_mounts", "under_reloader"]

_OWN_RELOAD = {"streamlit": {"STREAMLIT_SERVER_RUN_ON_SAVE": "true", "STREAMLIT_SERVER_FILE_WATCHER_TYPE": "auto"}}
"""Programs that load saved files themselves -> the variables that let them."""

_RELOAD_GRACE_S = 3.0


class DevProcess(msgspec.Struct, frozen=True):
    """A process of the project: its name and its command, behind the image's init and launcher."""

    name: str
    before: tuple[str, ...]
    """The init and the launcher."""
    command: tuple[str, ...]

    @property
    def reloads(self) -> bool:
        """True if the program loads saved files itself."""
        return self.command[0] in _OWN_RELOAD


def processes(project: Project, config: ExecutionConfig, names: Sequence[str]) -> tuple[DevProcess, ...]:
    """Return the processes with these names; the image's own for none. Raise UsageError for an unknown name."""
    launch = project.launch
    assert launch is not None  # noqa: S101 - the project was built
    own = (*launch.command, *launch.arguments)
    words = (*config.entrypoint, *config.cmd)
    before = words[: len(words) - len(own)]
    known = {"web": own, **dict(launch.processes)} if launch.processes else {"web": own}
    for name in names:
        if name not in known:
            raise UsageError(
                f"{project.name} has no process {name!r}", hint=f"It has {', '.join(known)}. The setting `processes` adds one."
            )
    return tuple(DevProcess(name, before, known[name]) for name in dict.fromkeys(names or ("web",)))


def under_reloader(process: DevProcess, stop_signal: str) -> tuple[str, ...]:
    """Return the words of a container whose process starts again on SIGURG."""
    source = files("shipwheel.runtime").joinpath("reloader.py").read_text(encoding="utf-8")
    options = json.dumps({"command": process.command, "grace": _RELOAD_GRACE_S, "stop": stop_signal})
    return (*process.before, "python", "-I", "-S", "-c", source, options)


def debugged(command: Sequence[str], port: int) -> tuple[str, ...]:
    """Return the command under debugpy, which listens for an editor on a port of the container."""
    program, *rest = command
    # Breakpoints in frozen modules of the standard library would be missed, with a warning at each start.
    listen = ("python", "-Xfrozen_modules=off", "-m", "debugpy", "--listen", f"0.0.0.0:{port}")
    if program in ("python", "python3"):
        return (*listen, *rest)
    return (*listen, program if program.startswith("/") else f"/{VENV}/bin/{program}", *rest)


def import_roots(project: Project) -> tuple[str, ...]:
    """Return the directories of the project that hold the modules of its wheel, relative to it: `.` or `src`, as a rule."""
    if project.kind != "package":
        return ()
    folders = [".", "src", "lib", *sorted(entry.name for entry in os.scandir(project.root) if entry.is_dir() and entry.name[0] != ".")]
    found: dict[str, None] = {}
    for name in sorted(project.packaged):
        for folder in folders:
            base = project.root / folder / name
            if base.is_dir() or base.with_suffix(".py").is_file():
                found[folder] = None
                break
    return tuple(found)


def environment(
    project: Project, config: ExecutionConfig, process: DevProcess, roots: Sequence[str], given: Mapping[str, str]
) -> dict[str, str]:
    """Return the variables that differ from the image's: the project's modules come from the mounted directory."""
    workdir = project.settings.workdir.rstrip("/")
    paths = [f"{workdir}/{root}" if root != "." else workdir or "/" for root in roots]
    path = ":".join([*paths, *filter(None, [config.environment.get("PYTHONPATH", "")])])
    return {
        # Bytecode goes to memory: nothing appears beside the source.
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": "/tmp/pycache",  # noqa: S108 - in the container
        **({"PYTHONPATH": path} if path else {}),
        **_OWN_RELOAD.get(process.command[0], {}),
        **given,
    }


def source_mounts(project: Project, name: str, image_volumes: Sequence[ContainerPath]) -> tuple[Mount, ...]:
    """Return the mounts of the project's directory and of the volumes.

    A volume inside the directory is the directory's own: engines would make its mount point there, as root. Raise UsageError if a link
    leads out of it: the container would see another place of this machine.
    """
    workdir = ContainerPath(project.settings.workdir)
    root = project.root.resolve()
    inside = {path: root / path.removeprefix(f"{workdir}/") for path in image_volumes if path.startswith(f"{workdir}/")}
    for path, place in inside.items():
        if not place.resolve().is_relative_to(root):
            hint = f"Remove the link, or mount what it leads to: -v {place.resolve()}:{path}."
            raise UsageError(f"{place} leads out of the project, so it cannot be the volume {path}", hint=hint)
    return (
        Mount(str(root), workdir),
        *(Mount(str(place), path) for path, place in inside.items()),
        *(Mount(f"{name}{path.replace('/', '-')}", path) for path in image_volumes if path not in inside),
    )
