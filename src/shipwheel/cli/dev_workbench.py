"""The image and the containers that `shipwheel dev` asks for."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from shipwheel.cli.options import request_from
from shipwheel.cli.terminal import Terminal

if TYPE_CHECKING:
    from shipwheel.dev.container import DevProcess
    from shipwheel.dev.developer import Developer
    from shipwheel.engine.interface import Engine, Mount, Port, RunSpec
    from shipwheel.oci.execution import ExecutionConfig
    from shipwheel.platform import Platform
    from shipwheel.project.project import Project
    from shipwheel.request import Request

__all__ = ["EDITOR_TAG", "DevImage", "Workbench"]

EDITOR_TAG = "devcontainer"
"""The tag of the image that an editor uses."""

_HOST_NAME = "--add-host=host.docker.internal:host-gateway"
"""On Linux, only this gives this machine the name that Docker Desktop gives it."""


class DevImage(msgspec.Struct, frozen=True):
    """An image for development that the engine has: its name there, its digest, and the project that it was built from."""

    name: str
    digest: str
    config: "ExecutionConfig"
    platform: "Platform"
    project: "Project"


class Workbench(msgspec.Struct, frozen=True):
    """A build of the image and its containers, as the command line asks for them."""

    path: Path
    engine: "Engine"
    developer: "Developer"
    names: tuple[str, ...]
    ports: "tuple[Port, ...]"
    mounts: "tuple[Mount, ...]"
    env: dict[str, str]
    network: str
    debug_port: "Port | None"
    """The port that debugpy listens on, and that of this machine that leads there."""
    build_flags: dict[str, Any]
    terminal: Terminal
    for_editor: bool = False
    """Add what an editor needs inside the container."""

    def build(self) -> DevImage:
        """Build the image for this engine, and load it. Raises any ShipwheelError."""
        from shipwheel.cli.loading import build_and_load, check_runnable_by
        from shipwheel.engine.run_options import slug
        from shipwheel.oci.reference import Reference

        platform = self.engine.host()
        check_runnable_by(self.engine, platform)
        request, tag = self._request(platform), EDITOR_TAG if self.for_editor else "dev"
        built, name = build_and_load(request, self.engine, lambda project: Reference(slug(project), tag=tag))
        inputs = built.resolution.project.inputs
        for lock in (inputs.lock_path, inputs.main_lock):
            if lock is not None and lock.exists():
                self.developer.give(lock)
        first = built.index.images[0]
        return DevImage(name, first.digest, first.execution, first.platform, built.resolution.project)

    def _make_directories(self, paths: Iterable[Path]) -> None:
        """Make the directories that are missing: engines would, as root."""
        for path in paths:
            missing = [each for each in (path, *path.parents) if not each.exists()]
            for each in reversed(missing):
                each.mkdir(exist_ok=True)
                self.developer.give(each)

    def _request(self, platform: "Platform") -> "Request":
        from shipwheel.dev.variant import development, for_editor
        from shipwheel.project.read import read_project

        request = request_from(self.path, {**self.build_flags, "platforms": (str(platform),)}, self.terminal.report)
        project = read_project(request.path, request.settings, launch=False, files=request.files())
        settings = development(project, debugger=self.debug_port is not None)
        if self.for_editor:
            settings = for_editor(settings)
        if settings.lock is not None and not project.inputs.lock_path.exists():
            # What production runs decides; the variant follows.
            from shipwheel.locking.preferences import Upgrade
            from shipwheel.pipeline.lock_project import update_lock

            update_lock(request, Upgrade())
        return replace(request, settings=settings)

    def processes(self, image: DevImage) -> "tuple[DevProcess, ...]":
        """Return the chosen processes. Raise UsageError for a name that the project does not have."""
        from shipwheel.dev.container import processes

        return processes(image.project, image.config, self.names)

    def server(self, image: DevImage, process: "DevProcess") -> "RunSpec":
        """Return the container of a process, which starts again on SIGURG unless it reloads by itself."""
        from shipwheel.dev.container import debugged, under_reloader

        serves, debugger = self._serves(process), self.debugger(process)
        if debugger is not None:
            process = replace(process, command=debugged(process.command, debugger.container))
        words = (*process.before, *process.command) if process.reloads else under_reloader(process, image.config.stop_signal)
        return self._spec(image, process, words, self._ports(image.config) if serves else ())

    def debugger(self, process: "DevProcess") -> "Port | None":
        """Return the port on which an editor finds the debugger of a process, None if it has none."""
        if self.debug_port is None or not self._serves(process):
            return None
        return self.debug_port if self._publishes else replace(self.debug_port, host=self.debug_port.container)

    def _serves(self, process: "DevProcess") -> bool:
        return process.name == "web" and self.network != "none"

    @property
    def _publishes(self) -> bool:
        return self.engine.publishes and self.network != "host"

    def _ports(self, config: "ExecutionConfig") -> "tuple[Port, ...]":
        from shipwheel.engine.run_options import add_image_ports, check_host_ports

        if not self._publishes:
            return check_host_ports(config.exposed_ports, self.ports, self.engine.name, self.terminal.report)
        debug = (self.debug_port,) if self.debug_port is not None else ()
        return (*add_image_ports(config.exposed_ports, self.ports, self.terminal.report), *debug)

    def one_off(self, image: DevImage, words: tuple[str, ...]) -> "RunSpec":
        """Return the container of a command that runs once, in front of the person."""
        process = replace(self.processes(image)[0], command=words)
        is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
        spec = self._spec(image, process, (*process.before, *words), ())
        return _replaced(spec, interactive=is_terminal or self.engine.takes_pipes, tty=is_terminal)

    def _spec(self, image: DevImage, process: "DevProcess", words: tuple[str, ...], ports: "tuple[Port, ...]") -> "RunSpec":
        from shipwheel.dev.container import environment as variables
        from shipwheel.dev.container import import_roots, source_mounts
        from shipwheel.engine.interface import RunSpec
        from shipwheel.engine.run_options import slug
        from shipwheel.store.store import default_root

        project, config, engine = image.project, image.config, self.engine
        name = f"{slug(project.name)}-dev"
        user, options = engine.as_caller(self.developer.user)
        known = {mount.target for mount in self.mounts}
        volumes = [path for path in config.volumes if path not in known]
        mounts = [mount for mount in source_mounts(project, name, volumes) if mount.target not in known]
        self._make_directories(Path(mount.source) for mount in mounts if mount.is_path)
        return RunSpec(
            image=image.name,
            config=config,
            platform=image.platform,
            name=f"{name}-{process.name}-{os.urandom(3).hex()}",
            entrypoint=words,
            ports=ports,
            mounts=(*mounts, *self.mounts, *self.developer.mounts(default_root() / "dev")),
            env=variables(project, config, process, import_roots(project), self.env),
            user=user,
            network=self.network,
            engine_options=(*options, *((_HOST_NAME,) if engine.networks and not self.network else ())),
        )


def _replaced(spec: "RunSpec", **fields: Any) -> "RunSpec":

    return replace(spec, **fields)
