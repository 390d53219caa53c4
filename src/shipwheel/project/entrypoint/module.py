"""The facts about one source file, and the links between application factories of different modules."""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.entrypoint.allowed_hosts import AllowedHosts, find_allowed_hosts
from shipwheel.project.entrypoint.applications import (
    FLASKS,
    Application,
    Factory,
    calls_run,
    factory_applications,
    find_applications,
    find_factories,
    runs_when_imported,
    takes_arguments,
    with_subclasses,
)
from shipwheel.project.entrypoint.background import find_background, started_beside
from shipwheel.project.entrypoint.completion import completed, completed_when_run, routed
from shipwheel.project.entrypoint.configured import GivenValues, find_given_values
from shipwheel.project.entrypoint.frameworks import Framework, FrameworkKind
from shipwheel.project.entrypoint.language import OldLanguage, find_python_2, oldest_python, python_2_import
from shipwheel.project.entrypoint.listen_options import ListenOptions, find_listen_options
from shipwheel.project.entrypoint.listening import find_bind, find_ports, listens_on_loopback, names_address
from shipwheel.project.entrypoint.protocol_servers import is_spoken_to
from shipwheel.project.entrypoint.required_calls import required_calls
from shipwheel.project.entrypoint.settings_classes import find_prefixes
from shipwheel.project.entrypoint.syntax import (
    ModulePath,
    SourceFile,
    assignments,
    full_name,
    imported_names,
    imported_packages,
    is_endless_loop,
    is_main_guard,
    needs_package,
    parse_source,
    required_imports,
    run_nodes,
    walk,
)
from shipwheel.project.entrypoint.write_scan import WRITE_HINTS, FilePaths, scan_paths

__all__ = ["Module", "link_factories", "read_module"]

