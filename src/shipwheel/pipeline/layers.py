"""The layers of an image and the sources in each. Pure: nothing is fetched or made."""

import posixpath
from collections.abc import Mapping, Sequence

import msgspec
from msgspec.structs import replace

from shipwheel.base.base_directories import ANYWHERE, COMPOSED_DIRECTORIES, inherited_attributes, volume_attributes
from shipwheel.base.init import INIT_DIRECTORIES, init_source
from shipwheel.base.model import Base
from shipwheel.base.standalone_archive import PREFIX, Standalone, StandaloneSource
from shipwheel.container.venv import VENV, Paths
from shipwheel.debian.generated_base import GeneratedBase
from shipwheel.debian.package import DebianPackage, DebSource
from shipwheel.files.entry import Source, directory, file, symlink
from shipwheel.files.segment import Directory
from shipwheel.locking.selection import LockedDistribution
from shipwheel.locking.target import Target
from shipwheel.oci.layer import Compression, LayerSpec
from shipwheel.pipeline.app_source import AppSource, CopiedSource
from shipwheel.pipeline.container import container_stop_signal, container_user
from shipwheel.pipeline.generated import Generated, launcher_files, venv_files, volume_directories
from shipwheel.pipeline.layering import LAYER_BUDGET, SizedSource, wheel_layers
from shipwheel.pipeline.local_builds import LocalSources
from shipwheel.pipeline.resolve import Resolved
from shipwheel.pipeline.static_front import front_files
from shipwheel.pipeline.winning_files import WinningFiles
from shipwheel.project.project import Project
from shipwheel.store.store import Store
from shipwheel.suites import Suite
from shipwheel.wheels.built_wheels import BuiltWheel
from shipwheel.wheels.bytecode import BytecodeSource, Compiler
from shipwheel.wheels.direct_url import direct_url, local_direct_url
from shipwheel.wheels.used_modules import CompilerOfUsed
from shipwheel.wheels.wheel import WheelSource

__all__ = ["LayerPlanner", "launcher_source"]

_LAUNCHER = "opt/shipwheel"

_MAX_OTHER_LAYERS = 9
"""Layers that are not wheels: base, system libraries, generated base files, init, files of several packages, virtual environment, project
wheel, app, volumes.

A standalone Python is one more, and so are files that are copied elsewhere, and those of steps."""


