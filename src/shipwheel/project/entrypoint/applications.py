"""Application objects and factories in one source file, found in its syntax tree."""

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec
from msgspec.structs import replace

from shipwheel.project.entrypoint.frameworks import FRAMEWORKS, Framework, FrameworkKind, framework_of
from shipwheel.project.entrypoint.syntax import ModulePath, SourceFile, assignments, full_name, is_main_guard, walk

__all__ = [
    "FLASKS",
    "Application",
    "Factory",
    "calls_run",
    "factory_applications",
    "find_applications",
    "find_factories",
    "runs_when_imported",
    "takes_arguments",
    "with_subclasses",
]

_FILES = ("main", "app", "asgi", "wsgi", "server", "api", "application", "web", "run", "service", "__init__", "__main__")
_VARIABLES = ("app", "application", "api", "asgi_app", "wsgi_app", "server", "asgi", "wsgi")
_FACTORIES = ("create_app", "make_app", "get_app", "build_app", "app_factory", "create_application", "get_application", "init_app")

_PROTOCOLS = {
    ("environ", "start_response"): Framework("", FrameworkKind.WSGI),
    ("scope", "receive", "send"): Framework("", FrameworkKind.ASGI),
}
"""Argument names of a callable that is an application without a framework (PEP 3333, the ASGI specification)."""
_WRAPPERS = frozenset({"python-socketio", "asgiref", "gradio"})
"""Frameworks whose application may wrap another one, which then is not the entry point: `ASGIApp(sio, app)`."""

FLASKS = frozenset({"flask", "apiflask", "flask-openapi3"})
"""Frameworks whose method `run` does nothing if FLASK_RUN_FROM_CLI is set to true: a server can import a file that calls it."""
_SERVES = frozenset(
    {"uvicorn.run", "waitress.serve", "bottle.run", "hypercorn.run", "wsgiref.simple_server.make_server", "aiohttp.web.run_app"}
)
"""Calls that serve the application among their arguments until they are stopped."""

_Function = ast.FunctionDef | ast.AsyncFunctionDef


class Application(msgspec.Struct, frozen=True):
    """An application object, or a factory that needs no arguments."""

    module: ModulePath
    variable: str
    framework: Framework
    is_factory: bool = False

    @property
    def has_usual_name(self) -> bool:
        """True if its file is called as those of applications are."""
        return Path(self.module.file).stem in _FILES

    @property
    def rank(self) -> tuple[object, ...]:
        """Sort key, likeliest first: objects before factories, then by depth, by the file's name and by the variable's."""
        file = self.module.file
        return (
            self.is_factory,
            file.count("/") - file.startswith("src/"),
            _position(_FILES, Path(file).stem),
            _position(_FACTORIES if self.is_factory else _VARIABLES, self.variable),
            file,
            self.variable,
        )


class Factory(msgspec.Struct, frozen=True):
    """A function that returns an application."""

    name: str
    framework: Framework | None
    """None if it returns what a function of another module returns."""
    delegates_to: str = ""
    """The dotted name of that function."""
    needs_no_arguments: bool = False
    is_coroutine: bool = False


def with_subclasses(source: SourceFile) -> SourceFile:
    """Return the file with the subclasses of framework classes that it defines among its aliases."""
    aliases = dict(source.aliases)
    for node in _classes(source.tree):
        for base in node.bases:
            if framework_of(full_name(base, aliases)) is not None:
                aliases[node.name] = full_name(base, aliases)
    return replace(source, aliases=aliases)


