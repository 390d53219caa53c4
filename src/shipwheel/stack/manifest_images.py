"""The images in manifests that a person keeps, and their replacement: nothing else of a file changes, comments and spacing neither."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import msgspec

from shipwheel.errors import UsageError
from shipwheel.lazy_pattern import lazy_pattern

if TYPE_CHECKING:
    import yaml

__all__ = ["PROJECT_SCHEME", "ManifestImage", "manifest_images", "with_images"]

PROJECT_SCHEME = "shipwheel://"
"""Begins the name of an image that is the path of a project, relative to the manifest."""

_PROPERTIES = lazy_pattern(r"(?:[&!]\S*\s+)*")
"""An anchor and a tag before a value, which others may refer to."""

_CONTAINERS = frozenset({"containers", "initContainers", "ephemeralContainers"})


class ManifestImage(msgspec.Struct, frozen=True):
    """The image of a container, or a project wherever it is named: its name, and where it is in the text. The line counts from 1."""

    name: str
    start: int
    end: int
    line: int


def manifest_images(text: str, origin: str) -> tuple[ManifestImage, ...]:
    """Return the images of all containers in the documents of a YAML text, whatever their kind, and each value that names a project.

    They are in their order. Resources of other kinds have images under any key, so a project counts wherever it is named.

    Raise UsageError, with the line, for a text that is no YAML.
    """
    import yaml

    try:
        return tuple(image for document in yaml.compose_all(text, yaml.SafeLoader) for image in _images(document, text, inside=False))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        raise UsageError(f"{origin}{line}: not YAML: {getattr(error, 'problem', error)}", hint="Correct it.") from error


def with_images(text: str, images: Mapping[ManifestImage, str]) -> str:
    """Return the text with other names in place of these images."""
    for image in sorted(images, key=lambda it: it.start, reverse=True):
        text = f"{text[: image.start]}{images[image]}{text[image.end :]}"
    return text


def _images(node: "object", text: str, *, inside: bool) -> Iterator[ManifestImage]:
    """Yield the images below a node of the document. `inside` a list of containers, their own ones count."""
    import yaml

    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _images(item, text, inside=inside)
    elif isinstance(node, yaml.ScalarNode):
        if node.value.startswith(PROJECT_SCHEME):
            yield _image(node, text)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else ""
            if inside and name == "image" and isinstance(value, yaml.ScalarNode) and value.value:
                yield _image(value, text)
            else:
                yield from _images(value, text, inside=name in _CONTAINERS)


def _image(node: "yaml.ScalarNode", text: str) -> ManifestImage:
    """Return the image that a node names. The name of a block ends before the line's end."""
    properties = _PROPERTIES.match(text, node.start_mark.index, node.end_mark.index)
    assert properties is not None  # noqa: S101 - an empty text matches
    end = len(text[: node.end_mark.index].rstrip())
    return ManifestImage(node.value, properties.end(), end, node.start_mark.line + 1)
