"""Looks for web applications and programs in a project's source, by syntax tree; nothing is imported or run."""

import ast
import os
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from shipwheel.project.entrypoint.applications import (
    FRAMEWORKS,
    AppObject,
    Framework,
    Maker,
    assignments,
    callables,
    dotted,
    factories,
    framework_of,
    is_main_guard,
    made,
    makers,
    protocol,
)
from shipwheel.project.entrypoint.listening import listens_on, only_local
from shipwheel.project.entrypoint.syntax import nodes
from shipwheel.project.entrypoint.write_scan import TELLING, Spoken, read_writes

__all__ = ["Module", "find_modules", "import_path", "parse_module"]

_SKIP = frozenset(
    """
    tests test testing docs doc examples example samples benchmarks migrations node_modules venv env site-packages build dist
    __pycache__ static templates notebooks scripts tools vendor alembic
    """.split()  # noqa: SIM905
)
_TELLING = re.compile(
    rb"fastapi|starlette|litestar|quart|blacksheep|fasthtml|sanic|aiohttp|flask|bottle|pyramid|dash|celery|falcon|connexion|django|DJANGO"
    rb"|ariadne|strawberry|socketio|cherrypy|start_response|shiny|bokeh|solara|marimo|bentoml|huey|faust|faststream|dramatiq|arq|scrapy"
    rb"|SGI_APPLICATION|streamlit|chainlit|gradio|nicegui|panel|^(app|application|api|asgi_app|wsgi_app|server|asgi|wsgi)\s*[:=]"
    rb"|^if __name__|" + TELLING,
    re.MULTILINE,
)
"""A file deep in the tree without any of these shows nothing; parsing is what detection costs."""
_IMPORT = re.compile(rb"^[ \t]*(?:from|import)[ \t]+(\.|[A-Za-z_]\w*)", re.MULTILINE)
_MOST = 1500
_DEEPEST = 5
_LONGEST_CHAIN = 4
_LARGEST = 1 << 20


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
    """Dotted names, and `.method` names, of all that it calls, decorators among them."""
    is_main: bool = False
    """Whether it has an `if __name__ == "__main__"` block."""
    pending: tuple[tuple[str, str], ...] = ()
    """(variable, dotted name of the function) of module-level calls of functions that may be factories elsewhere."""
    makers: tuple[Maker, ...] = ()
    """Its functions that return an application, and what an __init__.py hands on of other modules."""
    strings: tuple[tuple[str, str], ...] = ()
    """(name, value) of string assignments and of os.environ.setdefault: outer ones first, else in the source's order."""
    ports: tuple[str, ...] = ()
    """TCP ports that it starts servers on."""
    local: bool = False
    """Whether it starts a server on the loopback interface."""
    takes_arguments: bool = False
    """Whether it reads sys.argv."""
    spoken: Spoken = field(default_factory=Spoken)
    classes: frozenset[str] = frozenset()
    """Names of its classes."""
    names: frozenset[str] = frozenset()
    """What it assigns or imports at its top."""
    imported: tuple[tuple[str, str], ...] = ()
    """(name, where it comes from) of what it imports at its top from a module."""


def find_modules(root: Path, only: Iterable[str] = ()) -> tuple[Module, ...]:
    """The project's own modules, shallow ones first; files that cannot be parsed are passed over."""
    files = tuple(only) or tuple(_walk(root))
    roots: dict[str, bool] = {}
    found = [module for file in files if (module := parse_module(root, file, roots)) is not None]
    return _resolved(found)


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
            if framework_of(dotted(base, aliases)) is not None:
                aliases[name] = dotted(base, aliases)
    made_by = makers(tree, aliases)
    objects = [*factories(made_by, shell), *callables(tree, shell)]
    known = {**dict(_called_classes(local)), **{maker.name: maker.framework for maker in made_by if not maker.awaited}}
    pending: list[tuple[str, str]] = []
    for variable, value, annotation in assignments(tree.body):
        called = dotted(value.func, aliases) if isinstance(value, ast.Call) else ""
        found = made(value, aliases) or (framework_of(dotted(annotation, aliases)) if annotation is not None and called else None)
        found = found or known.get(called)
        if found is not None:
            objects = [app for app in objects if not _wraps(value, app, found)]
            objects.append(replace(shell, variable=variable, framework=found))
        elif called:
            pending.append((variable, called))
        elif isinstance(value, ast.Attribute) and value.attr == "server":
            objects += [
                replace(app, variable=variable, framework=Framework("dash", "wsgi"))
                for app in objects
                if app.variable == dotted(value.value, {}) and app.framework.kind == "dash"
            ]
    return Module(
        shell.file,
        shell.module,
        shell.path,
        frozenset(full.split(".")[0] for full in _imports(tree)),
        tuple(objects),
        frozenset(_calls(tree, aliases)),
        any(is_main_guard(node) for node in tree.body),
        tuple(pending),
        (*made_by, *(_handed_on(tree) if shell.file.endswith("__init__.py") else ())),
        tuple(dict.fromkeys(_strings(tree))),
        listens_on(tree),
        only_local(tree),
        any(dotted(node, aliases) == "sys.argv" for node in nodes(tree) if isinstance(node, (ast.Attribute, ast.Name))),
        read_writes(tree, aliases, shell.file),
        frozenset(local),
        frozenset(_bound(tree)),
        tuple((maker.name, maker.calls) for maker in _handed_on(tree)),
    )


