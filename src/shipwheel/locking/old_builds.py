"""Builds that worked with the tools of their time: what they print when today's setuptools or Cython no longer has what they use."""

from shipwheel.lazy_pattern import lazy_pattern

__all__ = ["older_requirement_in"]

_SIGNS = (
    (r"cannot import name 'Feature' from 'setuptools'|module 'setuptools' has no attribute 'Feature'", "setuptools<46"),
    (r"use_2to3 is invalid|cannot import name '\w+' from 'setuptools'", "setuptools<58"),
    (r"must be a string or [\w ]*strings containing valid project/version requirement specifiers", "setuptools<66"),
    (r"\bInvalidVersion: Invalid version: ", "setuptools<66"),
    (r"No module named 'setuptools\.command\.test'|cannot import name 'test' from 'setuptools\.command'", "setuptools<72"),
    (r"InvalidConfigError: Invalid (?:dash-separated|uppercase) key", "setuptools<78"),
    (r"AttributeError: cython_sources", "cython<3"),
)
_COMPILED = tuple((lazy_pattern(pattern), requirement) for pattern, requirement in _SIGNS)


def older_requirement_in(output: str) -> str:
    """Return the requirement with which a failed build would have worked, by its output: "setuptools<58". Empty if nothing shows one."""
    return next((requirement for pattern, requirement in _COMPILED if pattern.search(output)), "")