_HINTS = lazy_pattern(
    rb"fastapi|starlette|litestar|quart|blacksheep|fasthtml|sanic|aiohttp|flask|bottle|pyramid|dash|celery|falcon|connexion|django|DJANGO"
    rb"|ariadne|strawberry|socketio|cherrypy|start_response|shiny|bokeh|solara|marimo|bentoml|huey|faust|faststream|dramatiq|arq|scrapy|taipy|mesop|temporalio|nameko|grpc"
    rb"|SGI_APPLICATION|streamlit|chainlit|gradio|nicegui|panel|^(app|application|api|asgi_app|wsgi_app|server|asgi|wsgi)\s*[:=]"
    rb"|os\.(system|popen)|from os import|get(status)?output"
    rb"|[\"']--(host|bind|address|listen|ip)|typer|define\([\"']|env_prefix|^if __name__|" + WRITE_HINTS,
    re.MULTILINE,
)
"""A file deep in the tree without a match is not parsed: it cannot show anything, and parsing is most of what detection costs."""
_MAX_UNHINTED_DEPTH = 1
"""Directories above a file that is parsed even without a hint, not counting src."""
_MAX_CHAIN = 4
"""Modules that a factory may delegate through."""
_CALLING = (ast.Call, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
"""Nodes that call something, decorators included."""


class Module(ModulePath, frozen=True):
    """The facts about one source file."""

    imports: frozenset[str] = frozenset()
    """Top-level packages that it imports."""
    needs_package: bool = False
    """True if it imports its neighbours as a part of a package, and does nothing else where it is none."""
    applications: tuple[Application, ...] = ()
    calls: frozenset[str] = frozenset()
    """The functions that it calls, decorators included: dotted names, and methods as `.name`."""
    calls_when_run: frozenset[str] = frozenset()
    """Those of `calls` that it makes when it is run, and not only in functions that nothing in it calls."""
    is_script: bool = False
    """True if it has an `if __name__ == "__main__"` block, or serves an application at its top level, so that nothing can import it."""
    loops: bool = False
    """True if it loops without end at its top level."""
    acts: bool = False
    """True if its last statement calls something of its own, or gives it to a call: it does its work when it is run."""
    ignored_run: bool = False
    """True if it runs a Flask application at its top level, which Flask can be told to ignore."""
    unresolved: tuple[tuple[str, str], ...] = ()
    """(variable, dotted name of the called function) of top-level assignments that a factory of another module may decide."""
    factories: tuple[Factory, ...] = ()
    """Functions that return an application; of an __init__.py, also what it re-exports from other modules."""
    strings: tuple[tuple[str, str], ...] = ()
    """(name, value) of string assignments and of os.environ.setdefault; outer ones first, then in source order."""
    true_names: frozenset[str] = frozenset()
    """The names that it sets to True, whatever the environment."""
    ports: tuple[str, ...] = ()
    """TCP ports that it starts servers on."""
    loopback_only: bool = False
    """True if it starts a server on the loopback interface."""
    serves: bool = False
    """True if it starts a server on an address that it names."""
    listen_options: tuple[ListenOptions, ...] = ()
    """Command-line options whose default is the loopback interface."""
    background: tuple[str, ...] = ()
    """The objects that it runs in threads or processes, by their dotted names: those of its own have no dot."""
    started_beside: int = 0
    """The line where it starts a thread or process only when it is run as a program."""
    is_spoken_to: bool = False
    """True if it starts a server only where an option or a variable says so, and else speaks over its standard input."""
    bind: str = ""
    """The address that it assigns to `bind`, as gunicorn's configuration does."""
    bind_line: int = 0
    allowed_hosts: tuple[AllowedHosts, ...] = ()
    """The lists of host names that it serves."""
    prefixes: tuple[tuple[str, str], ...] = ()
    """(class, prefix) of the variables that classes of settings read."""
    reads_arguments: bool = False
    """True if it reads sys.argv."""
    parses_when_imported: bool = False
    """True if it parses the command line, which is another program's if that imports it."""
    paths: FilePaths = msgspec.field(default_factory=FilePaths)
    classes: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    """The names that it assigns or imports at its top level."""
    imported: tuple[tuple[str, str], ...] = ()
    """(name, dotted origin) of what it imports from modules at its top level, or takes from a module: `app = config.app`."""
    completed: frozenset[str] = frozenset()
    """The names to which it adds routes or a layout when it is imported."""
    routed: frozenset[str] = frozenset()
    """Names of applications that its decorators give a route."""
    completed_when_run: frozenset[str] = frozenset()
    """The names that it adds to, or gives to a function that may, only if it is run as a program."""
    given: GivenValues = msgspec.field(default_factory=GivenValues)
    """The values that it gives applications, and reads of them."""
    required: tuple[tuple[str, int], ...] = ()
    """(absolute dotted name, line) of what it imports whenever it is imported itself: at the top level, in no `try` and no `if`."""
    required_calls: tuple[tuple[str, int], ...] = ()
    """(absolute dotted name, line) of what it calls of such imports, whatever versions are there."""
    python_2: OldLanguage | None = None
    """Something that only Python 2 has. A file that cannot be parsed for that shows nothing else."""
    oldest_python: tuple[int, int] = (0, 0)
    """The minor number of the oldest Python 3 that it runs on, and the line that needs it; (0, 0) if nothing does."""

    def over_input(self) -> "Module":
        """Return what it shows where it speaks over its standard input, if it does so by default."""
        return replace(self, ports=(), loopback_only=False, listen_options=()) if self.is_spoken_to else self


def read_module(path: ModulePath, data: bytes) -> Module | None:
    """Return what a source file shows; None if neither this interpreter nor Python 2 can parse it."""
    if path.file.removeprefix("src/").count("/") > _MAX_UNHINTED_DEPTH and not _HINTS.search(data):
        return Module(path.file, path.name, path.import_root)
    try:
        return _scan(with_subclasses(parse_source(path, data)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        old = find_python_2(data)
        return Module(path.file, path.name, path.import_root, python_2=old) if old is not None else None


def _scan(source: SourceFile) -> Module:
    path, tree = source.path, source.tree
    factories = find_factories(source)
    found, unresolved = find_applications(source, factories)
    serves, loopback_only = names_address(source), listens_on_loopback(source, found)
    # What nothing outside would reach is left to a server, whatever its arguments.
    is_program = serves and not loopback_only and takes_arguments(source)
    apart = (app for app in found if not runs_when_imported(app, source))
    applications = tuple(app for app in apart if not is_program or app.is_factory or app.framework.kind is FrameworkKind.WORKER)
    imported = (*imported_names(tree), *_taken_names(source))
    bind, bind_line = find_bind(source)
    required = tuple(required_imports(path, tree))
    exports = (Factory(name, None, origin) for name, origin in imported) if path.file.endswith("__init__.py") else ()
    return Module(
        path.file,
        path.name,
        path.import_root,
        imports=imported_packages(source),
        needs_package=needs_package(source),
        applications=applications,
        calls=frozenset(_calls(source.of(*_CALLING), source.aliases)),
        calls_when_run=frozenset(_calls(run_nodes(tree), source.aliases)),
        is_script=len(applications) < len(found) or any(map(is_main_guard, tree.body)),
        loops=any(map(is_endless_loop, tree.body)),
        acts=_acts(tree),
        ignored_run=any(calls_run(app, source) for app in applications if app.framework.distribution in FLASKS),
        unresolved=tuple(unresolved),
        factories=(*factories, *exports),
        strings=tuple(dict.fromkeys(_strings(source))),
        true_names=frozenset(_true_names(tree)),
        ports=find_ports(source, found),
        loopback_only=loopback_only,
        serves=serves,
        listen_options=find_listen_options(source),
        background=find_background(source),
        started_beside=started_beside(source),
        is_spoken_to=is_spoken_to(source),
        bind=bind,
        bind_line=bind_line,
        allowed_hosts=find_allowed_hosts(source),
        prefixes=find_prefixes(source),
        reads_arguments=_reads_arguments(source),
        parses_when_imported=bool(applications) and _parses_when_imported(source),
        paths=scan_paths(source),
        classes=frozenset(node.name for node in tree.body if isinstance(node, ast.ClassDef)),
        names=frozenset(_top_level_names(tree)),
        imported=imported,
        completed=completed(source),
        routed=routed(source),
        completed_when_run=completed_when_run(source),
        given=find_given_values(source),
        required=required,
        required_calls=tuple(dict.fromkeys(required_calls(source))),
        python_2=python_2_import(required),
        oldest_python=oldest_python(source, required),
    )


def _calls(nodes: Iterable[ast.AST], aliases: Mapping[str, str]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute):
                yield f".{node.func.attr}"
            if name := full_name(node.func, aliases):
                yield name
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield from (name for decorator in node.decorator_list if (name := full_name(decorator, aliases)))


def _acts(tree: ast.Module) -> bool:
    match tree.body[-1:]:
        case [ast.Expr(value=ast.Call() as call)]:
            own = {name for name, _, _ in assignments(tree.body)}
            own |= {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))}
            # A setting such as logging.basicConfig() is no work.
            return any(isinstance(part, ast.Name) and part.id in own for part in walk(call))
    return False


def _reads_arguments(source: SourceFile) -> bool:
    names = (node for node in source.of(ast.Attribute, ast.Name) if isinstance(node, ast.Name) or node.attr == "argv")
    return any(full_name(node, source.aliases) == "sys.argv" for node in names)


def _parses_when_imported(source: SourceFile) -> bool:
    imported = ast.Module([node for node in source.tree.body if not is_main_guard(node)], [])
    attributes = (node.func for node in run_nodes(imported) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute))
    parses = any(each.attr == "parse_args" for each in attributes)
    return parses and any(origin.partition(".")[0] == "argparse" for origin in source.aliases.values())


