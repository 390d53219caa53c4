"""The check that an image holds the programs that it starts. Pure: works on what segments record about their files."""

import posixpath
from collections.abc import Collection, Iterable, Iterator, Sequence

from shipwheel.errors import ProofError
from shipwheel.files.segment import Segment
from shipwheel.project.project import Project
from shipwheel.similar import did_you_mean

__all__ = ["check_programs", "missing_programs", "paths_of", "programs_of"]


def programs_of(project: Project, init: str) -> tuple[str, ...]:
    """Return the init, if its path is not empty, and the first word of each step before the start and of each process."""
    command = project.launch.command if project.launch else ()
    others = tuple(words for _, words in project.launch.processes) if project.launch else ()
    words = (init, *(words[0] for words in (*project.before_start, command, *others) if words))
    return tuple(dict.fromkeys(filter(None, words)))


def paths_of(segment: Segment) -> Collection[str]:
    """Return the paths of a segment's files and links."""
    return segment.files.keys() | segment.links.keys()


def missing_programs(project: Project, init: str, path: str, sources: Iterable[Collection[str]]) -> tuple[str, ...]:
    """Return the programs that no source has on `path`, the image's PATH. A program on a volume is never missing.

    `sources` are the paths of each source's files and links.
    """
    missing = {word: set(_candidates(word, project, path)) for word in programs_of(project, init)}
    for paths in sources:
        missing = {word: candidates for word, candidates in missing.items() if not any(candidate in paths for candidate in candidates)}
        if not missing:
            break
    return tuple(word for word in missing if not _is_below(_absolute(word, project), project.volumes))


def check_programs(project: Project, init: str, path: str, segments: Iterable[Segment]) -> None:
    """Raise ProofError with every program that no segment has on `path`, the image's PATH."""
    sources = [paths_of(segment) for segment in segments]
    missing = missing_programs(project, init, path, sources)
    if missing:
        folders = {folder.strip("/") for folder in path.split(":")}
        programs = {posixpath.basename(place) for paths in sources for place in paths if posixpath.dirname(place) in folders}
        raise ProofError(
            f"the image would not start: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not in it",
            hint=f"{did_you_mean(missing[0], programs)}Add the Python package that brings it to the project's dependencies, or set another "
            "command in the settings.",
        )


def _candidates(word: str, project: Project, path: str) -> Iterator[str]:
    """Yield the paths where the image looks for a program. /bin and /sbin are links into /usr."""
    folders = [""] if "/" in word else path.split(":")
    for folder in folders:
        candidate = posixpath.join(folder, word) if folder else _absolute(word, project)
        yield candidate.lstrip("/")
        yield f"usr{candidate}"


def _absolute(word: str, project: Project) -> str:
    return posixpath.normpath(posixpath.join(project.start_directory, word))


def _is_below(path: str, folders: Sequence[str]) -> bool:
    return any(path.startswith(f"{folder.rstrip('/')}/") for folder in folders)
