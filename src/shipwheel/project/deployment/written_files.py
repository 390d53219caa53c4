"""Files that a Dockerfile has in itself: here-documents that it copies, and scripts that its commands write line by line."""

import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.deployment.dockerfile import Instruction, exec_form
from shipwheel.project.deployment.shell import parsed_script
from shipwheel.project.deployment.shell_words import ShellState, expand_pattern, text_of

if TYPE_CHECKING:
    from tree_sitter import Node

__all__ = ["copied_documents", "written_files"]

_MAX_WRITTEN = 1 << 16
_DOCUMENT = lazy_pattern(r"""<<-?\s*(["']?)[\w.-]+\1""")
_CAT = lazy_pattern(r"""\bcat\s+(?:(?P<first>>>?\s*\S+)\s*)?<<-?\s*(["']?)[\w.-]+\2(?:\s*(?P<last>>>?\s*\S+))?""")
_ESCAPES = {"\\n": "\n", "\\t": "\t", "\\\\": "\\", "\\r": "", "\\c": ""}
_BODIES = frozenset({"list", "compound_statement", "subshell", "program"})


def copied_documents(instruction: Instruction, directory: str) -> Iterator[tuple[str, str]]:
    """Yield (absolute path, content) of the here-documents of a COPY or ADD. `directory` is the working directory."""
    words = instruction.text.split()
    marks = [found for word in words[:-1] if (found := _DOCUMENT.fullmatch(word))]
    if not instruction.documents or len(marks) != len(words) - 1:
        return
    target = posixpath.normpath(posixpath.join(directory, words[-1].strip("\"'")))
    for mark, content in zip(marks, instruction.documents, strict=False):
        name = mark[0].lstrip("<-").strip("\"' ")
        path = posixpath.join(target, name) if words[-1].endswith("/") or len(marks) > 1 else target
        yield path, content if mark[1] else _without_backslashes(content)


def written_files(instruction: Instruction, state: ShellState, before: Mapping[str, str]) -> dict[str, str]:
    """Return the content of the files that a RUN writes with echo, printf and cat, by absolute path; `before` are those written so far."""
    found: dict[str, str] = {}
    if exec_form(instruction.text) is not None:
        return found
    whole = instruction.text.startswith("<<")
    if instruction.documents and not whole:
        match = _CAT.search(instruction.text)
        redirect = (match["first"] or match["last"] or "") if match is not None else ""
        if match is not None and redirect:
            content = instruction.documents[0]
            _add(found, before, state.absolute(redirect.strip("> ;\"'")), content if match[2] else _without_backslashes(content), redirect)
        return found
    script = instruction.documents[0] if instruction.documents and whole else instruction.text
    if ">" in script:
        _follow(parsed_script(script.encode()).root_node, state, found, before)
    return found


def _follow(root: "Node", state: ShellState, found: dict[str, str], before: Mapping[str, str]) -> None:
    """Add what the statements of a script write, in their order."""
    pending: list[tuple[Node, Node | None]] = [(root, None)]
    while pending:
        node, redirected = pending.pop()
        if node.type == "redirected_statement":
            body = node.child_by_field_name("body")
            pending += [(body, node)] if body is not None else []
        elif redirected is not None and node.type != "list":
            _write(node, redirected, state, found, before)
        elif node.type in _BODIES:
            # The parser takes `a && b > file` for one list whose output is redirected.
            pending += [(child, redirected if child == node.children[-1] else None) for child in reversed(node.children)]


def _write(body: "Node", redirected: "Node", state: ShellState, found: dict[str, str], before: Mapping[str, str]) -> None:
    redirects = [it for it in redirected.children if it.type == "file_redirect"]
    target = redirects[0].child_by_field_name("destination") if len(redirects) == 1 else None
    operator = text_of(redirects[0].children[0]) if target is not None else ""
    if target is not None and operator in (">", ">>"):
        doubts: list[str] = []
        path, text = state.absolute(expand_pattern(target, state, doubts)), _output(body, state, doubts)
        if text is not None and not doubts:
            _add(found, before, path, text, operator)


def _add(found: dict[str, str], before: Mapping[str, str], path: str, text: str, operator: str) -> None:
    """Add what is written to a file. Appending to one that nothing has written makes it."""
    start = found.get(path, before.get(path, "")) if operator.startswith(">>") else ""
    if path and len(start) + len(text) <= _MAX_WRITTEN:
        found[path] = start + text


def _output(node: "Node", state: ShellState, doubts: list[str]) -> str | None:
    """Return what a statement prints; None if it is more than echo and printf."""
    parts, pending = list[str](), [node]
    while pending:
        node = pending.pop()
        if node.type in _BODIES:
            pending += reversed(node.named_children)
        elif (part := _printed_by(node, state, doubts)) is not None:
            parts.append(part)
        else:
            return None
    return "".join(parts) if parts else None


def _printed_by(node: "Node", state: ShellState, doubts: list[str]) -> str | None:
    name = node.child_by_field_name("name") if node.type == "command" else None
    if name is None or text_of(name) not in ("echo", "printf"):
        return None
    words = [expand_pattern(argument, state, doubts) for argument in node.children_by_field_name("argument")]
    if text_of(name) == "printf":
        return _printed(words)
    options = [word for word in words if re.fullmatch(r"-[neE]+", word)]
    text = " ".join(words[len(options) :] if words[: len(options)] == options else words)
    return _unescaped(text) + ("" if any("n" in option for option in options) else "\n")


def _printed(words: list[str]) -> str | None:
    """Return what printf prints; None for a format with more than strings."""
    form, values = _unescaped(words[0]) if words else "", words[1:]
    count = form.count("%s")
    if "%" in form.replace("%s", "").replace("%%", ""):
        return None
    if not count:
        return form.replace("%%", "%")
    values += [""] * (-len(values) % count or (0 if values else count))
    rows = (values[start : start + count] for start in range(0, len(values), count))
    return "".join("".join(part + value for part, value in zip(form.split("%s"), [*row, ""], strict=True)) for row in rows)


def _unescaped(text: str) -> str:
    return re.sub(r"\\[ntrc\\]", lambda found: _ESCAPES[found[0]], text)


def _without_backslashes(content: str) -> str:
    r"""Return a here-document without the backslashes that keep a variable for the container: `\$PORT`."""
    return re.sub(r"\\([$`\\])", r"\1", content)
