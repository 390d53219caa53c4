"""Delivery: write finished images to a layout, an archive, a registry or an engine, and validate them with independent code."""

import os
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from shipwheel.errors import ImageError, UsageError
from shipwheel.events import StageFinished, StageStarted, Warned
from shipwheel.oci.layout import LAYOUT, image_files, read_layout, require_layout_or_empty, write_layout
from shipwheel.oci.validate.check import Report, validate, validate_files
from shipwheel.pipeline.build import Built, build, retry_damaged
from shipwheel.pipeline.destination import Destination
from shipwheel.pipeline.early_checks import EarlyChecks
from shipwheel.pipeline.published import Published
from shipwheel.request import Request

if TYPE_CHECKING:
    from shipwheel.pipeline.layer_cache import LayerCache

__all__ = ["Check", "Delivered", "build_and_deliver", "build_and_load", "build_and_push", "check_target", "deliver"]


Check = Callable[[Built], None]
"""Looks at finished images before they are delivered; raises a ShipwheelError to stop that."""

_TRUSTING_TRIES = 2
"""Attempts in which layers that the registry claims to have are not made."""


class Delivered(msgspec.Struct, frozen=True):
    """A build whose images were delivered. `path` is the layout or archive on disk, `report` what the validator found."""

    built: Built
    path: Path | None = None
    report: Report | None = None
    published: Published | None = None


def build_and_push(request: Request, check: Check | None = None) -> Delivered:
    """Build and push. Only the store is written on this machine, unless the settings name an output too.

    `check` sees the images before any tag moves; nothing is delivered if it raises.

    Raises any ShipwheelError; FetchError for what the registry refuses.
    """
    from shipwheel.oci.reference import Reference
    from shipwheel.pipeline.publish import Publisher

    if request.settings.tag is None:
        raise UsageError("--push needs a name", hint="Name the image with its registry: -t registry.example/team/app:1.0.")
    reference = Reference.parse_target(request.settings.tag)
    to_disk = request.settings.output is not None
    if to_disk:
        check_target(Path(str(request.settings.output)))

    tries = count()

    def work() -> Delivered:
        cache, records = _cache(request), request.settings.records
        # A blob that is missing twice is named by a manifest and lost by the registry: from then on every layer is made here.
        complete = to_disk or check is not None or next(tries) >= _TRUSTING_TRIES
        with Publisher(reference, request.store, request.reporter, complete=complete, cache=cache, records=records) as publisher:
            built = _build(request, publisher)
            if check is not None:
                check(built)
            publish = publisher.begin(built.index, built.wheels)
            # Validate before any tag moves in the registry.
            path, report = deliver(built, request) if to_disk else (None, _validated(built, request))
            return Delivered(built, path, report, publish())

    return retry_damaged(request, work)


def build_and_deliver(request: Request, check: Check | None = None) -> Delivered:
    """Build, write to disk and validate. Damaged blobs of the store are made or fetched again. Raises any ShipwheelError.

    `check` sees the images first; nothing is written if it raises.
    """
    if request.settings.output is not None:
        # Before anything is fetched: an output that cannot be written should not come up at the end.
        check_target(Path(request.settings.output))

    def work() -> Delivered:
        built = _build(request)
        if check is not None:
            check(built)
        return Delivered(built, *deliver(built, request))

    return retry_damaged(request, work)


def _build(request: Request, destination: Destination | None = None) -> Built:
    with EarlyChecks(request.store) as checks:
        return build(request, destination, checks.add)


def _cache(request: Request) -> "LayerCache | None":
    from shipwheel.oci.reference import Reference
    from shipwheel.pipeline.layer_cache import LayerCache

    name = request.settings.cache_repo
    return None if name is None else LayerCache(Reference.parse(name), request.store, request.reporter)


def build_and_load(request: Request, load: Callable[[Built], str]) -> tuple[Delivered, str]:
    """Build, validate, and hand the images to `load`, which brings them into an engine. Return also what `load` returns."""

    def work() -> tuple[Delivered, str]:
        built = _build(request)
        report = _validated(built, request)
        return Delivered(built, None, report), load(built)

    return retry_damaged(request, work)


def check_target(target: Path) -> None:
    """Raise UsageError if the images cannot be written to `target`, ImageError if it is a broken layout."""
    if target.suffix == ".tar":
        if target.is_dir():
            raise UsageError(f"{target} is a directory", hint="Name a file, or leave out .tar for an OCI image layout.")
    elif (target / LAYOUT).is_file():
        _refuse_broken(target)
    else:
        require_layout_or_empty(target)
    existing = (target, *target.absolute().parents) if (target / LAYOUT).is_file() else target.absolute().parents
    folder = next(path for path in existing if path.exists())
    if not folder.is_dir():
        raise UsageError(f"{target} cannot be written: {folder} is not a directory", hint="Choose another output with -o.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(
            f"{target} cannot be written: {folder} is not writable", hint="Make it writable, or choose another output with -o."
        )


def _refuse_broken(layout: Path) -> None:
    try:
        read_layout(layout)
    except ImageError as error:
        raise ImageError(error.message, hint="It cannot be updated: delete it, or choose another output with -o.") from error


def deliver(built: Built, request: Request) -> tuple[Path, Report]:
    """Write the images to the output of the settings, by default NAME.oci in the working directory, and validate them.

    Raises ImageError with every problem, DamagedBlob if the store lost a blob in the meantime.
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
        # Blobs that the layout had before were not read. Now they are, and damaged ones are written again.
        _write(built, target, request, recheck=True)
        report = validate(target, store=request.store)
        request.reporter(Warned(f"{target} had damaged blobs, which were written again"))
    request.reporter(StageFinished("validate", f"{len(report.images)} images"))
    return target, report


def _validated(built: Built, request: Request) -> Report:
    """Validate images that are only in the store. Layers are not read: whoever receives them checks their digests."""
    request.reporter(StageStarted("validate"))
    report = validate_files(image_files(built.index, request.store), store=request.store, rehash=False)
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
