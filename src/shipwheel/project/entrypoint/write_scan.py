"""The files and directories that a source file writes to: SQLite databases, logs, uploads, directories that it creates."""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum

import msgspec

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.entrypoint.path_eval import INSTANCE, ROOT, PathEvaluator, reference
from shipwheel.project.entrypoint.syntax import SourceFile, called_name, full_name, keyword_value, walk

__all__ = ["WRITE_HINTS", "FilePaths", "Write", "WriteKind", "scan_paths"]

WRITE_HINTS = (
    rb"sqlite|fastlite|fasthtml|makedirs|mkdir|FileHandler|_FOLDER\b|MEDIA_ROOT|instance_path|open\([^)\n]{0,200}['\"][wax]|_DIR\b"
)
"""Matches the source of any file that this module could find a write in."""

_SQLITE_URL = lazy_pattern(r"sqlite(?:\+\w+)?:///(?!:memory:)(?:file:)?([^\s?{}%]+)(?:\?(?!.*(?:mode=ro|immutable=1)\b).*)?")
"""A database URL, unless it opens the file for reading only."""
_FOLDER_SETTING = lazy_pattern(r"MEDIA_ROOT|(UPLOAD|LOG|MEDIA)(S|ED_\w+)?_(FOLDER|DIR|DIRECTORY|DEST)", re.IGNORECASE)
"""Names of settings for the directory of uploads or logs."""
_SQLITE_ENDINGS = (".sqlite3", ".sqlite", ".db")
_NICEGUI_STORAGES = frozenset({"nicegui.app.storage.general", "nicegui.app.storage.user"})
"""NiceGUI's storages that are files, in a directory below the current one."""
_MAKE_DIRECTORY = frozenset({"os.mkdir", "os.makedirs"})
_READERS = frozenset({"open", "StaticFiles", "Jinja2Templates", "FileSystemLoader"})
"""Functions and classes that read a file, or a directory."""
_MAX_VALUES = 8
"""Assignments to one name that are evaluated."""

_Values = dict[str, tuple[ast.expr, ...]]
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


class WriteKind(Enum):
    """A kind of file or directory that an app writes; the value is its name in messages."""

    SQLITE = "SQLite"
    TINYDB = "TinyDB"
    SHELVE = "shelve"
    LOG = "a log"
    SESSION_KEY = "the session key"
    OPENED = "opened for writing"
    """A file that may as well be written before the app runs."""
    DIRECTORY = "a directory that the app creates"
    UPLOADS = "uploads or logs"
    INSTANCE = "Flask's instance directory"

    @property
    def is_directory(self) -> bool:
        """True if the path is a directory."""
        return self in (WriteKind.DIRECTORY, WriteKind.UPLOADS, WriteKind.INSTANCE)


_OPENED_BY = {
    "sqlite3.connect": WriteKind.SQLITE,
    "aiosqlite.connect": WriteKind.SQLITE,
    "peewee.SqliteDatabase": WriteKind.SQLITE,
    "playhouse.sqlite_ext.SqliteExtDatabase": WriteKind.SQLITE,
    "sqlite_utils.Database": WriteKind.SQLITE,
    "fastlite.database": WriteKind.SQLITE,
    **{f"fasthtml.{name}": WriteKind.SQLITE for name in ("database", "fast_app", "common.database", "common.fast_app")},
    "tinydb.TinyDB": WriteKind.TINYDB,
    "shelve.open": WriteKind.SHELVE,
    "logging.FileHandler": WriteKind.LOG,
    "logging.handlers.RotatingFileHandler": WriteKind.LOG,
    "logging.handlers.TimedRotatingFileHandler": WriteKind.LOG,
    "logging.handlers.WatchedFileHandler": WriteKind.LOG,
    "loguru.logger.add": WriteKind.LOG,
}
"""Functions that open the file of their first argument for writing."""


class Write(msgspec.Struct, frozen=True):
    """Something that a source file writes."""

    path: str
    """A path template, see `path_eval`."""
    kind: WriteKind
    in_url: bool = False
    """True if the path was in an SQLAlchemy URL: Flask-SQLAlchemy resolves relative ones in its own way."""


class FilePaths(msgspec.Struct, frozen=True):
    """The paths in one source file, as path templates."""

    constants: tuple[tuple[str, str], ...] = ()
    """(name, path or other text) of what it assigns."""
    writes: tuple[Write, ...] = ()
    joined: frozenset[str] = frozenset()
    """Paths that it joins from a directory and a name."""
    here: frozenset[str] = frozenset()
    """Relative paths that it reads, from the working directory."""


