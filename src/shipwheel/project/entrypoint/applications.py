"""Application objects of web frameworks and the functions that make them, by syntax tree; nothing is imported or run."""

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

__all__ = [
    "FRAMEWORKS",
    "AppObject",
    "Framework",
    "Maker",
    "assignments",
    "callables",
    "dotted",
    "factories",
    "framework_of",
    "is_main_guard",
    "made",
    "makers",
    "protocol",
]

_FILES = ("main", "app", "asgi", "wsgi", "server", "api", "application", "web", "run", "service", "__init__", "__main__")
_VARIABLES = ("app", "application", "api", "asgi_app", "wsgi_app", "server", "asgi", "wsgi")
_FACTORIES = ("create_app", "make_app", "get_app", "build_app", "app_factory", "create_application", "get_application", "init_app")


@dataclass(frozen=True, slots=True)
class Framework:
    """A web framework: the distribution that brings it, and what kind of server runs it."""

    distribution: str
    kind: str
    """asgi, wsgi, or what has a server of its own: sanic, aiohttp, dash, webpy; worker for what takes jobs from a queue."""


FRAMEWORKS = {
    ("fastapi", "FastAPI"): Framework("fastapi", "asgi"),
    ("starlette", "Starlette"): Framework("starlette", "asgi"),
    ("litestar", "Litestar"): Framework("litestar", "asgi"),
    ("quart", "Quart"): Framework("quart", "asgi"),
    ("blacksheep", "Application"): Framework("blacksheep", "asgi"),
    ("fasthtml", "FastHTML"): Framework("python-fasthtml", "asgi"),
    ("fasthtml", "fast_app"): Framework("python-fasthtml", "asgi"),
    ("sanic", "Sanic"): Framework("sanic", "sanic"),
    ("aiohttp", "Application"): Framework("aiohttp", "aiohttp"),
    ("flask", "Flask"): Framework("flask", "wsgi"),
    ("bottle", "Bottle"): Framework("bottle", "wsgi"),
    ("bottle", "default_app"): Framework("bottle", "wsgi"),
    ("pyramid", "Configurator"): Framework("pyramid", "wsgi"),
    ("dash", "Dash"): Framework("dash", "dash"),
    ("apiflask", "APIFlask"): Framework("apiflask", "wsgi"),
    ("flask_openapi3", "OpenAPI"): Framework("flask-openapi3", "wsgi"),
    ("eve", "Eve"): Framework("eve", "wsgi"),
    ("cherrypy", "Application"): Framework("cherrypy", "wsgi"),
    ("cherrypy", "mount"): Framework("cherrypy", "wsgi"),
    ("spyne", "WsgiApplication"): Framework("spyne", "wsgi"),
    ("masonite", "Application"): Framework("masonite", "wsgi"),
    ("socketio", "WSGIApp"): Framework("python-socketio", "wsgi"),
    ("socketio", "ASGIApp"): Framework("python-socketio", "asgi"),
    ("strawberry", "GraphQL"): Framework("strawberry-graphql", "asgi"),
    ("shiny", "App"): Framework("shiny", "asgi"),
    ("gradio", "mount_gradio_app"): Framework("gradio", "asgi"),
    ("esmerald", "Esmerald"): Framework("esmerald", "asgi"),
    ("starlite", "Starlite"): Framework("starlite", "asgi"),
    ("emmett", "App"): Framework("emmett", "asgi"),
    ("asgiref", "WsgiToAsgi"): Framework("asgiref", "asgi"),
    ("web", "application"): Framework("web-py", "webpy"),
    ("celery", "Celery"): Framework("celery", "worker"),
    ("faust", "App"): Framework("faust-streaming", "worker"),
    ("faststream", "FastStream"): Framework("faststream", "worker"),
    **{("huey", name): Framework("huey", "worker") for name in ("Huey", "RedisHuey", "SqliteHuey", "FileHuey", "PriorityRedisHuey")},
}
"""(top-level package, class or function) -> framework. Falcon and Ariadne are told apart by their modules; see `framework_of`."""

_PROTOCOLS = {("environ", "start_response"): Framework("WSGI", "wsgi"), ("scope", "receive", "send"): Framework("ASGI", "asgi")}
"""What the arguments of a callable say that is an application without any framework (PEP 3333, the ASGI specification)."""


@dataclass(frozen=True, slots=True)
class AppObject:
    """An application object, or a function that makes one without needing arguments."""

    file: str
    module: str
    variable: str
    framework: Framework
    factory: bool = False
    path: str = ""
    """The directory that must be on the import path, relative to the project; empty for its root."""

    @property
    def rank(self) -> tuple[object, ...]:
        """Sorts the likeliest first: objects before factories, shallow before deep, main.py before others, `app` before others."""
        name = Path(self.file).stem
        return (
            self.factory,
            self.file.count("/") - (self.file.startswith("src/")),
            _FILES.index(name) if name in _FILES else len(_FILES),
            _order(_FACTORIES if self.factory else _VARIABLES, self.variable),
            self.file,
            self.variable,
        )


@dataclass(frozen=True, slots=True)
class Maker:
    """A function that returns an application."""

    name: str
    framework: Framework | None
    """None where that is another function's business, of another module."""
    calls: str = ""
    """The dotted name of that function."""
    plain: bool = False
    """Whether it can be called without arguments."""
    awaited: bool = False
    """Whether it is a coroutine."""


