"""Delivery: the finished images as a layout or an archive, validated by code that shares nothing with the writer."""

from pathlib import Path

from shipwheel.build.pipeline import Built, Request
from shipwheel.events import StageFinished, StageStarted
from shipwheel.oci.archive import write_archive
from shipwheel.oci.layout import write_layout
from shipwheel.oci.validate import Report, validate

__all__ = ["deliver"]


def deliver(built: Built, request: Request) -> tuple[Path, Report]:
    """Writes the images where the settings say, else to NAME.oci in the working directory, and validates them.

    Raises ImageError with everything that is wrong, DamagedBlob for what the store lost meanwhile.
    """
    project = built.resolution.project
    target = Path(project.settings.output or f"{project.name}.oci")
    name = project.settings.tag
    request.reporter(StageStarted("write"))
    if target.suffix == ".tar":
        write_archive(built.index, target, request.store, name=name)
    else:
        write_layout(built.index, target, request.store, name=name)
    request.reporter(StageFinished("write", str(target)))
    request.reporter(StageStarted("validate"))
    report = validate(target, store=request.store)
    request.reporter(StageFinished("validate", f"{len(report.images)} images"))
    return target, report
