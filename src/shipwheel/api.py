"""The functions behind `import shipwheel`: what the commands of the same names do, for programs.

They import the rest of shipwheel when they are called, print nothing, and raise `ShipwheelError` with a message and a hint.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from shipwheel.errors import UsageError
from shipwheel.events import Reporter, silent

if TYPE_CHECKING:
    from shipwheel.oci.reference import Reference
    from shipwheel.pipeline.deliver import Check, Delivered
    from shipwheel.pipeline.lock_project import Locked
    from shipwheel.pipeline.plan import BuildPlan
    from shipwheel.request import LockMode, Request
    from shipwheel.store.store import Store

__all__ = ["build", "copy", "lock", "make_request", "plan", "push"]


def make_request(
    path: str | Path = ".",
    *,
    store: "Store | None" = None,
    reporter: Reporter = silent,
    upgrade_base: bool = False,
    lock_mode: "LockMode | None" = None,
    **settings: object,
) -> "Request":
    """Return a request for the project at `path`, a directory or a single-file script; for the one in it, if it is none itself.

    The keyword arguments are settings (`tag="hello:1"`, `platforms=["linux/arm64"]`); they override those of the project's own files.
    The store defaults to the one that the command line uses. `upgrade_base` takes the newest base instead of the locked one; `lock_mode`
    says whether the lock may change, by default it may.

    Raises UsageError for a wrong setting and ProjectError for a file that cannot be read.
    """
    from shipwheel.events import Warned
    from shipwheel.project.applications import project_directory
    from shipwheel.project.read import find_settings
    from shipwheel.request import LockMode, Request
    from shipwheel.settings.settings import merge
    from shipwheel.store.store import Store, default_root

    given, path = Path(path), project_directory(Path(path))
    if path != given:
        what = f"{given.absolute()} is no application itself: the one in {path} is built"
        reporter(Warned(what, _way_to_name(path, given), lasting=True))
    merged = merge(find_settings(path.absolute()), settings)
    return Request(
        path,
        merged,
        Store(default_root()) if store is None else store,
        reporter,
        upgrade_base=upgrade_base,
        lock_mode=lock_mode or LockMode.UPDATE,
        top=given if path != given else None,
    )


def _way_to_name(path: Path, given: Path) -> str:
    """Return what to name the next time: the project, or `given` again where that alone tells which files are its repository's."""
    from shipwheel.project.deployment.find_dockerfile import repository_folders
    from shipwheel.user.files import UserFiles

    root = path.absolute()
    if repository_folders(root, UserFiles()) == repository_folders(root, UserFiles(given)):
        return f"Name it: shipwheel build {path}."
    return "Go on naming this one: outside a git repository, the compose files and Dockerfiles above the project count only then."


def plan(request: "Request") -> "BuildPlan":
    """Return what `build` would make, and why. Raise what `build` would raise before it makes layers.

    Writes the lock if none is current. Builds what has no wheel, and downloads the wheel with the command, but nothing large.
    """
    from shipwheel.pipeline.plan import make_plan
    from shipwheel.pipeline.preview import preview

    return make_plan(preview(request))


def lock(request: "Request", *, upgrade: bool = False, upgrade_packages: Iterable[str] = ()) -> "Locked":
    """Lock the project for all platforms, and write pylock.toml unless it is current.

    Locked versions stay as long as they satisfy the requirements. `upgrade` takes the newest versions of all packages,
    `upgrade_packages` of the named ones.

    Raises LockError if no set of packages serves every platform; nothing is written then.
    """
    from shipwheel.locking.preferences import Upgrade
    from shipwheel.pipeline.lock_project import update_lock

    return update_lock(request, Upgrade(upgrade, frozenset(upgrade_packages)))


def build(request: "Request", *, push: bool = False, check: "Check | None" = None) -> "Delivered":
    """Build the images, prove that they can start, deliver them, and check every digest.

    They go to the setting `output`: an OCI image layout, or one archive if it ends in .tar; NAME.oci in the working directory if it is
    not set. With `push` they go to the registry that the setting `tag` names, and to disk only if `output` is set. Layers that the
    registry has are neither built nor sent. `check` is called with the images before anything is delivered, and stops that by raising.
    """
    from shipwheel.pipeline.deliver import build_and_deliver, build_and_push

    return build_and_push(request, check) if push else build_and_deliver(request, check)


def push(
    layout: str | Path,
    reference: str,
    *,
    name: str | None = None,
    mount_from: Iterable[str] = (),
    reporter: Reporter = silent,
) -> str:
    """Push the images of an OCI image layout or archive to a registry, and return `NAME@DIGEST`.

    The layout may be another tool's; every byte stays the same. `name` (or a digest) selects the images if the layout holds several.
    `mount_from` names repositories of the same registry whose layers can be mounted instead of sent.

    Raises UsageError if `reference` has a digest, ImageError for a damaged layout, and FetchError if the registry refuses.
    """
    from shipwheel.oci.archive import read_archive
    from shipwheel.oci.layout import read_layout
    from shipwheel.oci.reference import Reference
    from shipwheel.registry.copy import LayoutSource, copy
    from shipwheel.registry.repository import Repository

    path, target = Path(layout), Reference.parse_target(reference)
    origins = [_origin(origin, target) for origin in mount_from]
    reader = read_archive(path) if path.is_file() else read_layout(path)
    entry = reader.entry(name)
    with Repository(target, reporter) as repository:
        tags = (target.tag_or_latest,)
        copy(LayoutSource(reader), entry.digest, repository, tags, reporter=reporter, media_type=entry.media_type, origins=origins)
    return f"{target.name}@{entry.digest}"


def copy(source: str, target: str, *, referrers: bool = False, reporter: Reporter = silent) -> str:
    """Copy an image, for all its platforms, from one repository to another, and return `NAME@DIGEST`.

    No digest changes. `referrers` also copies what refers to the image: attestations, signatures, and shipwheel's layer metadata.

    Raises UsageError if `target` has a digest, and FetchError if a registry refuses.
    """
    from shipwheel.oci.reference import Reference
    from shipwheel.registry.copy import copy
    from shipwheel.registry.repository import Repository

    origin, destination = Reference.parse(source), Reference.parse_target(target)
    tags = (destination.tag_or_latest,)
    with Repository(origin, reporter) as old, Repository(destination, reporter) as new:
        copied = copy(old, origin.digest or origin.tag_or_latest, new, tags, reporter=reporter, referrers=referrers)
    return f"{destination.name}@{copied.descriptor.digest}"


def _origin(text: str, target: "Reference") -> str:
    """Return `registry/repository` to mount layers from. A bare repository belongs to the target's registry.

    Raises UsageError for a repository of another registry.
    """
    from shipwheel.oci.reference import Reference
    from shipwheel.registry.hosts import host_of

    origin = Reference.parse(text)
    if origin.registry is None:
        return origin.repository if target.registry is None else f"{target.registry}/{origin.repository}"
    if host_of(origin.registry).url != host_of(target.registry).url:
        raise UsageError(
            f"--mount-from {text}: a registry can only mount layers of its own repositories, and {target.name} is in another registry",
            hint="Name a repository of that registry, or leave the option out: the layers are then sent.",
        )
    return origin.name
