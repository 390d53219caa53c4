"""The settings of an image for development: those for production, with the dependencies of developers and a debugger."""

import msgspec

from shipwheel.project.metadata import has_group
from shipwheel.project.project import Project
from shipwheel.settings.settings import Settings

__all__ = ["development", "for_editor"]

_DEBUGGER = "debugpy"
_LOCK = "pylock.dev.toml"

_GROUP = "dev"
_REQUIREMENTS = (
    *("requirements-dev.txt", "requirements_dev.txt", "dev-requirements.txt", "dev_requirements.txt", "requirements.dev.txt"),
    *("requirements/dev.txt", "requirements/development.txt", "requirements/local.txt"),
)

_EDITOR_LOCK = "pylock.devcontainer.toml"
_EDITOR_PACKAGES = (
    *("bash", "ca-certificates", "coreutils", "dash", "findutils", "git", "grep", "gzip", "hostname"),
    *("libstdc++6", "mawk", "openssh-client", "procps", "sed", "tar"),
)
"""Debian packages for the server that an editor runs in a container, and for its terminal."""


def for_editor(settings: Settings) -> Settings:
    """Return the settings of a variant for development with all that an editor needs inside the container, under a lock of its own."""
    packages = tuple(dict.fromkeys((*settings.packages, *_EDITOR_PACKAGES)))
    return msgspec.structs.replace(settings, lock=_EDITOR_LOCK, packages=packages)


def development(project: Project, *, debugger: bool) -> Settings:
    """Return the settings of a project's variant for development: those of the project if it needs nothing else.

    The variant has a lock of its own, with the versions of the project's lock. It has no steps and no front ends: the mounted source would
    hide their files.
    """
    settings, added = msgspec.structs.replace(project.settings, steps=(), assets=()), dict[str, object]()
    if _GROUP not in settings.groups and _has_group(project):
        added["groups"] = (*settings.groups, _GROUP)
    if requirements := _requirements(project):
        added["requirements"] = requirements
    if debugger and _DEBUGGER not in project.dependencies:
        added["dependencies"] = (*settings.dependencies, _DEBUGGER)
    return msgspec.structs.replace(settings, lock=_LOCK, **added) if added else settings


def _has_group(project: Project) -> bool:
    inputs = project.inputs
    if inputs.requirements is not None or inputs.script is not None:
        return False
    return inputs.pipfile is not None or has_group(inputs.tables, _GROUP)


def _requirements(project: Project) -> tuple[str, ...]:
    """Return the requirements files with those of developers; empty if these are read already, or if there are none."""
    listed = project.inputs.requirements
    if listed is None:
        return ()
    own = [path.resolve() for path in listed.files]
    found = next((name for name in _REQUIREMENTS if project.files.is_file(project.root / name)), None)
    if found is None or (project.root / found).resolve() in own:
        return ()
    top = project.settings.requirements or tuple(path.relative_to(project.root.resolve()).as_posix() for path in own[:1])
    return (*top, found)
