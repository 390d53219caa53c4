"""Caches of uv for tests that must not find the packages of others."""

import subprocess
from functools import cache
from pathlib import Path

import pytest
from uv import find_uv_bin

__all__ = ["new_uv_cache"]


def new_uv_cache(factory: pytest.TempPathFactory) -> str:
    """Return a cache without packages. What uv knows of interpreters is in all of them: asking takes longer than most locks."""
    made = factory.mktemp("uv-cache")
    known = _known(factory.getbasetemp() / "uv-interpreters")
    (made / known.name).symlink_to(known)
    return str(made)


@cache
def _known(folder: Path) -> Path:
    """Return where a cache of uv's has what it knows of interpreters."""
    subprocess.run(
        [find_uv_bin(), "python", "find", "--quiet", "--no-project", "--cache-dir", folder], check=True, stdout=subprocess.DEVNULL
    )
    (found,) = folder.glob("interpreter-*")
    return found
