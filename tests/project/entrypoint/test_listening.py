"""Ports and hosts that a source file starts servers on."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.project_tree import launched

from shipwheel.project.entrypoint.listen_options import find_listen_options
from shipwheel.project.entrypoint.listening import find_ports, listens_on_loopback
from shipwheel.project.entrypoint.syntax import ModulePath, parse_source

AIOHTTP = "from aiohttp import web\nasync def make():\n    return web.Application()\nif __name__ == '__main__':\n    web.run_app(make()"
TORNADO = "import tornado.web\nfrom tornado.options import define, options\ndefine('port', default=8888, type=int)\n"
SERVERS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "aiohttp, made by a coroutine": (f"{AIOHTTP})\n", "aiohttp", ("8080/tcp",)),
    "aiohttp on its own port": (f"{AIOHTTP}, port=int(os.environ.get('PORT', '9000')))\n", "aiohttp", ("9000/tcp",)),
    "tornado with an option": (f"{TORNADO}app.listen(options.port)\n", "tornado", ("8888/tcp",)),
    "tornado": ("import tornado\nPORT = 8889\ntornado.web.Application([]).listen(PORT)\n", "tornado", ("8889/tcp",)),
    "the standard library's": ("from http.server import HTTPServer, X\nHTTPServer(('', 8001), X).serve_forever()\n", "", ("8001/tcp",)),
    "a socket": ("import socket\ns = socket.socket()\ns.bind(('0.0.0.0', 7000))\n", "", ("7000/tcp",)),
    "gradio on its own port": ("import gradio as gr\nb = gr.Blocks()\nb.launch(server_port=7999)\n", "gradio", ("7999/tcp",)),
    "nicegui on its own port": ("from nicegui import ui\nui.run(port=8081)\n", "nicegui", ("8081/tcp",)),
    "grpc": (
        "import grpc\ndef serve():\n    port = '50051'\n    s = grpc.server(1)\n    s.add_insecure_port('[::]:' + port)\n",
        "grpcio",
        ("50051/tcp",),
    ),
    "grpc, formatted": ("import grpc\nP = 7001\ns = grpc.server(1)\ns.add_insecure_port(f'0.0.0.0:{P}')\n", "grpcio", ("7001/tcp",)),
    "cherrypy": ("import cherrypy\ncherrypy.quickstart(1)\n", "cherrypy", ("8080/tcp",)),
    "cherrypy's own port": (
        "import cherrypy\ncherrypy.config.update({'server.socket_port': 9090, 'server.socket_host': '0.0.0.0'})\ncherrypy.quickstart(1)\n",
        "cherrypy",
        ("9090/tcp",),
    ),
    "cherrypy without quickstart": (
        "import cherrypy\ncherrypy.server.socket_port = 9091\ncherrypy.engine.start()\n",
        "cherrypy",
        ("9091/tcp",),
    ),
    "websockets": ("import websockets\nwebsockets.serve(handle, '', 8765)\n", "websockets", ("8765/tcp",)),
    "asyncio's streams": ("import asyncio\nasyncio.start_server(handle, '0.0.0.0', 8888)\n", "", ("8888/tcp",)),
    "aiohttp's site": ("from aiohttp import web\nweb.TCPSite(runner, '0.0.0.0', 8082)\n", "aiohttp", ("8082/tcp",)),
    "eventlet": ("import eventlet\neventlet.wsgi.server(eventlet.listen(('', 5001)), app)\n", "eventlet", ("5001/tcp",)),
    "uvicorn on its default port": ("import uvicorn\nfrom x import app\nuvicorn.run(app, host='0.0.0.0')\n", "uvicorn", ("8000/tcp",)),
    "a client": ("import redis\nredis.Redis(host='db', port=6379)\n", "redis", ()),
}


@pytest.mark.parametrize("server", SERVERS)
def test_exposes_the_port_of_a_script(tmp_path: Path, server: str) -> None:
    text, dependencies, ports = SERVERS[server]
    launch = launched(tmp_path, {"main.py": text}, dependencies)
    assert (launch.command, launch.ports, launch.is_program) == (("python", "main.py"), ports, False)


MCP = "from mcp.server.fastmcp import FastMCP\nserver = FastMCP('x'{})\nif __name__ == '__main__':\n    {}\n"


@pytest.mark.parametrize(
    ("made", "started", "ports", "local"),
    [
        ("", "server.run()", (), False),
        ("", "server.run(transport='stdio')", (), False),
        ("", "server.run(transport='sse')", ("8000",), True),
        ("", "server.run('streamable-http', host='0.0.0.0', port=9001)", ("9001",), False),
        (", host='0.0.0.0', port=9001", "server.run(transport='streamable-http')", ("9001",), False),
        ("", "server.settings.port = 9003\n    server.settings.host = '0.0.0.0'\n    server.run(transport='sse')", ("9003",), False),
    ],
)
def test_a_protocol_server_listens_only_by_its_transport(made: str, started: str, ports: tuple[str, ...], *, local: bool) -> None:
    source = parse_source(ModulePath("server.py", "server"), MCP.format(made, started).encode())
    assert (find_ports(source), listens_on_loopback(source), find_listen_options(source)) == (ports, local, ())


OPTIONS = "p.add_argument('--transport', default='stdio')\n    p.add_argument('--host', default='127.0.0.1')\n"
BY_OPTION = f"{OPTIONS}    server.run(transport=t, host=h, port=9002)"
BY_VARIABLE = "t = os.getenv('TRANSPORT', 'stdio')\n    server.run(transport=t, host='127.0.0.1', port=9002)"


@pytest.mark.parametrize(
    ("started", "lines", "ports", "is_opened"),
    [
        (BY_OPTION, "CMD python server.py", (), False),
        (BY_OPTION, "CMD python server.py --transport=sse", ("9002/tcp",), True),
        (BY_OPTION, 'CMD ["python", "server.py", "--transport", "http"]', ("9002/tcp",), True),
        (BY_VARIABLE, "CMD python server.py", (), False),
        (BY_VARIABLE, "ENV TRANSPORT=streamable-http\nCMD python server.py", ("9002/tcp",), False),
    ],
)
def test_a_protocol_server_listens_where_its_deployment_chooses_a_transport(
    tmp_path: Path, started: str, lines: str, ports: tuple[str, ...], *, is_opened: bool
) -> None:
    files = {"server.py": MCP.format("", started), "Dockerfile": f"FROM python\nWORKDIR /app\nCOPY . .\n{lines}\n"}
    launch = launched(tmp_path, files, "mcp")
    assert (launch.ports, "--host=0.0.0.0" in launch.command) == (ports, is_opened)


def test_a_protocol_server_is_no_application_for_another_server(tmp_path: Path) -> None:
    text = MCP.format("", "server.run(transport='streamable-http')").replace(
        "fastmcp import FastMCP", "mcpserver import MCPServer as FastMCP"
    )
    launch = launched(tmp_path, {"server.py": text}, "mcp")
    assert (launch.ports, launch.application) == (("8000/tcp",), ())


def test_a_client_of_a_protocol_server_listens_where_it_says() -> None:
    text = (
        "import uvicorn\nfrom mcp import ClientSession\nkind = config.get('type', 'stdio')\nuvicorn.run(app, host='0.0.0.0', port=9001)\n"
    )
    assert find_ports(parse_source(ModulePath("app.py", "app"), text.encode())) == ("9001",)


@pytest.mark.parametrize(
    ("host", "local"), [("'127.0.0.1'", True), ("'localhost'", True), ("'0.0.0.0'", False), ("HOST", True), ("other()", False)]
)
def test_warns_about_a_server_on_loopback(tmp_path: Path, host: str, local: bool) -> None:
    launch = launched(tmp_path, {"main.py": f"from wsgiref.simple_server import make_server\nHOST = '::1'\nmake_server({host}, 8000, 1)\n"})
    assert launch.ports == ("8000/tcp",)
    assert [note for note in launch.notes if "127.0.0.1 only" in note] == list(launch.notes)
    assert bool(launch.notes) == local


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("import cherrypy\ncherrypy.quickstart(1)\n", True),
        ("import cherrypy\ncherrypy.quickstart(1, '/', {'global': {'server.socket_host': '0.0.0.0'}})\n", False),
        ("import cherrypy\nHOST = own_address()\ncherrypy.quickstart(1, '/', {'global': {'server.socket_host': HOST}})\n", False),
        ("import grpc\ns = grpc.server(1)\ns.add_insecure_port('localhost:50051')\n", True),
        ("import grpc\ns = grpc.server(1)\ns.add_insecure_port('[::]:50051')\n", False),
    ],
)
def test_finds_loopback_hosts_of_cherrypy_and_grpc(tmp_path: Path, text: str, local: bool) -> None:
    assert bool(launched(tmp_path, {"main.py": text}).notes) == local


@pytest.mark.parametrize(
    ("text", "local", "ports"),
    [
        ("import uvicorn\nfrom fastapi import FastAPI\napp = FastAPI()\nuvicorn.run(app)\n", True, ("8000/tcp",)),
        ("import uvicorn\nfrom fastapi import FastAPI\napp = FastAPI()\nuvicorn.run(app, port=80)\n", True, ("80/tcp",)),
        ("import uvicorn\nfrom fastapi import FastAPI\napp = FastAPI()\nuvicorn.run(app, uds='/tmp/x')\n", False, ()),
        ("import uvicorn\nfrom fastapi import FastAPI\napp = FastAPI()\nuvicorn.run(app, **options)\n", False, ()),
        ("from quart import Quart\napp = Quart('x')\napp.run()\n", True, ("5000/tcp",)),
        ("from quart import Quart\napp = Quart('x')\napp.run('0.0.0.0')\n", False, ()),
        ("import cherrypy\ncherrypy.server.socket_host = '0.0.0.0'\ncherrypy.engine.start()\n", False, ("8080/tcp",)),
        ("import websockets\nwebsockets.serve(handle, 'localhost', 8765)\n", True, ("8765/tcp",)),
        ("import tornado.web\ntornado.web.Application([]).listen(8888, 'localhost')\n", True, ("8888/tcp",)),
        ("import subprocess\nsubprocess.run('localhost')\n", False, ()),
    ],
)
def test_warns_about_a_default_address_on_loopback(tmp_path: Path, text: str, local: bool, ports: tuple[str, ...]) -> None:
    launch = launched(tmp_path, {"main.py": text})
    assert ("127.0.0.1 only" in "".join(launch.notes), launch.ports) == (local, ports)


NUMBERS = st.one_of(st.integers(-10, 1 << 40).map(str), st.integers(0, 99999).map(lambda number: repr(str(number))), st.just("True"))
WRAPS = st.sampled_from(["{}", "int({})", "os.environ.get('P', {})", "int(getenv('P') or {})", "f({})", "(1, {})", "-{}"])
CALLS = st.sampled_from(
    ["app.run(port={})", "app.listen({})", "listen()", "HTTPServer(('', {}), H)", "bind({})", "define('port', default={})"]
)


@given(st.lists(st.tuples(CALLS, WRAPS, NUMBERS), max_size=4))
def test_every_port_is_a_port_number(calls: list[tuple[str, str, str]]) -> None:
    text = "\n".join(call.format(wrap.format(number)) for call, wrap, number in calls)
    source = parse_source(ModulePath("main.py", "main"), text.encode())
    assert all(port.isdecimal() and 0 < int(port) < 65536 for port in find_ports(source))
    assert not listens_on_loopback(source)


def test_the_default_of_an_option_is_the_port_of_a_server_that_names_none(tmp_path: Path) -> None:
    option = "import argparse\nparser = argparse.ArgumentParser()\nparser.add_argument('--port', type=int, default=7000)\n"
    serving = "from aiohttp import web\nweb.run_app(web.Application(), port=parser.parse_args().port)\n"
    assert launched(tmp_path, {"main.py": option + serving}, "aiohttp").ports == ("7000/tcp",)
    assert launched(tmp_path, {"main.py": option}, "aiohttp").ports == ()
