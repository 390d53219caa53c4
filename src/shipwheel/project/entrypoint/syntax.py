"""Source files as syntax trees: parsed once, walked once, with the full names of what they import.

Nothing is imported or run. Every scan of a file works on the same `SourceFile`, and asks it for the kinds of nodes that it wants.
"""

import ast
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar, overload

import msgspec
from msgspec.structs import replace

from shipwheel.project.entrypoint.frameworks import FRAMEWORKS
from shipwheel.quiet import without_warnings

__all__ = [
    "STAR_NAMES",
    "ModulePath",
    "SourceFile",
    "assignments",
    "called_name",
    "definitions_with",
    "full_name",
    "imported_names",
    "imported_packages",
    "is_endless_loop",
    "is_main_guard",
    "keyword_value",
    "last_name",
    "needs_package",
    "parse_source",
    "parse_tree",
    "required_imports",
    "run_nodes",
    "walk",
]

_FOREVER = frozenset({"serve_forever", "run_forever", "loop_forever", "infinity_polling"})
"""Methods of servers and event loops that do not return."""
_A = TypeVar("_A", bound=ast.AST)
_B = TypeVar("_B", bound=ast.AST)
_C = TypeVar("_C", bound=ast.AST)


class ModulePath(msgspec.Struct, frozen=True):
    """The location of a module: its file, its import name, and the directory that it is imported from."""

    file: str
    """Relative to the project's root, with forward slashes."""
    name: str
    """The dotted import name."""
    import_root: str = ""
    """The directory that must be on the import path, relative to the project's root; empty for the root itself."""

    @property
    def top_level(self) -> str:
        """The first part of the import name."""
        return self.name.partition(".")[0]


class SourceFile(msgspec.Struct, frozen=True, eq=False):
    """A parsed source file."""

    path: ModulePath
    data: bytes
    tree: ast.Module
    by_kind: Mapping[type[ast.AST], Sequence[tuple[int, ast.AST]]]
    """Kind -> the (position in the order of `walk`, node) of its nodes."""
    aliases: Mapping[str, str]
    """Name in the file -> dotted name of what it was imported as. A leading dot stands for a relative import."""
    _of: dict[tuple[type[ast.AST], ...], tuple[ast.AST, ...]] = msgspec.field(default_factory=dict)

    @overload
    def of(self, kind: type[_A], /) -> tuple[_A, ...]: ...
    @overload
    def of(self, kind: type[_A], other: type[_B], /, *more: type[_C]) -> tuple[_A | _B | _C, ...]: ...
    def of(self, *kinds: type[ast.AST]) -> tuple[ast.AST, ...]:
        """Return the nodes of these kinds, in the order of `walk`."""
        if kinds not in self._of:
            rows = sorted(row for kind, found in self.by_kind.items() if issubclass(kind, kinds) for row in found)
            self._of[kinds] = tuple(node for _, node in rows)
        return self._of[kinds]


_KINDS = [kind for kind in vars(ast).values() if isinstance(kind, type) and issubclass(kind, ast.AST)]
_NOT_VISITED = frozenset({"ctx", "op", "ops", "id", "attr", "kind", "type_comment"})
_FIELDS = {kind: tuple(name for name in kind._fields if name not in _NOT_VISITED) for kind in _KINDS}
"""Kind of node -> its fields that may hold nodes worth a visit."""


def parse_source(path: ModulePath, data: bytes) -> SourceFile:
    """Parse a source file. Raises SyntaxError, ValueError, RecursionError or MemoryError if no Python can."""
    tree = parse_tree(data)
    by_kind: dict[type[ast.AST], list[tuple[int, ast.AST]]] = {}
    for number, node in enumerate(walk(tree)):
        by_kind.setdefault(type(node), []).append((number, node))
    source = SourceFile(path, data, tree, by_kind, {})
    return replace(source, aliases=dict(_aliases(source.of(ast.Import, ast.ImportFrom))))


