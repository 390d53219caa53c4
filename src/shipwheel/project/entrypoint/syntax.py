"""A source file's syntax tree, gone through once for all that look for something in it."""

import ast
from functools import lru_cache

__all__ = ["nodes"]


@lru_cache(maxsize=1)
def nodes(tree: ast.Module) -> tuple[ast.AST, ...]:
    """All nodes, as `ast.walk` yields them: walking is most of what looking costs."""
    return tuple(ast.walk(tree))
