"""The tests that this run has collected, before markers or names select some of them."""

import pytest

__all__ = ["COLLECTED"]

COLLECTED = pytest.StashKey[list[str]]()
"""Their IDs, in the stash of pytest's configuration."""
