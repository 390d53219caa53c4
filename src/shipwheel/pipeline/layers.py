"""The sources of an image, in layers: what `layering` orders is collected here."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from shipwheel.base.base import Base
from shipwheel.base.directories import COMPOSED, EVERYWHERE, kept, kept_volumes
from shipwheel.base.standalone_archive import PREFIX, Standalone, StandaloneSource
from shipwheel.debian.composed import GeneratedBase
from shipwheel.debian.package import DebianPackage, DebSource
from shipwheel.files.entry import Source, directory, file
from shipwheel.files.segment import Directory, find_segment
from shipwheel.lock.selection import LockedDistribution
from shipwheel.oci.layer import LayerSpec
from shipwheel.pipeline.app_source import AppSource
from shipwheel.pipeline.container import container_user
from shipwheel.pipeline.generated import Generated, launcher_files, venv_files, volume_directories
from shipwheel.pipeline.layering import LAYER_BUDGET, Weighed, wheel_layers
from shipwheel.pipeline.resolve import Resolved
from shipwheel.platform import Platform
from shipwheel.project.app_tree import AppTree
from shipwheel.project.detect import Project
from shipwheel.store import Store
from shipwheel.suites import Suite
from shipwheel.venv import VENV, Paths
from shipwheel.wheels.bytecode import BytecodeCompiler, BytecodeSource
from shipwheel.wheels.wheel import WheelSource

if TYPE_CHECKING:
    from shipwheel.wheels.source_builds import BuiltWheel

__all__ = [
    "Ingredients",
    "app_layers",
    "base_layers",
    "fetched_digest",
    "marks_directory",
    "packages_for",
    "standalones_for",
    "wheel_sources",
]

_LAUNCHER = "opt/shipwheel"

_FIXED_LAYERS = 7
"""Base, libraries, generated base files, virtual environment, project wheel, app, volumes: what the budget must leave room for.

A standalone Python is one more."""


class Ingredients(msgspec.Struct, frozen=True):
    """What was built and listed on this machine for all platforms: wheels of sdists by name, the project's wheel, its tree."""

    built: "dict[str, BuiltWheel]"
    project_wheel: "BuiltWheel | None"
    tree: AppTree | None

    @property
    def wheels(self) -> "tuple[BuiltWheel, ...]":
        """All that was built."""
        own = (self.project_wheel,) if self.project_wheel is not None else ()
        return (*(self.built[name] for name in sorted(self.built)), *own)


def wheel_sources(resolved: Resolved, built: "dict[str, BuiltWheel]", store: Store, compiler: BytecodeCompiler | None) -> list[Weighed]:
    """One source for each distribution of a platform."""
    paths = Paths(resolved.target.minor)
    return [_weighed(item, built.get(item.name), store, paths, compiler) for item in resolved.selection.distributions]


def _weighed(
    item: LockedDistribution, built: "BuiltWheel | None", store: Store, paths: Paths, compiler: BytecodeCompiler | None
) -> Weighed:
    if built is None:
        return Weighed(item.name, item.size or 0, WheelSource(item.label, item.filename, item.digest, store, paths, compiler))
    # What zip made on this machine is not copied into the layer, since other machines' makes other bytes of the same files.
    source = WheelSource(item.label, built.filename, built.digest, store, paths, compiler, spliced=False)
    return Weighed(item.name, built.size, source)


def base_layers(base: Base, resolved: Resolved, project: Project, store: Store, compiler: BytecodeCompiler | None) -> tuple[LayerSpec, ...]:
    """What all apps share first, then the libraries that this one's wheels need, then what depends on both.

    Upon an image, only the libraries, and a /tmp if it has none: the rest is the image's own.
    """
    if base.image is not None or base.suite is None:
        return _layers_upon(base, store)
    seed = base.seed(project.settings.packages)
    rest = [package for package in base.packages if package not in seed]
    suite, platform = base.suite, resolved.target.platform
    first: tuple[Source, ...] = tuple(DebSource(package, store) for package in seed)
    python = f" with Python {resolved.target.python}" if suite.python else ""
    if compiler is not None and suite.python:
        first = (*first, _library_bytecode(seed, resolved.target.minor, store, compiler))
    return (
        LayerSpec(f"Debian {suite.codename}{python}", first),
        *([_standalone_layer(base.standalone, store, compiler)] if base.standalone is not None else []),
        *([LayerSpec("system libraries", tuple(DebSource(package, store) for package in rest))] if rest else []),
        LayerSpec("system files", (_generated(base, platform, suite, store),)),
    )


def _layers_upon(base: Base, store: Store) -> tuple[LayerSpec, ...]:
    layers = []
    if base.packages:
        sources = tuple(DebSource(package, store) for package in base.packages)
        layers.append(LayerSpec("system libraries", sources, kept(_owned(base), EVERYWHERE)))
    if base.image is not None and not base.image.facts.temporary:
        layers.append(LayerSpec("temporary files", (Generated("temporary files", (directory("tmp", 0o1777),)),)))
    return tuple(layers)


def _owned(base: Base) -> Mapping[str, Directory]:
    return base.image.facts.directories if base.image is not None else COMPOSED


