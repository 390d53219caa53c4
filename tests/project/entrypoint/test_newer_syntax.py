"""Source code of newer Pythons, read by any Python that shipwheel runs with."""

import ast
from pathlib import Path

import pytest
from support.project_tree import written

from shipwheel.project.entrypoint import newer_syntax
from shipwheel.project.entrypoint.newer_syntax import in_older_syntax
from shipwheel.project.read import read_project
from shipwheel.settings.settings import Settings

PAIRS = [
    ("""f"{x["a"]} {y}"\n""", """f"{x['a']} {y}"\n"""),
    ("""f"{a!r:>{w}} {b["k"]:{c["d"]}}"\n""", """f"{a!r:>{w}} {b['k']:{c['d']}}"\n"""),
    (r"""rf"\{b["x"]}\n" f"\N{BULLET} {{ {'a\tb'.join(x)}" """, r"""rf"\{b['x']}\n" f"\N{BULLET} {{ {0}" """),
    ("""f"{f"{f"{1}"}"}"\n""", """f"{0}"\n"""),
    ("""f"{\n  x  # why\n}"\ny = 1\n""", """f"{   x   }\\\n\\\n"\ny = 1\n"""),
    ('f"""{"""a"""}\n{x["a"]:\n}"""\n', 'f"""{\'a\'}\n{x["a"]:\n}"""\n'),
    ("""t"a {b}" if x in"abc" else Rt'{b}'\n""", """f"a {b}" if x in"abc" else rf'{b}'\n"""),
    ("""async def f[\n  T: (int, "]"), *Ts, **P,\n](a: T) -> T: ...\n""", """async def f\\\n\\\n(a: T) -> T: ...\n"""),
    ("""class A[T](B):\n    type X[K] = dict[K, T]\n    type Y = int\n""", """class A(B):\n    X = dict[K, T]\n    Y = int\n"""),
    ("try: a()\nexcept A, b.C:\n    pass\n", "try: a()\nexcept (A, b.C):\n    pass\n"),
    ("try: a()\nexcept* a, b, c :\n    pass\n", "try: a()\nexcept* (a, b, c) :\n    pass\n"),
    ("if x:\n    lazy import a\nlazy from b import c\n", "if x:\n    import a\nfrom b import c\n"),
]


@pytest.mark.parametrize(("newer", "older"), PAIRS)
def test_newer_syntax_is_written_as_before(newer: str, older: str) -> None:
    assert in_older_syntax(newer) == older
    assert older.count("\n") == newer.count("\n"), "places in the file are the same"
    ast.parse(older)


def test_code_without_newer_syntax_stays_as_it_is() -> None:
    plain = "lazy = lazy\ntry: a\nexcept (A, B): b, c\nexcept A: d[1, 2:3]\n"
    plain += "type = 3\ntype (x)\nif type == 4: pass\nd = {'def': [1], 'type x = ': f'{d[\"a\"]:>3}'}  # f\"{\nb = rb'\\'' + b''\n"
    assert in_older_syntax(plain) == plain
    text = Path(newer_syntax.__file__).read_text(encoding="utf-8")
    assert ast.dump(ast.parse(in_older_syntax(text))) == ast.dump(ast.parse(text))


@pytest.mark.parametrize("text", ['f"{x', '"""a', "class A[T", 'f"{x[', "'a\n'"])
def test_what_no_python_reads_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="without an end"):
        in_older_syntax(text)


def test_an_error_with_a_name_behind_a_comma_stays_python_2() -> None:
    old = "try: a()\nexcept ValueError, error:\n    pass\n"
    assert in_older_syntax(old) == old


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_an_application_in_newer_syntax_is_found(tmp_path: Path, ends: str, mark: str) -> None:
    code = mark + "TEXT = 'a\\\nb'\n"
    code += 'from fastapi import FastAPI\n\ntype Name = str\nserver = FastAPI(title=f"{NAMES["a"]}")\n\ndef get[T](x: T) -> T: ...\n'
    code += "try: get(1)\nexcept ValueError, TypeError: pass\n"
    root = written(tmp_path, {"requirements.txt": "fastapi\nuvicorn\n"})
    (root / "main.py").write_text(code, encoding="utf-8", newline=ends)
    launch = read_project(root, Settings()).launch
    assert launch is not None
    assert "main:server" in launch.command
