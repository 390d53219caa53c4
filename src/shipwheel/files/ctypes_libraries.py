"""Libraries that Python modules open by name (ctypes, cffi). No ELF file names them, so the sources are searched for the usual forms."""

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.quiet import without_warnings

if TYPE_CHECKING:
    import ast

__all__ = ["ctypes_libraries", "library_stem"]

_SONAME = lazy_pattern(r"lib[\w.+-]*?\.so\.[\d.]*\d", re.ASCII)
_SHORT = lazy_pattern(r"[\w.+-]+", re.ASCII)
_FORMS = lazy_pattern(rb"""find_library\(\s*["']([\w.+-]+)["']|["'](lib[\w.+-]*?\.so\.[\d.]*\d)["']""")
"""Both in a source that cannot be parsed."""
# Much faster to find than the calls, and most modules contain neither.
_HINTS = (b"find_library(", b".so.")
_OPENERS = frozenset({"CDLL", "LoadLibrary", "PyDLL", "dlopen"})
_OPENING_MODULES = frozenset({"cffi", "ctypes"})
_OPTIONAL = lazy_pattern(r"(^|/)(tests?|testing|_?plugins?|contrib|examples?|experimental|benchmarks?|tools|scripts|docs?)/")
"""Directories with modules that not every user of a package imports."""


def ctypes_libraries(path: str, source: bytes | bytearray) -> tuple[str, ...]:
    """Return the libraries that a module opens: `magic` if find_library is called with it, and sonames such as `libmagic.so.1` as they are.

    A soname counts in a module that opens libraries, or as an argument of a call; elsewhere it is only a word, as in a table.
    """
    if not any(hint in source for hint in _HINTS) or _OPTIONAL.search(path):
        return ()
    import ast

    try:
        with without_warnings():
            nodes = [*ast.walk(ast.parse(bytes(source)))]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        # It may be of a newer Python than this one.
        return tuple(sorted({(short or soname).decode() for short, soname in _FORMS.findall(source)}))
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    # Imported under a private name, as soundfile and sounddevice do: `_find_library`.
    searches = [call for call in calls if _called(call).endswith("find_library")]
    searched = {text for call in searches for text in _texts(_values(call.args)) if _SHORT.fullmatch(text)}
    opens = any(map(_opens, nodes))
    words = nodes if opens else _values(argument for call in calls for argument in (*call.args, *(each.value for each in call.keywords)))
    return tuple(sorted(searched | {text for text in _texts(words) if _SONAME.fullmatch(text)}))


def _opens(node: "ast.AST") -> bool:
    """Return whether a module with this node opens libraries."""
    import ast

    if isinstance(node, ast.Call):
        return _called(node) in _OPENERS
    if isinstance(node, ast.ImportFrom):
        return not node.level and (node.module or "").partition(".")[0] in _OPENING_MODULES
    return isinstance(node, ast.Import) and any(alias.name.partition(".")[0] in _OPENING_MODULES for alias in node.names)


def _called(call: "ast.Call") -> str:
    """Return the last part of the name of what is called."""
    import ast

    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""


def _values(arguments: "Iterable[ast.expr]") -> "Iterator[ast.expr]":
    """Yield what arguments of calls may be: each part of a list, and of an expression that chooses."""
    import ast

    pending = [*arguments]
    while pending:
        argument = pending.pop()
        if isinstance(argument, ast.IfExp):
            pending += (argument.body, argument.orelse)
        elif isinstance(argument, ast.BoolOp):
            pending += argument.values
        elif isinstance(argument, ast.List):
            pending += argument.elts
        else:
            yield argument


def _texts(nodes: "Iterable[ast.AST]") -> Iterator[str]:
    import ast

    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
            yield node.value if isinstance(node.value, str) else node.value.decode("ascii", "replace")


def library_stem(name: str) -> str:
    """Return the common part of a library's names: `magic` for `magic`, `libmagic.so.1` and a wheel's `libmagic-1a2b3c4d.so.1`."""
    base = name.partition(".so")[0]
    return re.sub(r"-[0-9a-f]{8}$", "", base.removeprefix("lib") if ".so" in name else base)
