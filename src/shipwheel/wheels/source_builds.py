"""Pure Python wheels from source: of sdists that have no wheel, of git repositories, and of the user's own project.

Each is built once for all platforms, and found again in the store under a key of everything that determines it.
"""

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from shipwheel.errors import BuildError, ProjectWheelError
from shipwheel.events import Reporter, silent
from shipwheel.files.segment import source_date_epoch
from shipwheel.locking import uv
from shipwheel.locking.selection import LockedDistribution
from shipwheel.project.secret_files import SecretRules
from shipwheel.project.source_copy import SourceTree, private_copy, read_source_tree, tree_digest
from shipwheel.store import Store
from shipwheel.user_files import UserFiles
from shipwheel.wheels.built_wheels import BuiltWheel, find_built_wheel
from shipwheel.wheels.git_source import checkout
from shipwheel.wheels.isolated_build import BuildJob, build_in_isolation

__all__ = ["BuildOptions", "build_project_wheel", "build_pure_wheel", "needs_source"]

_VERSION = "2"
"""Part of every key: raise it whenever the same source gives another wheel."""


class BuildOptions(msgspec.Struct, frozen=True):
    """The settings that all builds of one image share.

    `minor` is the target's Python version, `as_of` the lock's day, `settings` are uv's for the indexes of build requirements.
    `allowed_secrets` are patterns of files that the wheels of the user's own directories may have.
    """

    minor: str
    as_of: str
    settings: Mapping[str, Any] = {}
    allowed_secrets: tuple[str, ...] = ()


def build_pure_wheel(
    dist: LockedDistribution, store: Store, options: BuildOptions, *, reporter: Reporter = silent, need_bytes: bool = True
) -> BuiltWheel:
    """Return the wheel of an sdist, which must be in the store, or of a directory or repository of the lock; build it if necessary.

    Without `need_bytes`, a wheel that another machine built is good enough. Raise BuildError.
    """
    if dist.kind == "directory":
        tree = read_source_tree((dist.path or Path()) / dist.subdirectory, UserFiles())
        return build_project_wheel(tree, store, options, reporter=reporter, need_bytes=need_bytes)
    key = _distribution_key(dist, options)
    built = find_built_wheel(key, store, need_bytes=need_bytes)
    if built is not None:
        return built
    with tempfile.TemporaryDirectory(prefix="shipwheel-") as name:
        source = checkout(dist, Path(name).resolve() / "source") if dist.kind == "vcs" else _sdist(dist, Path(name), store)
        job = BuildJob(source, dist.label, options.minor, options.as_of, options.settings)
        return build_in_isolation(job, store, key, reporter)


def needs_source(dist: LockedDistribution, store: Store, options: BuildOptions, *, need_bytes: bool = True) -> bool:
    """Return whether `build_pure_wheel` would read the sdist."""
    return dist.kind == "sdist" and find_built_wheel(_distribution_key(dist, options), store, need_bytes=need_bytes) is None


def build_project_wheel(
    tree: SourceTree, store: Store, options: BuildOptions, *, reporter: Reporter = silent, need_bytes: bool = True
) -> BuiltWheel:
    """Return the wheel of a project's directory, which may be a member of a workspace; build it if necessary, from a private copy.

    The copy has the git history if the build backend may take the version from it. The wheel is without the secrets that the backend put
    into it. Raise ProjectWheelError, and ProjectError for a token in a file.
    """
    below, allowed = tree.root.relative_to(tree.top), options.allowed_secrets
    key = _key(tree_digest(tree.top, history=tree.has_history), below.as_posix(), options.as_of, options.minor, *allowed)
    built = find_built_wheel(key, store, need_bytes=need_bytes)
    if built is None:
        with private_copy(tree.top, history=tree.has_history) as copy:
            # A wheel has the packages below src/ without it.
            rules = SecretRules((*allowed, *(path.removeprefix("/").removeprefix("src/") for path in allowed)))
            job = BuildJob(copy / below, f"the project {tree.name}", options.minor, options.as_of, tree.settings, rules)
            try:
                built = build_in_isolation(job, store, key, reporter)
            except BuildError as error:
                raise ProjectWheelError(error.message, hint=error.hint) from error
    return built


def _distribution_key(dist: LockedDistribution, options: BuildOptions) -> str:
    content = dist.commit if dist.kind == "vcs" else dist.digest.partition(":")[2]
    return _key(content, dist.subdirectory, options.as_of, options.minor)


def _key(*parts: str) -> str:
    text = "\0".join((_VERSION, uv.version(), str(source_date_epoch()), *parts))
    return hashlib.sha256(text.encode()).hexdigest()


def _sdist(dist: LockedDistribution, directory: Path, store: Store) -> Path:
    path = directory / dist.filename
    path.write_bytes(store.read(dist.digest))
    return path
