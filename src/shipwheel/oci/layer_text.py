"""Names and contents of layers for people, in the history of an image (image-spec, config.md: history)."""

import msgspec

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.oci.model import ConfigFile, History

__all__ = ["LayerText", "layer_history", "layer_texts"]

_CREATED_BY = "shipwheel: "
_SHELL = lazy_pattern(r"^(?:RUN )?(?:\|\d+ (?:\S+=\S* )*)?/bin/(?:ba)?sh -c (?:#\(nop\)\s*)?")
"""Docker's words before an instruction, with build arguments."""


class LayerText(msgspec.Struct, frozen=True):
    """The name of a layer, such as "Debian trixie with Python 3.13" or an instruction of a Dockerfile, and the packages in it, if known."""

    name: str = ""
    contents: tuple[str, ...] = ()


def layer_history(text: LayerText, created: str) -> History:
    """Return the line of a layer of ours; the packages in it are the comment."""
    return History(created=created, created_by=f"{_CREATED_BY}{text.name}", comment=", ".join(text.contents))


def layer_texts(config: ConfigFile, count: int) -> tuple[LayerText, ...]:
    """Return the texts of an image's `count` layers, bottom first. All are empty if the history is not about these layers."""
    lines = [line for line in config.history if not line.empty_layer]
    return tuple(map(_text, lines)) if len(lines) == count else (LayerText(),) * count


def _text(line: History) -> LayerText:
    if line.created_by.startswith(_CREATED_BY):
        return LayerText(line.created_by.removeprefix(_CREATED_BY), tuple(filter(None, line.comment.split(", "))))
    return LayerText(" ".join(_SHELL.sub("", line.created_by.removesuffix("# buildkit")).split()))
