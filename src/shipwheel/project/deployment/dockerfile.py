"""The instructions of a Dockerfile, each as one line, with their here-documents (the Dockerfile reference)."""

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

import msgspec

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.deployment.shell_words import text_of

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

__all__ = ["Instruction", "exec_form", "parse_dockerfile", "parse_pairs"]

_MAX_BYTES = 1 << 20
_MAX_INSTRUCTION = 32768
"""Characters of an instruction; a longer one was not written by a person."""
_ESCAPE_DIRECTIVE = lazy_pattern(rb"(?:#[ \t]*\w+[ \t]*=.*\n)*?#[ \t]*escape[ \t]*=[ \t]*`[ \t]*\r?\n", re.IGNORECASE)
_END = rb"\\[ \t]*\n(?:[ \t]*(?:#[^\n]*)?\n)*"
"""The end of a line that goes on, with the comments and empty lines behind it, which Docker leaves out."""
_CONTINUED = lazy_pattern(_END)
_EXEC_FORM = lazy_pattern(rb"^[ \t]*(?:CMD|ENTRYPOINT|RUN)[ \t]+\[(?:" + _END + rb"|[^\n\\]|\\.)*", re.IGNORECASE | re.MULTILINE)
_FLAG = lazy_pattern(r"--([a-z-]+)(?:=(\S*))?(?:\s+|$)")
_WITH_FLAGS = frozenset({"FROM", "COPY", "ADD", "RUN", "HEALTHCHECK"})
_PAIR = lazy_pattern(r"""(?<!\w)([A-Za-z_]\w*)=((?:"(?:[^"\\]|\\.)*"|'[^']*'|\\.|[^\s"'])*)""", re.ASCII | re.DOTALL)
_NAME = lazy_pattern(r"[A-Za-z_]\w*", re.ASCII)


class Instruction(msgspec.Struct, frozen=True):
    """An instruction of a Dockerfile."""

    keyword: str
    """In capitals."""
    text: str
    """The arguments, without flags, comments and continuations of lines."""
    line: int
    flags: tuple[tuple[str, str], ...] = ()
    """(name without dashes, value), for example ("from", "builder")."""
    documents: tuple[str, ...] = ()
    """The contents of here-documents."""

    def flag(self, name: str) -> str:
        """Return the value of a flag, empty without one."""
        return next((value for key, value in self.flags if key == name), "")


def parse_dockerfile(data: bytes) -> tuple[Instruction, ...]:
    """Return the instructions of a Dockerfile; none for a file that is too large. Lines that are no instructions are skipped."""
    if len(data) > _MAX_BYTES:
        return ()
    data = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")
    escape = "`" if _ESCAPE_DIRECTIVE.match(data) else "\\"
    # The parser ends an instruction where a line goes on inside a string of the exec form.
    one_line = _EXEC_FORM.sub(lambda found: _CONTINUED.sub(lambda end: b" " * len(end[0]), found[0]), data)
    return tuple(_instructions(_parser().parse(one_line).root_node, data, escape))


def exec_form(text: str) -> tuple[str, ...] | None:
    """Return the words of an instruction in exec form, a JSON list; None for shell form and empty lists."""
    try:
        words = json.loads(text) if text.startswith("[") else None
    except (ValueError, RecursionError):
        return None
    return tuple(words) if isinstance(words, list) and words and all(isinstance(word, str) for word in words) else None


def parse_pairs(text: str) -> list[tuple[str, str]]:
    """Return (name, value as written) of an ENV or ARG, also in the older form without an equals sign."""
    if "=" in text.partition(" ")[0]:
        return _PAIR.findall(text)
    name, _, value = text.partition(" ")
    return [(name, value.strip())] if value and _NAME.fullmatch(name) else []


@cache
def _parser() -> "Parser":
    import tree_sitter_containerfile
    from tree_sitter import Language, Parser

    return Parser(Language(tree_sitter_containerfile.language()))


def _instructions(root: "Node", data: bytes, escape: str) -> Iterator[Instruction]:
    line = end = 0
    for node in root.children:
        if not node.type.endswith("_instruction"):
            continue
        line, end = line + data.count(b"\n", end, node.start_byte), node.start_byte
        blocks = [child for child in node.children if child.type == "heredoc_block"]
        cut = blocks[0].start_byte if blocks else node.end_byte
        source = (node.text or b"")[: cut - node.start_byte].decode("utf-8", "replace")
        keyword, _, rest = _joined(source, escape).replace("\t", " ").partition(" ")
        if len(rest) > _MAX_INSTRUCTION:
            continue
        flags, rest = _flags(rest.strip()) if keyword.upper() in _WITH_FLAGS else ((), rest.strip())
        documents = tuple(text_of(part) for block in blocks for part in block.children if part.type == "heredoc_content")
        yield Instruction(keyword.upper(), rest, line + 1, flags, documents)


def _joined(source: str, escape: str) -> str:
    """Return an instruction in one line, without the comments inside it."""
    parts: list[str] = []
    for line in source.split("\n"):
        if parts and (not line.strip() or line.lstrip().startswith("#")):
            continue
        line = line.rstrip(" \t")
        parts.append(line[:-1] if line.endswith(escape) else line)
    return "".join(parts)


def _flags(text: str) -> tuple[tuple[tuple[str, str], ...], str]:
    found: list[tuple[str, str]] = []
    while match := _FLAG.match(text):
        found.append((match[1], match[2] or ""))
        text = text[match.end() :]
    return tuple(found), text
