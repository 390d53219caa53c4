"""Programs of the machine that some tests compare our work with."""

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

from shipwheel.debian.mirror import MIRROR_VARIABLE, apt_mirror

__all__ = ["COMPLETE", "needs", "needs_mirror", "needs_root", "skip_unless_complete"]

COMPLETE = "SHIPWHEEL_TEST_COMPLETE" in os.environ
"""Set when every tier runs and everything that it needs was installed: a test that cannot run then fails instead of being skipped."""


def needs(program: str) -> pytest.MarkDecorator:
    """Skip a test if a program is not installed. In a complete run, let the test fail."""
    absent = shutil.which(program) is None
    return pytest.mark.skipif(absent and not COMPLETE, reason=f"{program} is not installed: tests/real/setup.sh installs it")


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can do this")


needs_mirror = pytest.mark.skipif(
    MIRROR_VARIABLE not in os.environ and apt_mirror(Path("/etc/apt")) is None and not COMPLETE,
    reason=f"no Debian mirror is configured: set {MIRROR_VARIABLE}",
)


def skip_unless_complete(reason: str) -> NoReturn:
    """Skip the running test, because something of this machine is absent. In a complete run, let it fail."""
    if COMPLETE:
        pytest.fail(reason)
    pytest.skip(reason)
