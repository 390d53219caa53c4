"""Conditions of shell scripts, decided as far as they are known without running anything (POSIX shell, `test`)."""

import fnmatch
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from shipwheel.project.deployment.build_steps import is_question
from shipwheel.project.deployment.script import ShellCommand
from shipwheel.project.deployment.shell_words import ShellState, expand_pattern, expand_word, text_of

if TYPE_CHECKING:
    from tree_sitter import Node

__all__ = ["clauses", "decide", "expected_branch", "is_last", "mark_questions", "matches_pattern"]

_MAX_DEPTH = 20
_SAYS = frozenset({"echo", "printf", "sleep", "true", ":"})
"""Programs that a branch may have before it ends the script."""
_NUMERIC: dict[str, Callable[[int, int], bool]] = {
    "-eq": int.__eq__,
    "-ne": int.__ne__,
    "-gt": int.__gt__,
    "-ge": int.__ge__,
    "-lt": int.__lt__,
    "-le": int.__le__,
}


def decide(node: "Node", state: ShellState, exists: Callable[[str], bool | None], depth: int = 0) -> bool | None:
    """Return the outcome of a test command, or None if it depends on something that is not known.

    Variables without a value count as empty, as in a container that nobody gave any. `exists` tells whether the image has a path.
    """
    if depth > _MAX_DEPTH or node.has_error:
        return None
    match node.type:
        case "test_command" | "parenthesized_expression":
            inner = node.named_children
            return decide(inner[0], state, exists, depth + 1) if len(inner) == 1 else None
        case "unary_expression":
            return _unary(node, state, exists, depth)
        case "binary_expression":
            return _binary(node, state, exists, depth)
        case _:
            text = _known(node, state)
            return None if text is None else text != ""


def matches_pattern(pattern: "Node", value: str, state: ShellState) -> bool | None:
    """Return whether a value matches a pattern of `case`; None if the pattern is not known."""
    doubts: list[str] = []
    text = expand_pattern(pattern, state, doubts)
    return None if doubts else fnmatch.fnmatchcase(value, text)


def _unary(node: "Node", state: ShellState, exists: Callable[[str], bool | None], depth: int) -> bool | None:
    operator = node.child_by_field_name("operator")
    name = text_of(operator if operator is not None else node.children[0])
    operand = node.named_children[-1]
    if name == "!":
        outcome = decide(operand, state, exists, depth + 1)
        return None if outcome is None else not outcome
    text = _known(operand, state)
    if text is None:
        return None
    if name in ("-z", "-n"):
        return (text == "") is (name == "-z")
    return exists(text) if name in ("-e", "-f", "-d", "-r", "-s", "-x") else None


def _binary(node: "Node", state: ShellState, exists: Callable[[str], bool | None], depth: int) -> bool | None:
    operator = node.child_by_field_name("operator")
    left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
    name = text_of(operator) if operator is not None else ""
    if left is None or right is None:
        return None
    if name in ("&&", "-a", "||", "-o"):
        outcomes = {decide(left, state, exists, depth + 1), decide(right, state, exists, depth + 1)}
        decisive = name in ("||", "-o")
        return decisive if decisive in outcomes else None if None in outcomes else not decisive
    first, second = _known(left, state), _known(right, state)
    if first is None or second is None:
        return None
    if name in ("=", "==", "!="):
        equal = fnmatch.fnmatchcase(first, second) if right.type == "extglob_pattern" else first == second
        return equal is (name != "!=")
    if name in _NUMERIC and all(text.isascii() and text.isdecimal() and len(text) < 10 for text in (first, second)):
        return _NUMERIC[name](int(first), int(second))
    return None


def _known(node: "Node", state: ShellState) -> str | None:
    """Return the text of a word, or None if it is not known."""
    doubts: list[str] = []
    fields = expand_word(node, state, doubts, unset_is_empty=True)
    return None if doubts else " ".join(fields)


def mark_questions(commands: list[ShellCommand], numbers: range, *, are_conditions: bool = False) -> bool:
    """Doubt those of some commands that only ask something, and return whether there is one: they may end with an error."""
    asked = [number for number in numbers if is_question(commands[number].words, is_condition=are_conditions)]
    for number in asked:
        commands[number] = replace(commands[number], doubt=commands[number].doubt or "its exit status is an answer")
    return bool(asked)


def is_last(node: "Node") -> bool:
    """Return whether nothing is behind a statement in its script."""
    at: Node | None = node
    while at is not None:
        following = at.next_named_sibling
        while following is not None and following.type == "comment":
            following = following.next_named_sibling
        if following is not None:
            return False
        at = at.parent
    return True


def clauses(node: "Node") -> Iterator[tuple[list["Node"], list["Node"]]]:
    """Yield (condition, body) of `if`, each `elif`, and `else`, which has no condition."""
    if node.type == "else_clause":
        yield [], node.children[1:]
        return
    children = node.children[1:]
    cut = next((number for number, child in enumerate(children) if child.type == "then"), len(children))
    others = [child for child in children if child.type in ("elif_clause", "else_clause")]
    yield [child for child in children[:cut] if child.is_named], [child for child in children[cut + 1 :] if child not in others]
    for other in others:
        yield from clauses(other)


def expected_branch(node: "Node", branches: "Sequence[tuple[list[Node], list[Node]]]") -> "list[Node] | None":
    """Return the branch of an `if` that runs where nothing fails: the other one, or what follows, only ends the script with an error.

    `branches` are those from the first one whose condition is not known. None if both lead somewhere, or the `if` has further conditions.
    """
    (_, body), *others = branches
    if not others:
        return body if _only_fails(_following(node)) and not _only_fails(body) else None
    if len(others) > 1 or others[0][0]:
        return None
    other = others[0][1]
    if _only_fails(body):
        return other
    return body if _only_fails(other) else None


def _only_fails(nodes: "Sequence[Node]") -> bool:
    """Return whether statements do nothing but end the script with an error, maybe with a message."""
    named = [each for each in nodes if each.is_named and each.type != "comment"]
    if not named or any(each.type not in ("command", "redirected_statement") for each in named):
        return False
    *before, last = (text_of(each).split() for each in named)
    return last[0] == "exit" and last[1:2] not in ([], ["0"]) and all(words[0] in _SAYS for words in before)


def _following(node: "Node") -> "list[Node]":
    """Return the statements of the script behind one at its top level."""
    at, found = node.next_sibling, list["Node"]()
    while at is not None:
        found.append(at)
        at = at.next_sibling
    return found if node.parent is not None and node.parent.type == "program" else []
