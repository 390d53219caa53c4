"""The host names that an application serves, in its source: Django's ALLOWED_HOSTS, Starlette's allowed_hosts."""

import ast
from collections.abc import Iterator

import msgspec

from shipwheel.project.entrypoint.settings_classes import fields_of_settings
from shipwheel.project.entrypoint.syntax import SourceFile, called_name, walk

__all__ = ["AllowedHosts", "find_allowed_hosts"]

_NAMES = frozenset({"allowed_hosts", "trusted_hosts"})
_READS = frozenset({"get", "getenv", "env", "config", "list", "str", "get_list", "getlist", "environ"})
"""Last names of calls that read an environment variable: os.environ.get, environs' env.list, decouple's config."""


class AllowedHosts(msgspec.Struct, frozen=True):
    """A list of host names: `hosts` are those that it has as text, `variables` the environment variables that it comes from.

    `is_json` tells that a variable has the list as JSON.
    """

    name: str
    line: int
    hosts: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    is_json: bool = False


def find_allowed_hosts(source: SourceFile) -> tuple[AllowedHosts, ...]:
    """Return the lists that a file assigns or passes under a usual name."""
    fields = {id(field.value): (field, variable) for field, variable in fields_of_settings(source)}
    found = ((_read(name, value), fields.get(id(value))) for name, value in _values(source))
    return tuple(_of_field(rule, *field) if field is not None and not rule.variables else rule for rule, field in found)


def _of_field(rule: AllowedHosts, field: ast.AnnAssign, variable: str) -> AllowedHosts:
    """Return a rule that pydantic-settings reads: a list from JSON, a text as it is."""
    return msgspec.structs.replace(rule, variables=(variable,), is_json=ast.unparse(field.annotation).lower().startswith(("list[", "set[")))


def _values(source: SourceFile) -> Iterator[tuple[str, ast.expr]]:
    for node in source.of(ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Call):
        if isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from ((it.id, node.value) for it in targets if isinstance(it, ast.Name) and it.id.lower() in _NAMES)
        elif isinstance(node, ast.Call):
            yield from ((str(it.arg), it.value) for it in node.keywords if (it.arg or "").lower() in _NAMES)


def _read(name: str, value: ast.expr) -> AllowedHosts:
    hosts: dict[str, None] = {}
    variables: dict[str, None] = {}
    for node in walk(value):
        if isinstance(node, ast.Call) and called_name(node) in _READS and node.args and (variable := _text(node.args[0])).isupper():
            variables[variable] = None
            defaults = (*node.args[1:], *(keyword.value for keyword in node.keywords if keyword.arg == "default"))
            hosts.update(dict.fromkeys(text for it in defaults for text in _text(it).replace(",", " ").split()))
        elif isinstance(node, ast.Subscript) and _text(node.slice).isupper():
            variables[_text(node.slice)] = None
        elif isinstance(node, (ast.List, ast.Tuple, ast.Set)):
            hosts.update(dict.fromkeys(text for it in node.elts if ((text := _text(it)) and "." in text) or text == "localhost"))
    return AllowedHosts(name, value.lineno, tuple(hosts), tuple(variables))


def _text(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