def find_applications(source: SourceFile, factories: Iterable[Factory]) -> tuple[list[Application], list[tuple[str, str]]]:
    """Return the application objects of a file, and (variable, called function) of assignments that another module may decide."""
    aliases, module = source.aliases, source.path
    found = [*factory_applications(factories, module), *_protocol_functions(source)]
    known = {**dict(_callable_classes(source.tree)), **{it.name: it.framework for it in factories if not it.is_coroutine}}
    unresolved: list[tuple[str, str]] = []
    for variable, value, annotation in assignments(source.tree.body):
        called = full_name(value.func, aliases) if isinstance(value, ast.Call) else ""
        framework = _created(value, aliases) or (
            framework_of(full_name(annotation, aliases)) if annotation is not None and called else None
        )
        framework = framework or known.get(called)
        if framework is not None:
            found = [app for app in found if not _wraps(value, app, framework)]
            found.append(Application(module, variable, framework))
        elif called:
            unresolved.append((variable, called))
        elif isinstance(value, ast.Attribute) and value.attr == "server":
            dash = [app for app in found if app.variable == full_name(value.value, {}) and app.framework.kind is FrameworkKind.DASH]
            found += [replace(app, variable=variable, framework=Framework("dash", FrameworkKind.WSGI)) for app in dash]
    return found, unresolved


def runs_when_imported(app: Application, source: SourceFile) -> bool:
    """Return whether the file serves an application at its top level, so that no other server can import it."""
    kinds = (FrameworkKind.WSGI, FrameworkKind.ASGI, FrameworkKind.DASH, FrameworkKind.AIOHTTP)
    if app.is_factory or app.framework.kind not in kinds:
        return False
    own = {f"{app.variable}.run_server", *(() if app.framework.distribution in FLASKS else (f"{app.variable}.run",))}
    return any(name in own or (name in _SERVES and _names(call, app.variable)) for name, call in _top_level_calls(source).items())


def takes_arguments(source: SourceFile) -> bool:
    """Return whether the file uses words of its command line when it is imported: a server that imports it has others.

    A word that is only compared does no harm: it is none of those that the file knows.
    """
    compared: set[ast.AST] = set()
    for statement in source.tree.body:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) or is_main_guard(statement):
            continue
        for node in walk(statement):
            if isinstance(node, ast.Compare):
                compared.update((node.left, *node.comparators))
            elif isinstance(node, ast.If) and any(_compares_arguments(part, source) for part in walk(node.test)):
                compared.update(part for each in node.body for part in walk(each))
            elif node not in compared and _is_argument(node, source):
                return True
    return False


def _compares_arguments(node: ast.AST, source: SourceFile) -> bool:
    return isinstance(node, ast.Compare) and any(_is_argument(each, source) for each in (node.left, *node.comparators))


def _is_argument(node: ast.AST, source: SourceFile) -> bool:
    """Return whether an expression takes words of the command line, other than the program's name."""
    if not isinstance(node, ast.Subscript) or full_name(node.value, source.aliases) != "sys.argv":
        return False
    return not (isinstance(node.slice, ast.Constant) and node.slice.value == 0)


def calls_run(app: Application, source: SourceFile) -> bool:
    """Return whether the file calls the application's method `run` at its top level."""
    return f"{app.variable}.run" in _top_level_calls(source)


def _top_level_calls(source: SourceFile) -> dict[str, ast.Call]:
    calls = (node.value for node in source.tree.body if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call))
    return {full_name(call.func, source.aliases): call for call in calls}


def _names(call: ast.Call, variable: str) -> bool:
    return any(isinstance(node, ast.Name) and node.id == variable for node in walk(call))


def find_factories(source: SourceFile) -> tuple[Factory, ...]:
    """Return the top-level functions that return an application, themselves or through another function."""
    found = {node.name: _factory(node, source.aliases) for node in source.tree.body if isinstance(node, _Function)}
    for _ in found:
        # Follow calls from one function of the module to another; each pass resolves one more step.
        for name, factory in found.items():
            other = found.get(factory.delegates_to)
            if factory.framework is None and other is not None and (other.framework, other.delegates_to) != (None, factory.delegates_to):
                found[name] = replace(factory, framework=other.framework, delegates_to=other.delegates_to)
    return tuple(factory for factory in found.values() if _is_usable(factory))


def factory_applications(factories: Iterable[Factory], module: ModulePath) -> Iterator[Application]:
    """Yield the factories that a server can call: they take no arguments and are no program's main function."""
    for factory in factories:
        hidden = factory.name.startswith("_") or factory.name in ("main", "cli")
        if factory.needs_no_arguments and factory.framework is not None and not hidden:
            yield Application(module, factory.name, factory.framework, is_factory=not factory.is_coroutine)


