"""Flask commands of an application that make its database's tables: `flask initdb`, before the first start."""

import ast
from collections.abc import Iterator

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.entrypoint.syntax import SourceFile, called_name, keyword_value

__all__ = ["find_table_commands"]

_DESTROYING = frozenset({"drop_all", "drop_tables", "drop_database", "delete", "remove", "unlink", "rmtree", "execute", "executescript"})
_NAME = lazy_pattern(r"(?:init|create|setup)[-_]?(?:db|database|tables|all)|db[-_]?(?:init|create)")


def find_table_commands(source: SourceFile) -> Iterator[str]:
    """Yield the names of commands `@app.cli.command()` that call `create_all`, by their names, ask for nothing and destroy nothing."""
    for node in source.nodes:
        if not isinstance(node, ast.FunctionDef):
            continue
        name = next((name for each in node.decorator_list if (name := _command(each, node.name))), "")
        if _NAME.fullmatch(name) and not any(map(_asks, node.decorator_list)):
            calls = (each for statement in node.body for each in ast.walk(statement) if isinstance(each, ast.Call))
            if any(called_name(call) == "create_all" for call in calls) and not _destroys(node):
                yield name


def _destroys(function: ast.FunctionDef) -> bool:
    """Return whether a command removes what there is without being asked: the database may be another than that of the volume."""
    options = {argument.arg for argument in (*function.args.args, *function.args.kwonlyargs)}
    pending: list[ast.AST] = [*function.body]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Call) and called_name(node) in _DESTROYING:
            return True
        if not (isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id in options):
            pending += ast.iter_child_nodes(node)
    return False


def _command(decorator: ast.expr, function: str) -> str:
    """Return the name of the command that a decorator makes of a function; empty if it makes none."""
    call = decorator.func if isinstance(decorator, ast.Call) else decorator
    match call:
        case ast.Attribute(attr="command", value=ast.Attribute(attr="cli")):
            given = decorator.args[0] if isinstance(decorator, ast.Call) and decorator.args else None
            if isinstance(given, ast.Constant) and isinstance(given.value, str):
                return given.value
            return function.replace("_", "-") if given is None else ""
    return ""


def _asks(decorator: ast.expr) -> bool:
    """Return whether a command has an argument, or an option without which it does not run."""
    if not isinstance(decorator, ast.Call):
        return False
    name = called_name(decorator)
    return name == "argument" or (name == "option" and any(keyword_value(decorator, key) is not None for key in ("required", "prompt")))
