"""The check that files which are copied out of the working directory replace nothing of the image. Pure."""

from collections.abc import Iterable, Iterator, Sequence

from shipwheel.errors import CoveredFiles
from shipwheel.files.entry import directories_above
from shipwheel.files.segment import Segment
from shipwheel.oci.layer import LayerSpec
from shipwheel.pipeline.app_source import CopiedSource
from shipwheel.project.project import Project

__all__ = ["check_copies"]

_MAX_REPORTED = 5


def check_copies(project: Project, layers: Iterable[LayerSpec], segments: Sequence[Segment]) -> None:
    """Raise CoveredFiles if copied files stand where another part of the image has a file, a link, or a directory.

    `segments` are those of the whole image, `layers` the ones with the copied files.
    """
    keys = {source.key for spec in layers for source in spec.sources if isinstance(source, CopiedSource)}
    copied = [path for segment in segments if segment.key in keys for path in (*segment.files, *segment.links)]
    if not copied:
        return
    covered = dict(_covered(copied, [segment for segment in segments if segment.key not in keys]))
    if covered:
        targets = tuple(target for target in project.copies if any(f"/{path}/".startswith(f"{target}/") for path in covered))
        shown = "".join(f"\n  /{path}, of {label}" for path, label in list(covered.items())[:_MAX_REPORTED])
        raise CoveredFiles(
            f"{project.name} would replace files of its image by copies:{shown}",
            hint="Name another place in the setting `copy`, and let the app read that.",
            targets=targets,
        )


def _covered(copied: Sequence[str], others: Iterable[Segment]) -> Iterator[tuple[str, str]]:
    """Yield (path, label of what has it). A directory that is a link elsewhere would be replaced as well."""
    files, places = set(copied), {*copied, *directories_above(copied)}
    for segment in others:
        taken = places & (segment.files.keys() | segment.links.keys())
        directories = {*segment.directories, *directories_above((*segment.files, *segment.links))}
        yield from ((path, segment.label) for path in sorted(taken | (files & directories)))