def scan_paths(source: SourceFile) -> FilePaths:
    """Return the paths that a source file assigns, writes to and joins."""
    assigned: _Values = {}
    for name, value in _assigned_values(source):
        assigned[name] = (*assigned.get(name, ()), value)[:_MAX_VALUES]
    found = _scan(source, assigned, {})
    # Scopes cost as much as all the rest, so they are resolved only for files where they can matter.
    matters = found.writes or found.joined or any(_defaults(node.args) for node in source.of(*_FUNCTIONS))
    return _scan(source, assigned, dict(_scoped_names(source))) if matters else found


def _scan(source: SourceFile, assigned: _Values, scoped: Mapping[int, tuple[ast.expr, ...]]) -> FilePaths:
    evaluator = PathEvaluator(source.path.file, source.aliases, assigned, scoped)
    constants = tuple(evaluator.constants())
    writes = tuple(dict.fromkeys(_writes(source, evaluator)))
    return FilePaths(constants, writes, frozenset(_joined_paths(source, evaluator)), frozenset(_read_here(source, evaluator)))


def _scoped_names(source: SourceFile) -> Iterator[tuple[int, tuple[ast.expr, ...]]]:
    """Yield (`id` of a name's node, values that its function assigns to it) of local names; inner functions come after outer ones."""
    for function in source.of(*_FUNCTIONS):
        body = function.body if isinstance(function.body, list) else [function.body]
        inside = [node for part in body for node in walk(part)]
        names = [node for node in inside if isinstance(node, ast.Name)]
        outer = {name for node in inside if isinstance(node, (ast.Global, ast.Nonlocal)) for name in node.names}
        parameters = {argument.arg for argument in walk(function.args) if isinstance(argument, ast.arg)}
        local: _Values = dict.fromkeys(parameters, ())
        local |= dict.fromkeys((node.id for node in names if isinstance(node.ctx, ast.Store) and node.id not in outer), ())
        for name, value in _bindings(inside):
            if name in local:
                local[name] = (*local[name], value)[:_MAX_VALUES]
        for name, default in _defaults(function.args).items():
            local[name] += default
        yield from ((id(node), local[node.id]) for node in names if node.id in local)


def _defaults(arguments: ast.arguments) -> _Values:
    """Return parameter -> its default, for defaults that are text: `def __init__(self, folder="data/users")`."""
    positional = [*arguments.posonlyargs, *arguments.args]
    pairs = [*zip(reversed(positional), reversed(arguments.defaults), strict=False)]
    pairs += [(name, value) for name, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if value is not None]
    return {name.arg: (value,) for name, value in pairs if isinstance(value, ast.Constant) and isinstance(value.value, str)}


def _bindings(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, ast.expr]]:
    for node in nodes:
        if isinstance(node, ast.Assign):
            yield from ((target.id, node.value) for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, (ast.AnnAssign, ast.NamedExpr)) and isinstance(node.target, ast.Name) and node.value is not None:
            yield node.target.id, node.value


def _assigned_values(source: SourceFile) -> Iterator[tuple[str, ast.expr]]:
    """Yield (name, value) of all assignments to names, attributes and keys, and of `config.update(NAME=value)`."""
    for node in source.of(ast.Assign, ast.AnnAssign, ast.Call):
        if isinstance(node, ast.Assign):
            yield from ((name, node.value) for target in node.targets if (name := _target_name(target)))
        elif isinstance(node, ast.AnnAssign) and node.value is not None and (name := _target_name(node.target)):
            yield name, node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("from_mapping", "update"):
            yield from ((keyword.arg, keyword.value) for keyword in node.keywords if keyword.arg)


def _target_name(target: ast.expr) -> str:
    match target:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.Subscript(slice=ast.Constant(value=str(name))):
            return name
    return ""


def _joined_paths(source: SourceFile, evaluator: PathEvaluator) -> Iterator[str]:
    for node in source.of(ast.BinOp, ast.Call):
        divides = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)
        if divides or _is_join(node, source.aliases):
            text = evaluator.text(node)
            if text and (ROOT in text or "\0" in text):
                yield text


def _read_here(source: SourceFile, evaluator: PathEvaluator) -> Iterator[str]:
    """Yield the paths of calls that read a file or serve a directory, if they are relative and name a directory."""
    for node in source.of(ast.Call):
        if called_name(node) in _READERS:
            text = evaluator.text(keyword_value(node, "directory", "searchpath", "file") or (node.args[0] if node.args else None))
            if text and "/" in text and not text.startswith(("/", ".")) and ROOT not in text and "\0" not in text:
                yield text


