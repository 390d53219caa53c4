"""Files and directories that a source file writes to, as its text says: SQLite's files, logs, uploads, what it makes directories for."""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from shipwheel.project.entrypoint.applications import dotted
from shipwheel.project.entrypoint.path_eval import INSTANCE, ROOT, Reader
from shipwheel.project.entrypoint.syntax import nodes

__all__ = ["OPENED", "TELLING", "Spoken", "Write", "read_writes"]

TELLING = rb"sqlite|makedirs|mkdir|FileHandler|_FOLDER\b|MEDIA_ROOT|instance_path|open\([^)\n]{0,200}['\"][wax]|_DIR\b"
"""What a file has that shows something of this."""

_URL = re.compile(r"sqlite(?:\+\w+)?:///(?!:memory:)(?:file:)?([^\s?{}%]+)(?:\?(?!.*(?:mode=ro|immutable=1)\b).*)?")
"""Of files that are not opened for reading alone."""
_OPENED = {
    "sqlite3.connect": "SQLite",
    "aiosqlite.connect": "SQLite",
    "peewee.SqliteDatabase": "SQLite",
    "playhouse.sqlite_ext.SqliteExtDatabase": "SQLite",
    "tinydb.TinyDB": "TinyDB",
    "shelve.open": "shelve",
    "logging.FileHandler": "a log",
    "logging.handlers.RotatingFileHandler": "a log",
    "logging.handlers.TimedRotatingFileHandler": "a log",
    "logging.handlers.WatchedFileHandler": "a log",
    "loguru.logger.add": "a log",
}
"""Functions that open the file of their first argument for writing."""
OPENED = "a file that it opens for writing"
_MAKES = frozenset({"os.mkdir", "os.makedirs"})
_MOST = 8
"""Assignments of one name that are looked at."""
_FOLDER = re.compile(r"MEDIA_ROOT|(UPLOAD|LOG|MEDIA)(S|ED_\w+)?_(FOLDER|DIR|DIRECTORY|DEST)", re.IGNORECASE)
"""Names of settings that say where uploads and logs go."""


