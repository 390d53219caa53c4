"""Web applications that are a part of a larger program, which runs them in a thread or process beside its real work.

A bot that keeps itself awake with a page, a collector with an interface: a server that serves the application alone starts nothing else.
"""

import ast
from collections.abc import Iterator, Mapping

from shipwheel.project.entrypoint.syntax import SourceFile, called_name, full_name, is_main_guard

__all__ = ["find_background", "started_beside"]

_STARTING = frozenset({"Thread", "Process", "Timer", "start_new_thread", "submit", "to_thread", "run_in_executor"})
"""The standard library's functions and methods that run a function beside the caller."""
_RUNNING = frozenset({"uvicorn.run", "waitress.serve"})
"""Functions that are given the application that they serve."""
_RUN_METHODS = frozenset({"run", "run_server"})

_Functions = Mapping[str, ast.AST]


def find_background(source: SourceFile) -> tuple[str, ...]:
    """Return the objects that a source file runs in threads or processes, by their dotted names; those of the file itself have no dot."""
    functions = {node.name: node for node in source.nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    found = (name for call in _starting_calls(source) for each in _arguments(call) for name in _run_by(each, functions, source))
    return tuple(dict.fromkeys(found))


def started_beside(source: SourceFile) -> int:
    """Return the line where a file starts a thread or process only when it is run as a program; 0 if it does not."""
    inside = {part for node in source.tree.body if is_main_guard(node) for part in ast.walk(node)}
    lasting = (call for call in _starting_calls(source) if called_name(call) in ("Thread", "Process") and call in inside)
    return next((call.lineno for call in lasting), 0)


def _starting_calls(source: SourceFile) -> Iterator[ast.Call]:
    return (node for node in source.nodes if isinstance(node, ast.Call) and called_name(node) in _STARTING)


def _arguments(call: ast.Call) -> Iterator[ast.expr]:
    yield from (*call.args, *(keyword.value for keyword in call.keywords))


def _run_by(function: ast.expr, functions: _Functions, source: SourceFile) -> Iterator[str]:
    """Yield what runs when a function is called: the application of its own method, or those that its body runs."""
    if isinstance(function, ast.Attribute) and function.attr in _RUN_METHODS and _is_name(function.value):
        yield full_name(function.value, source.aliases)
    dotted = full_name(function, {})
    body = function if isinstance(function, ast.Lambda) else functions.get(dotted.removeprefix("self."))
    for node in ast.walk(body) if body is not None else ():
        if isinstance(node, ast.Call):
            yield from _run_in(node, source)


def _run_in(call: ast.Call, source: SourceFile) -> Iterator[str]:
    if full_name(call.func, source.aliases) in _RUNNING:
        yield from (full_name(each, source.aliases) for each in call.args[:1] if _is_name(each))
    elif isinstance(call.func, ast.Attribute) and call.func.attr in _RUN_METHODS and _is_name(call.func.value):
        yield full_name(call.func.value, source.aliases)


def _is_name(node: ast.expr) -> bool:
    return isinstance(node, ast.Name | ast.Attribute)
