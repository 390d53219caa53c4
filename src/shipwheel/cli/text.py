"""Text for terminals and logs: without control characters, broken between words, in columns."""

import os
import textwrap
from collections.abc import Iterator, Sequence
from typing import TextIO

__all__ = ["branches", "columns", "cut", "labelled", "layer_rows", "printable"]

_DEFAULT_WIDTH = 80
_MAX_CONTENTS_WIDTH = 80
_MAX_WIDTH = 120
"""Longer lines of prose are hard to read."""


def printable(text: str) -> str:
    """Return text without characters that could control the terminal: names and messages may come from anywhere."""
    return "".join(char if char.isprintable() or char in "\n\t" else "?" for char in text)


def labelled(label: str, colour: str, text: str, stream: TextIO) -> str:
    """Return text behind a label. For a terminal, its lines are broken between words, and the label has the colour, if any."""
    text = printable(text)
    if not stream.isatty():
        return f"{label} {text}"
    styled = _coloured(label, colour) if colour and not os.environ.get("NO_COLOR") else label
    return f"{styled} {_wrapped(text, len(label) + 1, _width(stream))}"


def _coloured(text: str, colour: str) -> str:
    from click import style

    return style(text, fg=colour, bold=True)


def cut(line: str, stream: TextIO) -> str:
    """Return a line that fits on one line of the terminal, if the stream is one."""
    if not stream.isatty() or len(line) <= (width := _width(stream)):
        return line
    return f"{line[: width - 1]}…"


def columns(rows: Sequence[Sequence[str]], left: Sequence[int]) -> str:
    """Return rows as a table. The columns with the numbers in `left` are aligned at the left, the others at the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    formats = [f"{{:{'<' if number in left else '>'}{width}}}" for number, width in enumerate(widths)]
    return "\n".join("  ".join(formats).format(*row).rstrip() for row in rows)


def _wrapped(text: str, indent: int, width: int) -> str:
    """Return text whose lines are broken between words, with an indent for all but the first. A longer word, such as a URL, stays whole."""
    lines = []
    for line in text.splitlines():
        own = " " * (len(line) - len(line.lstrip()))
        whole = min(width, _MAX_WIDTH) - indent
        lines += textwrap.wrap(line, whole, subsequent_indent=own, break_long_words=False, break_on_hyphens=False) or [""]
    return f"\n{' ' * indent}".join(lines)


def _width(stream: TextIO) -> int:
    """Return the width of a terminal in columns."""
    try:
        return int(os.environ.get("COLUMNS", 0)) or os.get_terminal_size(stream.fileno()).columns or _DEFAULT_WIDTH
    except (OSError, ValueError):
        return _DEFAULT_WIDTH


def layer_rows(names: Sequence[str], sizes: Sequence[int], contents: Sequence[Sequence[str]], *, everything: bool) -> Iterator[str]:
    """Yield a branch of a tree for each layer: its size in MB, its share of all layers, its name, and the packages in it.

    `sizes` are in bytes. With `everything`, each package has a branch of its own.
    """
    total = sum(sizes) or 1
    for number, (name, size, packages) in enumerate(zip(names, sizes, contents, strict=True), 1):
        last = number == len(names)
        text = name if everything else _with_contents(name, packages)
        yield f"{'└──' if last else '├──'} {size / 1e6:7.1f} MB {100 * size / total:3.0f} %  {text}"
        if everything:
            yield from (f"{' ' if last else '│'}   {branch} {package}" for branch, package in branches(packages))


def branches(texts: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each text with its branch in a tree."""
    for number, text in enumerate(texts, 1):
        yield "└──" if number == len(texts) else "├──", text


def _with_contents(name: str, packages: Sequence[str]) -> str:
    """Return a layer's name and as many of its packages as fit on a line. Some layers have no name but that of their first package."""
    if not packages:
        return name
    start = "" if name.startswith(packages[0]) else f"{name}: "
    return textwrap.shorten(start + ", ".join(map(_without_version, packages)), _MAX_CONTENTS_WIDTH, placeholder=" …")


def _without_version(package: str) -> str:
    name, _, version = package.rpartition(" ")
    return name if name and version[:1].isdigit() else package
