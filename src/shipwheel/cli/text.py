"""Text for terminals and logs: without control characters, broken between words, in columns."""

import os
import textwrap
from collections.abc import Sequence
from typing import TextIO

import click

__all__ = ["columns", "cut", "labelled", "printable"]

_DEFAULT_WIDTH = 80
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
    styled = click.style(label, fg=colour, bold=True) if colour and not os.environ.get("NO_COLOR") else label
    return f"{styled} {_wrapped(text, len(label) + 1, _width(stream))}"


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
