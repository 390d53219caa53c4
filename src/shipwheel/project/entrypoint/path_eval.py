"""Evaluation of path expressions in a source file; nothing is imported or run.

An expression evaluates to a *path template*: a path relative to the working directory, an absolute one, or one below `ROOT` if it starts
from `__file__`. Names of other modules stay in it as references between NUL characters, until `Names.resolve` fills them in.
"""

import ast
import posixpath
from collections.abc import Iterator, Mapping

import msgspec

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.entrypoint.syntax import full_name

__all__ = ["INSTANCE", "ROOT", "Names", "PathEvaluator", "is_plain_path", "normal_path", "reference"]

ROOT = "\x01"
"""The project's root in a path template: a character that no source file has in a path."""
INSTANCE = ":instance"
"""The name that Flask's instance directory is referred to by."""

_REFERENCE = lazy_pattern("\0([^\0]*)\0")
_IDENTITIES = frozenset(
    """
    os.path.abspath os.path.realpath os.path.normpath os.fspath str pathlib.Path pathlib.PurePath pathlib.PosixPath
    """.split()  # noqa: SIM905
)
"""Functions whose result is the path of their arguments."""
_IDENTITY_METHODS = frozenset({"resolve", "absolute", "as_posix"})
_TEXT_METHODS = frozenset({"replace", "strip", "rstrip", "lstrip", "removeprefix", "removesuffix"})
_WITH_DEFAULT = frozenset({"get", "getenv", "config", "env", "str", "path", "Field", "getattr", "pop"})
"""Functions whose second argument or `default` is what they return for want of a value; the third of getattr."""
_OPTION = lazy_pattern(r"[A-Z][A-Z0-9_]*")
"""Text that is more likely the name of an option than a path: `config.get("LOG", "PATH")`."""
_MAX_LENGTH = 300
_MAX_DEPTH = 25
_MAX_REFERENCES = 6
"""References that may lead to another reference."""
_PLAIN = lazy_pattern(r"(?:/[\w.@+=,\- ]+)+")
_MAX_PLAIN_BYTES = 200
"""A link's target on a volume is named after its whole path, and a file name has 255 bytes at most."""


def is_plain_path(path: str) -> bool:
    """Return whether an absolute path can be a volume or a link: not a URL, a Windows path, a pattern or a format string."""
    return _PLAIN.fullmatch(path) is not None and len(path.encode()) <= _MAX_PLAIN_BYTES and not {".", ".."} & {*path.split("/")}


def reference(name: str) -> str:
    """Return the path template that stands for the value of a name."""
    return f"\0{name}\0"


