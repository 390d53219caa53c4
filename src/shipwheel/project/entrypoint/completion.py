"""Files that complete an application: with routes, a layout or callbacks, when they are imported, or only when they are run."""

import ast
from collections.abc import Iterator

from shipwheel.project.entrypoint.syntax import SourceFile, called_name, is_main_guard, walk

__all__ = ["completed", "completed_when_run", "routed"]

_REGISTERS = frozenset(
    """
    blueprint register_blueprint register_blueprints include_router include_routers add_router add_routes add_route add_url_rule mount
    add_api register_api
    """.split()  # noqa: SIM905
)
"""Methods that add routes to an application."""
_ROUTES = frozenset({"route", "get", "post", "put", "patch", "delete", "websocket", "api_route"})
"""Methods whose decorators make a route of a function."""
_LAYOUT = "layout"
"""The attribute of a Dash application that is its page."""
_SERVES = frozenset({"run", "run_server", "serve", "run_simple", "print"})
"""Functions that add nothing to an application that they are given."""

_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def completed(source: SourceFile) -> frozenset[str]:
    """Return the names in a file to which it adds routes or a layout whenever it is imported."""
    statements = (node for node in source.tree.body if not (isinstance(node, _Definition) or is_main_guard(node)))
    return frozenset(name for node in statements for name in _added_to(node))


def routed(source: SourceFile) -> frozenset[str]:
    """Return the names of applications in a file that its decorators give a route."""
    decorators = (each for node in source.tree.body if isinstance(node, _Definition) for each in node.decorator_list)
    return frozenset(name for each in decorators for name in _routed(each))


def _routed(decorator: ast.expr) -> Iterator[str]:
    """Yield the name of the application whose route a decorator makes of a function."""
    match decorator:
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method)) if method in _ROUTES:
            yield name


def completed_when_run(source: SourceFile) -> frozenset[str]:
    """Return the names in a file that it adds to, or gives to a function that may, only if it is run as a program."""
    guards = [node for node in source.tree.body if is_main_guard(node)]
    calls = (node for guard in guards for node in walk(guard) if isinstance(node, ast.Call) and called_name(node) not in _SERVES)
    given = {each.id for call in calls for each in call.args if isinstance(each, ast.Name)}
    return frozenset({*given, *(name for guard in guards for name in _added_to(guard))})


def _added_to(statement: ast.stmt) -> Iterator[str]:
    for node in walk(statement):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method)) if method in _REGISTERS:
                yield name
            case ast.Assign(targets=[ast.Attribute(value=ast.Name(id=name), attr=attribute)]) if attribute == _LAYOUT:
                yield name
