"""Looks for web applications and programs in a project's source, by syntax tree; nothing is imported or run."""

import ast
import os
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from shipwheel.python.listening import listens_on, only_local

__all__ = ["FRAMEWORKS", "AppObject", "Framework", "Module", "find_modules", "import_path", "parse_module"]

_FILES = ("main", "app", "asgi", "wsgi", "server", "api", "application", "web", "run", "service", "__init__", "__main__")
_VARIABLES = ("app", "application", "api", "asgi_app", "wsgi_app", "server", "asgi", "wsgi")
_FACTORIES = ("create_app", "make_app", "get_app", "build_app", "app_factory", "create_application", "get_application", "init_app")
_SKIP = frozenset(
    """
    tests test testing docs doc examples example samples benchmarks migrations node_modules venv env site-packages build dist
    __pycache__ static templates notebooks scripts tools vendor alembic
    """.split()  # noqa: SIM905
)
_TELLING = re.compile(
    rb"fastapi|starlette|litestar|quart|blacksheep|fasthtml|sanic|aiohttp|flask|bottle|pyramid|dash|celery|falcon|connexion|django|DJANGO"
    rb"|SGI_APPLICATION|streamlit|chainlit|gradio|nicegui|panel|^(app|application|api|asgi_app|wsgi_app|server|asgi|wsgi)\s*[:=]",
    re.MULTILINE,
)
"""A file deep in the tree without any of these shows nothing; parsing is what detection costs."""
_IMPORT = re.compile(rb"^[ \t]*(?:from|import)[ \t]+(\.|[A-Za-z_]\w*)", re.MULTILINE)
_MOST = 1500
_DEEPEST = 5
_LARGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class Framework:
    """A web framework: the distribution that brings it, and what kind of server runs it."""

    distribution: str
    kind: str
    """asgi, wsgi, or what framework.py runs in a way of its own: sanic, aiohttp, dash, celery."""


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
    ("celery", "Celery"): Framework("celery", "celery"),
}
"""(top-level package, class or function) -> framework. Falcon is told apart by its modules; see `_framework`."""


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
class Module:
    """What one source file shows."""

    file: str
    module: str
    path: str
    imports: frozenset[str] = frozenset()
    """Top-level packages that it imports."""
    objects: tuple[AppObject, ...] = ()
    calls: frozenset[str] = frozenset()
    """Dotted names, and `.method` names, of all that it calls."""
    is_main: bool = False
    """Whether it has an `if __name__ == "__main__"` block."""
    pending: tuple[tuple[str, str], ...] = ()
    """(variable, dotted name of the function) of module-level calls of functions that may be factories elsewhere."""
    strings: frozenset[tuple[str, str]] = frozenset()
    """(name, value) of string assignments and of os.environ.setdefault."""
    ports: tuple[str, ...] = ()
    """TCP ports that it starts servers on."""
    local: bool = False
    """Whether it starts a server on the loopback interface."""
    takes_arguments: bool = False
    """Whether it reads sys.argv."""


def find_modules(root: Path, only: Iterable[str] = ()) -> tuple[Module, ...]:
    """The project's own modules, shallow ones first; files that cannot be parsed are passed over."""
    files = tuple(only) or tuple(_walk(root))
    roots: dict[str, bool] = {}
    found = [module for file in files if (module := parse_module(root, file, roots)) is not None]
    factories = {(app.module, app.variable): app for module in found for app in module.objects if app.factory}
    return tuple(_resolved(module, factories) for module in found)


def _walk(root: Path) -> Iterator[str]:
    """Python files, breadth first, so that a bound on their number drops the deepest."""
    level, count = [""], 0
    for _ in range(_DEEPEST):
        deeper: list[str] = []
        for base in level:
            try:
                entries = sorted(os.scandir(root / base), key=lambda entry: entry.name)
            except OSError:
                continue
            if base and any(entry.name == "pyvenv.cfg" for entry in entries):
                continue
            for entry in entries:
                if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".") and entry.name not in _SKIP:
                    deeper.append(f"{base}{entry.name}/")
                elif (
                    entry.name.endswith(".py")
                    and entry.is_file()
                    and not entry.name.startswith(("test_", "."))
                    and entry.name != "conftest.py"
                ):
                    count += 1
                    yield base + entry.name
            if count > _MOST:
                return
        level = deeper