class PathEvaluator:
    """Evaluates the expressions of one file to path templates; each name once, since names may refer to each other in circles.

    Args:
        file: The file, relative to the project's root.
        aliases: Name -> dotted name of what the file imports.
        assigned: Name, attribute or key -> the values that the file assigns to it anywhere.
        scoped: `id` of a name's node -> the values that its function assigns to it, for names that are local to a function.
    """

    def __init__(
        self,
        file: str,
        aliases: Mapping[str, str],
        assigned: Mapping[str, tuple[ast.expr, ...]],
        scoped: Mapping[int, tuple[ast.expr, ...]],
    ) -> None:
        self.assigned = assigned
        self._file, self._aliases, self._scoped = file, aliases, scoped
        self._known: dict[str | int, str | None] = {}

    def text(self, node: ast.expr | None, depth: int = _MAX_DEPTH) -> str | None:
        """Return the path template of an expression, or None if reading cannot tell it."""
        found = self._evaluate(node, depth) if node is not None and depth > 0 else None
        return found if found is not None and len(found) <= _MAX_LENGTH else None

    def constants(self) -> Iterator[tuple[str, str]]:
        """Yield (name, path template) of what the file assigns, for files that import it."""
        for name in self.assigned:
            text = self._assigned(name, _MAX_DEPTH)
            if text:
                yield name, text

    def _evaluate(self, node: ast.expr, depth: int) -> str | None:
        match node:
            case ast.Constant(value=str(value)) if "\0" not in value and ROOT not in value:
                return value
            case ast.Name(id="__file__"):
                return f"{ROOT}/{self._file}"
            case ast.Name(id=name):
                local = self._scoped.get(id(node))
                return self._named(name, depth) if local is None else self._once(id(local), local, depth)
            case ast.Attribute():
                return self._attribute(node, depth)
            case ast.Subscript():
                return self._item(node, depth)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return _concatenated([self.text(left, depth - 1), self.text(right, depth - 1)])
            case ast.BinOp(left=left, op=ast.Div(), right=right):
                return _joined([self.text(left, depth - 1), self.text(right, depth - 1)])
            case ast.BinOp(left=left, op=ast.Mod(), right=right):
                values = right.elts if isinstance(right, ast.Tuple) else [right]
                return _formatted(self.text(left, depth - 1), "%s", [self.text(value, depth - 1) for value in values])
            case ast.JoinedStr(values=values):
                return _concatenated([self.text(part, depth - 1) for part in values])
            case ast.FormattedValue(value=value, format_spec=None):
                return self.text(value, depth - 1)
            case ast.BoolOp(values=values):
                # `os.environ.get("X") or "default"`: the last is the likeliest to be known.
                return self._first([*reversed(values)], depth)
            case ast.IfExp(body=body, orelse=orelse):
                return self._first([body, orelse], depth)
            case ast.Call():
                return self._call(node, depth)
        return None

    def _first(self, nodes: list[ast.expr], depth: int) -> str | None:
        return next((text for node in nodes if (text := self.text(node, depth - 1))), None)

    def _named(self, name: str, depth: int) -> str | None:
        if name in self.assigned:
            return self._assigned(name, depth)
        return reference(name) if name in self._aliases else None

    def _assigned(self, name: str, depth: int) -> str | None:
        return self._once(name, self.assigned[name], depth)

    def _once(self, key: str | int, values: tuple[ast.expr, ...], depth: int) -> str | None:
        if key not in self._known:
            self._known[key] = None
            self._known[key] = self._first([*values], depth)
        return self._known[key]

    def _attribute(self, node: ast.Attribute, depth: int) -> str | None:
        if full_name(node, self._aliases) == "os.devnull":
            return "/dev/null"
        match node.attr:
            case "parent":
                return _parent(self.text(node.value, depth - 1))
            case "instance_path":
                return reference(INSTANCE)
            case "root_path":
                # Flask's app.root_path.
                return _parent(f"{ROOT}/{self._file}")
        return self._assigned_or_reference(node.attr, depth)

    def _item(self, node: ast.Subscript, depth: int) -> str | None:
        key = node.slice.value if isinstance(node.slice, ast.Constant) else None
        container = node.value.attr if isinstance(node.value, ast.Attribute) else ""
        if isinstance(key, int) and isinstance(node.value, ast.Attribute) and container == "parents" and 0 <= key < 9:
            return _parent(self.text(node.value.value, depth - 1), key + 1)
        if isinstance(key, str) and container != "environ":
            return self._assigned_or_reference(key, depth)
        return None

    def _assigned_or_reference(self, name: str, depth: int) -> str | None:
        found = self._assigned(name, depth) if name in self.assigned else None
        return found or reference(name)

    def _call(self, node: ast.Call, depth: int) -> str | None:
        function = full_name(node.func, self._aliases)
        if function in ("os.path.join", "posixpath.join"):
            return _joined(self._arguments(node, depth))
        if function == "os.path.dirname" and node.args:
            return _parent(self.text(node.args[0], depth - 1))
        if function in ("os.getcwd", "pathlib.Path.cwd") or (function == "pathlib.Path" and not node.args):
            return "."
        if function in _IDENTITIES and node.args:
            return _joined(self._arguments(node, depth))
        name = function.rpartition(".")[2] or (node.func.attr if isinstance(node.func, ast.Attribute) else "")
        if name in _WITH_DEFAULT:
            defaults = [keyword.value for keyword in node.keywords if keyword.arg in ("default", "fallback")]
            second = node.args[2:3] if name == "getattr" else [each for each in node.args[1:2] if not _is_option(each)]
            return self._first([*defaults, *second, *(node.args[:1] if name == "Field" else ())], depth)
        return self._method(node, node.func, depth) if isinstance(node.func, ast.Attribute) else None

    def _method(self, node: ast.Call, method: ast.Attribute, depth: int) -> str | None:
        if method.attr in _IDENTITY_METHODS:
            return self.text(method.value, depth - 1)
        if method.attr == "joinpath":
            return _joined([self.text(method.value, depth - 1), *self._arguments(node, depth)])
        if method.attr == "format" and not node.keywords:
            return _formatted(self.text(method.value, depth - 1), "{}", self._arguments(node, depth))
        if method.attr in _TEXT_METHODS:
            return _transformed(method.attr, [self.text(method.value, depth - 1), *self._arguments(node, depth)])
        return None

    def _arguments(self, node: ast.Call, depth: int) -> list[str | None]:
        return [self.text(argument, depth - 1) for argument in node.args]


