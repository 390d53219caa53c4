"""The inputs that this machine makes before any layer can be planned: wheels from sources, the project's own wheel, its files."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import msgspec
from msgspec.structs import replace

from shipwheel.errors import BuildError, NewerAtRunTime
from shipwheel.events import Reporter, Warned, stage
from shipwheel.locking.bounds import Bounds
from shipwheel.locking.pylock import LockedDeb
from shipwheel.pipeline.app_files import app_tree, copied_tree
from shipwheel.pipeline.assets import AssetsSource
from shipwheel.pipeline.downloads import Downloads
from shipwheel.pipeline.resolve import Resolution
from shipwheel.pipeline.secrets import left_out_secrets
from shipwheel.platform import Platform
from shipwheel.project.app_tree import AppTree
from shipwheel.project.indexes import Indexes
from shipwheel.project.source_copy import SourceTree, read_source_tree
from shipwheel.settings.build import AssetSettings, BuildSettings
from shipwheel.store.store import Store
from shipwheel.versions import normalized

if TYPE_CHECKING:
    from shipwheel.builder.workshop import BuilderPackages
    from shipwheel.digest import Digest
    from shipwheel.wheels.built_wheels import BuiltWheel
    from shipwheel.wheels.isolated_build import BuildOptions
    from shipwheel.wheels.kept_requirements import KeptWheel

__all__ = ["KeptBuilds", "LocalBuilds", "LocalSources"]

T = TypeVar("T")

_MAX_NAMED = 3


class LocalSources(msgspec.Struct, frozen=True):
    """The inputs of all platforms that come from this machine.

    `built` maps a distribution's name to its wheel, `project_wheel` is the project's own, `tree` the files that go into /app, `copies`
    those that go elsewhere. `compiled` maps (name, architecture) to a wheel for one platform; the project's own has the name "". Their
    builds need `build_packages`, by name.
    """

    built: "dict[str, BuiltWheel]"
    project_wheel: "BuiltWheel | None"
    tree: AppTree | None
    copies: AppTree | None = None
    assets: tuple[AssetsSource, ...] = ()
    """The front ends, which are built when their files are needed."""
    compiled: "Mapping[tuple[str, str], BuiltWheel]" = {}
    build_packages: Mapping[str, tuple[str, ...]] = {}
    compilers: Mapping[str, tuple[str, ...]] = {}
    """The compilers and Debian packages with their versions, by architecture."""
    builder: tuple[LockedDeb, ...] = ()
    """The same as files, as far as the archive was asked for them."""
    build_wheels: Mapping[str, Mapping[str, tuple[str, ...]]] = {}
    """The pins of build requirements, by architecture and name."""
    ways: Mapping[tuple[str, str], str] = {}
    """Words about how each of `compiled` was made."""

    @property
    def wheels(self) -> "tuple[BuiltWheel, ...]":
        """Every built wheel, sorted by name, the project's last."""
        own = (self.project_wheel,) if self.project_wheel is not None else ()
        compiled = [self.compiled[key] for key in sorted(self.compiled, key=lambda key: (key[0] == "", key))]
        return (*(self.built[name] for name in sorted(self.built)), *compiled, *own)

    def wheel_for(self, name: str, platform: Platform) -> "BuiltWheel | None":
        """Return the wheel of a distribution that was built here, for a platform."""
        return self.compiled.get((name, platform.architecture)) or self.built.get(name)

    def project_wheel_for(self, platform: Platform) -> "BuiltWheel | None":
        """Return the project's own wheel for a platform."""
        return self.compiled.get(("", platform.architecture)) or self.project_wheel


class KeptBuilds(msgspec.Struct, frozen=True):
    """The needs of builds of the user's own directories: wheels, compilers and crates by the keys of their records."""

    wheels: "Mapping[str, tuple[KeptWheel, ...]]"
    builders: "Mapping[str, BuilderPackages]"
    crates: "Mapping[str, Digest]"