def _is_join(node: ast.expr, aliases: Mapping[str, str]) -> bool:
    return isinstance(node, ast.Call) and (full_name(node.func, aliases) == "os.path.join" or _method(node) == "joinpath")


def _method(call: ast.Call) -> str:
    return called_name(call) if isinstance(call.func, ast.Attribute) else ""


def _writes(source: SourceFile, evaluator: PathEvaluator) -> Iterator[Write]:
    for name in filter(_FOLDER_SETTING.fullmatch, evaluator.assigned):
        yield from (Write(text, WriteKind.UPLOADS) for value in evaluator.assigned[name] if (text := evaluator.text(value)))
    for node in source.of(ast.Constant, ast.BinOp, ast.JoinedStr, ast.Dict, ast.Call, ast.Attribute):
        if isinstance(node, (ast.Constant, ast.BinOp, ast.JoinedStr)):
            yield from _in_url(evaluator.text(node))
        elif isinstance(node, ast.Dict):
            yield from _in_settings(node, evaluator)
        elif isinstance(node, ast.Call):
            yield from _in_call(node, source.aliases, evaluator)
        elif isinstance(node, ast.Attribute) and node.attr == "instance_path":
            yield Write(reference(INSTANCE), WriteKind.INSTANCE)
        elif isinstance(node, ast.Attribute) and full_name(node, source.aliases) in _NICEGUI_STORAGES:
            yield Write(".nicegui", WriteKind.DIRECTORY)


def _in_url(text: str | None) -> Iterator[Write]:
    if text and (match := _SQLITE_URL.fullmatch(text)):
        yield Write(match[1], WriteKind.SQLITE, in_url=True)


def _in_settings(node: ast.Dict, evaluator: PathEvaluator) -> Iterator[Write]:
    """Yield the files of Django's DATABASES and of the handlers of logging.config.dictConfig."""
    entries = {key.value: value for key, value in zip(node.keys, node.values, strict=True) if isinstance(key, ast.Constant)}
    name = evaluator.text(entries.get("ENGINE")) or evaluator.text(entries.get("class")) or ""
    if "ENGINE" in entries and (not name or "\0" in name) and (evaluator.text(entries.get("NAME")) or "").endswith(_SQLITE_ENDINGS):
        # Which engine it is may depend on the environment; the file tells what it is without one.
        name = "sqlite3"
    for ending, key, kind in (("sqlite3", "NAME", WriteKind.SQLITE), ("FileHandler", "filename", WriteKind.LOG)):
        if name.endswith(ending) and (text := evaluator.text(entries.get(key))):
            yield Write(text, kind)


def _in_call(node: ast.Call, aliases: Mapping[str, str], evaluator: PathEvaluator) -> Iterator[Write]:
    function = full_name(node.func, aliases)
    first = node.args[0] if node.args else keyword_value(node, "filename", "name", "db_file", "drivername")
    if function == "logging.basicConfig":
        if text := evaluator.text(keyword_value(node, "filename")):
            yield Write(text, WriteKind.LOG)
    elif function in _OPENED_BY:
        if (text := evaluator.text(first)) and not text.startswith((":memory:", "file:")):
            yield Write(text, _OPENED_BY[function])
    elif function.endswith("URL.create"):
        if (evaluator.text(first) or "").startswith("sqlite") and (text := evaluator.text(keyword_value(node, "database"))):
            yield Write(text, WriteKind.SQLITE, in_url=True)
    elif function in ("open", "io.open") and _opens_for_writing(node, evaluator):
        if text := evaluator.text(first):
            yield Write(text, WriteKind.OPENED)
    elif function in _MAKE_DIRECTORY:
        if text := evaluator.text(first):
            yield Write(text, WriteKind.DIRECTORY)
    elif _method(node) == "format":
        yield from _in_url(evaluator.text(node))
    elif isinstance(node.func, ast.Attribute) and node.func.attr == "mkdir" and (text := evaluator.text(node.func.value)):
        yield Write(text, WriteKind.DIRECTORY)


def _opens_for_writing(node: ast.Call, evaluator: PathEvaluator) -> bool:
    mode = node.args[1] if len(node.args) > 1 else keyword_value(node, "mode")
    return bool(set(evaluator.text(mode) or "") & set("wax+"))
