"""Paths that a source file speaks of, read from its expressions: nothing is imported or run.

A path is a text: below `ROOT` where it hangs on the place of the file (`__file__`), else relative to the working directory, or absolute.
What another module says stands in it between NUL characters, by its name, until `Places.path` fills it in.
"""

import ast
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

__all__ = ["INSTANCE", "ROOT", "Places", "Reader", "normal_path", "usable"]

ROOT = "\x01"
"""No path that a source file names has this character."""
INSTANCE = ":instance"
"""The name of Flask's instance directory, as a reference."""

_REFERENCE = re.compile("\0([^\0]*)\0")
_SAME = frozenset(
    """
    os.path.abspath os.path.realpath os.path.normpath os.fspath str pathlib.Path pathlib.PurePath pathlib.PosixPath
    """.split()  # noqa: SIM905
)
_SAME_METHODS = frozenset({"resolve", "absolute", "as_posix"})
_TEXT_METHODS = frozenset({"replace", "strip", "rstrip", "lstrip", "removeprefix", "removesuffix"})
_WITH_DEFAULT = frozenset({"get", "getenv", "config", "env", "str", "path", "Field", "getattr", "pop"})
_LONGEST = 300
_DEEPEST = 25
_USABLE = re.compile(r"(?:/[\w.@+=,\- ]+)+")
_LONGEST_USABLE = 200
"""In bytes: the name of a link's target is made of the whole path, and a name has 255 at most."""


def usable(path: str) -> bool:
    """Whether an absolute path may be a volume or a link: no address, no other system's path, no pattern, nothing to be filled in."""
    parts = path.split("/")
    return _USABLE.fullmatch(path) is not None and len(path.encode()) <= _LONGEST_USABLE and not {".", ".."} & {*parts}


class Reader:
    """Evaluates the expressions of one file, each name once: they may speak of each other in circles.

    `assigned` is what the file assigns to names, attributes and keys, wherever it does; `local` is for the names that are a function's
    own, by the identity of their nodes, what the function assigns to them.
    """

    def __init__(
        self,
        file: str,
        aliases: Mapping[str, str],
        assigned: Mapping[str, tuple[ast.expr, ...]],
        local: Mapping[int, tuple[ast.expr, ...]],
    ) -> None:
        self.file, self.aliases, self.assigned, self._local = file, aliases, assigned, local
        self._known: dict[str | int, str | None] = {}

    def text(self, node: ast.expr | None, depth: int = _DEEPEST) -> str | None:
        """The text of an expression; None where it cannot be told."""
        found = self._text(node, depth) if node is not None and depth > 0 else None
        return found if found is not None and len(found) <= _LONGEST else None

    def constants(self) -> Iterator[tuple[str, str]]:
        """(name, text) of what is assigned and can be read, for other files that import it."""
        for name in self.assigned:
            text = self._assigned(name, _DEEPEST)
            if text:
                yield name, text

    def _text(self, node: ast.expr, depth: int) -> str | None:
        match node:
            case ast.Constant(value=str(value)) if "\0" not in value and ROOT not in value:
                return value
            case ast.Name(id="__file__"):
                return f"{ROOT}/{self.file}"
            case ast.Name(id=name):
                own = self._local.get(id(node))
                return self._named(name, depth) if own is None else self._once(id(own), own, depth)
            case ast.Attribute() | ast.Subscript():
                return self._part(node, depth)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return _concatenated([self.text(left, depth - 1), self.text(right, depth - 1)])
            case ast.BinOp(left=left, op=ast.Div(), right=right):
                return _joined([self.text(left, depth - 1), self.text(right, depth - 1)])
            case ast.BinOp(left=left, op=ast.Mod(), right=right):
                parts = right.elts if isinstance(right, ast.Tuple) else [right]
                return _filled(self.text(left, depth - 1), "%s", [self.text(part, depth - 1) for part in parts])
            case ast.JoinedStr(values=values):
                return _concatenated([self.text(part, depth - 1) for part in values])
            case ast.FormattedValue(value=value, format_spec=None):
                return self.text(value, depth - 1)
            case ast.BoolOp(values=values):
                return self._first([*reversed(values)], depth)
            case ast.IfExp(body=body, orelse=orelse):
                return self._first([body, orelse], depth)
            case ast.Call():
                return self._called(node, depth)
        return None

    def _first(self, nodes: list[ast.expr], depth: int) -> str | None:
        return next((text for node in nodes if (text := self.text(node, depth - 1))), None)

    def _named(self, name: str, depth: int) -> str | None:
        if name in self.assigned:
            return self._assigned(name, depth)
        return f"\0{name}\0" if name in self.aliases else None

    def _assigned(self, name: str, depth: int) -> str | None:
        return self._once(name, self.assigned[name], depth)

    def _once(self, key: str | int, values: tuple[ast.expr, ...], depth: int) -> str | None:
        if key not in self._known:
            self._known[key] = None
            self._known[key] = self._first([*values], depth)
        return self._known[key]

    def _part(self, node: ast.Attribute | ast.Subscript, depth: int) -> str | None:
        if isinstance(node, ast.Attribute):
            if node.attr == "parent":
                return _above(self.text(node.value, depth - 1))
            if node.attr in ("instance_path", "root_path"):
                return f"\0{INSTANCE}\0" if node.attr == "instance_path" else _above(f"{ROOT}/{self.file}")
            return self._reference(node.attr, depth)
        key = node.slice.value if isinstance(node.slice, ast.Constant) else None
        if isinstance(key, int) and isinstance(node.value, ast.Attribute) and node.value.attr == "parents" and 0 <= key < 9:
            return _above(self.text(node.value.value, depth - 1), key + 1)
        if isinstance(key, str) and not (isinstance(node.value, ast.Attribute) and node.value.attr == "environ"):
            return self._reference(key, depth)
        return None

    def _reference(self, name: str, depth: int) -> str | None:
        found = self._assigned(name, depth) if name in self.assigned else None
        return found or f"\0{name}\0"

    def _called(self, node: ast.Call, depth: int) -> str | None:
        from shipwheel.project.entrypoint.applications import dotted

        full = dotted(node.func, self.aliases)
        if full in ("os.path.join", "posixpath.join"):
            return _joined(self._arguments(node, depth))
        if full == "os.path.dirname" and node.args:
            return _above(self.text(node.args[0], depth - 1))
        if full in ("os.getcwd", "pathlib.Path.cwd") or (full == "pathlib.Path" and not node.args):
            return "."
        if full in _SAME and node.args:
            return _joined(self._arguments(node, depth))
        name = full.rpartition(".")[2] or (node.func.attr if isinstance(node.func, ast.Attribute) else "")
        if name in _WITH_DEFAULT:
            given = [keyword.value for keyword in node.keywords if keyword.arg == "default"]
            return self._first([*given, *node.args[1:2], *(node.args[:1] if name == "Field" else ())], depth)
        return self._of_method(node, node.func, depth) if isinstance(node.func, ast.Attribute) else None

    def _of_method(self, node: ast.Call, method: ast.Attribute, depth: int) -> str | None:
        if method.attr in _SAME_METHODS:
            return self.text(method.value, depth - 1)
        if method.attr == "joinpath":
            return _joined([self.text(method.value, depth - 1), *self._arguments(node, depth)])
        if method.attr == "format" and not node.keywords:
            return _filled(self.text(method.value, depth - 1), "{}", self._arguments(node, depth))
        if method.attr in _TEXT_METHODS:
            return _changed(method.attr, [self.text(method.value, depth - 1), *self._arguments(node, depth)])
        return None

    def _arguments(self, node: ast.Call, depth: int) -> list[str | None]:
        return [self.text(argument, depth - 1) for argument in node.args]