def fetched_digest(source: Source) -> str:
    """The digest of the file that a source is made of, empty for what comes from no server."""
    if isinstance(source, DebSource):
        return source.package.digest
    if isinstance(source, StandaloneSource):
        return source.build.digest
    return source.digest if isinstance(source, WheelSource) else ""


def packages_for(source: Source, store: Store) -> tuple[DebianPackage, ...]:
    """The Debian packages that must be fetched to make a source's segment; none when it is there."""
    if find_segment(source.key, store) is not None:
        return ()
    if isinstance(source, GeneratedBase):
        return source.needed
    of = source.of if isinstance(source, BytecodeSource) else (source,)
    return tuple(each.package for each in of if isinstance(each, DebSource))


def _generated(base: Base, platform: Platform, suite: Suite, store: Store) -> GeneratedBase:
    return GeneratedBase(base.packages, platform, suite, store, base.interpreter if base.standalone is not None else "")


def _standalone_layer(build: Standalone, store: Store, compiler: BytecodeCompiler | None) -> LayerSpec:
    """Apart from Debian's packages, so that it stays when those are renewed, and they when it is."""
    source = StandaloneSource(build, store)
    prefix = f"{PREFIX}/lib/python{build.minor}/"
    bytecode = [BytecodeSource("standard library bytecode", (source,), prefix, build.minor, compiler)] if compiler is not None else []
    return LayerSpec(build.label, (source, *bytecode))


def standalones_for(source: Source, store: Store) -> tuple[Standalone, ...]:
    """As `packages_for`, of standalone Pythons."""
    if find_segment(source.key, store) is not None:
        return ()
    of = source.of if isinstance(source, BytecodeSource) else (source,)
    return tuple(each.build for each in of if isinstance(each, StandaloneSource))


def _library_bytecode(seed: Sequence[DebianPackage], minor: str, store: Store, compiler: BytecodeCompiler) -> BytecodeSource:
    python = tuple(DebSource(package, store) for package in seed if "python" in package.name)
    return BytecodeSource("standard library bytecode", python, f"usr/lib/python{minor}/", minor, compiler)


def app_layers(
    project: Project, resolved: Resolved, wheels: Sequence[Weighed], parts: Ingredients, store: Store, compiler: BytecodeCompiler | None
) -> tuple[LayerSpec, ...]:
    """Everything above the base: wheels, the virtual environment's own files, the project last."""
    minor = resolved.target.minor
    paths = Paths(minor)
    owned, workdir = _owned(resolved.base), project.settings.workdir.strip("/")
    within = kept(owned, (VENV,))
    budget = LAYER_BUDGET - _FIXED_LAYERS - (resolved.base.standalone is not None)
    layers = [replace(layer, kept=within) for layer in wheel_layers(wheels, budget)] if wheels else []
    own = kept(owned, (VENV, workdir, _LAUNCHER) if project.before_start else (VENV, workdir))
    layers.append(LayerSpec("virtual environment", _environment(project, resolved, compiler), own))
    if parts.project_wheel is not None:
        wheel = parts.project_wheel
        source = WheelSource(f"{project.name} {project.version or ''}".strip(), wheel.filename, wheel.digest, store, paths, compiler, False)
        layers.append(LayerSpec(f"the project {project.name}", (source,), within))
    if parts.tree is not None:
        app = AppSource(project.name, parts.tree, workdir, minor, compiler)
        layers.append(LayerSpec(f"the source of {project.name}", (app,), kept(owned, (workdir,))))
    if project.volumes:
        # Above the source, which may hold a directory of the same name.
        owner = _owner(container_user(project.settings.user, resolved.base))
        links = project.launch.links if project.launch else ()
        around = (*kept_volumes(owned, project.volumes, owner[0]), *(kept(owned, (workdir,)) if links else ()))
        places = volume_directories(project.volumes, owner, workdir, links)
        layers.append(LayerSpec("volumes", (places,), tuple(sorted(dict(around).items()))))
    return tuple(layers)


def _owner(user: str) -> tuple[int, int]:
    uid, _, gid = user.partition(":")
    return int(uid), int(gid or uid)


def _environment(project: Project, resolved: Resolved, compiler: BytecodeCompiler | None) -> tuple[Source, ...]:
    settings, launch = project.settings, project.launch
    own = venv_files(resolved.target.python, resolved.base.interpreter)
    found: list[Source] = [own]
    if compiler is not None:
        prefix = f"{Paths(resolved.target.minor).site_packages}/"
        found.append(BytecodeSource("bytecode of the virtual environment", (own,), prefix, resolved.target.minor, compiler))
    found.append(Generated("working directory", (directory(settings.workdir.strip("/")),)))
    if launch is not None and launch.python_path:
        lines = "".join(f"{settings.workdir.rstrip('/')}/{folder}".rstrip("/.") + "\n" for folder in launch.python_path)
        found.append(Generated("import path", (file(f"{Paths(resolved.target.minor).site_packages}/shipwheel.pth", lines),)))
    if project.before_start:
        found.append(launcher_files(project.before_start, marks_directory(project.volumes), project.every_start))
    return tuple(found)


def marks_directory(volumes: Sequence[str]) -> str:
    """Where finished one-time steps are remembered: on the first volume, else as long as the container lives."""
    return f"{volumes[0].rstrip('/')}/.shipwheel" if volumes else "/tmp/.shipwheel"  # noqa: S108 - a path in the image
