"""Importing a library without a module that it tries to import and can do without, which would take longer than the library itself."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["left_out"]


@contextmanager
def left_out(name: str) -> Iterator[None]:
    """Make imports of a module fail inside the block, unless it is there already or other threads run, which may need it."""
    if name in sys.modules or threading.active_count() > 1:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]
