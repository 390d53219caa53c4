"""Front ends: built by node when their layer is missing, on a clean copy of the project, and kept in the store."""

import posixpath
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from shipwheel.cleanup.scratch import scratch_directory
from shipwheel.debian.package import DebianPackage
from shipwheel.digest import Digest, sha256_digest
from shipwheel.errors import BuildError
from shipwheel.events import Reporter, StageFinished, StageStarted, Warned
from shipwheel.files.elf import is_elf
from shipwheel.files.entry import FileEntry
from shipwheel.files.segment import key_of
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.locking.bounds import Bounds
from shipwheel.locking.node_choice import wheel_for
from shipwheel.locking.pylock import LockedNode
from shipwheel.pipeline.app_source import AppSource, CopiedSource
from shipwheel.pipeline.downloads import Downloads
from shipwheel.pipeline.secrets import left_out_secrets
from shipwheel.platform import DEBIAN_ARCHITECTURES, host_platform
from shipwheel.project.app_tree import AppTree, list_app, list_copies
from shipwheel.project.project import Project
from shipwheel.project.secret_files import SecretRules, secret_rules, token_error
from shipwheel.settings.build import AssetSettings, BuildSettings
from shipwheel.store.directory_cache import CachedDirectory
from shipwheel.store.store import Store
from shipwheel.suites import without_python

if TYPE_CHECKING:
    from shipwheel.builder.asset_build import AssetBuild, AssetFailed

__all__ = ["AssetsSource", "KeptPrograms"]

_VERSION = "2"
"""Part of every key: raise it whenever the same source gives other files."""
_OF_PYTHON = (".py", ".pyi")
_CONFIGURED_IN = (".js", ".cjs", ".mjs", ".ts", ".cts", ".mts", "package.json")
_READS_PYTHON = lazy_pattern(
    rb"""\.py\b|[{,]\s*py\s*[,}]|\*\*/\*["'`]|@tailwindcss/(?:cli|vite|postcss)\b|"tailwindcss"\s*:\s*"(?![^"\d]*[1-3]\b)""",
)
"""A front end's configuration that names Python files or all files, or Tailwind, unless from before 4: it finds classes in every file."""
_CONFIGURATION = (".npmrc", ".yarnrc", ".yarnrc.yml")
"""Files that may have the tokens of a registry, or the names of variables with them."""


class KeptPrograms(msgspec.Struct, frozen=True):
    """Blobs, and records by kind and key, with which programs of others run on a machine without a network.

    They are not `whole` if something that the programs need is not among them.
    """

    blobs: frozenset[Digest]
    records: Mapping[tuple[str, str], bytes]
    whole: bool = True


