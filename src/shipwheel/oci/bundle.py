"""A bundle: one archive with the images of several services for all platforms and the files that start them, for machines without network.

The archive is an OCI image layout, so that other tools read its images too, with one more member: `shipwheel-bundle.json`.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from shipwheel.digest import Digest
from shipwheel.errors import ImageError, UsageError
from shipwheel.files import tar
from shipwheel.files.entry import EntryType, FileEntry
from shipwheel.files.segment import source_date_epoch
from shipwheel.oci.archive import read_archive, read_member
from shipwheel.oci.layout import LayoutReader, atomic_write, write_error
from shipwheel.oci.model import decode

__all__ = ["Bundle", "BundledImage", "read_bundle", "write_bundle"]

_DOCUMENT = "shipwheel-bundle.json"
_CHUNK = 1 << 20


class BundledImage(msgspec.Struct, frozen=True):
    """An image of a bundle: its name in the files, its digest in the layout, and where it belongs in any registry."""

    name: str
    digest: Digest
    repository: str
    tag: str


class Bundle(msgspec.Struct, frozen=True, rename="kebab"):
    """The contents of a bundle beside its layers: the name of the stack, its images, and texts by relative path."""

    stack: str
    images: tuple[BundledImage, ...]
    files: Mapping[str, str]
    format: int = 1

    def renamed(self, names: Mapping[str, str]) -> dict[str, str]:
        """Return the files with other names in place of those of the images."""
        # Whole names alone: shop:1 is no part of shop:10, nor of a name that has just been put in.
        old = re.compile(rf"(?<![\w./:@-])(?:{'|'.join(map(re.escape, names))})(?![\w./:@-])")
        return {path: old.sub(lambda found: names[found[0]], text) if names else text for path, text in self.files.items()}


def write_bundle(layout: Path, bundle: Bundle, file: Path) -> None:
    """Write an image layout and a bundle's document into an archive, which replaces `file` once it is complete.

    The same layout and bundle give the same bytes. Raise UsageError if `file` is a directory, BuildError if the disk is full.
    """
    if file.is_dir():
        raise UsageError(f"{file} is a directory", hint="Name a file.")
    mtime, document = source_date_epoch(), msgspec.json.format(msgspec.json.encode(bundle, order="sorted"))
    paths = sorted(path for path in layout.rglob("*") if path.is_file() and not path.name.startswith("."))
    # index.json first, so that a reader of the stream knows what comes.
    paths.sort(key=lambda path: "blobs" in path.relative_to(layout).parts)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as write:
            write(tar.header(FileEntry(_DOCUMENT, EntryType.FILE, 0o644), len(document), mtime) + document + tar.padding(len(document)))
            for path in paths:
                with path.open("rb") as stream:
                    size = os.fstat(stream.fileno()).st_size
                    write(tar.header(FileEntry(path.relative_to(layout).as_posix(), EntryType.FILE, 0o644), size, mtime))
                    while chunk := stream.read(_CHUNK):
                        write(chunk)
                    write(tar.padding(size))
            write(tar.END_OF_ARCHIVE)
    except OSError as error:
        raise write_error(f"the bundle {file}", error, "file") from error


def read_bundle(file: Path) -> tuple[Bundle, LayoutReader]:
    """Open a bundle without unpacking it. Raise UsageError for other files, ImageError if it is broken or of a newer format."""
    reader = read_archive(file)
    data = read_member(reader, _DOCUMENT)
    if data is None:
        raise UsageError(f"{file} is an image archive, but no bundle", hint="Write one with `shipwheel bundle`, or use `shipwheel push`.")
    bundle = decode(data, Bundle, f"{file}: {_DOCUMENT}")
    if bundle.format != 1:
        raise ImageError(f"{file} is a bundle of format {bundle.format}, not 1", hint="Upgrade shipwheel.")
    wrong = [path for path in bundle.files if path.startswith("/") or "\\" in path or ".." in path.split("/")]
    if re.fullmatch(r"[a-z0-9-]+", bundle.stack) is None:
        # The directory of the files is named after it.
        wrong.append(bundle.stack)
    if wrong:
        raise ImageError(f"{file}: {wrong[0]!r} is not a path below a directory", hint="The bundle is broken or hostile; do not use it.")
    return bundle, reader
