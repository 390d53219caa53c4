"""Delivery: the finished images as a layout or an archive, validated by code that shares nothing with the writer."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from shipwheel.errors import ImageError, UsageError
from shipwheel.events import StageFinished, StageStarted, Warned
from shipwheel.oci.layout import LAYOUT, in_memory, read_layout, refuse_other, write_layout
from shipwheel.oci.validate.check import Report, validate, validate_opened
from shipwheel.pipeline.build import Built, Request, build, healed

if TYPE_CHECKING:
    from shipwheel.pipeline.layer_cache import LayerCache
    from shipwheel.pipeline.publish import Published

__all__ = ["Delivered", "build_and_deliver", "build_and_load", "build_and_push", "check_target", "deliver"]


_TRUSTING_TRIES = 2


@dataclass(frozen=True, slots=True)
class Delivered:
    """A build whose images are where they were asked for, and what the validator says of them on disk. `path` is where that is."""

    built: Built
    path: Path | None = None
    report: Report | None = None
    published: "Published | None" = None


def build_and_push(request: Request) -> Delivered:
    """The whole way from a project to a registry: nothing but the store is written on this machine, unless an output is named too.

    Raises any ShipwheelError; FetchError for what the registry refuses.
    """
    from shipwheel.oci.reference import Reference
    from shipwheel.pipeline.publish import Publisher

    if request.settings.tag is None:
        raise UsageError("--push needs a name", hint="Name the image with its registry: -t registry.example/team/app:1.0.")
    reference = Reference.parse(request.settings.tag)
    to_disk = request.settings.output is not None
    if to_disk:
        check_target(Path(str(request.settings.output)))

    tries = count()

    def work() -> Delivered:
        cache = _cache(request)
        # A blob that is missing again and again is one that a manifest there names and the registry lost: all is made here then.
        complete = to_disk or next(tries) >= _TRUSTING_TRIES
        with Publisher(reference, request.store, request.reporter, complete=complete, cache=cache) as publisher:
            built = build(request, publisher)
            # What is on disk is validated there, before anything has a name in the registry.
            path, report = deliver(built, request) if to_disk else (None, _validated(built, request))
            return Delivered(built, path, report, publisher.finish(built.index, built.wheels))

    return healed(request, work)


def build_and_deliver(request: Request) -> Delivered:
    """The whole way from a project to valid images. A damaged part of the store is made or fetched again. Raises any ShipwheelError."""
    if request.settings.output is not None:
        # Before anything is fetched: that a place cannot be written to should not come out at the end.
        check_target(Path(request.settings.output))

    def work() -> Delivered:
        built = build(request)
        return Delivered(built, *deliver(built, request))

    return healed(request, work)


def _cache(request: Request) -> "LayerCache | None":
    from shipwheel.oci.reference import Reference
    from shipwheel.pipeline.layer_cache import LayerCache

    name = request.settings.cache_repo
    return None if name is None else LayerCache(Reference.parse(name), request.store, request.reporter)


def build_and_load(request: Request, load: Callable[[Built], str]) -> tuple[Delivered, str]:
    """The whole way from a project to an engine, which `load` brings the images to, and what it calls them."""

    def work() -> tuple[Delivered, str]:
        built = build(request)
        report = _validated(built, request)
        return Delivered(built, None, report), load(built)

    return healed(request, work)


def check_target(target: Path) -> None:
    """Raises UsageError for a place where the images cannot go, ImageError for a broken layout."""
    if target.suffix == ".tar":
        if target.is_dir():
            raise UsageError(f"{target} is a directory", hint="Name a file, or leave out .tar for an OCI image layout.")
    elif (target / LAYOUT).is_file():
        _refuse_broken(target)
    else:
        refuse_other(target)
    places = (target, *target.absolute().parents) if (target / LAYOUT).is_file() else target.absolute().parents
    folder = next(place for place in places if place.exists())
    if not folder.is_dir():
        raise UsageError(f"{target} cannot be made: {folder} is not a directory", hint="Name another place for the output (-o).")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"{target} cannot be made: {folder} is not writable", hint="Make it writable, or name another place (-o).")


def _refuse_broken(layout: Path) -> None:
    try:
        read_layout(layout)
    except ImageError as error:
        raise ImageError(error.message, hint="It cannot be brought up to date: delete it, or name another place (-o).") from error


def deliver(built: Built, request: Request) -> tuple[Path, Report]:
    """Writes the images where the settings say, else to NAME.oci in the working directory, and validates them.

    Raises ImageError with everything that is wrong, DamagedBlob for what the store lost meanwhile.
    """
    project = built.resolution.project
    target = Path(project.settings.output or f"{project.name}.oci")
    before = (target / LAYOUT).is_file()
    _write(built, target, request, recheck=False)
    request.reporter(StageStarted("validate"))
    try:
        report = validate(target, store=request.store)
    except ImageError:
        if not before:
            raise
        # What was in the layout before was taken as it was; now it is read, and what is damaged is written again.
        _write(built, target, request, recheck=True)
        report = validate(target, store=request.store)
        request.reporter(Warned(f"{target} had damaged blobs, which were written again"))
    request.reporter(StageFinished("validate", f"{len(report.images)} images"))
    return target, report


def _validated(built: Built, request: Request) -> Report:
    """What `validate` says of images that are in the store alone; what is known of a layer is believed: it is hashed where it goes."""
    request.reporter(StageStarted("validate"))
    report = validate_opened(in_memory(built.index, request.store), store=request.store, anew=False)
    request.reporter(StageFinished("validate", f"{len(report.images)} images"))
    return report


def _write(built: Built, target: Path, request: Request, *, recheck: bool) -> None:
    name = built.resolution.project.settings.tag
    request.reporter(StageStarted("write"))
    if target.suffix == ".tar":
        from shipwheel.oci.archive import write_archive

        write_archive(built.index, target, request.store, name=name)
    else:
        write_layout(built.index, target, request.store, name=name, recheck=recheck)
    request.reporter(StageFinished("write", str(target)))
