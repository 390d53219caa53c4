"""Importing a library without a module that it tries to import and can do without, which would take longer than the library itself."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["leave_out_imports", "left_out"]


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


def leave_out_imports() -> None:
    """Keep libraries from importing what they try to and can do without. To be called before a command is imported."""
    # httpx tries to import its own command line, and with it rich and pygments: half of its import time.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
    with left_out("typing_extensions"):
        # msgspec takes it in place of typing if it is there: a third of its import time.
        import msgspec  # noqa: F401