class LocalBuilds:
    """Builds wheels from sources: once for all platforms, or compiled for each. `current` is what the last call to `build` returned."""

    def __init__(self, resolution: Resolution, downloads: Downloads, store: Store, reporter: Reporter, workers: int) -> None:
        self.current = LocalSources({}, None, None)
        self._resolution = resolution
        self._downloads = downloads
        self._store = store
        self._reporter = reporter
        self._workers = workers
        self._next_indexes: Indexes | None = None
        """Those in place of the project's, one of which could not be reached."""

    def build(self, *, trust_metadata: bool = False) -> LocalSources:
        """Build the missing wheels and list the project's files.

        With `trust_metadata`, a wheel whose digest another machine recorded is not built here, and the store lacks its bytes.
        Raises ProjectError for a secret that would get into the image, FetchError or BuildError.
        """
        tree = app_tree(self._resolution.project, self._reporter)
        copies = copied_tree(self._resolution.project, self._reporter)
        assets = tuple(self._assets(settings) for settings in self._resolution.project.assets)
        self.current = replace(self._wheels(whole=not trust_metadata), tree=tree, copies=copies, assets=assets)
        return self.current

    def _assets(self, settings: AssetSettings) -> AssetsSource:
        resolution = self._resolution
        return AssetsSource(resolution.project, settings, resolution.node(settings), self._downloads, self._store, self._reporter)

    def keep_requirements(self) -> KeptBuilds:
        """Build the current wheels of the user's own directories again, and fetch what their builds need.

        Raises FetchError or BuildError.
        """
        from shipwheel.pipeline.compiled_builds import CompiledBuilds
        from shipwheel.wheels.built_wheels import record_built_wheel
        from shipwheel.wheels.kept_requirements import KeptRequirements
        from shipwheel.wheels.source_builds import build_project_wheel, directory_tree

        options = self._options()
        kept = KeptRequirements(self._store, options.minor, self._downloads.build_requirements)
        compiled = CompiledBuilds(self._resolution, self._downloads, self._store, self._reporter, options, need_bytes=True)
        build = partial(build_project_wheel, store=self._store, reporter=self._reporter, kept=kept)
        directories = {
            item.name: item for each in self._resolution.platforms for item in each.selection.distributions if item.kind == "directory"
        }
        for name, item in sorted(directories.items()):
            if name in self.current.built:
                self._with_index(partial(build, directory_tree(item), options=msgspec.structs.replace(options, variables={})))
            else:
                self._with_index(partial(compiled.keep_directory, item, kept))
        if self.current.project_wheel is not None:
            self._with_index(partial(build, self._project_tree(), options=options))
        elif any(name == "" for name, _ in self.current.compiled):
            self._with_index(partial(compiled.keep_project, self._project_tree(), kept))
        for wheel in self.current.wheels:
            # The image has the wheel of the first build, and some backends make other bytes each time.
            record_built_wheel(wheel, self._store)
        return KeptBuilds(kept.kept, compiled.packages, kept.crates)

    def _project_tree(self) -> SourceTree:
        project = self._resolution.project
        tree = read_source_tree(project.root, project.files)
        return replace(tree, name=project.inputs.stated_name or tree.name)

    def lacks_locked_files(self) -> bool:
        """Return whether the store lacks a file of the lock. Then the destination may know more about built wheels than this machine."""
        locked = (item.digest for platform in self._resolution.platforms for item in platform.selection.distributions)
        return any(digest is not None and not self._store.has(digest) for digest in locked)

    def absent_wheels(self) -> frozenset[str]:
        """Return the digests of current wheels whose bytes the store lacks."""
        return frozenset(wheel.digest for wheel in self.current.wheels if not self._store.has(wheel.digest))

    def _wheels(self, *, whole: bool) -> LocalSources:
        platforms, project = self._resolution.platforms, self._resolution.project
        sources = {item.name: item for each in platforms for item in each.selection.distributions if item.kind != "wheel"}
        is_package = project.kind == "package"
        self._warn_of_unused(sources)
        if not sources and not is_package:
            return LocalSources({}, None, None)
        from shipwheel.pipeline.compiled_builds import CompiledBuilds
        from shipwheel.wheels.source_builds import build_project_wheel, build_pure_wheel, needs_source

        store, reporter, options, tree = self._store, self._reporter, self._options(), self._project_tree()
        compiled = CompiledBuilds(self._resolution, self._downloads, store, reporter, options, need_bytes=whole)
        pure = partial(build_pure_wheel, store=store, options=options, reporter=reporter, need_bytes=whole)
        own = partial(build_project_wheel, tree, store, options, reporter=reporter, need_bytes=whole)
        with stage(reporter, "build"), ThreadPoolExecutor(self._workers, thread_name_prefix="build") as pool:
            locked = self._resolution.lock.compiled
            self._downloads.distributions(
                [it for it in sources.values() if it.name not in locked and needs_source(it, store, options, need_bytes=whole)]
            )
            jobs = {
                name: pool.submit(self._with_index, partial(compiled.distribution, item, partial(pure, item)))
                for name, item in sorted(sources.items())
            }
            own_job = pool.submit(self._with_index, partial(compiled.project, tree, own)) if is_package else None
            built, project_wheel = {name: job.result() for name, job in jobs.items()}, own_job.result() if own_job else None
        self.check_bounds(compiled.wheels.values())
        found = LocalSources(
            {name: wheel for name, wheel in built.items() if wheel is not None},
            project_wheel,
            None,
            compiled=compiled.wheels,
            build_packages=compiled.build_packages,
            compilers=compiled.compilers,
            builder=compiled.builder,
            build_wheels=compiled.build_wheels,
            ways=compiled.ways,
        )
        self._report(found)
        return found

    def check_bounds(self, wheels: "Iterable[BuiltWheel]") -> None:
        """Raise NewerAtRunTime if wheels were compiled for older packages than the lock has."""
        lock = self._resolution.lock
        for_what = {bound: wheel.filename.partition("-")[0] for wheel in wheels for bound in wheel.bounds}
        exceeded = {bound: newer for bound in sorted(for_what) if (newer := lock.exceeded((bound,)))}
        if exceeded:
            needs = (
                f"{for_what[bound]} is compiled for {bound}, and {lock.path.name} has {', '.join(exceeded[bound])}" for bound in exceeded
            )
            raise NewerAtRunTime(
                "; ".join(needs),
                tuple(exceeded),
                hint="Require versions that fit, or another version of what is compiled; a build without --locked and --frozen locks them.",
            )

    def _options(self) -> "BuildOptions":
        from shipwheel.locking.build_requirements import stated_requirements
        from shipwheel.wheels.isolated_build import BuildOptions

        project, lock = self._resolution.project, self._resolution.lock
        stated = project.settings.build or BuildSettings()
        return BuildOptions(
            self._resolution.platforms[0].target.minor,
            lock.as_of,
            project.inputs.workspace.settings,
            tuple(secret.path for secret in project.settings.allow_secrets),
            frozenset(map(normalized, project.settings.build_network)),
            project.inputs.pretended_version,
            lock.build_requirements,
            stated_requirements(project.inputs),
            stated.packages,
            stated.env,
            stated.constraints,
            Bounds.of(stated.max_minutes, stated.max_gigabytes),
            stated.by_package,
        )

    def _warn_of_unused(self, sources: Iterable[str]) -> None:
        """Warn of settings for the builds of packages that are not built from source."""
        project = self._resolution.project
        stated = (project.settings.build or BuildSettings()).by_package
        if unused := sorted({*stated} - {normalized(project.name), *map(normalized, sources)}):
            hint = "Remove the table, or correct its name: it is for a package that has no wheel for one of the platforms."
            self._reporter(Warned(f"[tool.shipwheel.build.{unused[0]}] has no effect: {unused[0]} is not built from source", hint))

    def _report(self, found: LocalSources) -> None:
        """Warn of secrets that were left out. Raise IncompleteWheel for a wheel of the project that lacks data files."""
        from shipwheel.pipeline.unpackaged import report_unpackaged

        project = self._resolution.project
        for wheel in found.wheels:
            if wheel.left_out:
                self._reporter(left_out_secrets(wheel.left_out, wheel.filename))
        own = found.project_wheel_for(self._resolution.platforms[0].target.platform)
        if own is not None and project.settings.install is None:
            report_unpackaged(project, own, self._reporter)

    def _with_index(self, build: Callable[[], T]) -> T:
        """Run a build while uv uses the project's indexes: build requirements come from there too. See `next_indexes`."""
        from shipwheel.locking.next_indexes import next_indexes
        from shipwheel.locking.uv import extra_environment
        from shipwheel.wheels.isolated_build import not_reached

        while True:
            indexes = self._next_indexes or self._downloads.indexes
            try:
                with extra_environment(indexes.environment):
                    return build()
            except BuildError as error:
                following = next_indexes(indexes, not_reached(error), self._resolution.project.inputs.workspace.settings.get("index", ()))
                if following is None:
                    raise
                self._next_indexes = following[0]
                self._reporter(following[1])
