"""Console scripts, and files that are run as they are."""

from pathlib import Path

import pytest
from support.project_tree import Layout, assert_command, launched

from shipwheel.errors import NoCommand

FASTAPI = "from fastapi import FastAPI\napp = FastAPI()\n"
MAIN = 'if __name__ == "__main__":\n    print(1)\n'

LAYOUTS: dict[str, Layout] = {
    "main.py": ({"main.py": "print(1)\n"}, "", ("python", "main.py")),
    "the only script": (
        {"collect.py": MAIN, "helper.py": "x = 1\n", "setup.py": MAIN, "versioneer.py": MAIN},
        "",
        ("python", "collect.py"),
    ),
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
    "a server and its client": (
        {"greeter_server.py": "s.add_insecure_port('[::]:50051')\n" + MAIN, "greeter_client.py": MAIN},
        "grpcio",
        ("python", "greeter_server.py"),
    ),
    "the only file": ({"weather.py": "client = Client()\nclient.run()\n", "setup.py": MAIN}, "discord.py", ("python", "weather.py")),
    "an event loop": (
        {"lights.py": "from twisted.internet import reactor\nreactor.run()\n", "wire.py": "x = 1\n"},
        "",
        ("python", "lights.py"),
    ),
    "a server without end": ({"lights.py": "server.serve_forever()\n", "wire.py": "wire.setup()\n"}, "", ("python", "lights.py")),
    "a loop beside a script": ({"blink.py": "while True:\n    wait()\n", "collect.py": MAIN}, "", ("python", "collect.py")),
    "a loop in a package beside a script": (
        {"pkg/__init__.py": "", "pkg/worker.py": "while True:\n    wait()\n", "collect.py": MAIN},
        "",
        ("python", "collect.py"),
    ),
    "a package of scripts alone": (
        {"scripts/__init__.py": "", "scripts/worker.py": "import scripts.metrics\nwhile True:\n    pass\n", "scripts/metrics.py": ""},
        "",
        ("python", "-m", "scripts.worker"),
    ),
    "a loop without end": (
        {"dns-proxy/__init__.py": "", "dns-proxy/server.py": "while True:\n    serve()\n", "dns-proxy/wire.py": "x = 1\n"},
        "",
        ("python", "-m", "dns-proxy.server"),
    ),
    "a loop that ends": (
        {"collect.py": "while True:\n    serve()\n", "wait.py": "while True:\n    if ready():\n        break\n"},
        "",
        ("python", "collect.py"),
    ),
    "a server of the Model Context Protocol beside a tool": (
        {"bot.py": MAIN, "stats_mcp.py": f"from mcp.server.fastmcp import FastMCP\nmcp = FastMCP('x')\n{MAIN}    mcp.run()\n"},
        "mcp",
        ("python", "stats_mcp.py"),
    ),
    "a server of the Model Context Protocol that its client starts": (
        {
            "cli.py": f"PARAMETERS = ('python', ['stats_mcp.py'])\n{MAIN}",
            "stats_mcp.py": f"from mcp.server.fastmcp import FastMCP\nmcp = FastMCP('x')\n{MAIN}    mcp.run()\n",
        },
        "mcp",
        ("python", "cli.py"),
    ),
    "a server of the Model Context Protocol that nothing starts": (
        {"server.py": "from fastmcp import FastMCP\nmcp = FastMCP('x')\n", "sums.py": "import subprocess\nsubprocess.run('x')\n"},
        "fastmcp",
        ("fastmcp", "run", "server.py", "--transport", "http", "--host", "0.0.0.0", "--port", "8000"),
    ),
    "a server of the Model Context Protocol that its own function starts": (
        {"server.py": "from fastmcp import FastMCP\nmcp = FastMCP('x')\ndef main():\n    mcp.run()\nmain()\n"},
        "fastmcp",
        ("python", "server.py"),
    ),
    "a server of the Model Context Protocol that another file starts": (
        {"sums.py": "from fastmcp import FastMCP\nmcp = FastMCP('x')\n", "main.py": "from sums import mcp\nmcp.run()\n"},
        "fastmcp",
        ("python", "main.py"),
    ),
    "application in tests": ({"tests/app.py": FASTAPI, "main.py": "x = 1"}, "fastapi uvicorn", ("python", "main.py")),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_finds_the_command(tmp_path: Path, layout: str) -> None:
    assert_command(tmp_path, LAYOUTS[layout])


@pytest.mark.parametrize("text", ["DEBUG = True\nlogging.basicConfig()\n", "def load(): ...\nwarnings.filterwarnings('ignore')\n"])
def test_an_only_file_that_starts_nothing_of_its_own_is_no_program(tmp_path: Path, text: str) -> None:
    with pytest.raises(NoCommand):
        launched(tmp_path, {"settings.py": text})


def test_a_script_that_parses_arguments_is_a_program(tmp_path: Path) -> None:
    assert launched(tmp_path, {"main.py": "import argparse\n"}).is_program
    assert not launched(tmp_path, {"main.py": "import json\n"}).is_program


@pytest.mark.parametrize(
    ("text", "program"),
    [("import sys\nprint(sys.argv[1:])\n", True), ("from sys import argv\nprint(argv)\n", True), ("import sys\nsys.exit(0)\n", False)],
)
def test_a_script_that_reads_argv_is_a_program(tmp_path: Path, text: str, program: bool) -> None:
    assert launched(tmp_path, {"main.py": text}).is_program == program


def test_a_package_that_serves_is_no_command_line_program(tmp_path: Path) -> None:
    main = "import connexion\ndef main():\n    app = connexion.App('x')\n    app.run(port=8080)\n" + MAIN
    launch = launched(tmp_path, {"server/__init__.py": "", "server/__main__.py": main}, "connexion")
    assert (launch.command, launch.ports, launch.is_program) == (("python", "-m", "server"), ("8080/tcp",), False)


@pytest.mark.parametrize(
    ("script", "command"),
    [
        ("from litestar.cli.main import litestar_group\ndef main():\n    litestar_group()\n", "uvicorn"),
        ("from django.core.management import execute_from_command_line\ndef main():\n    execute_from_command_line([])\n", "uvicorn"),
        ("from demo.app import app\ndef main():\n    serve(app)\n", "demo"),
    ],
)
def test_the_command_line_of_a_framework_is_no_server(tmp_path: Path, script: str, command: str) -> None:
    files = {"demo/__init__.py": script, "demo/app.py": "from litestar import Litestar\napp = Litestar([])\n"}
    scripts = {"demo": "demo.__init__:main"}
    assert launched(tmp_path, files, "litestar", kind="package", scripts=scripts, packaged=frozenset({"demo"})).command[0] == command