def _created(value: ast.expr | None, aliases: Mapping[str, str]) -> Framework | None:
    """Return the framework whose application an expression creates."""
    if not isinstance(value, ast.Call):
        return None
    found = framework_of(full_name(value.func, aliases))
    if found is not None and found.distribution == "pyramid":
        # The configurator is no application; it makes one.
        return None
    if isinstance(value.func, ast.Attribute) and value.func.attr == "make_wsgi_app":
        return FRAMEWORKS["pyramid", "Configurator"] if any(name.startswith("pyramid") for name in aliases.values()) else None
    if isinstance(value.func, ast.Attribute) and value.func.attr == "wsgifunc":
        return Framework("web-py", FrameworkKind.WSGI) if "web" in aliases.values() else None
    return found


def _wraps(value: ast.expr, inner: Application, outer: Framework) -> bool:
    """Return whether a call wraps an application into another one."""
    if not isinstance(value, ast.Call) or outer.distribution not in _WRAPPERS or inner.is_factory:
        return False
    arguments = [*value.args, *(keyword.value for keyword in value.keywords)]
    return any(isinstance(argument, ast.Name) and argument.id == inner.variable for argument in arguments)


def _protocol_functions(source: SourceFile) -> Iterator[Application]:
    """Yield the functions with a usual name that are applications themselves."""
    for node in source.tree.body:
        if isinstance(node, _Function) and node.name in _VARIABLES and (found := _protocol(node)):
            yield Application(source.path, node.name, found)


def _callable_classes(tree: ast.Module) -> Iterator[tuple[str, Framework]]:
    """Yield the classes whose instances are applications, since a server can call them."""
    for node in _classes(tree):
        for method in node.body:
            if isinstance(method, _Function) and method.name == "__call__" and (found := _protocol(method, skip=1)):
                yield node.name, found


def _protocol(node: _Function, skip: int = 0) -> Framework | None:
    """Return the interface that a function implements, judged by the names of its arguments after the first `skip`."""
    return _PROTOCOLS.get(tuple(argument.arg for argument in node.args.args[skip:]))


def _classes(tree: ast.Module) -> list[ast.ClassDef]:
    """Return the top-level classes; of several with one name, the last."""
    return [*{node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}.values()]


def _factory(function: _Function, aliases: Mapping[str, str]) -> Factory:
    arguments = function.args
    optional = len(arguments.args) + len(arguments.posonlyargs) <= len(arguments.defaults) and None not in arguments.kw_defaults
    annotated = framework_of(full_name(function.returns, aliases))
    framework, delegates_to = (annotated, "") if annotated is not None else _returned(function, aliases)
    return Factory(function.name, framework, delegates_to, optional, isinstance(function, ast.AsyncFunctionDef))


def _returned(function: _Function, aliases: Mapping[str, str]) -> tuple[Framework | None, str]:
    """Return (the framework of what a function returns, or else the function whose result it returns)."""
    assigned = {variable: value for variable, value, _ in assignments(function.body)}
    # An assignment that creates an application wins over later ones to the same name.
    created = {variable: value for variable, value, _ in assignments(function.body) if _created(value, aliases) is not None}
    values = {**assigned, **created}
    delegates_to = ""
    for node in walk(function):
        if not isinstance(node, ast.Return) or node.value is None:
            continue
        value = values.get(node.value.id, node.value) if isinstance(node.value, ast.Name) else node.value
        if (found := _created(value, aliases)) is not None:
            return found, ""
        if isinstance(value, ast.Call):
            delegates_to = delegates_to or full_name(value.func, aliases)
    return None, delegates_to


def _is_usable(factory: Factory) -> bool:
    if factory.is_coroutine and (factory.framework is None or factory.framework.kind is not FrameworkKind.AIOHTTP):
        # Only aiohttp's worker can await a factory.
        return False
    return factory.framework is not None or "." in factory.delegates_to


def _position(names: tuple[str, ...], name: str) -> int:
    return names.index(name) if name in names else len(names)
