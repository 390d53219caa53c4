"""Programs of the project that listen on the loopback interface by default."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from support.project_tree import launched, written

from shipwheel.project.entrypoint.find import Evidence, Launch, find_launch
from shipwheel.settings.settings import Settings

SERVES = "def serve(host, port):\n    web.run_app(app, host=host, port=port)\n"
SOURCES = {
    "click": """
import click
@click.command()
@click.option("--host", "-h", default="127.0.0.1")
@click.option("--port", default=5000)
def main(host, port): uvicorn.run(app, host=host, port=port)
""",
    "argparse": """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("-b", "--bind", default="localhost")
parser.add_argument("--port", type=int, default=5000)
def main():
    args = parser.parse_args()
    serve(make(), host=args.bind, port=args.port)
""",
    "typer": """
import typer
app = typer.Typer()
@app.command()
def main(host: str = typer.Option("127.0.0.1"), port: int = 5000): uvicorn.run(web, host=host, port=port)
""",
    "typer, annotated": """
from typing import Annotated
import typer
app = typer.Typer()
@app.command()
def main(address: Annotated[str, typer.Option("--listen-address")] = "127.0.0.1", port: int = 5000): uvicorn.run(web, host=address)
""",
    "tornado": """
from tornado.options import define, options
define("address", default="127.0.0.1")
define("port", default=5000)
def main(): application.listen(options.port, address=options.address)
""",
}
OPTIONS = {"click": "--host", "argparse": "--bind", "typer": "--host", "typer, annotated": "--listen-address", "tornado": "--address"}


def _package(root: Path, source: str, command: tuple[str, ...] = (), files: Mapping[str, str] | None = None) -> Launch:
    written(root, {"src/shop/__init__.py": "", "src/shop/cli.py": source, **(files or {})})
    settings = Settings(command=command)
    return find_launch(Evidence(root, "shop", "package", settings, {"shop": "shop.cli:main"}, packaged=frozenset({"shop"})))


@pytest.mark.parametrize("kind", SOURCES)
def test_the_option_that_opens_the_address_is_added(tmp_path: Path, kind: str) -> None:
    launch = _package(tmp_path, SOURCES[kind])
    assert launch.command == ("shop", f"{OPTIONS[kind]}=0.0.0.0")
    assert (launch.is_program, launch.ports) == (False, ("5000/tcp",))
    assert "src/shop/cli.py starts a server that listens on" in launch.notes[0]
    launch = launched(tmp_path / "script", {"main.py": SOURCES[kind]})
    assert (launch.command, launch.ports) == (("python", "main.py", f"{OPTIONS[kind]}=0.0.0.0"), ("5000/tcp",))


def test_the_default_port_of_a_database_is_that_of_a_client(tmp_path: Path) -> None:
    launch = _package(tmp_path, SOURCES["click"].replace("5000", "6379"))
    assert (launch.command, launch.is_program, launch.ports) == (("shop",), True, ())
    served = launched(tmp_path / "served", {"main.py": SOURCES["argparse"].replace("5000", "6379").replace("localhost", "cache")})
    assert served.ports == ()


def test_what_is_said_of_another_file_stays(tmp_path: Path) -> None:
    inside = "import ver\nfrom http.server import HTTPServer\nHTTPServer(('127.0.0.1', 5001), ver.Handler).serve_forever()\n"
    launch = launched(tmp_path, {"server.py": inside, "ver.py": SOURCES["argparse"]})
    assert launch.command == ("python", "server.py", "--bind=0.0.0.0")
    assert [note.partition(" ")[0] for note in launch.notes] == ["server.py", "ver.py"]


def test_only_the_subcommand_that_is_started_gets_it(tmp_path: Path) -> None:
    source = """
import click
@click.group()
def main(): pass
@main.command("serve")
@click.option("--host", default="127.0.0.1")
def serve_it(host): uvicorn.run(app, host=host)
"""
    assert _package(tmp_path, source).command == ("shop",)
    files = {"Dockerfile": 'FROM python\nCOPY . /app\nENTRYPOINT ["shop"]\nCMD ["serve", "--fast"]\n'}
    assert _package(tmp_path, source, files=files).command == ("shop", "serve", "--fast", "--host=0.0.0.0")
    files = {"Dockerfile": 'FROM python\nCOPY . /app\nENTRYPOINT ["shop"]\nCMD ["serve", "--host=::"]\n'}
    assert _package(tmp_path, source, files=files).notes == ()


def test_a_module_that_the_entry_imports_may_have_it(tmp_path: Path) -> None:
    files = {"src/shop/web.py": SOURCES["click"]}
    assert _package(tmp_path, "from shop.web import main\n", files=files).command == ("shop", "--host=0.0.0.0")


def test_a_client_keeps_its_default(tmp_path: Path) -> None:
    source = SOURCES["click"].replace("uvicorn.run(app, host=host, port=port)", "connect(host, port)")
    launch = _package(tmp_path, source)
    assert (launch.command, launch.notes) == (("shop",), ())


def test_what_is_not_clear_is_only_said(tmp_path: Path) -> None:
    source = """
import argparse
def add(parser):
    parser.add_argument("--host", default="127.0.0.1")
def main():
    commands = argparse.ArgumentParser().add_subparsers()
    add(commands.add_parser("serve"))
    run(host=args.host)
"""
    launch = _package(tmp_path, source)
    assert launch.command == ("shop",)
    assert launch.notes[0].endswith("set the command with --host 0.0.0.0.")
    launch = _package(tmp_path / "own", SOURCES["click"], ("shop", "--port", "1"))
    assert launch.command == ("shop", "--port", "1")
    assert launch.notes[0].endswith("set the command with --host 0.0.0.0.")