@dataclass(frozen=True, slots=True)
class Write:
    """One thing that is written: its path as `places` reads it."""

    path: str
    what: str
    """SQLite, a log, …"""
    directory: bool = False
    url: bool = False
    """Whether it stood in a URL of SQLAlchemy's form: Flask-SQLAlchemy reads relative ones in its own way."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """What one file says of paths."""

    places: tuple[tuple[str, str], ...] = ()
    """(name, path or other text) of what it assigns."""
    writes: tuple[Write, ...] = ()
    joined: frozenset[str] = frozenset()
    """Paths that it puts together of a directory and a name."""


def read_writes(tree: ast.Module, aliases: Mapping[str, str], file: str) -> Spoken:
    """What one file says of paths."""
    assigned: dict[str, tuple[ast.expr, ...]] = {}
    for name, value in _assigned(tree):
        assigned[name] = (*assigned.get(name, ()), value)[:_MOST]
    found = _spoken(tree, aliases, Reader(file, aliases, assigned, {}))
    # Whose names are whose is looked at where it matters: that takes as long as all the rest.
    return _spoken(tree, aliases, Reader(file, aliases, assigned, dict(_own_names(tree)))) if found.writes or found.joined else found


def _spoken(tree: ast.Module, aliases: Mapping[str, str], reader: Reader) -> Spoken:
    return Spoken(
        tuple(reader.constants()), tuple(dict.fromkeys(_writes(tree, aliases, reader))), frozenset(_joined(tree, aliases, reader))
    )


def _own_names(tree: ast.Module) -> Iterator[tuple[int, tuple[ast.expr, ...]]]:
    """(identity of a name's node, what its function assigns to it) of names that are a function's own; inner functions come later."""
    for function in nodes(tree):
        if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        body = function.body if isinstance(function.body, list) else [function.body]
        inside = [node for part in body for node in ast.walk(part)]
        names = [node for node in inside if isinstance(node, ast.Name)]
        outer = {name for node in inside if isinstance(node, (ast.Global, ast.Nonlocal)) for name in node.names}
        given = {argument.arg for argument in ast.walk(function.args) if isinstance(argument, ast.arg)}
        own: dict[str, tuple[ast.expr, ...]] = dict.fromkeys(given, ())
        own |= dict.fromkeys((node.id for node in names if isinstance(node.ctx, ast.Store) and node.id not in outer), ())
        for name, value in _bindings(inside):
            if name in own:
                own[name] = (*own[name], value)[:_MOST]
        yield from ((id(node), own[node.id]) for node in names if node.id in own)


def _bindings(inside: Iterable[ast.AST]) -> Iterator[tuple[str, ast.expr]]:
    for node in inside:
        if isinstance(node, ast.Assign):
            yield from ((target.id, node.value) for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, (ast.AnnAssign, ast.NamedExpr)) and isinstance(node.target, ast.Name) and node.value is not None:
            yield node.target.id, node.value


def _joined(tree: ast.Module, aliases: Mapping[str, str], reader: Reader) -> Iterator[str]:
    for node in nodes(tree):
        divided = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)
        if isinstance(node, (ast.BinOp, ast.Call)) and (divided or _joins(node, aliases)):
            text = reader.text(node)
            if text and (ROOT in text or "\0" in text):
                yield text


def _joins(node: ast.expr, aliases: Mapping[str, str]) -> bool:
    return isinstance(node, ast.Call) and (dotted(node.func, aliases) == "os.path.join" or _method(node) == "joinpath")


def _method(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else ""


def _assigned(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    for node in nodes(tree):
        if isinstance(node, ast.Assign):
            yield from ((name, node.value) for target in node.targets if (name := _target(target)))
        elif isinstance(node, ast.AnnAssign) and node.value is not None and (name := _target(node.target)):
            yield name, node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("from_mapping", "update"):
            yield from ((keyword.arg, keyword.value) for keyword in node.keywords if keyword.arg)


def _target(target: ast.expr) -> str:
    match target:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.Subscript(slice=ast.Constant(value=str(name))):
            return name
    return ""


def _writes(tree: ast.Module, aliases: Mapping[str, str], reader: Reader) -> Iterator[Write]:
    for folder in filter(_FOLDER.fullmatch, reader.assigned):
        yield from (Write(text, "uploads or logs", directory=True) for value in reader.assigned[folder] if (text := reader.text(value)))
    for node in nodes(tree):
        if isinstance(node, (ast.Constant, ast.BinOp, ast.JoinedStr)):
            yield from _in_url(reader.text(node))
        elif isinstance(node, ast.Dict):
            yield from _described(node, reader)
        elif isinstance(node, ast.Call):
            yield from _called(node, aliases, reader)
        elif isinstance(node, ast.Attribute) and node.attr == "instance_path":
            yield Write(f"\0{INSTANCE}\0", "Flask's instance directory", directory=True)


def _in_url(text: str | None) -> Iterator[Write]:
    if text and (match := _URL.fullmatch(text)):
        yield Write(match[1], "SQLite", url=True)


def _described(node: ast.Dict, reader: Reader) -> Iterator[Write]:
    """Django's databases and the handlers of logging's dictConfig."""
    entries = {key.value: value for key, value in zip(node.keys, node.values, strict=True) if isinstance(key, ast.Constant)}
    kind = reader.text(entries.get("ENGINE")) or reader.text(entries.get("class")) or ""
    for ending, key, what in (("sqlite3", "NAME", "SQLite"), ("FileHandler", "filename", "a log")):
        if kind.endswith(ending) and (text := reader.text(entries.get(key))):
            yield Write(text, what)


def _for_writing(node: ast.Call, reader: Reader) -> bool:
    given = node.args[1] if len(node.args) > 1 else next((keyword.value for keyword in node.keywords if keyword.arg == "mode"), None)
    return bool(set(reader.text(given) or "") & set("wax+"))


def _called(node: ast.Call, aliases: Mapping[str, str], reader: Reader) -> Iterator[Write]:
    full = dotted(node.func, aliases)
    first = node.args[0] if node.args else next((keyword.value for keyword in node.keywords if keyword.arg in ("filename", "name")), None)
    if full == "logging.basicConfig":
        given = next((keyword.value for keyword in node.keywords if keyword.arg == "filename"), None)
        if text := reader.text(given):
            yield Write(text, "a log")
    elif full in _OPENED:
        if (text := reader.text(first)) and not text.startswith((":memory:", "file:")):
            yield Write(text, _OPENED[full])
    elif full in ("open", "io.open") and _for_writing(node, reader):
        if text := reader.text(first):
            yield Write(text, OPENED)
    elif full in _MAKES:
        if text := reader.text(first):
            yield Write(text, "a directory that it makes", directory=True)
    elif _method(node) == "format":
        yield from _in_url(reader.text(node))
    elif isinstance(node.func, ast.Attribute) and node.func.attr == "mkdir" and (text := reader.text(node.func.value)):
        yield Write(text, "a directory that it makes", directory=True)