def _taken_names(source: SourceFile) -> Iterator[tuple[str, str]]:
    for variable, value, _ in assignments(source.tree.body):
        if isinstance(value, ast.Attribute) and (origin := full_name(value, source.aliases)).partition(".")[0] in source.aliases.values():
            yield variable, origin


def _top_level_names(tree: ast.Module) -> Iterator[str]:
    yield from (name for name, _, _ in assignments(tree.body))
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)


def _strings(source: SourceFile) -> Iterator[tuple[str, str]]:
    for node in source.of(ast.Assign, ast.AnnAssign, ast.Call):
        match node:
            case ast.Assign(value=ast.Constant(value=str(text))):
                yield from ((target.id, text) for target in node.targets if isinstance(target, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Constant(value=str(text))):
                yield name, text
            case ast.Assign() if any(isinstance(target, ast.Name) and target.id == "STATIC_ROOT" for target in node.targets):
                # Django's BASE_DIR / "static" or os.path.join(BASE_DIR, "static"); `django` decides what BASE_DIR is.
                parts = [part for part in walk(node.value) if isinstance(part, ast.Constant) and isinstance(part.value, str)]
                yield "STATIC_ROOT", "/".join(str(part.value) for part in sorted(parts, key=lambda part: (part.lineno, part.col_offset)))
            case ast.Call(func=ast.Attribute(attr="setdefault"), args=[ast.Constant(value=key), ast.Constant(value=str(text))]):
                yield str(key), text


def _true_names(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(node.value, ast.Constant) and node.value.value is True:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (target.id for target in targets if isinstance(target, ast.Name))


def link_factories(modules: Sequence[Module]) -> tuple[Module, ...]:
    """Return the modules with the applications that they get from factories of other modules."""
    every = [(module, factory) for module in modules for factory in module.factories]
    known = {(module.name, factory.name): factory.framework for module, factory in every if factory.framework}
    delegating = [(module, factory) for module, factory in every if factory.framework is None]
    for _ in range(_MAX_CHAIN):
        known |= {
            (module.name, factory.name): found for module, factory in delegating if (found := _called(module, factory.delegates_to, known))
        }
    return tuple(_linked(module, known) for module in modules)


def _linked(module: Module, known: Mapping[tuple[str, str], Framework]) -> Module:
    path = ModulePath(module.file, module.name, module.import_root)
    delegating = (replace(it, framework=known.get((module.name, it.name))) for it in module.factories if it.framework is None)
    assigned = ((variable, _called(module, function, known)) for variable, function in module.unresolved)
    more = [*factory_applications(delegating, path), *(Application(path, variable, found) for variable, found in assigned if found)]
    return replace(module, applications=(*module.applications, *more)) if more else module


def _called(module: Module, function: str, known: Mapping[tuple[str, str], Framework]) -> Framework | None:
    """Return the framework of what a function returns that `module` calls by this dotted name."""
    origin, _, name = function.rpartition(".")
    if not origin:
        # `from . import create`: the name belongs to the package.
        package = module.name if module.file.endswith("__init__.py") else module.name.rpartition(".")[0]
        return known.get((package, name)) if function.startswith(".") else None
    # A relative import names only the end of the other module's name.
    ending = f".{origin.lstrip('.')}"
    return next((found for (other, factory), found in known.items() if factory == name and f".{other}".endswith(ending)), None)
