"""Words of a shell command with their expansions, as far as these are known without running anything (POSIX shell, 2.6)."""

import posixpath
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.deployment.secrets import is_secret_variable

if TYPE_CHECKING:
    from tree_sitter import Node

__all__ = [
    "SCRIPT_SOURCE",
    "UNKNOWN",
    "USUAL_PATH",
    "ShellState",
    "assign",
    "expand_argument",
    "expand_assignment",
    "expand_pattern",
    "expand_word",
    "first_word",
    "one_line",
    "text_of",
]

_ESCAPE = lazy_pattern(r"\\(.)", re.DOTALL)
_QUOTED_ESCAPE = lazy_pattern(r'\\([$`"\\\n])')
UNKNOWN = "\0"
"""Stands in a value for a part that is not known. No value that a process gets can contain it."""
SCRIPT_SOURCE = "BASH_SOURCE"
"""The variable with the path of the file that is read, which `$0` names only until it reads another."""

USUAL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""The value of PATH in an image that sets none."""
_USER = "65532"
"""The user of a container: never root."""
_COUNTS = frozenset({"-w", "--workers", "--threads", "--worker-connections"})
"""Options that tell how much a server does at a time."""
_MAX_DEPTH = 20
_MAX_VALUE = 8192
"""Characters of a value; longer ones are no value that a person wrote."""


class ShellState(msgspec.Struct):
    """The variables, positional parameters and working directory of a shell."""

    variables: dict[str, str] = msgspec.field(default_factory=dict)
    positional: tuple[str, ...] = ()
    directory: str = ""
    exported: dict[str, None] = msgspec.field(default_factory=dict)
    """Names of the variables that the script itself exports, in order."""
    derived: dict[str, None] = msgspec.field(default_factory=dict)
    """Names of the variables that it makes of others, which only the container has."""
    script: str = ""
    """The absolute path of the script, `$0`; empty if it is not known."""

    def lookup(self, name: str) -> str | None:
        """Return the value of a parameter; None if it is not set."""
        if name in ("@", "*"):
            return " ".join(self.positional) if self.positional else None
        if name == "#":
            return str(len(self.positional))
        if name.isdecimal():
            number = int(name) if len(name) < 5 else 0
            if not number:
                return self.script or None
            return self.positional[number - 1] if 0 < number <= len(self.positional) else None
        return self.variables.get(name, (self.directory or None) if name == "PWD" else None)

    def absolute(self, path: str) -> str:
        """Return an absolute path; empty if it is relative and the directory is not known."""
        return posixpath.normpath(posixpath.join(self.directory, path)) if path.startswith("/") or self.directory else ""

    def places(self, program: str) -> tuple[str, ...]:
        """Return the absolute paths that a program may be found at, and last the one in the working directory, if that is known."""
        if "/" in program:
            path = self.absolute(program)
            return (path,) if path else ()
        path = self.variables.get("PATH", USUAL_PATH)
        folders = [folder for folder in path.split(":") if folder.startswith("/") and UNKNOWN not in path]
        return tuple(posixpath.join(folder, program) for folder in (*folders, self.directory) if folder)

    def environment(self) -> dict[str, str]:
        """Return the variables that the script exports and whose values are known. The image has a PATH of its own."""
        known = (name for name in self.exported if name not in self.derived and name != "PATH")
        return {name: value for name in known if UNKNOWN not in (value := self.variables.get(name, UNKNOWN))}

    def derived_environment(self) -> tuple[str, ...]:
        """Return the names of the variables that the script exports and makes of others."""
        return tuple(name for name in self.exported if name in self.derived and name != "PATH")

    def copy(self) -> "ShellState":
        """Return an independent copy, as a subshell has it."""
        return ShellState(dict(self.variables), self.positional, self.directory, dict(self.exported), dict(self.derived), self.script)


def text_of(node: "Node") -> str:
    """Return the source of a node, with replacement characters for what is not UTF-8."""
    return (node.text or b"").decode("utf-8", "replace")


def first_word(node: "Node") -> str:
    """Return the name of the program that a command starts, as it is written; empty for another statement."""
    name = node.child_by_field_name("name") if node.type == "command" else None
    return text_of(name) if name is not None else ""


def one_line(nodes: "Sequence[Node]") -> str:
    """Return the source of statements in one line, shortened for messages."""
    text = " ".join(" ".join(map(text_of, nodes)).replace("\\\n", " ").split())
    return text if len(text) <= 80 else f"{text[:79]}…"


def expand_word(node: "Node", state: ShellState, doubts: list[str], *, unset_is_empty: bool = False) -> list[str]:
    """Return the fields that a word becomes, and append to `doubts` what is not known about them.

    With `unset_is_empty`, as in a condition, variables without a value are no reason for doubt.
    """
    return _Expansion(state, doubts, unset_is_empty).fields(node, 0)


def expand_argument(node: "Node", words: list[str], state: ShellState, doubts: list[str]) -> None:
    """Append the fields that an argument becomes to the words of its command, and what is not known about them to `doubts`.

    How many workers a server has depends on its machine: where only that is not known, the server's own default counts.
    """
    own: list[str] = []
    fields = expand_word(node, state, own)
    option, equals, value = fields[0].partition("=") if len(fields) == 1 else ("", "", "")
    if words and words[-1] in _COUNTS and (own or not any(fields)):
        words.pop()
    elif not (option in _COUNTS and equals and (own or not value)):
        words += fields
        doubts += own


def expand_pattern(node: "Node", state: ShellState, doubts: list[str]) -> str:
    """Return a word as one text, without splitting it into fields: an assigned value, or a pattern of `case`."""
    return _Expansion(state, doubts, unset_is_empty=True).text(node, 0)


def expand_assignment(node: "Node", state: ShellState, doubts: list[str]) -> tuple[str, str]:
    """Return (name, value) of an assignment."""
    name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
    return text_of(name or node), expand_pattern(value, state, doubts) if value is not None else ""


def assign(node: "Node", state: ShellState, *, certain: bool) -> str:
    """Set a variable, unknown if it is not `certain` that the assignment runs, and return its name."""
    doubts: list[str] = []
    name, text = expand_assignment(node, state, doubts)
    value = node.child_by_field_name("value")
    derived = value is not None and not doubts and _is_derived(name, value, state)
    state.variables[name] = UNKNOWN if doubts or not certain else text
    state.derived.pop(name, None)
    state.derived |= {name: None} if derived else {}
    return name


def _is_derived(name: str, node: "Node", state: ShellState) -> bool:
    """Return whether the value of a variable is made of others that have none here: not of what it is added to, `P=$P:lib`."""
    lacking: list[str] = []
    known = state.copy()
    known.variables.setdefault(name, "")
    _Expansion(known, lacking, unset_is_empty=False).text(node, 0)
    return bool(lacking) or any(text_of(child) in state.derived for child in _descendants(node) if child.type == "variable_name")


def _descendants(node: "Node") -> "Iterator[Node]":
    for child in node.children:
        yield child
        yield from _descendants(child)


class _Expansion(msgspec.Struct):
    state: ShellState
    doubts: list[str]
    unset_is_empty: bool

    def fields(self, node: "Node", depth: int) -> list[str]:
        """Return the fields of an argument: quoting decides whether a value is split."""
        match node.type:
            case "simple_expansion" | "expansion":
                value = self._value(node, depth)
                if value is None:
                    return []
                return list(self.state.positional) if _names_arguments(node) else value.split()
            case "string" if len(node.named_children) == 1 and _names_arguments(node.named_children[0]):
                return list(self.state.positional) if text_of(node) in ('"$@"', '"${@}"') else [self.text(node, depth)]
            case _:
                return [self.text(node, depth)]

    def text(self, node: "Node", depth: int) -> str:
        """Return a word as one text."""
        if depth > _MAX_DEPTH:
            return self._unknown("it is nested too deeply")
        match node.type:
            case "raw_string":
                return text_of(node)[1:-1]
            case "string":
                return "".join(self._string_parts(node, depth + 1))
            case "concatenation" | "command_name":
                return "".join(self.text(child, depth + 1) for child in node.children)
            case "simple_expansion" | "expansion":
                value = self._value(node, depth)
                if value is None and not self.unset_is_empty:
                    return self._unknown(f"{_display(node)} has no value here, which the setting `env` could give it")
                return value or ""
            case "command_substitution" if (output := self._output(node.named_children, depth + 1)) is not None:
                return output
            case "command_substitution" | "process_substitution" | "arithmetic_expansion" | "ansi_c_string" | "brace_expression":
                return self._unknown(f"{_display(node)} needs a shell")
            case _ if node.has_error:
                return self._unknown("its quotes do not match")
            case _:
                return _ESCAPE.sub(r"\1", text_of(node))

    def _string_parts(self, node: "Node", depth: int) -> Iterator[str]:
        """Yield the parts of a double-quoted string; the parser has no node for some white space between them."""
        source, start = node.text or b"", node.start_byte
        position = 1
        for child in node.named_children:
            yield _literal(source[position : child.start_byte - start])
            yield _literal(child.text or b"") if child.type == "string_content" else self.text(child, depth)
            position = child.end_byte - start
        yield _literal(source[position:-1])

    def _output(self, nodes: "Sequence[Node]", depth: int) -> str | None:
        """Return what a command prints that only asks for a path or the user, such as `cd "$(dirname "$0")" && pwd`; None for others."""
        if len(nodes) != 1 or depth > _MAX_DEPTH:
            return None
        match nodes[0].type:
            case "redirected_statement":
                return self._output(nodes[0].named_children[:1], depth)
            case "list" if (target := self._output(nodes[0].named_children[:1], depth + 1)) is not None:
                there = _Expansion(self.state.copy(), self.doubts, self.unset_is_empty)
                there.state.directory = target
                return there._output(nodes[0].named_children[1:], depth + 1)
            case "command" if nodes[0].named_children[0].type == "command_name":
                doubts = list[str]()
                inner = _Expansion(self.state, doubts, self.unset_is_empty)
                return _path_asked_for([inner.text(child, depth + 1) for child in nodes[0].named_children], self.state, doubts)
            case _:
                return None

    def _value(self, node: "Node", depth: int) -> str | None:
        """Return the value of a parameter expansion; None if the parameter is not set and there is no default."""
        if text_of(node) == "${#}":
            return self.state.lookup("#")
        name = next((text_of(child) for child in node.children if child.type in ("variable_name", "special_variable_name")), "")
        operator = node.child_by_field_name("operator")
        kind = text_of(operator) if operator is not None else ""
        value = self.state.lookup(SCRIPT_SOURCE if text_of(node).startswith(f"${{{SCRIPT_SOURCE}[") else name)
        if value is not None and UNKNOWN in value:
            return self._unknown(f"{_display(node)} is not known")
        if (value is None and not name) or (kind and kind not in (":-", "-", ":=", "=", ":?", "?", ":+", "+")):
            return self._unknown(f"{_display(node)} needs a shell")
        is_set = value is not None and (value != "" or not kind.startswith(":"))
        if kind in (":+", "+"):
            return self._operand(node, operator, depth) if is_set else ""
        if is_set or kind in ("", ":?", "?"):
            return value if is_set or not is_secret_variable(name) or self.unset_is_empty else self._unknown("it contains a secret")
        default = self._operand(node, operator, depth)
        if default and is_secret_variable(name):
            return self._unknown("it contains a secret")
        if kind in (":=", "="):
            self.state.variables[name] = default
        return default

    def _operand(self, node: "Node", operator: "Node | None", depth: int) -> str:
        """Return what follows the operator of an expansion."""
        assert operator is not None  # noqa: S101 - the caller read it
        after = [child for child in node.children if child.start_byte >= operator.end_byte and child.type != "}"]
        return "".join(self.text(child, depth + 1) for child in after)[:_MAX_VALUE]

    def _unknown(self, reason: str) -> str:
        self.doubts.append(reason)
        return UNKNOWN


def _path_asked_for(words: Sequence[str], state: ShellState, doubts: Sequence[str]) -> str | None:
    """Return what a command with these words prints, or for `cd` the directory that it goes to; None if that is not known."""
    path = words[-1] if len(words) > 1 else ""
    if doubts:
        return None
    match words[0], len(words):
        case "id", 2 if path == "-u":
            return _USER
        case "pwd", _:
            return state.directory or None
        case "dirname", _:
            return posixpath.dirname(path) or "."
        case "basename", 2:
            return posixpath.basename(path)
        case "cd" | "realpath" | "readlink", _:
            return state.absolute(path) or None
    return None


def _names_arguments(node: "Node") -> bool:
    return text_of(node) in ("$@", "${@}", "$*", "${*}")


def _literal(text: bytes) -> str:
    return _QUOTED_ESCAPE.sub(lambda match: "" if match[1] == "\n" else match[1], text.decode("utf-8", "replace"))


def _display(node: "Node") -> str:
    text = " ".join(text_of(node).split())
    return text if len(text) <= 40 else f"{text[:39]}…"