class Names(msgspec.Struct, frozen=True):
    """The values of names across all files of a project, as path templates."""

    values: Mapping[str, str]

    def resolve(self, template: str) -> str | None:
        """Return the normalised path of a template, or None if a reference is unknown or the path leaves the project."""
        for _ in range(_MAX_REFERENCES):
            if "\0" not in template:
                return normal_path(template)
            if any(name not in self.values for name in _REFERENCE.findall(template)):
                return None
            template = _REFERENCE.sub(lambda match: self.values[match[1]], template)
            if len(template) > _MAX_LENGTH:
                return None
        return None


def _is_option(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and _OPTION.fullmatch(node.value) is not None


def normal_path(text: str) -> str | None:
    """Return a path without `.` and `..`; None if it leads above what it is relative to."""
    if f"/{ROOT}" in text:
        text = text[text.rindex(f"/{ROOT}") + 1 :]
    rooted = text == ROOT or text.startswith(f"{ROOT}/")
    path = posixpath.normpath(text[1:].lstrip("/") if rooted else text)
    if path.startswith(".."):
        return None
    return (posixpath.join(ROOT, path) if path != "." else ROOT) if rooted else path.replace("//", "/")


def _parent(text: str | None, steps: int = 1) -> str | None:
    return None if text is None else text + "/.." * steps


def _joined(parts: list[str | None]) -> str | None:
    texts = [part for part in parts if part is not None]
    if len(texts) != len(parts) or not texts:
        return None
    last = max((number for number, text in enumerate(texts) if text.startswith((f"{ROOT}/", "/"))), default=0)
    return "/".join(text for text in texts[last:] if text)


def _transformed(method: str, texts: list[str | None]) -> str | None:
    """Return the result of a string method if its string and all arguments are known."""
    known = [text for text in texts if text is not None and "\0" not in text and ROOT not in text]
    if len(known) != len(texts):
        return None
    try:
        return str(getattr(known[0], method)(*known[1:]))
    except TypeError:
        return None  # A method of the same name of another class.


def _formatted(text: str | None, mark: str, values: list[str | None]) -> str | None:
    pieces = text.split(mark) if text is not None else []
    if len(pieces) != len(values) + 1:
        return None
    return _concatenated([pieces[0], *(part for value, piece in zip(values, pieces[1:], strict=True) for part in (value, piece))])


def _concatenated(parts: list[str | None]) -> str | None:
    texts = [part for part in parts if part is not None]
    return "".join(texts) if len(texts) == len(parts) else None
