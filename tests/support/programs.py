"""Programs of the machine that some tests compare our work with."""

import os
import shutil

import pytest

__all__ = ["COMPLETE", "needs", "needs_root"]

COMPLETE = "SHIPWHEEL_TEST_COMPLETE" in os.environ
"""Set when every tier runs and everything that it needs was installed: a test that cannot run then fails instead of being skipped."""


def needs(program: str) -> pytest.MarkDecorator:
    """Skip a test if a program is not installed. In a complete run, let the test fail."""
    absent = shutil.which(program) is None
    return pytest.mark.skipif(absent and not COMPLETE, reason=f"{program} is not installed: tests/real/setup.sh installs it")


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can do this")
