"""A root with node and npm, in which front ends are built: node's own programs among Debian's, of any suite, or an image."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from shipwheel.base.image_source import fetch_layers, open_images
from shipwheel.builder.kept_packages import KeptFile, write_files
from shipwheel.builder.node_wheel import NODE_PLACE, NodeSource
from shipwheel.builder.program_root import find_programs, unpack_programs
from shipwheel.debian.package import DebianPackage
from shipwheel.debian.session import ArchiveSession
from shipwheel.digest import Digest
from shipwheel.errors import BuildError, FetchError, UsageError
from shipwheel.events import Reporter
from shipwheel.files.segment import key_of
from shipwheel.locking.sandbox import linked_directory, top_directories
from shipwheel.oci.image import Image
from shipwheel.oci.read.rootfs_cache import unpack_image
from shipwheel.platform import Platform
from shipwheel.store.contents import BUILD_PACKAGES
from shipwheel.store.directory_cache import CachedDirectory, DirectoryCache
from shipwheel.store.store import Store, store_write_error
from shipwheel.suites import Suite

__all__ = ["node_packages", "node_programs", "npm_cache", "open_node_image", "unpack_node", "unpack_node_image"]

_VERSION = "1"
"""Part of every key: raise it whenever the same packages make another root."""
_KEPT_CACHES = 32
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PACKAGES = ("bash", "coreutils", "dash", "diffutils", "findutils", "gawk", "grep", "gzip", "libstdc++6", "make", "sed", "tar", "unzip")
"""The C++ library of node, and the programs that scripts take for granted."""


def node_programs(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names of Debian's packages in a root with node and more packages."""
    return (*_PACKAGES, *names)


def node_packages(suite: Suite, host: Platform, names: Iterable[str], archive: ArchiveSession, store: Store) -> tuple[DebianPackage, ...]:
    """Return the packages of a root with node, and more packages by their `names`, with all that they depend on.

    Raise BuildError for a name that the suite lacks, and any error of a download.
    """
    wanted = tuple(names)
    packages = find_programs(suite, host, node_programs(wanted), archive, store)
    found = {package.name for package in packages}
    if "libstdc++6" not in found:
        hint = "The mirror is incomplete: use another one (SHIPWHEEL_DEBIAN_MIRROR)."
        raise FetchError(f"Debian {suite.codename} for {host.architecture} has no package libstdc++6, which node needs", hint=hint)
    if unknown := [name for name in wanted if name not in found]:
        hint = "Correct `packages` below [[tool.shipwheel.assets]]."
        raise BuildError(f"Debian {suite.codename} has no package {', '.join(unknown)}", hint=hint)
    return packages


def unpack_node(
    packages: Sequence[DebianPackage], node: NodeSource, fetch: Callable[[Sequence[DebianPackage]], None], store: Store
) -> tuple[CachedDirectory, Mapping[str, str]]:
    """Return a directory with the files of packages and of node, unpacked once, and the environment of its programs.

    `fetch` brings packages into the store, which has the wheel of node. Raise any error of a download or of the store.
    """
    # What compiles an addon takes node's headers from there, and downloads none.
    environment = {"PATH": f"/{NODE_PLACE}/bin:/usr/bin:/usr/sbin", "npm_config_nodedir": f"/{NODE_PLACE}"}
    return unpack_programs(packages, fetch, store, (node,)), environment


def unpack_node_image(name: str, host: Platform, store: Store, reporter: Reporter) -> tuple[CachedDirectory, Mapping[str, str]]:
    """Return a directory with the files of an image for this machine, unpacked once, and the image's environment.

    Raise BuildError for an image that has no npm, is for other machines or hostile, and any error of a download, the image or the store.
    """
    image, _ = open_node_image(name, host, store, reporter)
    environment = {"PATH": _DEFAULT_PATH, **image.execution.environment}
    root = unpack_image(image, store, reporter)
    if fault := _fault(root.path, environment["PATH"]):
        root.close()
        raise BuildError(f"the image {name} {fault}", hint="Name an image with node, such as node:22-slim, by its digest.")
    return root, environment


def open_node_image(name: str, host: Platform, store: Store, reporter: Reporter) -> tuple[Image, Digest]:
    """Return an image for this machine, whose layers are in the store, and the digest that its name refers to.

    Raise BuildError for an image for other machines, and any error of a download or of the store.
    """
    try:
        index, digest = open_images(name, None, [host], store, reporter, root=Path())
    except UsageError as error:
        hint = f"Correct `image` below [[tool.shipwheel.assets]]: it names an image for this machine, {host}."
        raise BuildError(error.message, hint=hint) from error
    image = index.images[0]
    fetch_layers([image], store, reporter)
    return image, digest


def _fault(root: Path, path: str) -> str:
    """Return why a root with this PATH cannot be used; empty if it can. A sandbox shows these of its directories."""
    if link := linked_directory(root):
        return f"has a link in place of /{link}"
    shown = {"usr", "opt", "etc", *(name for name, _ in top_directories(root))}
    folders = [folder.strip("/") for folder in path.split(":")]
    has_npm = any(folder.partition("/")[0] in shown and os.path.lexists(root / folder / "npm") for folder in folders)
    return "" if has_npm else "has no npm on its PATH"


def npm_cache(store: Store, project: Path, kept: Sequence[KeptFile] = ()) -> CachedDirectory:
    """Return the directory in which npm, yarn, pnpm and bun keep what they download for a project. Raise StoreError if it cannot be made.

    `kept` are the files that it has at first. A project's configuration can make these programs run its own, which then must not reach what
    another project gets, nor make a link of a directory that files are written to: other files at first are another directory.
    """
    first = [f"{file.path} {file.digest}" for file in kept]
    cache, name = DirectoryCache(store.root / BUILD_PACKAGES), key_of("npm cache", _VERSION, str(project), *first)
    try:
        return cache.find(name) or cache.fill(name, lambda directory: write_files(kept, directory, store), keep=_KEPT_CACHES)
    except OSError as error:
        raise store_write_error(store.root, error) from error
