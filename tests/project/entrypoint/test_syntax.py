"""Source files as syntax trees, and their nodes by kind."""

import ast
from pathlib import Path

import pytest

from shipwheel.project.entrypoint import syntax
from shipwheel.project.entrypoint.syntax import ModulePath, parse_source, walk

EVERY_STATEMENT = b"""
async def f(a: int, *b, c=lambda: 1, **d) -> {"k": -1}:
    async with open(f"{a!r:>{b}}") as x, y: del x[1:2], y.z
    try: raise A from B
    except* (C, D) as e: nonlocal_ = [i async for i in e if i not in (1, 2) and i is not None]
    else: return (yield a) or await b
    finally: assert x if y else z, "text"
@decorated
class E(F, metaclass=G):
    global h
    n: int = (m := 1)
    n += 2 ** 3 @ 4
match E:
    case {"k": [1, *rest], **others} | F(x=1) | None if rest: pass
    case _: ...
while True:
    for i, *j in {1, *k}: break
    else: continue
from . import a as b, c
import d.e
"""


@pytest.mark.parametrize("text", [EVERY_STATEMENT, Path(syntax.__file__).read_bytes()], ids=["every-statement", "own-source"])
def test_walks_as_the_standard_library_does(text: bytes) -> None:
    tree = ast.parse(text)
    nothing_below = (ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop)
    assert [*walk(tree)] == [node for node in ast.walk(tree) if not isinstance(node, nothing_below)]


def test_finds_the_nodes_of_several_kinds_in_the_order_of_the_walk() -> None:
    source = parse_source(ModulePath("a.py", "a"), EVERY_STATEMENT)
    for kinds in ((ast.Name, ast.Call, ast.Constant), (ast.stmt, ast.expr), (ast.Name, ast.Call, ast.Constant)):
        assert source.of(*kinds) == tuple(node for node in walk(source.tree) if isinstance(node, kinds))
    assert source.of(ast.TryStar)[0].lineno == 4
    assert source.of(ast.Delete, ast.AsyncFor) == source.of(ast.Delete)