def parse_module(root: Path, file: str, roots: dict[str, bool] | None = None) -> Module | None:
    """Reads one source file; None when it is no Python that this interpreter can parse."""
    try:
        path = root / file
        if path.stat().st_size > _LARGEST:
            return None
        module, import_root = import_path(root, file, {} if roots is None else roots)
        data = path.read_bytes()
        if file.count("/") > 1 and not _TELLING.search(data):
            return Module(file, module, import_root)
        return _read(_parse(data), AppObject(file, module, "", Framework("", ""), path=import_root))
    except (SyntaxError, ValueError, RecursionError, MemoryError, OSError):
        return None


def import_path(root: Path, file: str, roots: dict[str, bool]) -> tuple[str, str]:
    """(module name, directory for the import path) of a source file; `roots` remembers what directories were found to be."""
    parts = file.removesuffix(".py").split("/")
    start = 0
    while start < len(parts) - 1:
        directory = "/".join(parts[: start + 1])
        if directory not in roots:
            roots[directory] = _is_import_root(root / directory)
        if not roots[directory]:
            break
        start += 1
    names = parts[start:]
    if names[-1] == "__init__" and len(names) > 1:
        names = names[:-1]
    return ".".join(names), "/".join(parts[:start])


def _is_import_root(directory: Path) -> bool:
    """Whether what a directory holds imports itself from there: no package, and its files do not speak of it by name or relatively."""
    if (directory / "__init__.py").exists():
        return False
    if not directory.name.isidentifier() or (directory / "manage.py").is_file():
        return True
    siblings = {path.stem for path in directory.glob("*.py")} | {path.parent.name for path in directory.glob("*/__init__.py")}
    answer = directory.name == "src"
    for path in sorted(directory.rglob("*.py"))[:100]:
        try:
            tops = {found.decode("ascii", "replace") for found in _IMPORT.findall(path.read_bytes()[:_LARGEST])}
        except OSError:
            continue
        direct = path.parent == directory
        if directory.name in tops or (direct and "." in tops):
            return False
        answer = answer or (direct and bool(tops & siblings - {path.stem}))
    return answer


def _parse(data: bytes) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(data)


def _read(tree: ast.Module, shell: AppObject) -> Module:
    aliases = dict(_aliases(tree))
    local = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    for name, node in local.items():
        for base in node.bases:
            if _framework(_dotted(base, aliases)) is not None:
                aliases[name] = _dotted(base, aliases)
    objects = list(_factories(tree, aliases, shell))
    factories = {app.variable: app for app in objects}
    pending: list[tuple[str, str]] = []
    for variable, value, annotation in _assignments(tree.body):
        called = _dotted(value.func, aliases) if isinstance(value, ast.Call) else ""
        found = _made(value, aliases) or (_framework(_dotted(annotation, aliases)) if annotation is not None and called else None)
        if found is None and called in factories:
            found = factories[called].framework
        if found is not None:
            objects.append(replace(shell, variable=variable, framework=found))
        elif called:
            pending.append((variable, called))
        elif isinstance(value, ast.Attribute) and value.attr == "server":
            objects += [
                replace(app, variable=variable, framework=Framework("dash", "wsgi"))
                for app in objects
                if app.variable == _dotted(value.value, {}) and app.framework.kind == "dash"
            ]
    return Module(
        shell.file,
        shell.module,
        shell.path,
        frozenset(full.split(".")[0] for full in _imports(tree)),
        tuple(objects),
        frozenset(_calls(tree, aliases)),
        any(_is_main_guard(node) for node in tree.body),
        tuple(pending),
        frozenset(_strings(tree)),
        listens_on(tree),
        only_local(tree),
        any(_dotted(node, aliases) == "sys.argv" for node in ast.walk(tree) if isinstance(node, (ast.Attribute, ast.Name))),
    )


def _resolved(module: Module, factories: dict[tuple[str, str], AppObject]) -> Module:
    """The module with its calls of other modules' factories turned into objects."""
    more = []
    for variable, called in module.pending:
        where, _, name = called.rpartition(".")
        # The importing module may name the other one relatively, so the end of its name has to do.
        matching = [
            app
            for (other, function), app in factories.items()
            if function == name and (other == where or other.endswith("." + where.lstrip(".")))
        ]
        if matching and where:
            more.append(AppObject(module.file, module.module, variable, matching[0].framework, path=module.path))
    return replace(module, objects=(*module.objects, *more)) if more else module