class AssetsSource(msgspec.Struct, frozen=True, dict=True):
    """The files of a front end, in the image. Its key is that of the project's source: nothing is built before the files are needed."""

    project: Project
    settings: AssetSettings
    node: LockedNode | None
    downloads: Downloads
    store: Store
    reporter: Reporter

    @property
    def _shown(self) -> str:
        """The command, for people."""
        return " ".join(self.settings.run)

    @property
    def label(self) -> str:
        """The files, for people."""
        return f"what `{self._shown}` made"

    @property
    def places(self) -> tuple[str, ...]:
        """Absolute paths of the files in the image."""
        to = self.settings.to or self.settings.output
        return (posixpath.normpath(posixpath.join(self.project.settings.workdir, to)),)

    @cached_property
    def key(self) -> str:
        """Hash of the project's files and of the settings, so that it is known before the front end is built."""
        stated = self.settings
        env = (f"{name}={value}" for name, value in sorted(stated.env.items()))
        facts = (*stated.run, "in", stated.in_, stated.output, *self.places, "env", *env, "packages", *sorted(stated.packages))
        node = ("image", stated.image) if self.node is None else ("node", self.node.version, without_python().codename)
        facts += ("allowed", *(secret.path for secret in self.project.settings.allow_secrets), *node)
        return key_of("assets", _VERSION, AppSource("", self._tree, "", "").key, *facts)

    @cached_property
    def _tree(self) -> AppTree:
        """The project's files that the build sees: those that could go into an image, so no secrets, and nothing that was made before.

        Python files are among them only if the front end may read them: otherwise, it would be built again after every edit.
        """
        tree = list_app(self.project.root, secret_rules=SecretRules(_CONFIGURATION))
        if self._reads_python(tree):
            return tree
        return msgspec.structs.replace(tree, files=tuple(file for file in tree.files if not file.path.endswith(_OF_PYTHON)))

    def _reads_python(self, tree: AppTree) -> bool:
        """Return whether the build has a Python, or a configuration makes the front end read Python files.

        Configurations are beside package.json, or have a name that says so, or that the command or package.json tells.
        """
        if any(name.startswith("python") for name in self.settings.packages):
            return True
        folder = posixpath.normpath(self.settings.in_)
        scripts = {
            posixpath.normpath(file.path): file.host for file in tree.files if file.link is None and file.path.endswith(_CONFIGURED_IN)
        }
        package = scripts.get(posixpath.normpath(posixpath.join(folder, "package.json")))
        told = " ".join(self.settings.run).encode() + (package.read_bytes() if package is not None else b"")
        for path, host in scripts.items():
            parent, name = posixpath.split(path)
            is_read = (parent or ".") == folder or name == "package.json" or ".config." in name or name.encode() in told
            if is_read and _READS_PYTHON.search(host.read_bytes()):
                return True
        return False

    def entries(self) -> Iterator[FileEntry]:
        """Build the front end and yield its files. Raise BuildError, and ProjectError for a token in a file."""
        from shipwheel.builder.sandboxes import SANDBOX_HINT, find_sandbox

        stated, shown, host = self.settings, self._shown, host_platform()
        if host.os != "linux" or host.architecture not in DEBIAN_ARCHITECTURES or find_sandbox() is None:
            hint = f"{SANDBOX_HINT} Or run it before the build, and `include` {stated.shown_output}."
            raise BuildError(f"`{shown}` builds the front end, which needs bubblewrap, docker or podman", hint=hint)
        self.reporter(StageStarted(shown, detail=True))
        with scratch_directory(ignore_cleanup_errors=True) as place:
            made = self._build(place)
            copies = {posixpath.join(self.places[0], path): stated.output or path for path in made}
            tree = list_copies(place / "source", copies, secret_rules=secret_rules(self.project.settings))
            self._check_programs(tree, place / "source")
            if tree.tokens:
                raise token_error(tree.tokens)
            if tree.secrets:
                self.reporter(left_out_secrets(tree.secrets))
            self.reporter(StageFinished(shown, f"`{shown}`"))
            yield from CopiedSource(self.label, tree, "", "").entries()

    def keep(self) -> KeptPrograms:
        """Fetch node and the packages of node, and return what another machine needs of them.

        Raise BuildError, and any error of a download.
        """
        from shipwheel.builder.asset_build import AssetFailed
        from shipwheel.builder.kept_packages import NODE_RECORD, keep_files, packages_key
        from shipwheel.builder.sandboxes import find_sandbox

        if find_sandbox() is None:
            return KeptPrograms(frozenset(), {}, whole=False)
        blobs, records = self._keep_node()
        with scratch_directory(ignore_cleanup_errors=True) as folder:
            try:
                with self._asset_build(folder / "first", folder / "cache") as build:
                    build.fetch()
            except AssetFailed as error:
                raise self._failed(error) from None
            files = keep_files(folder / "cache", self.store)
            try:
                # The proof that nothing else is needed: a package from git is in no cache.
                with self._asset_build(folder / "second", folder / "cache") as build:
                    build.fetch(network=False)
            except AssetFailed:
                return KeptPrograms(blobs, records, whole=False)
            records[NODE_RECORD, packages_key(folder / "first" / "source" / self.settings.in_)] = msgspec.json.encode(files)
        return KeptPrograms(blobs | {file.digest for file in files}, records)

    def _keep_node(self) -> tuple[frozenset[Digest], dict[tuple[str, str], bytes]]:
        from shipwheel.base.image_source import IMAGE_RECORD, image_record_key
        from shipwheel.builder.node_root import node_packages, node_programs, open_node_image
        from shipwheel.builder.program_root import PROGRAMS_RECORD, programs_key

        suite, host, names = without_python(), host_platform(), self.settings.packages
        if self.node is not None:
            packages, wheel = node_packages(suite, host, names, self.downloads.archive, self.store), wheel_for(self.node, host)
            self.downloads.packages(packages)
            self.downloads.files([wheel])
            key = programs_key(suite, host, node_programs(names))
            blobs = frozenset({sha256_digest(wheel.sha256), *(package.digest for package in packages)})
            return blobs, {(PROGRAMS_RECORD, key): msgspec.json.encode(packages)}
        image, digest = open_node_image(self.settings.image, host, self.store, self.reporter)
        key = image_record_key(digest, host)
        record = self.store.get(IMAGE_RECORD, key)
        return frozenset(layer.descriptor.digest for layer in image.layers), {(IMAGE_RECORD, key): record} if record is not None else {}

    @contextmanager
    def _asset_build(self, place: Path, cache: Path | None = None) -> "Iterator[AssetBuild]":
        """Yield the build in `place`, a new directory, into which the source is copied. With `cache`, npm's cache is there.

        A new cache has the packages that a bundle brought.
        """
        from shipwheel.builder.asset_build import AssetBuild
        from shipwheel.builder.kept_packages import find_files, write_files
        from shipwheel.builder.node_root import npm_cache

        stated, bounds, source = self.settings, self.project.settings.build or BuildSettings(), place / "source" / self.settings.in_
        _write(self._tree, place / "source")
        self._check_source(source)
        limits, below = Bounds.of(bounds.max_minutes, bounds.max_gigabytes), "" if stated.in_ == "." else stated.in_
        with ExitStack() as used:
            root, environment = self._node()
            used.callback(root.close)
            kept = find_files(self.store, source)
            if cache is None:
                cached = npm_cache(self.store, self.project.root, kept)
                used.callback(cached.close)
                cache = cached.path
            elif not cache.exists():
                write_files(kept, cache, self.store)
            yield AssetBuild(place, root.path, environment, cache, below, stated.env, self.store.closed, limits, bool(kept))

    def _build(self, place: Path) -> tuple[str, ...]:
        """Build the front end, and return the paths of what is to be copied, below the place in the image. Raise BuildError."""
        from shipwheel.builder.asset_build import OLD_HASHES, AssetFailed
        from shipwheel.builder.made_paths import file_states, made_paths

        source = place / "source"
        try:
            with self._asset_build(place) as build:
                printed = build.prepare()
                before = file_states(source) if not self.settings.output else {}
                needed_old, printed = build.run(self.settings.run, printed)
                if needed_old:
                    hint = f'State it, so that it does not fail first: env = {{ NODE_OPTIONS = "{OLD_HASHES}" }}.'
                    self.reporter(Warned(f"`{self._shown}` wants old hashes of node: it ran again with NODE_OPTIONS={OLD_HASHES}", hint))
        except AssetFailed as error:
            raise self._failed(error) from None
        if self.settings.output:
            self._check_output(source, printed)
            return ("",)
        made = made_paths(source, before)
        if not made:
            hint = "Name what it makes by `output` below [[tool.shipwheel.assets]], or correct `run`."
            raise self._with_output(f"`{self._shown}` made no files of the project", hint, printed)
        return made

    def _node(self) -> tuple[CachedDirectory, Mapping[str, str]]:
        """Return a root with node, and the environment of its programs."""
        from shipwheel.builder.node_root import node_packages, unpack_node, unpack_node_image
        from shipwheel.builder.node_wheel import NodeSource

        packages, host = self.settings.packages, host_platform()
        if self.node is not None:
            found = node_packages(without_python(), host, packages, self.downloads.archive, self.store)
            node = NodeSource(wheel_for(self.node, host), host, self.store)

            def fetch(debian: Sequence[DebianPackage]) -> None:
                self.downloads.packages(debian)
                self.downloads.files([node.wheel])

            return unpack_node(found, node, fetch, self.store)
        if packages:
            hint = "Use an image that has these programs, or leave out `image`."
            raise BuildError(f"packages ({', '.join(packages)}) cannot be added to the image {self.settings.image}", hint=hint)
        return unpack_node_image(self.settings.image, host, self.store, self.reporter)

    def _check_source(self, source: Path) -> None:
        if not (source / "package.json").is_file():
            what = f"{self.settings.in_} has no package.json, and `{self._shown}` is to run there"
            raise BuildError(what, hint="Name the directory with `in` below [[tool.shipwheel.assets]].")
        from shipwheel.builder.asset_build import package_manager

        if not package_manager(source).is_locked:
            hint = "Commit the lock file of npm, yarn, pnpm or bun: without one, another build may get other packages."
            self.reporter(Warned(f"the front end in {self.settings.in_} has no lock file", hint))

    def _failed(self, error: "AssetFailed") -> BuildError:
        self.store.check_open()
        node = f"node {self.node.version}" if self.node is not None else "the image's node"
        keys = "env, packages, node, image and in below [[tool.shipwheel.assets]]"
        hint = f"It runs with {node}, without a network. {keys} change what it sees."
        return self._with_output(str(error), hint, error.output)

    def _with_output(self, message: str, hint: str, output: str) -> BuildError:
        from shipwheel.pipeline.failed_output import last_lines, write_log

        log = write_log(self.store, f"{self.project.name}-assets", output)
        return BuildError(f"{message}:\n  {last_lines(output)}\n  whole output: {log}", hint=hint)

    def _check_output(self, source: Path, printed: str) -> None:
        """Raise BuildError if the output is not there."""
        output = self.settings.output
        made = source / output
        if not made.exists() or (made.is_dir() and not any(made.iterdir())):
            hint = "Correct `output` below [[tool.shipwheel.assets]]: it is relative to the project."
            raise self._with_output(f"`{self._shown}` made no {output}", hint, printed)

    def _check_programs(self, tree: AppTree, source: Path) -> None:
        """Raise BuildError for a program, which is for one kind of processor."""
        if program := next((file.host for file in tree.files if file.link is None and _is_program(file.host)), None):
            named = program.relative_to(source).as_posix()
            what = f"`{self._shown}` made a program or library for one kind of processor: {named}"
            raise BuildError(what, hint="A front end is the same for every platform: leave programs out of `output`.")


def _write(tree: AppTree, directory: Path) -> None:
    for item in tree.files:
        path = directory / item.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if item.link is not None:
            path.symlink_to(item.link)
        else:
            shutil.copyfile(item.host, path)
            path.chmod(0o755 if item.executable else 0o644)


def _is_program(path: Path) -> bool:
    with path.open("rb") as stream:
        return is_elf(stream.read(4))
