"""Requirements of builds that need them without stating it: a setup.py that reads a version from its own dependency, or uses numpy, or
is older than today's setuptools.

uv and shipwheel build in isolation, so such a build fails. If a file of the project names the package of the module, or the output shows
which older tool would do, the build is tried again with it, and the lock records that, as uv's setting extra-build-dependencies would.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from shipwheel.known_packages import PACKAGE_OF_MODULE
from shipwheel.locking.old_builds import older_requirement_in
from shipwheel.locking.uv_output import Failure, missing_module_in
from shipwheel.project.lock_inputs import LockInputs
from shipwheel.versions import normalized, requirement_name

__all__ = ["BuildRequirements", "missing_build_requirement", "requirement_wanted", "stated_requirements"]

BuildRequirements = Mapping[str, tuple[str, ...]]
"""Normalized name of a package -> the requirements that its build has beyond those that it states."""


def missing_build_requirement(failure: Failure, inputs: LockInputs, known: BuildRequirements) -> BuildRequirements | None:
    """Return the build requirements with what a failed build lacked; None if nothing names it, or if it did not help."""
    name = failure.built or inputs.stated_name
    requirement = _wanted(failure.older_requirement, failure.missing_module, stated_requirements(inputs), inputs.root)
    if not name or requirement is None or requirement in known.get(name, ()):
        return None
    return {**known, name: (*known.get(name, ()), requirement)}


def requirement_wanted(output: str, stated: Iterable[str], root: Path) -> str | None:
    """Return what a failed build lacked, by its output: an older tool, or the requirement of a module; None if nothing names it."""
    return _wanted(older_requirement_in(output), missing_module_in(output), stated, root)


def _wanted(older: str, module: str, stated: Iterable[str], root: Path) -> str | None:
    if older:
        return older
    return _requirement_of(module, stated, root) if module else None


def _requirement_of(module: str, stated: Iterable[str], root: Path) -> str | None:
    """Return the requirement that brings a module: as it is stated, else as it is generally known; None for a module in `root` itself."""
    top = module.partition(".")[0]
    if any((root / path).exists() for path in (top, f"{top}.py", f"src/{top}")):
        return None
    usual = PACKAGE_OF_MODULE.get(top)
    names = {normalized(top), *([requirement_name(usual)] if usual is not None else [])}
    return next((text for text in stated if requirement_name(text) in names), usual)


def stated_requirements(inputs: LockInputs) -> tuple[str, ...]:
    """Return every requirement that the project's files state, and other texts of setup.py that look like one."""
    return tuple(dict.fromkeys(_stated(inputs)))


def _stated(inputs: LockInputs) -> Iterator[str]:
    for line in inputs.requirements.lines if inputs.requirements is not None else ():
        if line.requirement is not None and not line.requirement.url:
            yield line.text
    yield from (f"{name}=={version}" for name, version in inputs.pins.versions)
    yield from inputs.tables.get("project", {}).get("dependencies", ())
    yield from _requirements_in(inputs.texts.get("setup.cfg", b"").decode(errors="replace"))
    try:
        tree = ast.parse(inputs.texts.get("setup.py", b""))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from _requirements_in(node.value)


def _requirements_in(text: str) -> Iterator[str]:
    from packaging.requirements import InvalidRequirement, Requirement

    for line in text.splitlines():
        try:
            yield str(Requirement(line.strip()))
        except InvalidRequirement:
            continue