def _aliases(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield (alias.asname, alias.name) if alias.asname else (alias.name.split(".")[0], alias.name.split(".")[0])
        elif isinstance(node, ast.ImportFrom):
            origin = "." * bool(node.level) + (node.module or "")
            for alias in node.names:
                if alias.name == "*":
                    yield from ((name, f"{top}.{name}") for top, name in FRAMEWORKS if top == origin.split(".")[0])
                else:
                    yield alias.asname or alias.name, f"{origin}.{alias.name}" if origin.strip(".") else f".{alias.name}"


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module


def _dotted(node: ast.expr | None, aliases: dict[str, str]) -> str:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return aliases.get(node.value, node.value)
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([aliases.get(node.id, node.id), *reversed(parts)])


def _framework(dotted: str) -> Framework | None:
    top, _, _ = dotted.partition(".")
    name = dotted.rpartition(".")[2]
    if top == "falcon" and name in ("App", "API"):
        return Framework("falcon", "asgi" if ".asgi" in dotted else "wsgi")
    if top == "connexion" and name in ("App", "AsyncApp", "FlaskApp", "FlaskApi"):
        return Framework("connexion", "asgi")
    return FRAMEWORKS.get((top, name)) if top != name else None


def _made(value: ast.expr | None, aliases: dict[str, str]) -> Framework | None:
    """The framework of an expression that makes an application, also within a wrapper: `Wrapper(FastAPI())` is its innermost."""
    if not isinstance(value, ast.Call):
        return None
    found = _framework(_dotted(value.func, aliases))
    if found is not None and found.distribution == "pyramid":
        return None
    if isinstance(value.func, ast.Attribute) and value.func.attr == "make_wsgi_app":
        return FRAMEWORKS[("pyramid", "Configurator")] if any(full.startswith("pyramid") for full in aliases.values()) else None
    return found


def _assignments(body: list[ast.stmt]) -> Iterator[tuple[str, ast.expr, ast.expr | None]]:
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
        elif isinstance(node, ast.If) and not _is_main_guard(node):
            yield from _assignments([*node.body, *node.orelse])
        elif isinstance(node, ast.Try):
            yield from _assignments(
                [*node.body, *node.orelse, *node.finalbody, *(inner for handler in node.handlers for inner in handler.body)]
            )
        elif isinstance(node, (ast.With, ast.AsyncWith)):
            yield from _assignments(node.body)


def _factories(tree: ast.Module, aliases: dict[str, str], shell: AppObject) -> Iterator[AppObject]:
    """Functions that return an application and need no argument."""
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
            continue
        arguments = node.args
        if len(arguments.args) + len(arguments.posonlyargs) > len(arguments.defaults) or None in arguments.kw_defaults:
            continue
        found = _framework(_dotted(node.returns, aliases)) or _returned(node, aliases)
        if found is not None and node.name not in ("main", "cli"):
            yield replace(shell, variable=node.name, framework=found, factory=True)


def _returned(function: ast.FunctionDef, aliases: dict[str, str]) -> Framework | None:
    made: dict[str, Framework] = {}
    for variable, value, _ in _assignments(function.body):
        if (framework := _made(value, aliases)) is not None:
            made[variable] = framework
    for node in ast.walk(function):
        if isinstance(node, ast.Return) and node.value is not None:
            found = _made(node.value, aliases) or made.get(_dotted(node.value, {}))
            if found is not None:
                return found
    return None


def _calls(tree: ast.Module, aliases: dict[str, str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute):
                yield "." + node.func.attr
            if dotted := _dotted(node.func, aliases):
                yield dotted


def _strings(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield from ((target.id, node.value.value) for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.Assign) and any(isinstance(target, ast.Name) and target.id == "STATIC_ROOT" for target in node.targets):
            # Django's: BASE_DIR / "static", os.path.join(BASE_DIR, "static"); the base is the settings' own business.
            texts = [part for part in ast.walk(node.value) if isinstance(part, ast.Constant) and isinstance(part.value, str)]
            yield "STATIC_ROOT", "/".join(str(part.value) for part in sorted(texts, key=lambda part: (part.lineno, part.col_offset)))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "setdefault" and len(node.args) == 2:
            key, value = node.args
            if isinstance(key, ast.Constant) and isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield str(key.value), value.value


def _is_main_guard(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and any(isinstance(part, ast.Name) and part.id == "__name__" for part in ast.walk(node.test))


def _order(names: tuple[str, ...], name: str) -> int:
    return names.index(name) if name in names else len(names)
