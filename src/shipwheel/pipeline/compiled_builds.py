"""The wheels of a build that must be compiled, for each of its platforms."""

import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from shutil import copytree

from msgspec.structs import replace

from shipwheel.builder.compile import Compiled, SourceToCompile, compile_wheel
from shipwheel.builder.complaints import lacks_in, needs_rust
from shipwheel.builder.image_workshop import AnyWorkshop, ImageWorkshop
from shipwheel.builder.interpreter import BuilderPython, standalone_python, suite_python
from shipwheel.builder.packages import compiler_labels
from shipwheel.builder.sandboxes import SANDBOX_HINT, find_sandbox
from shipwheel.builder.workshop import BuilderPackages, Workshop
from shipwheel.errors import BuildError, FetchError, IntegrityError, ProjectWheelError
from shipwheel.events import Reporter, Warned
from shipwheel.locking.pylock import LockedDeb, name_in
from shipwheel.locking.selection import LockedDistribution
from shipwheel.locking.uv import local_python
from shipwheel.pipeline.alternatives import build_error_with_alternatives
from shipwheel.pipeline.downloads import Downloads
from shipwheel.pipeline.resolve import Resolution, Resolved
from shipwheel.platform import DEBIAN_ARCHITECTURES, Platform, host_platform
from shipwheel.project.source_copy import SourceTree, private_copy, read_source_tree, tree_digest
from shipwheel.store.store import Store
from shipwheel.suites import suite_by_name, without_python
from shipwheel.user.files import UserFiles
from shipwheel.versions import minor_number
from shipwheel.wheels.built_wheels import BuiltWheel
from shipwheel.wheels.isolated_build import BackendFailed, BuildOptions, RequirementsNotReached
from shipwheel.wheels.kept_requirements import KeptRequirements
from shipwheel.wheels.source_builds import secret_rules, write_source
from shipwheel.wheels.unpackaged import unpackaged_files
from shipwheel.wheels.wheel_secrets import remove_secrets

__all__ = ["CompiledBuilds"]