@dataclass(frozen=True, slots=True)
class Places:
    """What names stand for in all files of a project."""

    known: Mapping[str, str]

    def path(self, text: str) -> str | None:
        """A path with its references filled in, normalised; None where one is unknown or it leads above the project."""
        for _ in range(6):
            if "\0" not in text:
                return normal_path(text)
            if any(name not in self.known for name in _REFERENCE.findall(text)):
                return None
            text = _REFERENCE.sub(lambda match: self.known[match[1]], text)
            if len(text) > _LONGEST:
                return None
        return None


def normal_path(text: str) -> str | None:
    """`a/../b` as `b`; None for what leads above where it hangs."""
    if f"/{ROOT}" in text:
        text = text[text.rindex(f"/{ROOT}") + 1 :]
    rooted = text == ROOT or text.startswith(f"{ROOT}/")
    path = posixpath.normpath(text[1:].lstrip("/") if rooted else text)
    if path.startswith(".."):
        return None
    return (posixpath.join(ROOT, path) if path != "." else ROOT) if rooted else path.replace("//", "/")


def _above(text: str | None, steps: int = 1) -> str | None:
    return None if text is None else text + "/.." * steps


def _joined(parts: list[str | None]) -> str | None:
    texts = [part for part in parts if part is not None]
    if len(texts) != len(parts) or not texts:
        return None
    last = max((number for number, text in enumerate(texts) if text.startswith((f"{ROOT}/", "/"))), default=0)
    return "/".join(text for text in texts[last:] if text)


def _changed(method: str, texts: list[str | None]) -> str | None:
    """What a method of a text makes of it, where all of it is known."""
    known = [text for text in texts if text is not None and "\0" not in text and ROOT not in text]
    if len(known) != len(texts):
        return None
    try:
        return str(getattr(known[0], method)(*known[1:]))
    except TypeError:
        return None  # another class's method of that name


def _filled(text: str | None, mark: str, values: list[str | None]) -> str | None:
    pieces = text.split(mark) if text is not None else []
    if len(pieces) != len(values) + 1:
        return None
    return _concatenated([pieces[0], *(part for value, piece in zip(values, pieces[1:], strict=True) for part in (value, piece))])


def _concatenated(parts: list[str | None]) -> str | None:
    texts = [part for part in parts if part is not None]
    return "".join(texts) if len(texts) == len(parts) else None