def dotted(node: ast.expr | None, aliases: Mapping[str, str]) -> str:
    """The full name of a name or attribute, by what the module imports; empty for any other expression."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return aliases.get(node.value, node.value)
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([aliases.get(node.id, node.id), *reversed(parts)])


def framework_of(full: str) -> Framework | None:
    """The framework whose class or function has a full name."""
    top, _, _ = full.partition(".")
    name = full.rpartition(".")[2]
    if top == "falcon" and name in ("App", "API"):
        return Framework("falcon", "asgi" if ".asgi" in full else "wsgi")
    if top == "ariadne" and name == "GraphQL":
        return Framework("ariadne", "wsgi" if ".wsgi" in full else "asgi")
    if top == "connexion" and name in ("App", "AsyncApp", "FlaskApp", "FlaskApi"):
        return Framework("connexion", "asgi")
    return FRAMEWORKS.get((top, name)) if top != name else None


def made(value: ast.expr | None, aliases: Mapping[str, str]) -> Framework | None:
    """The framework of an expression that makes an application, also within a wrapper: `Wrapper(FastAPI())` is its innermost."""
    if not isinstance(value, ast.Call):
        return None
    found = framework_of(dotted(value.func, aliases))
    if found is not None and found.distribution == "pyramid":
        return None
    if isinstance(value.func, ast.Attribute) and value.func.attr == "make_wsgi_app":
        return FRAMEWORKS[("pyramid", "Configurator")] if any(full.startswith("pyramid") for full in aliases.values()) else None
    if isinstance(value.func, ast.Attribute) and value.func.attr == "wsgifunc":
        return Framework("web-py", "wsgi") if "web" in aliases.values() else None
    return found


def callables(tree: ast.Module, shell: AppObject) -> Iterator[AppObject]:
    """Functions of the usual names that are applications by themselves."""
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name in _VARIABLES and (found := protocol(node)):
            yield replace(shell, variable=node.name, framework=found)


def protocol(node: ast.FunctionDef | ast.AsyncFunctionDef, skip: int = 0) -> Framework | None:
    """The protocol that a function speaks, by the names of its arguments after the first `skip`."""
    return _PROTOCOLS.get(tuple(argument.arg for argument in node.args.args[skip:]))


def assignments(body: list[ast.stmt]) -> Iterator[tuple[str, ast.expr, ast.expr | None]]:
    """(name, value, annotation) of a block's assignments, also those in try, if and with, but not in the main guard."""
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
            yield from assignments(
                [*node.body, *node.orelse, *node.finalbody, *(inner for handler in node.handlers for inner in handler.body)]
            )
        elif isinstance(node, (ast.With, ast.AsyncWith)):
            yield from assignments(node.body)


def makers(tree: ast.Module, aliases: Mapping[str, str]) -> tuple[Maker, ...]:
    """The functions at a module's top that return an application, themselves or through another function."""
    functions = {node.name: node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}
    found = {name: _maker(node, aliases) for name, node in functions.items()}
    for _ in found:
        # What one returns another may have made, of the same module.
        for name, maker in found.items():
            other = found.get(maker.calls)
            if maker.framework is None and other is not None and (other.framework, other.calls) != (None, maker.calls):
                found[name] = replace(maker, framework=other.framework, calls=other.calls)
    # What a coroutine makes only aiohttp's worker can wait for.
    usable = (maker for maker in found.values() if not maker.awaited or (maker.framework is not None and maker.framework.kind == "aiohttp"))
    return tuple(maker for maker in usable if maker.framework is not None or "." in maker.calls)


def factories(made_by: Iterable[Maker], shell: AppObject) -> Iterator[AppObject]:
    """Those that a server can call: they need no argument, and are no program's main function."""
    for maker in made_by:
        if maker.plain and maker.framework is not None and not maker.name.startswith("_") and maker.name not in ("main", "cli"):
            yield replace(shell, variable=maker.name, framework=maker.framework, factory=not maker.awaited)


def _maker(function: ast.FunctionDef | ast.AsyncFunctionDef, aliases: Mapping[str, str]) -> Maker:
    arguments = function.args
    plain = len(arguments.args) + len(arguments.posonlyargs) <= len(arguments.defaults) and None not in arguments.kw_defaults
    stated = framework_of(dotted(function.returns, aliases))
    framework, calls = (stated, "") if stated is not None else _returned(function, aliases)
    return Maker(function.name, framework, calls, plain, isinstance(function, ast.AsyncFunctionDef))


def _returned(function: ast.FunctionDef | ast.AsyncFunctionDef, aliases: Mapping[str, str]) -> tuple[Framework | None, str]:
    """(the framework of what it returns, else the function that it returns the result of)."""
    values = {variable: value for variable, value, _ in assignments(function.body) if made(value, aliases) is not None}
    values = {**{variable: value for variable, value, _ in assignments(function.body)}, **values}
    calls = ""
    for node in ast.walk(function):
        if not isinstance(node, ast.Return) or node.value is None:
            continue
        value = values.get(node.value.id, node.value) if isinstance(node.value, ast.Name) else node.value
        if (found := made(value, aliases)) is not None:
            return found, ""
        if isinstance(value, ast.Call):
            calls = calls or dotted(value.func, aliases)
    return None, calls


def is_main_guard(node: ast.stmt) -> bool:
    """Whether a statement is `if __name__ == "__main__"`."""
    return isinstance(node, ast.If) and any(isinstance(part, ast.Name) and part.id == "__name__" for part in ast.walk(node.test))


def _order(names: tuple[str, ...], name: str) -> int:
    return names.index(name) if name in names else len(names)
