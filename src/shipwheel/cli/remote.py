"""What the commands for registries share: references, repositories, what Ctrl-C ends."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from shipwheel.cli.interruption import Interruption
from shipwheel.errors import UsageError
from shipwheel.events import Reporter, silent

if TYPE_CHECKING:
    from shipwheel.oci.reference import Reference
    from shipwheel.platform import Platform
    from shipwheel.registry.repository import Repository

__all__ = ["opened", "parsed", "platforms_of", "tag_of", "wanted"]


@contextmanager
def opened(reference: "Reference", reporter: Reporter = silent) -> "Iterator[Repository]":
    """The reference's repository for the block; Ctrl-C ends what it waits for."""
    from shipwheel.registry.repository import Repository

    with Repository(reference, reporter) as repository:
        if (interruption := click.get_current_context().find_object(Interruption)) is not None:
            interruption.register(repository.transport.closed.set)
        yield repository


def parsed(text: str) -> "Reference":
    """The reference; raises UsageError."""
    from shipwheel.oci.reference import Reference

    return Reference.parse(text)


def wanted(reference: "Reference") -> str:
    """What is asked for in the repository: the digest if one is named, else the tag."""
    return reference.digest or reference.tag_or_latest


def tag_of(reference: "Reference") -> str:
    """The tag that is written. Raises UsageError for a digest: that is what the content makes it."""
    if reference.digest:
        raise UsageError(f"{reference} names a digest as the target", hint=f"Write {reference.name}:TAG.")
    return reference.tag_or_latest


def platforms_of(values: tuple[str, ...]) -> "list[Platform] | None":
    """The platforms named, None for all: those of images that others made, so any."""
    from shipwheel.platform import Platform

    found = []
    for text in (part.strip().lower() for value in values for part in value.split(",") if part.strip()):
        try:
            found.append(Platform.parse(text))
        except UsageError:
            parts = text.split("/")
            if not 2 <= len(parts) <= 3 or not all(parts):
                raise UsageError(f"{text!r} is not a platform", hint="Write OS/ARCH, for example linux/arm64.") from None
            found.append(Platform(*parts))
    return found or None
