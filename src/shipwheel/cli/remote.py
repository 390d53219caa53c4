"""Shared parts of the registry commands: open a repository, select an image, and parse platforms."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from shipwheel.cli.command import on_interruption
from shipwheel.errors import UsageError
from shipwheel.events import Reporter, silent

if TYPE_CHECKING:
    from shipwheel.oci.reference import Reference
    from shipwheel.platform import Platform
    from shipwheel.registry.repository import Repository

__all__ = ["is_path", "open_repository", "parse_platforms", "reference_document", "remote_reference", "tag_or_digest"]


@contextmanager
def open_repository(reference: "Reference", reporter: Reporter = silent) -> "Iterator[Repository]":
    """Yield the repository of a reference. Ctrl-C ends its requests."""
    from shipwheel.registry.repository import Repository

    with Repository(reference, reporter) as repository:
        on_interruption(repository.transport.closed.set)
        yield repository


def is_path(text: str) -> bool:
    """Return whether text names a file or directory of this machine, and not an image in a registry."""
    return text.startswith(("./", "../", "/", "~")) or text in (".", "..") or Path(text).exists()


def remote_reference(text: str) -> "Reference":
    """Parse the name of an image in a registry. Raise UsageError for a path on this machine, and for anything else."""
    from shipwheel.oci.reference import Reference

    if is_path(text):
        raise UsageError(
            f"{text} is a path on this machine, not an image in a registry",
            hint="A layout or archive is sent with `shipwheel push`, and read with `shipwheel inspect`, `validate` and `run`.",
        )
    return Reference.parse(text)


def tag_or_digest(reference: "Reference") -> str:
    """Return the digest of a reference if it has one, else its tag."""
    return reference.digest or reference.tag_or_latest


def reference_document(reference: str) -> dict[str, str]:
    """Return NAME@DIGEST as a document."""
    name, _, digest = reference.rpartition("@")
    return {"name": name, "digest": digest, "reference": reference}


def parse_platforms(values: tuple[str, ...]) -> "list[Platform] | None":
    """Return the platforms in the values of `--platform`, or None for all.

    Unlike for a build, any OS and architecture is accepted: the images may be another tool's. Raises UsageError.
    """
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
