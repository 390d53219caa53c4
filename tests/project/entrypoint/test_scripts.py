"""Console scripts, and files that are run as they are."""

from pathlib import Path

import pytest
from support.project_tree import Layout, assert_command, launched

FASTAPI = "from fastapi import FastAPI\napp = FastAPI()\n"
MAIN = 'if __name__ == "__main__":\n    print(1)\n'

LAYOUTS: dict[str, Layout] = {
    "main.py": ({"main.py": "print(1)\n"}, "", ("python", "main.py")),
    "the only script": ({"collect.py": MAIN, "helper.py": "x = 1\n", "setup.py": MAIN}, "", ("python", "collect.py")),
    "package with __main__": ({"demo/__init__.py": "", "demo/__main__.py": MAIN}, "", ("python", "-m", "demo")),
    "file that imports its neighbours": (
        {"bot/__init__.py": "", "bot/main.py": "import store\n" + MAIN, "bot/store.py": ""},
        "",
        ("python", "bot/main.py"),
    ),
    "main module of a package": ({"bot/__init__.py": "", "bot/main.py": MAIN, "bot/other.py": MAIN}, "", ("python", "-m", "bot.main")),
    "main module of a namespace package": ({"src/tg/main.py": "import tg.x\n" + MAIN, "src/tg/x.py": ""}, "", ("python", "-m", "tg.main")),
    "factory that needs arguments": (
        {"app.py": "import flask\ndef make(x):\n    return flask.Flask(x)\n" + MAIN},
        "flask",
        ("python", "app.py"),
    ),
    "factories that call each other": (
        {"main.py": "import flask\ndef a():\n    return b()\ndef b():\n    return a()\n"},
        "flask",
        ("python", "main.py"),
    ),
    "application in a main guard": (
        {"a.py": "from flask import Flask\nif __name__ == '__main__':\n    app = Flask('x')\n", "main.py": ""},
        "",
        ("python", "main.py"),
    ),
    "application in tests": ({"tests/app.py": FASTAPI, "main.py": "x = 1"}, "fastapi uvicorn", ("python", "main.py")),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_finds_the_command(tmp_path: Path, layout: str) -> None:
    assert_command(tmp_path, LAYOUTS[layout])


def test_a_script_that_parses_arguments_is_a_program(tmp_path: Path) -> None:
    assert launched(tmp_path, {"main.py": "import argparse\n"}).is_program
    assert not launched(tmp_path, {"main.py": "import json\n"}).is_program


@pytest.mark.parametrize(
    ("text", "program"),
    [("import sys\nprint(sys.argv[1:])\n", True), ("from sys import argv\nprint(argv)\n", True), ("import sys\nsys.exit(0)\n", False)],
)
def test_a_script_that_reads_argv_is_a_program(tmp_path: Path, text: str, program: bool) -> None:
    assert launched(tmp_path, {"main.py": text}).is_program == program
