"""The sentences with which a project's code refuses to go on, each with what the code around it has looked for.

A program that says "no configuration was found" names neither the files that it tried nor the variable. The function that says so does.
"""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.entrypoint.syntax import is_main_guard, parse_tree
from shipwheel.trial.source_facts import Refusal

__all__ = ["find_refusals"]

_SAYING = frozenset({"exit", "print", "error", "critical", "exception", "fatal", "fail", "abort", "echo"})
"""Names of functions and methods that are called with a sentence for people."""
_PRINTING = frozenset({"print", "echo"})
"""Those that mostly say how things go."""
_ENDING = frozenset({"exit", "_exit", "quit", "abort"})
_FILE = lazy_pattern(r"[\w./~-]*\w\.(?:ya?ml|toml|json|ini|cfg|conf|env|xml|properties)|(?:[\w./~-]*/)?\.env")
_RELEVANT = lazy_pattern(r"environ|getenv|\.(?:ya?ml|toml|json|ini|cfg|conf|env|xml|properties)[\"']")
_FILLED_IN = lazy_pattern(r"\{[^{}]*\}|%(?:\(\w+\))?[sdrf]|\n")
_MIN_SENTENCE = 12
"""Characters: shorter words of a program are in many lines."""
_MAX_READ = 6


def find_refusals(file: str, text: str) -> Iterator[Refusal]:
    """Yield the refusals of a source file. A file that Python cannot parse has none."""
    if _RELEVANT.search(text) is None:
        return
    try:
        tree = parse_tree(text.encode())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    named = {name: value for node in tree.body for name, value in _named_file(node)}
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    for scope in (tree, *functions):
        nodes = list(_own_nodes(scope))
        read = tuple(dict.fromkeys(what for node in nodes for what in _read(node, named)))[:_MAX_READ]
        news = set(_news(scope.body))
        said = ((node.lineno, sentence) for node in nodes if isinstance(node, ast.stmt) and node not in news for sentence in _said(node))
        yield from (Refusal(sentence, f"{file}, line {line}", read) for line, sentence in said if read)


def _named_file(node: ast.stmt) -> Iterator[tuple[str, str]]:
    """Yield (name, file) of a module's constant."""
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and _is_file(node.value.value):
        yield from ((target.id, str(node.value.value)) for target in node.targets if isinstance(target, ast.Name))


def _is_file(value: object) -> bool:
    return isinstance(value, str) and _FILE.fullmatch(value) is not None


def _own_nodes(scope: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a scope in the order of its text, without those of the functions in it."""
    # Not recursive: a long sum is a deep tree.
    pending = [*ast.iter_child_nodes(scope)][::-1]
    while pending:
        node = pending.pop()
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield node
            pending += [*ast.iter_child_nodes(node)][::-1]


def _news(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that print something in any case, and after which the code goes on."""
    if not body or _ends(body[-1]):
        return
    for node in body:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and _called(node.value.func) in _PRINTING:
            yield node
        elif isinstance(node, ast.With | ast.AsyncWith | ast.Try) or is_main_guard(node):
            yield from _news(getattr(node, "body", ()))


def _ends(node: ast.stmt) -> bool:
    if isinstance(node, ast.Return):
        return node.value is None or isinstance(node.value, ast.Constant)
    call = node.value if isinstance(node, ast.Expr) else None
    return isinstance(node, ast.Raise) or (isinstance(call, ast.Call) and _called(call.func) in _ENDING)


def _read(node: ast.AST, named: Mapping[str, str]) -> Iterator[str]:
    """Yield the variable or file that an expression names."""
    match node:
        case ast.Subscript(value=ast.Attribute(attr="environ"), slice=ast.Constant(value=str() as name)):
            yield name
        case ast.Call(func=ast.Attribute(attr="get", value=ast.Attribute(attr="environ")), args=[ast.Constant(value=str() as name)]):
            yield name
        case ast.Call(func=ast.Attribute(attr="getenv") | ast.Name(id="getenv"), args=[ast.Constant(value=str() as name)]):
            yield name
        case ast.Compare(left=ast.Constant(value=str() as name), comparators=[ast.Attribute(attr="environ")]):
            yield name
        case ast.Constant(value=str() as value) if _is_file(value):
            yield value
        case ast.Name(id=name) if name in named:
            yield named[name]


def _said(node: ast.stmt) -> Iterator[str]:
    """Yield the sentence of a statement that raises an error, or that calls a function which prints or ends."""
    call = node.exc if isinstance(node, ast.Raise) else node.value if isinstance(node, ast.Expr) else None
    if not isinstance(call, ast.Call) or not (isinstance(node, ast.Raise) or _called(call.func) in _SAYING):
        return
    for argument in call.args:
        texts = (each.value for each in ast.walk(argument) if isinstance(each, ast.Constant) and isinstance(each.value, str))
        sentence = max((part.strip() for text in texts for part in re.split(_FILLED_IN.pattern, text)), key=len, default="")
        if len(sentence) >= _MIN_SENTENCE and " " in sentence:
            yield sentence


def _called(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