def walk(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node and all below it in the order of `ast.walk`, without contexts and operators, which are a third and hold nothing."""
    pending = [node]
    for node in pending:
        yield node
        for name in _FIELDS[type(node)]:
            value = getattr(node, name, None)
            if isinstance(value, list):
                pending += [each for each in value if isinstance(each, ast.AST)]
            elif isinstance(value, ast.AST):
                pending.append(value)


def parse_tree(data: bytes) -> ast.Module:
    """Parse source code, of newer Pythons as well. Raises SyntaxError, ValueError, RecursionError or MemoryError if no Python can."""
    with without_warnings():
        try:
            return ast.parse(data)
        except SyntaxError:
            from shipwheel.project.entrypoint.newer_syntax import in_older_syntax

            return ast.parse(in_older_syntax(data.decode("utf-8-sig").replace("\r\n", "\n")))


def full_name(node: ast.expr | None, aliases: Mapping[str, str]) -> str:
    """Return the dotted name of a name or attribute, resolved through the imports; empty for any other expression."""
    if isinstance(node, ast.Name):
        return aliases.get(node.id, node.id)
    attributes: list[str] = []
    while isinstance(node, ast.Attribute):
        attributes.append(node.attr)
        node = node.value
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        # A quoted annotation.
        return aliases.get(node.value, node.value)
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([aliases.get(node.id, node.id), *reversed(attributes)])


def called_name(call: ast.Call) -> str:
    """Return the last part of a called function's name; empty if an expression other than a name is called."""
    return last_name(call.func)


def last_name(node: ast.expr) -> str:
    """Return the last part of a name or attribute; empty for any other expression."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def keyword_value(call: ast.Call, *names: str) -> ast.expr | None:
    """Return the value of the first keyword argument with one of these names."""
    return next((keyword.value for keyword in call.keywords if keyword.arg in names), None)


def assignments(body: list[ast.stmt]) -> Iterator[tuple[str, ast.expr, ast.expr | None]]:
    """Yield (name, value, annotation) of a block's assignments, including those in try, if and with, but not in the main guard."""
    for node in body:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Tuple) and target.elts:
                    target = target.elts[0]
                if isinstance(target, ast.Name):
                    yield target.id, node.value, None
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            yield node.target.id, node.value, node.annotation
        elif isinstance(node, ast.If) and not is_main_guard(node):
            yield from assignments([*node.body, *node.orelse])
        elif isinstance(node, ast.Try):
            handlers = [statement for handler in node.handlers for statement in handler.body]
            yield from assignments([*node.body, *node.orelse, *node.finalbody, *handlers])
        elif isinstance(node, (ast.With, ast.AsyncWith)):
            yield from assignments(node.body)


