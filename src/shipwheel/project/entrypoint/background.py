"""Web applications that are a part of a larger program, which runs them in a thread or process beside its real work.

A bot that keeps itself awake with a page, a collector with an interface: a server that serves the application alone starts nothing else.
"""

import ast
from collections.abc import Iterator, Mapping

from shipwheel.project.entrypoint.syntax import SourceFile, called_name, full_name, is_main_guard, keyword_value, walk

__all__ = ["find_background", "started_beside"]

_STARTING = frozenset({"Thread", "Process", "Timer", "start_new_thread", "submit", "to_thread", "run_in_executor"})
"""The standard library's functions and methods that run a function beside the caller."""
_RUNNING = {"uvicorn.run": False, "waitress.serve": True}
"""Functions that are given the application that they serve -> whether they do so on every interface where no address is given."""
_RUN_METHODS = frozenset({"run", "run_server"})

_Functions = Mapping[str, ast.AST]


def find_background(source: SourceFile) -> tuple[str, ...]:
    """Return the objects that a source file runs in threads or processes, by their dotted names; those of the file itself have no dot.

    What is given no address is none of them: it listens on the loopback interface, where only the program itself reaches it.
    """
    functions = {node.name: node for node in source.of(ast.FunctionDef, ast.AsyncFunctionDef)}
    calls = [*_starting_calls(source)]
    found = (
        name for call in calls for each in _arguments(call) for name in (*_methods(each, call, source), *_run_by(each, functions, source))
    )
    return tuple(dict.fromkeys(found))


def started_beside(source: SourceFile) -> int:
    """Return the line where a file starts a thread or process only when it is run as a program; 0 if it does not."""
    inside = {part for node in source.tree.body if is_main_guard(node) for part in walk(node)}
    lasting = (call for call in _starting_calls(source) if called_name(call) in ("Thread", "Process") and call in inside)
    return next((call.lineno for call in lasting), 0)


def _starting_calls(source: SourceFile) -> Iterator[ast.Call]:
    return (node for node in source.of(ast.Call) if called_name(node) in _STARTING)


def _arguments(call: ast.Call) -> Iterator[ast.expr]:
    yield from (*call.args, *(keyword.value for keyword in call.keywords))


def _methods(function: ast.expr, starting: ast.Call, source: SourceFile) -> Iterator[str]:
    """Yield the application whose own method is started, with an address among the arguments that it is handed."""
    if isinstance(function, ast.Attribute) and function.attr in _RUN_METHODS and _is_name(function.value):
        handed = keyword_value(starting, "kwargs")
        keys = handed.keys if isinstance(handed, ast.Dict) else []
        names = {each.value for each in keys if isinstance(each, ast.Constant)}
        if (
            "host" in names
            or (handed is not None and not isinstance(handed, ast.Dict))
            or keyword_value(starting, "args", "host") is not None
        ):
            yield full_name(function.value, source.aliases)


def _run_by(function: ast.expr, functions: _Functions, source: SourceFile) -> Iterator[str]:
    """Yield the applications that the body of a function runs."""
    dotted = full_name(function, {})
    body = function if isinstance(function, ast.Lambda) else functions.get(dotted.removeprefix("self."))
    for node in walk(body) if body is not None else ():
        if isinstance(node, ast.Call):
            yield from _run_in(node, source)


def _run_in(call: ast.Call, source: SourceFile) -> Iterator[str]:
    name = full_name(call.func, source.aliases)
    has_host = keyword_value(call, "host", "listen") is not None or any(keyword.arg is None for keyword in call.keywords)
    if name in _RUNNING and (has_host or _RUNNING[name]):
        yield from (full_name(each, source.aliases) for each in call.args[:1] if _is_name(each))
    elif isinstance(call.func, ast.Attribute) and call.func.attr in _RUN_METHODS and _is_name(call.func.value) and (has_host or call.args):
        yield full_name(call.func.value, source.aliases)


def _is_name(node: ast.expr) -> bool:
    return isinstance(node, ast.Name | ast.Attribute)
