"""The plan of a build, with the reason for each choice: a value computed from the resolution, without any I/O."""

from collections.abc import Mapping
from typing import Any, cast

import msgspec
from msgspec.structs import replace

from shipwheel.base.model import Base
from shipwheel.locking.accelerator import accelerator_note
from shipwheel.locking.project_day import old_packages_note
from shipwheel.locking.selection import LeftOut, LockedDistribution
from shipwheel.pipeline.container import container_user
from shipwheel.pipeline.preview import PlannedLayer, Preview
from shipwheel.pipeline.resolve import Resolution, Resolved
from shipwheel.project.deployment.secrets import masked_values
from shipwheel.settings.build import AssetSettings, StepSettings

__all__ = ["BuildPlan", "PlatformPlan", "make_plan"]


class PlatformPlan(msgspec.Struct, frozen=True):
    """One platform of a plan."""

    platform: str
    python: str
    libc: str
    """For example "glibc 2.36"."""
    base: str
    """"Debian bookworm", or an image with its digest."""
    packages: tuple[str, ...]
    """Debian packages, as "name version"."""
    complete: bool
    """True if `packages` has them all already."""
    distributions: tuple[LockedDistribution, ...]
    left_out: tuple[LeftOut, ...]
    layers: tuple[PlannedLayer, ...]
    """All layers, bottom first, as far as they are known: libraries may be added, and wheels share layers with others."""
    compiled: tuple[str, ...] = ()
    """The wheels that are compiled: what, in which way and with which Debian packages."""

    @property
    def wheel_bytes(self) -> int:
        """Bytes of all files whose size the lock states."""
        return sum(item.size or 0 for item in self.distributions)


class BuildPlan(msgspec.Struct, frozen=True):
    """Everything that a build decides before it downloads anything large."""

    name: str
    version: str
    kind: str
    root: str
    python_reason: str
    command: tuple[str, ...]
    program: bool
    """True if the command is the image's entrypoint: words of `docker run` follow it. Otherwise they replace it."""
    arguments: tuple[str, ...]
    """The words that follow an entrypoint by default."""
    command_reason: str
    workers_variable: str
    """The variable from which the server takes its number of processes, if the container's CPUs decide it."""
    before_start: tuple[tuple[str, ...], ...]
    every_start: tuple[tuple[str, ...], ...]
    """The steps of `before_start` that run at every start, not once per volume."""
    assets: tuple[AssetSettings, ...]
    """The front ends that node builds, with its version, and without values of variables that may be secret."""
    steps: tuple[StepSettings, ...]
    """The programs that run in the finished image while it is built, without values of variables that may be secret."""
    processes: Mapping[str, tuple[str, ...]]
    """Everything that the image can run, by name; empty if that is the command alone."""
    ports: tuple[str, ...]
    volumes: tuple[str, ...]
    copies: Mapping[str, str]
    """Absolute paths of the image, outside the working directory, to what is copied there of the project."""
    env: Mapping[str, str]
    user: str
    workdir: str
    lock: str
    lock_written: bool
    """True if the plan has made the lock."""
    as_of: str
    notes: tuple[str, ...]
    platforms: tuple[PlatformPlan, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON values: paths become text, nothing is left out."""
        return cast("dict[str, Any]", msgspec.to_builtins(self, enc_hook=str))


def make_plan(preview: Preview) -> BuildPlan:
    """Return the plan of a build."""
    resolution = preview.resolution
    project, lock = resolution.project, resolution.lock
    launch = project.launch
    assert launch is not None  # noqa: S101 - `resolve` saw to it
    return BuildPlan(
        name=project.name,
        version=project.version or "",
        kind=project.kind,
        root=str(project.root),
        python_reason=project.python_reason,
        command=launch.command,
        program=launch.is_program,
        arguments=launch.arguments,
        command_reason=launch.reason,
        workers_variable=project.workers_variable,
        before_start=project.before_start,
        every_start=project.every_start,
        assets=tuple(_front_end(resolution, each) for each in project.assets),
        steps=tuple(replace(step, env=masked_values(step.env)) for step in project.steps),
        processes=dict(launch.processes),
        ports=launch.ports,
        volumes=project.volumes,
        copies=project.copies,
        env={**launch.env, **project.settings.env},
        user=container_user(project.settings.user, resolution.platforms[0].base),
        workdir=project.start_directory,
        lock=str(lock.path),
        lock_written=resolution.wrote_lock,
        as_of=lock.as_of,
        notes=(*project.notes, *launch.notes, *accelerator_note(lock.accelerator), *old_packages_note(lock.packages_of)),
        platforms=tuple(_platform(each, layers, preview.ways) for each, layers in zip(resolution.platforms, preview.layers, strict=True)),
    )


def _front_end(resolution: Resolution, settings: AssetSettings) -> AssetSettings:
    node = resolution.node(settings)
    return replace(settings, env=masked_values(settings.env), node=node.version if node is not None else "")


def _base(base: Base) -> str:
    if base.image is None or base.label.endswith(base.image.digest):
        return base.label
    return f"{base.label}@{base.image.digest}"


def _platform(resolved: Resolved, layers: tuple[PlannedLayer, ...], ways: Mapping[tuple[str, str], str]) -> PlatformPlan:
    target, base = resolved.target, resolved.base
    return PlatformPlan(
        platform=str(target.platform),
        python=target.python,
        libc=target.libc_name,
        base=_base(base),
        packages=tuple(f"{package.name} {package.version}" for package in base.all_packages),
        complete=base.locked,
        distributions=resolved.selection.distributions,
        left_out=resolved.selection.left_out,
        layers=layers,
        compiled=tuple(way for (_, architecture), way in sorted(ways.items()) if architecture == target.platform.architecture),
    )
