"""Requirements that a project's metadata lacks, although its code imports them and its requirements file has them."""

from collections.abc import Iterable, Mapping, Sequence

from shipwheel.errors import ShipwheelError
from shipwheel.known_packages import package_of_module
from shipwheel.project.entrypoint.launch import Launch, started_modules
from shipwheel.project.entrypoint.module import Module
from shipwheel.project.metadata import dependency_names
from shipwheel.project.project import Project
from shipwheel.project.requirements import Line, read_requirements
from shipwheel.project.requirements_files import find_requirements
from shipwheel.versions import minor_version, normalized

__all__ = ["lines_beside", "listed_imports"]


def lines_beside(project: Project) -> tuple[str, tuple[Line, ...]]:
    """Return the name of the requirements file beside the metadata that counts, and its lines; empty without one that can be read."""
    inputs = project.inputs
    decided = project.only or inputs.requirements is not None or inputs.other_lock is not None or inputs.pipfile is not None
    found = find_requirements(project.root, project.files) if not decided else None
    try:
        return (found.name, read_requirements((found,), project.files).lines) if found is not None else ("", ())
    except ShipwheelError:
        # The metadata suffices.
        return "", ()


def listed_imports(
    launch: Launch, scripts: Mapping[str, str], modules: Sequence[Module], lines: Iterable[Line], present: frozenset[str], python: str
) -> tuple[str, ...]:
    """Return what a requirements file has for packages that the command imports when it starts and that are not `present`.

    Of a pinned one, which another package may bring in another version, the name alone: versions pinned beside the metadata are preferred.
    What the project has as a module itself is no package: a package index may have a stranger's of that name.
    `python` is the version of the image's Python, by which lines with a marker count or not.
    """
    own = {module.top_level for module in modules}
    started = started_modules(launch, scripts, modules)
    imported = {name for module in started for name, _ in module.required if name.partition(".")[0] not in own}
    wanted = dependency_names(map(package_of_module, imported), minor_version(python)) - present
    named = [(line, needed) for line in lines if (needed := line.requirement) is not None and normalized(needed.name) in wanted]
    # No preference leads to a URL.
    return tuple(dict.fromkeys(normalized(needed.name) if line.is_pinned and not needed.url else line.text for line, needed in named))
