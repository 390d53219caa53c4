"""Whether an image holds the programs that it starts. Pure: works on what segments know."""

import posixpath
from collections.abc import Iterable, Iterator, Sequence

from shipwheel.errors import ProofError
from shipwheel.files.segment import Segment
from shipwheel.project.detect import Project

__all__ = ["check_programs", "missing_programs", "programs_of"]


def programs_of(project: Project) -> tuple[str, ...]:
    """The first words of the command and of the one-time steps."""
    command = project.launch.command if project.launch else ()
    return tuple(dict.fromkeys(words[0] for words in (*project.before_start, command) if words))


def missing_programs(project: Project, path: str, segments: Iterable[Segment]) -> tuple[str, ...]:
    """The programs that none of the segments has where the image looks for them; `path` is its PATH. A volume may have any."""
    wanted = {word: set(_places(word, project, path)) for word in programs_of(project)}
    for segment in segments:
        wanted = {
            word: places for word, places in wanted.items() if not any(path in segment.files or path in segment.links for path in places)
        }
        if not wanted:
            break
    return tuple(word for word in wanted if not _below(_absolute(word, project), project.volumes))


def check_programs(project: Project, path: str, segments: Iterable[Segment]) -> None:
    """Raises ProofError that names the programs which are missing."""
    missing = missing_programs(project, path, segments)
    if missing:
        raise ProofError(
            f"the image would not start: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not in it",
            hint="Add the distribution that brings it to the project's dependencies, or write another command in the settings.",
        )


def _places(word: str, project: Project, path: str) -> Iterator[str]:
    """Paths inside the image; /bin and /sbin are links to what is below /usr."""
    folders = [""] if "/" in word else path.split(":")
    for folder in folders:
        place = posixpath.join(folder, word) if folder else _absolute(word, project)
        yield place.lstrip("/")
        yield f"usr{place}"


def _absolute(word: str, project: Project) -> str:
    return posixpath.normpath(posixpath.join(project.settings.workdir, word))


def _below(path: str, folders: Sequence[str]) -> bool:
    return any(path.startswith(f"{folder.rstrip('/')}/") for folder in folders)