_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def run_nodes(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield the nodes that run if the file does: those outside functions and classes, and of the ones that these name.

    A decorator such as `@commands.command()` gives a function to an object, and names it with that.
    """
    unused: dict[str, list[ast.AST]] = {}
    pending: list[ast.AST] = []
    for statement in tree.body:
        if isinstance(statement, _DEFINITIONS):
            names = (part.id for each in statement.decorator_list for part in walk(each) if isinstance(part, ast.Name))
            for name in {statement.name, *names}:
                unused.setdefault(name, []).append(statement)
        else:
            pending.append(statement)
    for top in pending:
        for node in walk(top):
            yield node
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                pending += unused.pop(node.id, ())


def definitions_with(source: SourceFile, calls: Container[str]) -> frozenset[str]:
    """Return the names of the top-level functions and classes that make one of these calls, or name another one that does."""
    found: set[str] = set()
    parts = {node.name: (*walk(node),) for node in source.tree.body if isinstance(node, _DEFINITIONS)}

    def makes(node: ast.AST) -> bool:
        is_call = isinstance(node, ast.Call) and full_name(node.func, source.aliases) in calls
        return is_call or (isinstance(node, ast.Name) and node.id in found)

    while more := {name for name, nodes in parts.items() if name not in found and any(map(makes, nodes))}:
        found |= more
    return frozenset(found)


def is_main_guard(node: ast.stmt) -> bool:
    """Return whether a statement is `if __name__ == "__main__"`."""
    return isinstance(node, ast.If) and any(isinstance(part, ast.Name) and part.id == "__name__" for part in walk(node.test))


def is_endless_loop(node: ast.stmt) -> bool:
    """Return whether a statement is a `while True` that nothing breaks, or a call that says that it is one."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute):
        called = node.value.func
        is_twisted = called.attr == "run" and isinstance(called.value, ast.Name) and called.value.id == "reactor"
        return called.attr in _FOREVER or is_twisted
    loops = isinstance(node, ast.While) and isinstance(node.test, ast.Constant) and bool(node.test.value)
    return loops and not any(isinstance(part, ast.Break) for part in walk(node))


def needs_package(source: SourceFile) -> bool:
    """Return whether a file imports its neighbours as a part of a package, and does nothing else where it is none."""
    handlers = (handler.type for handler in source.of(ast.ExceptHandler) if handler.type is not None)
    caught = {last_name(part) for each in handlers for part in walk(each) if isinstance(part, (ast.Name, ast.Attribute))}
    return any(node.level for node in source.of(ast.ImportFrom)) and caught.isdisjoint(("ImportError", "ModuleNotFoundError"))


def imported_packages(source: SourceFile) -> frozenset[str]:
    """Return the top-level packages that a file imports, anywhere in it."""
    names = {alias.name for node in source.of(ast.Import) for alias in node.names}
    names.update(node.module for node in source.of(ast.ImportFrom) if not node.level and node.module)
    return frozenset(name.partition(".")[0] for name in names)


def imported_names(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield (name in the file, dotted name) of the top-level `from … import …` statements."""
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            origin = _origin(node)
            yield from ((alias.asname or alias.name, f"{origin}.{alias.name}") for alias in node.names if alias.name != "*")


_IMPORTED_NAMES = "INSTALLED_APPS"
"""The setting whose names Django imports."""


def required_imports(path: ModulePath, tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield (absolute dotted name, line) of the imports that run whenever the module does, and of those that Django makes for it."""
    package = path.name.split(".") if path.file.endswith("__init__.py") else path.name.split(".")[:-1]
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join((*base, *([node.module] if node.module else ())))
            if origin:
                yield origin, node.lineno
            yield from ((f"{origin}.{alias.name}".lstrip("."), node.lineno) for alias in node.names if node.level or origin)
        elif isinstance(node, ast.Assign) and any(isinstance(each, ast.Name) and each.id == _IMPORTED_NAMES for each in node.targets):
            names = node.value.elts if isinstance(node.value, (ast.List, ast.Tuple)) else []
            yield from ((each.value, each.lineno) for each in names if isinstance(each, ast.Constant) and isinstance(each.value, str))


_MORE_NAMES = (("fasthtml", "database"),)
"""(top-level package, name) of what a star brings, beside the applications."""
STAR_NAMES = {name for _, name in (*FRAMEWORKS, *_MORE_NAMES)}
"""Names that a star may bring."""


def _aliases(imports: Iterable[ast.Import | ast.ImportFrom]) -> Iterator[tuple[str, str]]:
    for node in imports:
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                yield (alias.asname, alias.name) if alias.asname else (top, top)
        else:
            origin = _origin(node)
            for alias in node.names:
                if alias.name == "*":
                    yield from ((name, f"{top}.{name}") for top, name in (*FRAMEWORKS, *_MORE_NAMES) if top == origin.partition(".")[0])
                else:
                    yield alias.asname or alias.name, f"{origin}.{alias.name}" if origin.strip(".") else f".{alias.name}"


def _origin(node: ast.ImportFrom) -> str:
    return "." * bool(node.level) + (node.module or "")
