"""Values that a program gives its web application before it runs it, and that pages read: `app.config["STORE"] = Store(arguments.path)`.

A server that imports the application has none of that: its pages fail.
"""

import ast
from collections.abc import Iterable, Iterator
from itertools import chain

import msgspec

from shipwheel.project.entrypoint.syntax import SourceFile, is_main_guard, last_name, walk

__all__ = ["GivenValues", "find_given_values", "lacking_values"]

_HOLDERS = frozenset({"config", "state", "ctx"})
"""Attributes of an application that hold values for its pages: those of Flask and Quart, of Starlette, of Sanic."""
_MAPPING = "config"
_RUN_METHODS = frozenset({"run", "run_server"})


class GivenValues(msgspec.Struct, frozen=True):
    """The values of applications that a file sets or reads."""

    when_run: tuple[tuple[str, str, int], ...] = ()
    """(application, "config.STORE", line) of those that only a block sets which then runs the application."""
    elsewhere: frozenset[str] = frozenset()
    """The values that it sets in other places, or asks for."""
    read: frozenset[str] = frozenset()
    """The values without which what reads them fails."""


def find_given_values(source: SourceFile) -> GivenValues:
    """Return what a file sets and reads of the values that applications hold."""
    blocks = [block for block in _blocks(source) if any(_runs(node) for node in walk(block))]
    inside = {node for block in blocks for node in walk(block)}
    stored = [*chain.from_iterable(map(_stored, source.of(ast.Assign)))]
    parts = [node for node in source.of(ast.Subscript, ast.Attribute) if isinstance(node.ctx, ast.Load)]
    return GivenValues(
        tuple((owner, name, node.lineno) for node, owner, name, is_fixed in stored if node in inside and owner and not is_fixed),
        frozenset({*(name for node, _, name, _ in stored if node not in inside), *_asked(source)}),
        frozenset(name for node in parts if node not in inside and (name := _value_name(node))),
    )


def lacking_values(application: str, program: GivenValues, every: Iterable[GivenValues]) -> tuple[tuple[str, int], ...]:
    """Return ("STORE", line) of the values that pages read and that the application gets from its program alone."""
    known = tuple(every)
    read = frozenset().union(*(each.read for each in known))
    elsewhere = frozenset().union(*(each.elsewhere for each in known))
    given = {name: line for owner, name, line in reversed(program.when_run) if owner == application}
    return tuple((name.partition(".")[2], line) for name, line in reversed(given.items()) if name in read - elsewhere)


def _blocks(source: SourceFile) -> Iterator[ast.AST]:
    yield from source.of(ast.FunctionDef, ast.AsyncFunctionDef)
    yield from filter(is_main_guard, source.tree.body)


def _runs(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _RUN_METHODS


def _stored(assignment: ast.Assign) -> Iterator[tuple[ast.expr, str, str, bool]]:
    """Yield (target, application, value's name, whether the source has what is assigned) of an assignment."""
    is_fixed = not any(isinstance(node, (ast.Name, ast.Attribute, ast.Call)) for node in walk(assignment.value))
    for target in assignment.targets:
        if isinstance(target, (ast.Subscript, ast.Attribute)) and (name := _value_name(target)):
            owner = target.value.value if isinstance(target.value, ast.Attribute) else None
            yield target, owner.id if isinstance(owner, ast.Name) else "", name, is_fixed


def _value_name(node: ast.Subscript | ast.Attribute) -> str:
    """Return "config.STORE" for APP.config["STORE"], "state.store" for APP.state.store; empty for anything else."""
    holder = last_name(node.value) if isinstance(node.value, ast.Attribute) else ""
    if isinstance(node, ast.Attribute):
        return f"{holder}.{node.attr}" if holder in _HOLDERS - {_MAPPING} else ""
    key = node.slice.value if isinstance(node.slice, ast.Constant) else None
    return f"{holder}.{key}" if holder == _MAPPING and isinstance(key, str) else ""


def _asked(source: SourceFile) -> Iterator[str]:
    """Yield what files that may lack it are asked for, or are given at once: `config.get("STORE")`, `config.update(STORE=…)`."""
    for call in source.of(ast.Call):
        if isinstance(call.func, ast.Attribute) and last_name(call.func.value) in _HOLDERS:
            keys = (each.value for each in call.args[:1] if isinstance(each, ast.Constant))
            names = (each.arg for each in call.keywords if each.arg)
            yield from (f"{last_name(call.func.value)}.{name}" for name in (*keys, *names) if isinstance(name, str))
