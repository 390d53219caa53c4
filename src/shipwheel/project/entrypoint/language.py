"""The Pythons that a source file can run on: the oldest one with its syntax, and the signs that only Python 2 runs it."""

import ast
import re
from collections.abc import Iterable, Iterator

import msgspec

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.entrypoint.newer_syntax import newer_syntax
from shipwheel.project.entrypoint.syntax import SourceFile, walk

__all__ = ["OldLanguage", "find_python_2", "oldest_python", "python_2_import"]

_PYTHON_2_MODULES = frozenset(
    """
    BaseHTTPServer ConfigParser Cookie HTMLParser Queue SimpleHTTPServer SocketServer StringIO UserDict __builtin__ cPickle cStringIO
    cookielib httplib md5 sets urllib2 urlparse xmlrpclib
    """.split()  # noqa: SIM905
)
"""Modules of Python 2's standard library that Python 3 has under another name, or not at all."""
_PYTHON_2_SYNTAX = (
    lazy_pattern(rb"^[ \t]*print[ \t]+[\"'][^\n]*$", re.MULTILINE),
    # A class after the comma, mostly in capitals or of a module, is another error to catch: Python 3.14 wants no parentheses there.
    lazy_pattern(rb"^[ \t]*except[ \t]+[\w.]+[ \t]*,[ \t]*[a-z_][a-z_0-9]*[ \t]*:", re.MULTILINE),
    lazy_pattern(rb"^[ \t]*raise[ \t]+[\w.]+[ \t]*,[ \t]*[\"'\w]", re.MULTILINE),
    lazy_pattern(rb"^[ \t]*print[ \t]+(?!=|\(|if\b|in\b|is\b|and\b|or\b|else\b|for\b)[\w.]+[ \t]*(?:%[^\n]*)?$", re.MULTILINE),
)
"""Statements that no Python 3 parses."""
_TEXT = lazy_pattern(rb"(\"\"\"|''').*?\1", re.DOTALL)
"""A text of several lines, any of which may look like a statement."""
_BUILTIN_TYPES = frozenset({"bool", "bytes", "dict", "float", "frozenset", "int", "list", "object", "set", "str", "tuple", "type"})
"""Types whose `|` only Python 3.10 has, whatever an import does."""
_SINCE = {
    name: minor
    for minor, names in (
        (10, "itertools.pairwise types.NoneType types.UnionType typing.Concatenate typing.ParamSpec typing.TypeAlias typing.TypeGuard"),
        (11, "asyncio.TaskGroup contextlib.chdir datetime.UTC enum.StrEnum tomllib typing.assert_never typing.LiteralString typing.Never"),
        (11, "typing.NotRequired typing.Required typing.Self typing.TypeVarTuple typing.Unpack"),
        (12, "itertools.batched typing.override"),
        (13, "warnings.deprecated"),
    )
    for name in names.split()
}
"""Names of the standard library -> the minor number of the first Python 3 that has them."""
_FUTURE = "annotations"


class OldLanguage(msgspec.Struct, frozen=True):
    """Something in a source file that only Python 2 has, and its line."""

    line: int
    text: str


def find_python_2(data: bytes) -> OldLanguage | None:
    """Return the first statement of Python 2 in a file that no Python 3 can parse; None if it has none."""
    data = _TEXT.sub(lambda text: b"\n" * text[0].count(b"\n"), data)
    found = (match for pattern in _PYTHON_2_SYNTAX if (match := pattern.search(data)) is not None)
    first = min(found, key=lambda match: match.start(), default=None)
    if first is None:
        return None
    text = first[0].decode("utf-8", "replace").strip()
    return OldLanguage(data.count(b"\n", 0, first.end() - 1) + 1, f"has `{text[:60]}`")


def python_2_import(required: Iterable[tuple[str, int]]) -> OldLanguage | None:
    """Return the first import of a module that only Python 2 has, of (dotted name, line) imports without a fallback."""
    found = ((name.partition(".")[0], line) for name, line in required)
    return next((OldLanguage(line, f"imports {name}") for name, line in found if name in _PYTHON_2_MODULES), None)


def oldest_python(source: SourceFile, required: Iterable[tuple[str, int]]) -> tuple[int, int]:
    """Return the minor number of the oldest Python 3 that can import a file, and the line that needs it; (0, 0) if that is an old one.

    `required` are the (dotted name, line) that it imports without a fallback.
    """
    found = [*_needs(source), *((_SINCE[name], line) for name, line in required if name in _SINCE)]
    return max(found, key=lambda each: (each[0], -each[1]), default=(0, 0))


def _needs(source: SourceFile) -> Iterator[tuple[int, int]]:
    for node in source.of(ast.stmt):
        if isinstance(node, ast.Match):
            yield 10, node.lineno
        elif isinstance(node, ast.TryStar):
            yield 11, node.lineno
    # A tree in older syntax has none of it.
    yield newer_syntax(source.data)
    is_late = any(
        isinstance(node, ast.ImportFrom) and node.module == "__future__" and _FUTURE in {alias.name for alias in node.names}
        for node in source.tree.body
    )
    if not is_late:
        yield from ((10, annotation.lineno) for annotation in _annotations(source.tree.body) if any(map(_is_union, walk(annotation))))


def _annotations(body: Iterable[ast.stmt]) -> Iterator[ast.expr]:
    """Yield the annotations that are evaluated when a file is imported: those of its fields, and of its functions and methods."""
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield from _annotations(node.body)
        elif isinstance(node, ast.AnnAssign):
            yield node.annotation
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            every = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg)
            yield from (argument.annotation for argument in every if argument is not None and argument.annotation is not None)
            if node.returns is not None:
                yield node.returns


def _is_union(node: ast.AST) -> bool:
    """Return whether an expression is `X | Y` of types that had no such operator before Python 3.10."""
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr) and any(map(_has_no_operator, (node.left, node.right)))


def _has_no_operator(node: ast.expr) -> bool:
    if isinstance(node, ast.Subscript):
        node = node.value
    return (isinstance(node, ast.Constant) and node.value is None) or (isinstance(node, ast.Name) and node.id in _BUILTIN_TYPES)
