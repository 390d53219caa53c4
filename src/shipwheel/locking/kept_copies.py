"""Private copies of the user's directories that several resolutions of one lock share.

uv knows the metadata of a directory that it has built, by its path. A copy at a new path is built again, which takes as long as the rest of
the resolution.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from pathlib import Path

from shipwheel.project.source_copy import private_copy

__all__ = ["drop_copies", "kept_copies", "lent_copy"]

_KEPT: ContextVar[tuple[ExitStack, dict[Path, Path]] | None] = ContextVar("kept_copies", default=None)


@contextmanager
def kept_copies() -> Iterator[None]:
    """Keep the private copies that are made in this block and this thread until its end."""
    with ExitStack() as stack:
        token = _KEPT.set((stack, {}))
        try:
            yield
        finally:
            _KEPT.reset(token)


def lent_copy(tree: Path, stack: ExitStack) -> Path:
    """Return a private copy of a directory: the one that is kept, or outside of such a block one that lives as long as `stack`."""
    kept = _KEPT.get()
    if kept is None:
        return stack.enter_context(private_copy(tree))
    owner, copies = kept
    if tree not in copies:
        copies[tree] = owner.enter_context(private_copy(tree))
    return copies[tree]


def drop_copies() -> None:
    """Lend none of the copies again that are kept: a build that failed leaves files in its own."""
    kept = _KEPT.get()
    if kept is not None:
        kept[1].clear()
