"""Images by their digests: what a registry has under a name, and what a project builds into."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shipwheel.cli.options import request_from
from shipwheel.cli.terminal import Terminal
from shipwheel.errors import FetchError, UsageError
from shipwheel.events import Reporter

if TYPE_CHECKING:
    from shipwheel.stack.image import ServiceImage

__all__ = ["at_place", "built_image", "image_in_registry"]


@contextmanager
def at_place(where: str) -> Iterator[None]:
    """Let the errors of a registry or of an image's name in the block begin with the place that names the image."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"{where}: {error.message}", hint=error.hint) from error
    except FetchError as error:
        raise FetchError(f"{where}: {error.message}", hint=error.hint, status=error.status, not_found=error.not_found) from error


def image_in_registry(text: str, where: str, reporter: Reporter) -> "ServiceImage":
    """Return an image of others by its digest. Raise what the registry refuses; `where` is the place that names the image."""
    from shipwheel.cli.remote import open_repository, tag_or_digest
    from shipwheel.oci.reference import Reference
    from shipwheel.registry.pull import remote_images
    from shipwheel.stack.image import ServiceImage

    with at_place(where):
        reference = Reference.parse(text)
        with open_repository(reference, reporter) as repository:
            found = remote_images(repository, tag_or_digest(reference))
    first = found.images[0]
    return ServiceImage(f"{reference.name}@{found.digest}", first.execution, first.platform, reference.repository.rpartition("/")[2])


def built_image(path: Path, flags: dict[str, Any], terminal: Terminal, *, push: bool) -> "ServiceImage":
    """Build a project, and return its image by its digest if its tag names a registry, else by the name that an engine gets."""
    from shipwheel.api import build
    from shipwheel.oci.reference import Reference
    from shipwheel.pipeline.deliver import build_and_load
    from shipwheel.stack.image import ServiceImage

    request = request_from(path, flags, terminal.report)
    built = build(request, push=True).built if push else build_and_load(request, lambda _built: "")[0].built
    project, first = built.resolution.project, built.index.images[0]
    reference = Reference.parse(project.settings.tag or project.name)
    if reference.registry is None:
        name = f"{reference.name}:{reference.tag_or_latest}"
        hint = f'Name it in the settings, tag = "registry.example/team/{project.name}:1", or load it: shipwheel build {path} --load.'
        terminal.warn(f"{name} is in no registry, so the file names it without a digest", hint)
    else:
        name = f"{reference.name}@{built.index.digest}"
        if not push:
            terminal.note(f"{name} has to be in its registry before the file is used: shipwheel build {path} --push")
    return ServiceImage(name, first.execution, first.platform, project.name)