class LayerPlanner(msgspec.Struct, frozen=True):
    """Plans the layers of every platform of one build. `compiler` is None for images without bytecode."""

    project: Project
    store: Store
    compiler: Compiler | None
    imports: Mapping[str, tuple[str, ...]] | None = None
    """The modules to compile by package, all of a package that it does not name; None compiles all of all.

    The project is compiled as a whole, since it changes most, and so is the standard library: its layer is that of other apps, too.
    """

    def base_layers(self, platform: Resolved) -> tuple[LayerSpec, ...]:
        """Return the layers below the app: first what all apps share, then the libraries for this one's wheels, then what depends on both.

        On top of a base image there are only the libraries, a /tmp if the image has none, and the init.
        """
        return self._compressed(self._base_layers(platform))

    def shared_layers(self, platform: Resolved) -> tuple[LayerSpec, ...]:
        """Return the layers of a composed base that all apps share: they can be made before it is known what this one needs."""
        base = platform.base
        return self._compressed(() if base.image is not None or base.suite is None else self._shared_layers(platform, base.suite))

    def _shared_layers(self, platform: Resolved, suite: Suite) -> tuple[LayerSpec, ...]:
        base = platform.base
        seed = base.seed(self.project.packages)
        python = f" with Python {platform.target.python}" if suite.python else ""
        sources: tuple[Source, ...] = tuple(DebSource(package, self.store) for package in seed)
        if self.compiler is not None and suite.python:
            sources = (*sources, self._library_bytecode(seed, platform.target.minor, self.compiler))
        standalone = (self._standalone_layer(base.standalone),) if base.standalone is not None else ()
        return (LayerSpec(f"Debian {suite.codename}{python}", sources), *standalone)

    def _base_layers(self, platform: Resolved) -> tuple[LayerSpec, ...]:
        base = platform.base
        if base.image is not None or base.suite is None:
            return self._layers_on_image(base)
        seed = base.seed(self.project.packages)
        libraries = tuple(DebSource(package, self.store) for package in base.packages if package not in seed)
        return (
            *self._shared_layers(platform, base.suite),
            *([LayerSpec("system libraries", libraries)] if libraries else []),
            LayerSpec("system files", (self._system_files(platform, base.suite),)),
            *self._init_layer(base),
        )

    def wheels(self, platform: Resolved, local: LocalSources) -> tuple[WheelSource, ...]:
        """Return the wheels of the lock, in its order."""
        return tuple(self._locked_wheel(item, local, platform.target) for item in platform.selection.distributions)

    def app_layers(self, platform: Resolved, local: LocalSources, winning: tuple[WinningFiles, ...] = ()) -> tuple[LayerSpec, ...]:
        """Return the layers above the base: wheels, the virtual environment's own files, and the project last.

        `winning` are files of wheels that must be above all wheels.
        """
        return self._compressed(self._app_layers(platform, local, winning))

    def _app_layers(self, platform: Resolved, local: LocalSources, winning: tuple[WinningFiles, ...]) -> tuple[LayerSpec, ...]:
        owned, workdir = _base_directories(platform.base), self.project.settings.workdir.strip("/")
        in_venv = inherited_attributes(owned, (VENV,))
        budget = (
            LAYER_BUDGET
            - _MAX_OTHER_LAYERS
            - (platform.base.standalone is not None)
            - (local.copies is not None)
            - bool(self.project.steps)
        )
        wheels = [self._sized(item, local, platform.target) for item in platform.selection.distributions]
        layers = [replace(layer, base_directories=in_venv) for layer in wheel_layers(wheels, budget)] if wheels else []
        if winning:
            layers.append(LayerSpec("files of several packages", winning, in_venv))
        aliases = [path for path, _ in self.project.launch.aliases] if self.project.launch is not None else []
        roots = (VENV, workdir, *aliases, *((_LAUNCHER,) if self.project.needs_launcher else ()))
        layers.append(LayerSpec("virtual environment", self._environment(platform), inherited_attributes(owned, roots)))
        if (wheel := local.project_wheel_for(platform.target.platform)) is not None:
            label = f"{self.project.name} {self.project.version or ''}".strip()
            source = replace(self._built_wheel(label, wheel, platform.target.minor), direct_url=local_direct_url(self.project.name))
            layers.append(LayerSpec(f"the project {self.project.name}", (source,), in_venv))
        if local.tree is not None:
            app = AppSource(self.project.name, local.tree, workdir, platform.target.minor, self.compiler)
            layers.append(LayerSpec(f"the source of {self.project.name}", (app,), inherited_attributes(owned, (workdir,))))
        if local.copies is not None:
            copies = CopiedSource(f"files for {', '.join(self.project.copies)}", local.copies, "", platform.target.minor)
            layers.append(LayerSpec(copies.label, (copies,), inherited_attributes(owned, self.project.copies)))
        layers += [LayerSpec(assets.label, (assets,), inherited_attributes(owned, assets.places)) for assets in local.assets]
        if self.project.volumes:
            # Above the source, which may hold a directory of the same name.
            layers.append(self._volumes(platform.base, owned, workdir))
        return tuple(layers)

    def _compressed(self, layers: tuple[LayerSpec, ...]) -> tuple[LayerSpec, ...]:
        compression = Compression[self.project.settings.compression.upper()]
        return tuple(replace(layer, compression=compression) for layer in layers)

    def _sized(self, item: LockedDistribution, local: LocalSources, target: Target) -> SizedSource:
        built = local.wheel_for(item.name, target.platform)
        return SizedSource(item.name, built.size if built is not None else item.size or 0, self._locked_wheel(item, local, target))

    def _locked_wheel(self, item: LockedDistribution, local: LocalSources, target: Target) -> WheelSource:
        built, minor = local.wheel_for(item.name, target.platform), target.minor
        if built is None:
            assert item.digest is not None  # noqa: S101 - directories and repositories were built
            source = WheelSource(item.label, item.filename, item.digest, self.store, Paths(minor))
        else:
            source = self._built_wheel(item.label, built, minor)
        return replace(source, compiler=self._compiler_for(item.name, minor), direct_url=direct_url(item))

    def _compiler_for(self, package: str, minor: str) -> Compiler | None:
        names = self.imports.get(package) if self.imports is not None else None
        if self.compiler is None or names is None:
            return self.compiler
        return CompilerOfUsed(self.compiler, Paths(minor).site_packages, names)

    def _built_wheel(self, label: str, wheel: BuiltWheel, minor: str) -> WheelSource:
        # A wheel zipped here is not spliced: another machine's zlib packs the same files into other bytes.
        return WheelSource(label, wheel.filename, wheel.digest, self.store, Paths(minor), self.compiler, spliced=False)

    def _layers_on_image(self, base: Base) -> tuple[LayerSpec, ...]:
        layers = []
        if base.packages:
            sources = tuple(DebSource(package, self.store) for package in base.packages)
            layers.append(LayerSpec("system libraries", sources, inherited_attributes(_base_directories(base), ANYWHERE)))
        if base.image is not None and not base.image.facts.has_tmp:
            layers.append(LayerSpec("temporary files", (Generated("temporary files", (directory("tmp", 0o1777),)),)))
        return (*layers, *self._init_layer(base))

    def _init_layer(self, base: Base) -> tuple[LayerSpec, ...]:
        """A layer of its own for the init, shared by all images on the same suite."""
        source = init_source(base, self.store)
        if source is None:
            return ()
        return (LayerSpec(source.label, (source,), inherited_attributes(_base_directories(base), INIT_DIRECTORIES)),)

    def _system_files(self, platform: Resolved, suite: Suite) -> GeneratedBase:
        base = platform.base
        interpreter = base.interpreter if base.standalone is not None else ""
        return GeneratedBase(base.packages, platform.target.platform, suite, self.store, interpreter)

    def _standalone_layer(self, build: Standalone) -> LayerSpec:
        """A layer apart from Debian's packages: each of the two stays when the other is upgraded."""
        source = StandaloneSource(build, self.store)
        if self.compiler is None:
            return LayerSpec(build.label, (source,))
        prefix = f"{PREFIX}/lib/python{build.minor}/"
        bytecode = BytecodeSource("standard library bytecode", (source,), prefix, build.minor, self.compiler)
        return LayerSpec(build.label, (source, bytecode))

    def _library_bytecode(self, seed: Sequence[DebianPackage], minor: str, compiler: Compiler) -> BytecodeSource:
        python = tuple(DebSource(package, self.store) for package in seed if "python" in package.name)
        return BytecodeSource("standard library bytecode", python, f"usr/lib/python{minor}/", minor, compiler)

    def _environment(self, platform: Resolved) -> tuple[Source, ...]:
        """The sources of the virtual environment's own files: pyvenv.cfg, import path, working directory, launcher."""
        project = self.project
        workdir, site_packages = project.settings.workdir, Paths(platform.target.minor).site_packages
        sources: list[Source] = [
            venv_files(platform.target.python, platform.base.interpreter),
            Generated("working directory", (directory(workdir.strip("/")),)),
        ]
        if project.launch is not None and project.launch.python_path:
            lines = "".join(posixpath.normpath(posixpath.join(workdir, folder)) + "\n" for folder in project.launch.python_path)
            sources.append(Generated("import path", (file(f"{site_packages}/shipwheel.pth", lines),)))
        if project.launch is not None and project.launch.static_front is not None:
            sources.append(front_files(project.launch.static_front, site_packages))
        if project.launch is not None and project.launch.aliases:
            links = ((path, posixpath.join(workdir, target).rstrip("/")) for path, target in project.launch.aliases)
            sources.append(Generated("links", tuple(symlink(path.strip("/"), target) for path, target in links)))
        if project.needs_launcher:
            sources.append(launcher_source(project, platform.base))
        return tuple(sources)

    def _volumes(self, base: Base, owned: Mapping[str, Directory], workdir: str) -> LayerSpec:
        project = self.project
        uid = int(container_user(project.settings.user, base).partition(":")[0])
        links = project.launch.links if project.launch else ()
        around = dict((*volume_attributes(owned, project.volumes, uid), *(inherited_attributes(owned, (workdir,)) if links else ())))
        return LayerSpec("volumes", (volume_directories(project.volumes, uid, workdir, links),), tuple(sorted(around.items())))


def _base_directories(base: Base) -> Mapping[str, Directory]:
    return base.image.facts.directories if base.image is not None else COMPOSED_DIRECTORIES


def launcher_source(project: Project, base: Base) -> Generated:
    """Return the launcher of a project's image on a base, with its settings."""
    marks, stop_signal = _marks_directory(project.volumes), container_stop_signal(project.settings.stop_signal, base)
    steps, workers = project.before_start, project.workers_variable
    return launcher_files(steps, marks, project.every_start, stop_signal=stop_signal, workers_variable=workers)


def _marks_directory(volumes: Sequence[str]) -> str:
    """Return where finished one-time steps are recorded: on the first volume, else in a place that lives as long as the container."""
    return f"{volumes[0].rstrip('/')}/.shipwheel" if volumes else "/tmp/.shipwheel"  # noqa: S108 - a path in the image
