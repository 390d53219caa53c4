"""Python's own warnings about code and patterns of others, which nobody who builds an image wants to read."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["without_warnings"]

_ALONE = threading.RLock()
"""The list of warnings that are ignored is one for all threads: of two that change it at once, one puts back what the other made."""


@contextmanager
def without_warnings() -> Iterator[None]:
    """Ignore warnings in the block, which is for one thread at a time."""
    with _ALONE, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
