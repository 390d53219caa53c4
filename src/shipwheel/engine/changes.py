"""The paths that a container wrote, from the lists of several engines."""

from collections.abc import Iterable

from shipwheel.engine.interface import RunSpec

__all__ = ["leaf_paths"]

_OF_THE_ENGINE = {"/dev", "/etc", "/proc", "/run", "/sys"}
"""Directories that engines put files into, which they leave out of their lists (podman: /etc/hosts, /etc/mtab, /run/.containerenv)."""


def leaf_paths(paths: Iterable[str], spec: RunSpec) -> tuple[str, ...]:
    """Return the absolute paths, sorted, without directories that lead to others and without the container's mount points.

    Engines create missing mount points in the container's layer, and files of their own.
    """
    mounted = {mount.target.rstrip("/") for mount in spec.mounts} | {path.rstrip("/") for path in spec.tmpfs}
    found = {path.rstrip("/") for path in paths}
    parents = {path[:cut] for path in found for cut, letter in enumerate(path) if letter == "/"}
    return tuple(sorted(found - parents - mounted - _OF_THE_ENGINE - {""}))