class CompiledBuilds:
    """Compiles what cannot be built in pure Python. What it has grows with each call, from any thread.

    `wheels` maps (name, architecture) to a wheel, `ways` to words about how it was compiled, `build_packages` a name to the
    Debian packages that its build needs, `compilers` an architecture to the versions of compilers and packages, and `builder` has these as
    files. `build_wheels` has the pins of build requirements, by architecture and name. The project's own wheel has the name "" in the
    first two.
    """

    def __init__(
        self, resolution: Resolution, downloads: Downloads, store: Store, reporter: Reporter, options: BuildOptions, *, need_bytes: bool
    ) -> None:
        self.wheels: dict[tuple[str, str], BuiltWheel] = {}
        self.build_packages: dict[str, tuple[str, ...]] = {}
        self.compilers: dict[str, tuple[str, ...]] = {}
        self.builder: tuple[LockedDeb, ...] = ()
        self.build_wheels: dict[str, dict[str, tuple[str, ...]]] = {}
        self.ways: dict[tuple[str, str], str] = {}
        self._resolution = resolution
        self._downloads = downloads
        self._store = store
        self._reporter = reporter
        self._options = options
        self._need_bytes = need_bytes
        self._lock = threading.Lock()
        self._workshops: dict[str, AnyWorkshop] = {}

    def distribution(self, item: LockedDistribution, pure: Callable[[], BuiltWheel]) -> BuiltWheel | None:
        """Return the wheel of a distribution in pure Python, from `pure`; None if it had to be compiled. Raise BuildError."""
        if item.kind == "directory":
            source = self._source_of_directory(item)
        else:
            write = partial(self._write, item)
            content = f"{item.commit or item.sha256}/{item.subdirectory}"
            source = SourceToCompile(item.name, item.label, content, write, item.uploaded)
        platforms = self._platforms_of(item)
        try:
            return self._pure_or_compiled(source, platforms, item.name, pure)
        except RequirementsNotReached:
            raise
        except BuildError as error:
            self._store.check_open()
            raise build_error_with_alternatives(error, item.name, self._resolution, self._reporter) from error

    def keep_directory(self, item: LockedDistribution, kept: KeptRequirements) -> None:
        """Compile one of the user's own directories again, and collect in `kept` and `packages` what that needs. Raise BuildError."""
        self._keep(self._source_of_directory(item), self._platforms_of(item), kept)

    def keep_project(self, tree: SourceTree, kept: KeptRequirements) -> None:
        """Compile the project's own wheel again, as `keep_directory` does."""
        self._keep(self._source_of_project(tree), self._resolution.platforms, kept)

    @property
    def packages(self) -> dict[str, BuilderPackages]:
        """The Debian packages of the builders so far, by the key of their record."""
        return {key: packages for workshop in self._workshops.values() for key, packages in workshop.used.items()}

    def project(self, tree: SourceTree, pure: Callable[[], BuiltWheel]) -> BuiltWheel | None:
        """Return the project's own wheel in pure Python, from `pure`; None if it had to be compiled.

        Raise ProjectWheelError, and IntegrityError, for which the project as it is makes no amends.
        """
        source = self._source_of_project(tree)
        try:
            return self._pure_or_compiled(source, self._resolution.platforms, "", pure)
        except (ProjectWheelError, IntegrityError):
            raise
        except (BuildError, FetchError) as error:
            raise ProjectWheelError(error.message, hint=error.hint) from error

    def _keep(self, source: SourceToCompile, platforms: Sequence[Resolved], kept: KeptRequirements) -> None:
        for platform in platforms:
            workshop = self._workshop(source.label, platform)
            self._compile(source, workshop, self._resolution.lock.compiled.get(source.name), kept)

    def _platforms_of(self, item: LockedDistribution) -> list[Resolved]:
        """Return the platforms for which a distribution is built from source."""
        return [
            each
            for each in self._resolution.platforms
            if any(other.name == item.name and other.kind != "wheel" for other in each.selection.distributions)
        ]

    def _pure_or_compiled(
        self, source: SourceToCompile, platforms: Sequence[Resolved], name: str, pure: Callable[[], BuiltWheel]
    ) -> BuiltWheel | None:
        known = self._resolution.lock.compiled.get(source.name)
        if known is None:
            try:
                return pure()
            except BuildError as error:
                failed = error if isinstance(error, BackendFailed) else error.__cause__
                if not isinstance(failed, BackendFailed):
                    raise
                if not (failed.compiles or needs_rust(failed.output) or lacks_in(failed.output) or self._wants_own_python()):
                    raise
        for platform in platforms:
            workshop, architecture = self._workshop(source.label, platform), platform.target.platform.architecture
            compiled = self._compile(source, workshop, known or None)
            added = f", with {', '.join(compiled.packages)}" if compiled.packages else ""
            with self._lock:
                self.wheels[name, architecture] = compiled.wheel
                self.ways[name, architecture] = f"{source.label}: {workshop.label}{added}"
                self._note_compilers(source.label, architecture, compiled)
                self.build_wheels.setdefault(architecture, {})[source.name] = compiled.pins
                self.build_packages[source.name] = tuple(sorted({*self.build_packages.get(source.name, ()), *compiled.packages}))
        return None

    def _wants_own_python(self) -> bool:
        """Return whether a newer Python than the image's failed, and the image's can be had: an old setup.py may want that."""
        minor = self._options.minor
        is_newer = minor_number(minor) < sys.version_info.minor and local_python(minor) is None
        return is_newer and find_sandbox() is not None

    def _note_compilers(self, label: str, architecture: str, compiled: Compiled) -> None:
        """Keep the compilers and packages for the lock, and warn if it has others."""
        locked = {name_in(each): each for each in self._resolution.lock.compilers.get(architecture, ())}
        self.compilers[architecture] = tuple(sorted({*self.compilers.get(architecture, ()), *compiled.compilers}))
        others = [each for each in compiled.compilers if locked.get(name_in(each), each) != each]
        self.builder = (*self.builder, *(deb for deb in compiled.debs if compiler_labels((deb,))[0] not in others))
        if others:
            self._reporter(
                Warned(
                    f"{label} for {architecture} is compiled with {', '.join(others)}; "
                    f"the lock has {', '.join(locked[name_in(each)] for each in others)}",
                    "The archive no longer has the lock's, or has others for this machine: --upgrade-base locks those that it has.",
                )
            )

    def _compile(
        self, source: SourceToCompile, workshop: AnyWorkshop, known: tuple[str, ...] | None, kept: KeptRequirements | None = None
    ) -> Compiled:
        lock, architecture = self._resolution.lock, workshop.target.platform.architecture
        return compile_wheel(
            source,
            workshop,
            self._options.of(source.name),
            self._store,
            self._reporter,
            known=known,
            compilers=lock.compilers.get(architecture, ()),
            pins=lock.build_wheels.get(architecture, {}).get(source.name, ()),
            need_bytes=self._need_bytes,
            kept=kept,
        )

    def _workshop(self, label: str, platform: Resolved) -> AnyWorkshop:
        """Return the compilers for a platform. Raise BuildError if there are none."""
        architecture = platform.target.platform.architecture
        with self._lock:
            if architecture not in self._workshops:
                self._workshops[architecture] = self._new_workshop(label, platform)
            return self._workshops[architecture]

    def _new_workshop(self, label: str, platform: Resolved) -> AnyWorkshop:
        base, target, host = platform.base, platform.target, host_platform()
        message = f"{label} must be compiled for {target.platform}"
        if host.os != "linux" or host.architecture not in DEBIAN_ARCHITECTURES or find_sandbox() is None:
            hint = f"{SANDBOX_HINT} Or choose versions that have wheels for the platforms."
            raise BuildError(f"{message}, which needs bubblewrap, docker or podman on amd64 or arm64", hint=hint)
        codename = base.image.facts.codename if base.image is not None else base.suite.codename if base.suite is not None else ""
        if target.musl:
            hint = "Choose a base with glibc, or versions that have wheels for musl (musllinux)."
            raise BuildError(f"{message}, and {base.label} has musl, for which nothing is compiled", hint=hint)
        if base.parent is not None and not codename:
            return ImageWorkshop(base.parent, base.label, target, base.interpreter, self._store, self._reporter)
        suite = suite_by_name(codename)
        if suite.python == target.minor:
            python = suite_python(target.minor, target.platform.multiarch)
        else:
            suite, python = without_python(suite), self._standalone_python(platform, host)
        downloads, locked = self._downloads, self._resolution.lock.builder
        return Workshop(suite, host, target, python, downloads.archive, downloads.packages, self._store, locked)

    def _standalone_python(self, platform: Resolved, host: Platform) -> BuilderPython:
        """Return a standalone Python with the headers of the platform's: the base's own, or one of the image's minor version."""
        from shipwheel.base.standalone_builds import find_builds

        wanted = tuple(dict.fromkeys((host, platform.target.platform)))
        known = {each.target.platform: each.base.standalone for each in self._resolution.platforms if each.base.standalone is not None}
        if any(each not in known for each in wanted):
            own = platform.base.standalone
            version = own.version if own is not None else platform.target.minor
            known = dict(zip(wanted, find_builds(replace(self._resolution.project, python=version), wanted), strict=True))
        self._downloads.standalones([known[each] for each in wanted])
        return standalone_python(known[host], known[platform.target.platform], self._store)

    def _write(self, item: LockedDistribution, directory: Path) -> str:
        self._downloads.distributions([item])
        return write_source(item, directory, self._store).relative_to(directory).as_posix()

    def _source_of_directory(self, item: LockedDistribution) -> SourceToCompile:
        tree = read_source_tree((item.path or Path()) / item.subdirectory, UserFiles())
        return self._source_of_tree(tree, item.name, item.label)

    def _source_of_project(self, tree: SourceTree) -> SourceToCompile:
        return self._source_of_tree(tree, self._resolution.project.name, f"the project {tree.name}")

    def _source_of_tree(self, tree: SourceTree, name: str, label: str) -> SourceToCompile:
        rules = secret_rules(self._options)

        def write(directory: Path) -> str:
            with private_copy(tree.top, history=tree.has_history) as copy:
                copytree(copy, directory, symlinks=True)
            return tree.root.relative_to(tree.top).as_posix()

        def finish(source: Path, wheel: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
            return remove_secrets(wheel, rules), unpackaged_files(source, wheel)

        content = f"{tree_digest(tree.top, history=tree.has_history)}/{tree.root.relative_to(tree.top)}"
        return SourceToCompile(name, label, content, write, variables=self._options.variables, finish=finish)
