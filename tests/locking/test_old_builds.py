"""What builds print that are older than the tools they get."""

import pytest

from shipwheel.locking.old_builds import older_requirement_in

_REFUSED = "'install_requires' must be a string or list of strings containing valid project/version requirement specifiers; Expected end"


@pytest.mark.parametrize(
    ("output", "requirement"),
    [
        ("error in jokes setup command: use_2to3 is invalid.", "setuptools<58"),
        ("ImportError: cannot import name 'Feature' from 'setuptools' (/venv/setuptools/__init__.py)", "setuptools<46"),
        ("ImportError: cannot import name 'convert_path' from 'setuptools' (/venv/setuptools/__init__.py)", "setuptools<58"),
        (f"error in jokes setup command: {_REFUSED}", "setuptools<66"),
        ("    raise InvalidVersion(f\"Invalid version: '{version}'\")\nInvalidVersion: Invalid version: '1.0-final-2'", "setuptools<66"),
        ("ModuleNotFoundError: No module named 'setuptools.command.test'", "setuptools<72"),
        ("setuptools.errors.InvalidConfigError: Invalid dash-separated key 'description-file' in 'metadata'", "setuptools<78"),
        ("AttributeError: cython_sources", "cython<3"),
        ("ModuleNotFoundError: No module named 'jokes'", ""),
        ("error in jokes setup command: name is missing", ""),
    ],
)
def test_names_the_tool_that_would_do(output: str, requirement: str) -> None:
    assert older_requirement_in(f"Traceback (most recent call last):\n{output}\n") == requirement
