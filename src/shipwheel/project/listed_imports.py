"""Requirements that a project's metadata lacks, although its code imports them and its requirements file has them."""

from collections.abc import Iterable, Mapping, Sequence

from shipwheel.known_packages import requirement_of_module
from shipwheel.project.entrypoint.launch import Launch
from shipwheel.project.entrypoint.module import Module
from shipwheel.project.entrypoint.reached import entry_module, reached_modules
from shipwheel.project.metadata import dependency_names
from shipwheel.project.requirements import Line
from shipwheel.versions import minor_version, normalized

__all__ = ["listed_imports"]


def listed_imports(
    launch: Launch, scripts: Mapping[str, str], modules: Sequence[Module], lines: Iterable[Line], present: frozenset[str], python: str
) -> tuple[str, ...]:
    """Return what a requirements file has for packages that the command imports when it starts and that are not `present`.

    Of a pinned one, which another package may bring in another version, the name alone: versions pinned beside the metadata are preferred.
    `python` is the version of the image's Python, by which lines with a marker count or not.
    """
    by_name = {module.name: module for module in modules}
    reached = reached_modules(entry_module(launch.source_command, launch.directory, scripts, by_name), by_name)
    imported = {name for module in reached for name, _ in module.required}
    wanted = dependency_names((requirement_of_module(name) or name.partition(".")[0] for name in imported), minor_version(python)) - present
    named = [(line, normalized(line.requirement.name)) for line in lines if line.requirement is not None]
    return tuple(dict.fromkeys(name if line.is_pinned else line.text for line, name in named if name in wanted))