def _wraps(value: ast.expr, inner: AppObject, outer: Framework) -> bool:
    """Whether a call puts an application around another one, which then is no entrance any more: ASGIApp(sio, app)."""
    if not isinstance(value, ast.Call) or outer.distribution not in ("python-socketio", "asgiref", "gradio"):
        return False
    given = [*value.args, *(keyword.value for keyword in value.keywords)]
    return not inner.factory and any(isinstance(argument, ast.Name) and argument.id == inner.variable for argument in given)


def _called_classes(classes: Mapping[str, ast.ClassDef]) -> Iterator[tuple[str, Framework]]:
    """Classes whose instances are applications, since a server can call them."""
    for name, node in classes.items():
        for method in node.body:
            if isinstance(method, (ast.FunctionDef, ast.AsyncFunctionDef)) and method.name == "__call__" and (found := protocol(method, 1)):
                yield name, found


def _resolved(modules: list[Module]) -> tuple[Module, ...]:
    """The modules with their calls of other modules' makers turned into objects."""
    known = {(module.module, maker.name): maker.framework for module in modules for maker in module.makers if maker.framework}
    open_ends = [(module, maker) for module in modules for maker in module.makers if maker.framework is None]
    for _ in range(_LONGEST_CHAIN):
        known |= {(module.module, maker.name): found for module, maker in open_ends if (found := _of_call(module, maker.calls, known))}
    return tuple(_completed(module, known) for module in modules)


def _completed(module: Module, known: Mapping[tuple[str, str], Framework]) -> Module:
    shell = AppObject(module.file, module.module, "", Framework("", ""), path=module.path)
    through = [replace(maker, framework=known.get((module.module, maker.name))) for maker in module.makers if maker.framework is None]
    called = [(variable, _of_call(module, name, known)) for variable, name in module.pending]
    more = [*factories(through, shell), *(replace(shell, variable=variable, framework=found) for variable, found in called if found)]
    return replace(module, objects=(*module.objects, *more)) if more else module


def _of_call(module: Module, called: str, known: Mapping[tuple[str, str], Framework]) -> Framework | None:
    """What a function returns that a module calls by this name."""
    where, _, name = called.rpartition(".")
    if not where:
        # `from . import make`: the name is the package's.
        package = module.module if module.file.endswith("__init__.py") else module.module.rpartition(".")[0]
        return known.get((package, name)) if called.startswith(".") else None
    # The importing module may name the other one relatively, so the end of its name has to do.
    matching = (found for (other, function), found in known.items() if function == name and f".{other}".endswith(f".{where.lstrip('.')}"))
    return next(matching, None)


def _aliases(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in nodes(tree):
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


def _handed_on(tree: ast.Module) -> Iterator[Maker]:
    """What a package imports from its modules, so that others find it there."""
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            origin = "." * bool(node.level) + (node.module or "")
            yield from (Maker(alias.asname or alias.name, None, f"{origin}.{alias.name}") for alias in node.names if alias.name != "*")


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module


def _calls(tree: ast.Module, aliases: dict[str, str]) -> Iterator[str]:
    for node in nodes(tree):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute):
                yield "." + node.func.attr
            if full := dotted(node.func, aliases):
                yield full
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield from (full for decorator in node.decorator_list if (full := dotted(decorator, aliases)))


def _bound(tree: ast.Module) -> Iterator[str]:
    yield from (name for name, _, _ in assignments(tree.body))
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)


def _strings(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in nodes(tree):
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
