"""The Pythons that a project's code can run on: what only Python 2 has is refused, and what only newer Pythons have decides the version."""

from pathlib import Path

import pytest
from support.project_tree import written

from shipwheel.errors import ProjectError
from shipwheel.project.entrypoint.language import find_python_2, oldest_python
from shipwheel.project.entrypoint.syntax import ModulePath, parse_source, required_imports
from shipwheel.project.read import read_project

FLASK = "from flask import Flask\napp = Flask(__name__)\n"


def _oldest(text: str) -> tuple[int, int]:
    path = ModulePath("main.py", "main")
    source = parse_source(path, text.encode())
    return oldest_python(source, tuple(required_imports(path, source.tree)))


@pytest.mark.parametrize(
    ("text", "minor"),
    [
        ("x = 1\nmatch x:\n    case 1: pass\n", 10),
        ("class A:\n    charset: str | None = None\n", 10),
        ("def get(x: list[int] | str): ...\n", 10),
        ("class A:\n    def get(self) -> None | B: ...\n", 10),
        ("from __future__ import annotations\ndef get(x: int | None): ...\n", 0),
        ("def get(x: 'int | None'): ...\n", 0),
        ("def get(x: Flag.A | Flag.B): ...\n", 0),
        ("def main():\n    x: int | None = None\n", 0),
        ("try:\n    pass\nexcept* ValueError:\n    pass\n", 11),
        ("import tomllib\n", 11),
        ("try:\n    import tomllib\nexcept ImportError:\n    import tomli\n", 0),
        ("from enum import StrEnum\nfrom typing import override\n", 12),
        ("from typing import Optional\n", 0),
    ],
)
def test_knows_the_oldest_python_with_what_a_file_uses(text: str, minor: int) -> None:
    assert _oldest(text)[0] == minor


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("x = 1\nclass A[T]: ...\n", (12, 2)),
        ("def f[T](x: T) -> T: ...\n", (12, 1)),
        ("x = 1\ntype A = int\n", (12, 2)),
        ("""x = f"{y["a"]}"\n""", (12, 1)),
        ("""x = f"{', '.join(y)}" + f"{'\\n'.join(y)}"\n""", (12, 1)),
        ("""x = f"{\n  y}"\n""", (12, 1)),
        ("type A = int\ntry: a()\nexcept A, B: pass\n", (14, 3)),
        ("x = 1\ny = t'{x}'\n", (14, 2)),
        ("lazy from a import b\n", (15, 1)),
        ("x = y['t'] + open(z, 'rt').read()\n", (0, 0)),
        ("""x = f"{{" + f"{y}\\n" + f"{y:'>3}" + "class A[T]"\n""", (0, 0)),
    ],
)
def test_any_python_knows_the_syntax_of_newer_ones(text: str, found: tuple[int, int]) -> None:
    assert _oldest(text) == found


def test_code_with_newer_syntax_excludes_older_pythons(tmp_path: Path) -> None:
    files = {"requirements.txt": "flask\n", "main.py": FLASK}
    assert "3.9" in read_project(written(tmp_path / "old", files)).other_pythons
    new = {**files, "shop.py": "class A:\n    name: str | None = None\n"}
    assert "3.9" in read_project(written(tmp_path / "tool", new)).other_pythons
    project = read_project(written(tmp_path / "new", {**new, "main.py": f"{FLASK}def items():\n    from shop import A\n    return A\n"}))
    assert (project.python, "3.9" in project.other_pythons) == ("3.13", False)


def test_the_python_that_a_project_requires_stays(tmp_path: Path) -> None:
    files = {"requirements.txt": "flask\n", "main.py": f"{FLASK}match 1:\n    case _: pass\n", "runtime.txt": "python-3.9.1\n"}
    assert read_project(written(tmp_path, files)).python == "3.9"


@pytest.mark.parametrize(
    ("statement", "line"),
    [
        ('print "started"', 2),
        ("print count", 2),
        ('print "%d" % count', 2),
        ("try:\n    pass\nexcept ValueError, error:\n    pass", 4),
        ("try:\n    pass\nexcept ValueError, models.Missing:\n    pass", 0),
        ("try:\n    pass\nexcept ValueError, TypeError:\n    pass", 0),
        ("x = '''\nprint help\n'''\nprint count", 5),
        ("x = '''\nprint help\n'''\n", 0),
        ('raise ValueError, "no"', 2),
        ('print("started")', 0),
        ("x = (", 0),
    ],
)
def test_knows_statements_of_python_2(statement: str, line: int) -> None:
    found = find_python_2(f"import os\n{statement}\n".encode())
    assert (found.line if found is not None else 0) == line


@pytest.mark.parametrize(
    ("files", "place"),
    [
        ({"Procfile": "web: gunicorn shop:app\n", "shop/__init__.py": f"{FLASK}from shop.a import x\n", "shop/a.py": "import urllib2\n"},
         "shop/a.py, line 1, imports urllib2"),
        ({"main.py": f"import urllib2\n{FLASK}"}, "main.py, line 1, imports urllib2"),
        ({"server.py": 'import cherrypy\nprint "on"\n', "models.py": "def main(): ...\nif __name__ == '__main__':\n    main()\n"},
         'server.py, line 2, has `print "on"`'),
    ],
    ids=["behind the command", "an application", "a program"],
)  # fmt: skip
@pytest.mark.parametrize("more", [{"requirements.txt": "flask\n"}, {}], ids=["with a list", "without"])
def test_refuses_a_project_for_python_2(tmp_path: Path, files: dict[str, str], place: str, more: dict[str, str]) -> None:
    with pytest.raises(ProjectError) as caught:
        read_project(written(tmp_path, {**files, **more}))
    assert place in caught.value.message
    assert "Python 2" in caught.value.message


@pytest.mark.parametrize(
    "files",
    [
        {"main.py": FLASK, "tools/old.py": 'print "x"\n'},
        {"main.py": f"try:\n    import urllib2\nexcept ImportError:\n    import urllib.request as urllib2\n{FLASK}"},
        {"main.py": f"import Queue\n{FLASK}", "Queue.py": ""},
        {"main.py": "import shop.web\n" + FLASK, "shop/__init__.py": "", "shop/web.py": "from Queue import Queue\n", "shop/Queue.py": ""},
        {"main.py": f"from sets.models import A\n{FLASK}", "lib/sets/models.py": ""},
    ],
    ids=["beside", "with a fallback", "a module of its own", "a module beside", "a directory of its own"],
)
def test_serves_a_project_with_a_remainder_of_python_2(tmp_path: Path, files: dict[str, str]) -> None:
    project = read_project(written(tmp_path, {**files, "requirements.txt": "flask\n"}))
    assert project.launch is not None and "main:app" in project.launch.command


def test_runs_a_program_with_as_many_old_tools_beside_it(tmp_path: Path) -> None:
    bot = "import discord\nclient = discord.Client()\nif __name__ == '__main__':\n    client.run('x')\n"
    project = read_project(written(tmp_path, {"shop.py": bot, "old.py": 'print "x"\n', "requirements.txt": "discord.py\n"}))
    assert project.launch is not None and project.launch.command == ("python", "shop.py")
