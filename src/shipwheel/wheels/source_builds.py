"""Pure Python wheels from source: of sdists that have no wheel, of git repositories, and of the user's own project.

Each is built once for all platforms, and found again in the store under a key of everything that determines it.
"""

import hashlib
import os
from pathlib import Path

from msgspec.structs import replace

from shipwheel.cleanup.scratch import scratch_directory
from shipwheel.errors import ArchiveError, BuildError, ProjectWheelError
from shipwheel.events import Reporter, silent
from shipwheel.files.segment import source_date_epoch
from shipwheel.locking import uv
from shipwheel.locking.environment import build_variables
from shipwheel.locking.selection import LockedDistribution
from shipwheel.project.secret_files import SecretRules
from shipwheel.project.source_copy import SourceTree, git_directories, private_copy, read_source_tree, tree_digest
from shipwheel.store.store import Store
from shipwheel.user.files import UserFiles
from shipwheel.wheels.built_wheels import BuiltWheel, find_built_wheel
from shipwheel.wheels.git_source import checkout
from shipwheel.wheels.isolated_build import BuildJob, BuildOptions, build_in_isolation
from shipwheel.wheels.kept_requirements import KeptRequirements
from shipwheel.wheels.sdist import unpack_sdist

__all__ = ["BuildOptions", "build_project_wheel", "build_pure_wheel", "directory_tree", "needs_source", "secret_rules", "write_source"]

_VERSION = "4"
"""Part of every key: raise it whenever the same source gives another wheel."""


def build_pure_wheel(
    dist: LockedDistribution, store: Store, options: BuildOptions, *, reporter: Reporter = silent, need_bytes: bool = True
) -> BuiltWheel:
    """Return the wheel of an sdist, which must be in the store, or of a directory or repository of the lock; build it if necessary.

    Without `need_bytes`, a wheel that another machine built is good enough. Raise BuildError.
    """
    options = replace(options, variables={})
    if dist.kind == "directory":
        return build_project_wheel(directory_tree(dist), store, options, reporter=reporter, need_bytes=need_bytes)
    key = _distribution_key(dist, options)
    built = find_built_wheel(key, store, need_bytes=need_bytes)
    if built is not None:
        return built
    with scratch_directory() as folder:
        top = folder / "source"
        source = write_source(dist, top, store)
        return build_in_isolation(BuildJob(source, top, dist.name, dist.label, options), store, key, reporter)


def directory_tree(dist: LockedDistribution) -> SourceTree:
    """Return the source of a directory of the lock."""
    return replace(read_source_tree((dist.path or Path()) / dist.subdirectory, UserFiles()), name=dist.name)


def needs_source(dist: LockedDistribution, store: Store, options: BuildOptions, *, need_bytes: bool = True) -> bool:
    """Return whether `build_pure_wheel` would read the sdist."""
    return dist.kind == "sdist" and find_built_wheel(_distribution_key(dist, options), store, need_bytes=need_bytes) is None


def build_project_wheel(
    tree: SourceTree,
    store: Store,
    options: BuildOptions,
    *,
    reporter: Reporter = silent,
    need_bytes: bool = True,
    kept: KeptRequirements | None = None,
) -> BuiltWheel:
    """Return the wheel of a project's directory, which may be a member of a workspace; build it if necessary, from a private copy.

    With `kept`, it is built in any case, and what its build requires is collected there.

    The copy has the git history if the build backend may take the version from it. The wheel is without the secrets that the backend put
    into it. Raise ProjectWheelError, and ProjectError for a token in a file.
    """
    own = replace(options, settings=tree.settings)
    below, allowed = tree.root.relative_to(tree.top), options.allowed_secrets
    parts = (below.as_posix(), options.as_of, options.minor, *allowed, *own.build_requirements_of(tree.name))
    key = _key(tree_digest(tree.top, history=tree.has_history), *parts)
    built = find_built_wheel(key, store, need_bytes=need_bytes) if kept is None else None
    if built is None:
        rules = secret_rules(options)
        with private_copy(tree.top, history=tree.has_history) as copy:
            history = git_directories(copy) if tree.has_history else ()
            job = BuildJob(copy / below, copy, tree.name, f"the project {tree.name}", own, history, rules, kept)
            try:
                built = build_in_isolation(job, store, key, reporter)
            except BuildError as error:
                raise ProjectWheelError(error.message, hint=error.hint) from error
    return built


def _distribution_key(dist: LockedDistribution, options: BuildOptions) -> str:
    content = dist.commit if dist.kind == "vcs" else dist.sha256 or ""
    return _key(content, dist.subdirectory, options.as_of, options.minor, *options.build_requirements_of(dist.name))


def _key(*parts: str) -> str:
    variables = (f"{name}={value}" for name, value in build_variables(os.environ).items())
    text = "\0".join((_VERSION, uv.version(), str(source_date_epoch()), *variables, *parts))
    return hashlib.sha256(text.encode()).hexdigest()


def write_source(dist: LockedDistribution, directory: Path, store: Store) -> Path:
    """Write an sdist, which must be in the store, or a repository into a new directory, and return the package's directory in it.

    Raise BuildError if that cannot be read, ArchiveError for a hostile sdist or a package's directory that is elsewhere.
    """
    found = checkout(dist, directory) if dist.kind == "vcs" else _unpacked(dist, directory, store)
    if not found.resolve().is_relative_to(directory.resolve()):
        raise ArchiveError(f"{dist.label}: its directory {dist.subdirectory} is a link to outside", hint="It is hostile; do not use it.")
    return found


def secret_rules(options: BuildOptions) -> SecretRules:
    """Return the rules for secrets in the wheel of a user's own directory. A wheel has the packages below src/ without it."""
    allowed = options.allowed_secrets
    return SecretRules((*allowed, *(path.removeprefix("/").removeprefix("src/") for path in allowed)))


def _unpacked(dist: LockedDistribution, directory: Path, store: Store) -> Path:
    """Unpack an sdist, and return the directory of the package in it."""
    with scratch_directory() as folder:
        archive = folder / dist.filename
        assert dist.digest is not None  # noqa: S101 - an sdist is a file
        archive.write_bytes(store.read(dist.digest))
        directory.mkdir()
        return unpack_sdist(archive, directory, dist.label) / dist.subdirectory
