"""Source files as syntax trees: parsed once, walked once, with the full names of what they import.

Nothing is imported or run. Every scan of a file works on the same `SourceFile`.
"""

import ast
import warnings
from collections.abc import Iterator, Mapping

import msgspec

from shipwheel.project.entrypoint.frameworks import FRAMEWORKS

__all__ = [
    "ModulePath",
    "SourceFile",
    "assignments",
    "called_name",
    "full_name",
    "imported_names",
    "imported_packages",
    "is_main_guard",
    "keyword_value",
    "parse_source",
    "required_calls",
    "required_imports",
]


_ABOUT_VERSIONS = frozenset(
    """
    hasattr find_spec version_info __version__ PY2 PY3 AttributeError ImportError ModuleNotFoundError NameError TypeError
    """.split()  # noqa: SIM905
)
"""Names in conditions and handlers that ask which names and arguments there are."""


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
    tree: ast.Module
    nodes: tuple[ast.AST, ...]
    """All nodes, in the order of `ast.walk`. Walking the tree is most of what a scan costs, so it happens once."""
    aliases: Mapping[str, str]
    """Name in the file -> dotted name of what it was imported as. A leading dot stands for a relative import."""


def parse_source(path: ModulePath, data: bytes) -> SourceFile:
    """Parse a source file. Raises SyntaxError, ValueError, RecursionError or MemoryError if Python cannot."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(data)
    nodes = tuple(ast.walk(tree))
    return SourceFile(path, tree, nodes, dict(_aliases(nodes)))


def full_name(node: ast.expr | None, aliases: Mapping[str, str]) -> str:
    """Return the dotted name of a name or attribute, resolved through the imports; empty for any other expression."""
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
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""


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


def is_main_guard(node: ast.stmt) -> bool:
    """Return whether a statement is `if __name__ == "__main__"`."""
    return isinstance(node, ast.If) and any(isinstance(part, ast.Name) and part.id == "__name__" for part in ast.walk(node.test))


def imported_packages(source: SourceFile) -> frozenset[str]:
    """Return the top-level packages that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in source.nodes:
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names.add(node.module)
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
_STAR_NAMES = {name for _, name in (*FRAMEWORKS, *_MORE_NAMES)}
_TELLING_METHODS = {name: f"flask.{name}" for name in ("before_first_request", "before_app_first_request")}
"""Method that tells by its name alone what it is of -> its name with the package's."""

_GRADIO_ARGUMENTS = {
    "Chatbot": frozenset({"type", "bubble_full_width", "show_copy_button"}),
    "ChatInterface": frozenset({"type", "theme", "css", "retry_btn", "undo_btn", "clear_btn"}),
    "launch": frozenset({"show_api", "enable_queue"}),
    "queue": frozenset({"concurrency_count"}),
}
"""Class or method of Gradio -> arguments that newer versions do not take."""


def required_calls(source: SourceFile) -> Iterator[tuple[str, int]]:
    """Yield (dotted name, line) of the calls of what the imports at the top level bind, without those that stand in for another.

    Methods of what such a call makes count as well, under the name of what was called: starlette.applications.Starlette.route.
    """
    tree = source.tree
    imports = (node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom)))
    imported = {alias.asname or alias.name.partition(".")[0] for node in imports for alias in node.names}
    local = _local_names(source)
    defined = {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))}
    bound = imported | (_STAR_NAMES - defined if "*" in imported else set())
    made = {name: value.func for name, value, _ in assignments(tree.body) if isinstance(value, ast.Call)}
    bound -= {name for name, _, _ in assignments(tree.body)}
    objects = {name: full_name(made, source.aliases) for name, made in made.items() if full_name(made, {}).partition(".")[0] in bound}
    uses_gradio = "gradio" in imported_packages(source)
    doubtful = {child for node in source.nodes if _asks_what_there_is(node) for child in ast.walk(node)}
    for node in source.nodes:
        if node in doubtful:
            continue
        named = [node.func] if isinstance(node, ast.Call) else []
        named += node.decorator_list if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) else []
        for called in named:
            top = full_name(called, {}).partition(".")[0]
            if top in bound or (top in objects and _root(called) not in local):
                name = full_name(called, {**source.aliases, **objects})
                yield name, called.lineno
                if name.endswith(".fast_app") and isinstance(node, ast.Call) and (node.args or keyword_value(node, "db_file") is not None):
                    yield "fasthtml.fast_app(db_file)", called.lineno
            if isinstance(called, ast.Attribute) and called.attr in _TELLING_METHODS:
                yield _TELLING_METHODS[called.attr], called.lineno
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Attribute) and node.func.attr == "TemplateResponse" and _names_template_first(node):
            yield "starlette.TemplateResponse(name)", node.lineno
        origin = source.aliases.get(full_name(node.func, {}).partition(".")[0], "gradio").partition(".")[0]
        if uses_gradio and origin == "gradio" and (arguments := _GRADIO_ARGUMENTS.get(called_name(node))):
            yield from ((f"gradio.{called_name(node)}({each.arg})", node.lineno) for each in node.keywords if each.arg in arguments)


def _local_names(source: SourceFile) -> set[ast.AST]:
    """Return the names in functions that stand for variables and parameters of theirs, whatever the module has under the name."""
    found: set[ast.AST] = set()
    for function in source.nodes:
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            inside = [part for statement in function.body for part in ast.walk(statement) if isinstance(part, ast.Name)]
            own = {part.id for part in inside if isinstance(part.ctx, ast.Store)}
            own |= {part.arg for part in ast.walk(function.args) if isinstance(part, ast.arg)}
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
    parts = (part for each in asked for part in ast.walk(each))
    return any((getattr(part, "id", "") or getattr(part, "attr", "")) in _ABOUT_VERSIONS for part in parts)


def _aliases(nodes: tuple[ast.AST, ...]) -> Iterator[tuple[str, str]]:
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                yield (alias.asname, alias.name) if alias.asname else (top, top)
        elif isinstance(node, ast.ImportFrom):
            origin = _origin(node)
            for alias in node.names:
                if alias.name == "*":
                    yield from ((name, f"{top}.{name}") for top, name in (*FRAMEWORKS, *_MORE_NAMES) if top == origin.partition(".")[0])
                else:
                    yield alias.asname or alias.name, f"{origin}.{alias.name}" if origin.strip(".") else f".{alias.name}"


def _origin(node: ast.ImportFrom) -> str:
    return "." * bool(node.level) + (node.module or "")
