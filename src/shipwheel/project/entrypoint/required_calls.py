"""Calls that run whatever versions a file finds: what they call, or the arguments that they give, may be gone in newer ones."""

import ast
from collections.abc import Iterator

from shipwheel.project.entrypoint.syntax import (
    STAR_NAMES,
    SourceFile,
    assignments,
    called_name,
    full_name,
    imported_packages,
    keyword_value,
    walk,
)
from shipwheel.project.removed_names import REMOVED_ARGUMENTS

__all__ = ["required_calls"]

_ABOUT_VERSIONS = frozenset(
    """
    hasattr find_spec version_info __version__ PY2 PY3 AttributeError ImportError ModuleNotFoundError NameError TypeError
    """.split()  # noqa: SIM905
)
"""Names in conditions and handlers that ask which names and arguments there are."""

_TELLING_METHODS = {name: f"flask.{name}" for name in ("before_first_request", "before_app_first_request")}
"""Method that tells by its name alone what it is of -> its name with the package's."""


def required_calls(source: SourceFile) -> Iterator[tuple[str, int]]:
    """Yield (dotted name, line) of the calls of what the imports at the top level bind, without those that stand in for another.

    Methods of what such a call makes count as well, under the name of what was called: starlette.applications.Starlette.route.
    """
    tree = source.tree
    imports = (node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom)))
    imported = {alias.asname or alias.name.partition(".")[0] for node in imports for alias in node.names}
    defined = {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))}
    bound = imported | (STAR_NAMES - defined if "*" in imported else set())
    made = {name: value.func for name, value, _ in assignments(tree.body) if isinstance(value, ast.Call)}
    bound -= {name for name, _, _ in assignments(tree.body)}
    objects = {name: full_name(made, source.aliases) for name, made in made.items() if full_name(made, {}).partition(".")[0] in bound}
    local = _local_names(source) if objects else set()
    names = {**source.aliases, **objects}
    uses_gradio = "gradio" in imported_packages(source)
    doubtful = {child for node in source.of(ast.If, ast.IfExp, ast.Try) if _asks_what_there_is(node) for child in walk(node)}
    for node in source.of(ast.Call, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef):
        if node in doubtful:
            continue
        named = [node.func] if isinstance(node, ast.Call) else []
        named += node.decorator_list if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) else []
        for called in named:
            top = full_name(called, {}).partition(".")[0]
            if top in bound or (top in objects and _root(called) not in local):
                name = full_name(called, names)
                yield name, called.lineno
                if name.endswith(".fast_app") and isinstance(node, ast.Call) and (node.args or keyword_value(node, "db_file") is not None):
                    yield "fasthtml.fast_app(db_file)", called.lineno
            if isinstance(called, ast.Attribute) and called.attr in _TELLING_METHODS:
                yield _TELLING_METHODS[called.attr], called.lineno
        if isinstance(node, ast.Call):
            yield from ((name, node.lineno) for name in _arguments(node, source, uses_gradio=uses_gradio))


def _arguments(call: ast.Call, source: SourceFile, *, uses_gradio: bool) -> Iterator[str]:
    """Yield names with an argument in parentheses for a call that gives one as older versions took it."""
    name = called_name(call)
    if isinstance(call.func, ast.Attribute) and name == "TemplateResponse" and _names_template_first(call):
        yield "starlette.TemplateResponse(name)"
    origin = source.aliases.get(full_name(call.func, {}).partition(".")[0], "gradio").partition(".")[0]
    if uses_gradio and origin == "gradio":
        gone = REMOVED_ARGUMENTS.get(f"gradio.{name}", frozenset())
        yield from (f"gradio.{name}({each.arg})" for each in call.keywords if each.arg in gone)


def _local_names(source: SourceFile) -> set[ast.AST]:
    """Return the names in functions that stand for variables and parameters of theirs, whatever the module has under the name."""
    found: set[ast.AST] = set()
    for function in source.of(ast.FunctionDef, ast.AsyncFunctionDef):
        inside = [part for statement in function.body for part in walk(statement) if isinstance(part, ast.Name)]
        own = {part.id for part in inside if isinstance(part.ctx, ast.Store)}
        own |= {part.arg for part in walk(function.args) if isinstance(part, ast.arg)}
        found.update(part for part in inside if part.id in own)
    return found


def _root(node: ast.expr) -> ast.expr:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node


def _names_template_first(call: ast.Call) -> bool:
    """Return whether a call of TemplateResponse gives it the template's name and no request before, as Starlette had it once."""
    if call.args:
        return isinstance(call.args[0], ast.JoinedStr) or (isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str))
    return keyword_value(call, "name") is not None and not any(keyword.arg in (None, "request") for keyword in call.keywords)


def _asks_what_there_is(node: ast.AST) -> bool:
    """Return whether a statement or expression has one way for a version that has a name, and another for one that lacks it."""
    asked = [node.test] if isinstance(node, (ast.If, ast.IfExp)) else []
    asked += [handler.type for handler in node.handlers if handler.type is not None] if isinstance(node, ast.Try) else []
    parts = (part for each in asked for part in walk(each))
    return any((getattr(part, "id", "") or getattr(part, "attr", "")) in _ABOUT_VERSIONS for part in parts)
