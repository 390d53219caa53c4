"""The prefixes of the environment variables that classes of pydantic-settings read their fields from."""

import ast
from collections.abc import Iterator

from shipwheel.project.entrypoint.syntax import SourceFile, last_name, walk

__all__ = ["fields_of_settings", "find_prefixes"]


def find_prefixes(source: SourceFile) -> tuple[tuple[str, str], ...]:
    """Return (class, prefix) for each class whose `model_config`, or inner class Config, has a constant `env_prefix`."""
    if b"env_prefix" not in source.data:
        return ()
    return tuple((node.name, prefix) for node in source.of(ast.ClassDef) if node.name != "Config" for prefix in _prefixes(node))


def fields_of_settings(source: SourceFile) -> Iterator[tuple[ast.AnnAssign, str]]:
    """Yield the fields of each class that derives from pydantic's BaseSettings itself, with the variable that each is read from."""
    for node in source.of(ast.ClassDef):
        if any(last_name(base) == "BaseSettings" for base in node.bases):
            prefix = next(_prefixes(node), "")
            fields = (it for it in node.body if isinstance(it, ast.AnnAssign) and isinstance(it.target, ast.Name))
            yield from ((it, f"{prefix}{it.target.id}".upper()) for it in fields if isinstance(it.target, ast.Name))


def _prefixes(node: ast.ClassDef) -> Iterator[str]:
    for inner in walk(node):
        match inner:
            case ast.keyword(arg="env_prefix", value=value) | ast.Assign(targets=[ast.Name(id="env_prefix")], value=value):
                yield from _text(value)
            case ast.Dict(keys=keys, values=values):
                named = (
                    value for key, value in zip(keys, values, strict=True) if isinstance(key, ast.Constant) and key.value == "env_prefix"
                )
                yield from (text for value in named for text in _text(value))


def _text(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value:
        yield node.value
