"""The TCP ports and hosts that a source file starts servers on, found in its syntax tree."""

import ast
from collections.abc import Iterator, Mapping, Sequence

from shipwheel.project.entrypoint.applications import Application
from shipwheel.project.entrypoint.protocol_servers import server_calls
from shipwheel.project.entrypoint.syntax import SourceFile, called_name, full_name, keyword_value
from shipwheel.signs.companions import is_companion_port

__all__ = ["LOOPBACK", "find_bind", "find_ports", "listens_on_loopback", "names_address"]

_START_CALLS = frozenset(
    """
    run run_app listen serve launch start start_server create_server run_simple make_server start_http_server bind serve_forever
    run_forever Config TCPSite
    """.split()  # noqa: SIM905
)
"""Functions and methods that start a server."""
_PAIR_FIRST = frozenset({"HTTPServer", "ThreadingHTTPServer", "TCPServer", "ThreadingTCPServer", "bind", "listen", "WSGIServer"})
"""Those whose first argument is (host, port)."""
_HOST_FIRST = frozenset({"make_server", "run_simple"})
"""Those whose first arguments are host and port."""
_HANDLER_FIRST = frozenset({"serve", "start_server", "create_server", "TCPSite"})
"""Those that take a handler, a host and a port, as in asyncio and websockets."""
_PORT_FIRST = frozenset({"listen", "start_http_server", "listenTCP", "TCPServer"})
"""Those whose first argument is the port."""
_ADDRESS_FIRST = frozenset({"add_insecure_port", "add_secure_port"})
"""Those whose first argument is host:port, as in gRPC."""
_CHERRYPY_PORT = 8080
_DEFAULT_PORTS = {"uvicorn.run": 8000, "uvicorn.Config": 8000, "bottle.run": 8080}
"""Functions that listen on the loopback interface if they are given no host -> their port."""
_APPLICATION_PORTS = {"flask": 5000, "apiflask": 5000, "flask-openapi3": 5000, "quart": 5000, "bottle": 8080, "dash": 8050}
"""Frameworks whose applications have a method `run` like that."""
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_HOSTS = LOOPBACK | {"0.0.0.0", "::"}  # noqa: S104
_MAX_TEXT_DEPTH = 6
_MAX_NUMBER_DEPTH = 4

_Constants = Mapping[str, ast.expr]


def find_ports(source: SourceFile, applications: Sequence[Application] = ()) -> tuple[str, ...]:
    """Return the ports in source order: those of calls that start a server, then the defaults of command-line options called port.

    `applications` are those of the file.
    """
    constants = dict(_constants(source))
    calls = source.of(ast.Call)
    found = [port for call in calls for port in _ports(call, constants)]
    found += [number for _, port in server_calls(source) for number in _numbers(port, constants)]
    found = found or [port for call, port in _default_runs(source, applications) if keyword_value(call, "port") is None]
    if found or any(called_name(call) in _START_CALLS for call in calls):
        # An option with the port of a database is about that one.
        found += [port for call in calls for port in _option_ports(call, constants) if not is_companion_port(str(port))]
    if _uses_cherrypy(source):
        port = _cherrypy_setting(source, "server.socket_port")
        found += [*(_numbers(port, constants) if port is not None else ())] or [_CHERRYPY_PORT]
    return tuple(dict.fromkeys(str(port) for port in found if 0 < port < 1 << 16))


def listens_on_loopback(source: SourceFile, applications: Sequence[Application] = ()) -> bool:
    """Return whether a file starts a server on the loopback interface, which nothing outside a container reaches."""
    if any(keyword_value(call, "host") is None for call, _ in _default_runs(source, applications)):
        return True
    constants = dict(_constants(source))
    if _uses_cherrypy(source):
        # CherryPy's default is the loopback interface. Of an address that the program finds out, nothing is known.
        host = _cherrypy_setting(source, "server.socket_host")
        return host is None or _text(host, constants) in LOOPBACK
    hosts = (_host(call, host, constants) for call in source.of(ast.Call) for host in _hosts(call))
    return any(host in LOOPBACK for host in (*hosts, *(_text(host, constants) for host, _ in server_calls(source))))


def _default_runs(source: SourceFile, applications: Sequence[Application]) -> Iterator[tuple[ast.Call, int]]:
    """Yield (call, default port) of calls that start a server, whose default host is the loopback interface."""
    own = {f"{app.variable}.run": port for app in applications if (port := _APPLICATION_PORTS.get(app.framework.distribution))}
    ports = {**_DEFAULT_PORTS, **own}
    for call in source.of(ast.Call):
        name = full_name(call.func, source.aliases)
        if name not in ports:
            continue
        # An option of the program that gives the host mostly has one for the port beside it.
        chosen = not isinstance(keyword_value(call, "host") or ast.Constant(""), ast.Constant)
        elsewhere = chosen or keyword_value(call, "uds", "fd") is not None or any(keyword.arg is None for keyword in call.keywords)
        if not elsewhere and len(call.args) <= (name in _DEFAULT_PORTS):
            yield call, ports[name]


def names_address(source: SourceFile) -> bool:
    """Return whether a file starts a server on an address that it names, whatever that is."""
    return any(True for node in source.of(ast.Call) for _ in _hosts(node))


def find_bind(source: SourceFile) -> tuple[str, int]:
    """Return (the address that a file assigns to `bind` at its top level, as gunicorn's configuration does; the line), empty if unknown."""
    value = dict(_constants(source)).get("bind")
    if isinstance(value, (ast.List, ast.Tuple)) and value.elts:
        value = value.elts[0]
    return (_text(value, dict(_constants(source))), value.lineno) if value is not None else ("", 0)


def _host(call: ast.Call, host: ast.expr, constants: _Constants) -> str:
    text = _text(host, constants)
    return text.rpartition(":")[0].strip("[]") if called_name(call) in _ADDRESS_FIRST else text


def _uses_cherrypy(source: SourceFile) -> bool:
    modules = (node.value for node in source.of(ast.Attribute) if node.attr in ("quickstart", "engine"))
    return any(isinstance(module, ast.Name) and module.id == "cherrypy" for module in modules)


def _cherrypy_setting(source: SourceFile, name: str) -> ast.expr | None:
    """Return the value of a setting, from any dictionary or assignment in the file; None if there is none."""
    for node in source.of(ast.Assign, ast.Dict):
        if isinstance(node, ast.Assign) and any(full_name(target, {}) == f"cherrypy.{name}" for target in node.targets):
            return node.value
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == name:
                    return value
    return None


def _constants(source: SourceFile) -> Iterator[tuple[str, ast.expr]]:
    """Yield (name, value) of single assignments, the outermost last, so that they win in a dict."""
    for node in sorted(source.of(ast.Assign), key=lambda node: -node.col_offset):
        if len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, node.value


def _ports(call: ast.Call, constants: _Constants) -> Iterator[int]:
    name, first = called_name(call), call.args[0] if call.args else None
    if name == "define" and first is not None and _text(first, constants) == "port":
        yield from _keyword_numbers(call, constants, "default")
    if name in _START_CALLS:
        yield from _keyword_numbers(call, constants, "port", "server_port")
    if name in _PORT_FIRST and first is not None:
        yield from _numbers(first, constants)
    if name in _PAIR_FIRST and first is not None and isinstance(pair := _value(first, constants), ast.Tuple) and len(pair.elts) == 2:
        yield from _numbers(pair.elts[1], constants)
    if name in _ADDRESS_FIRST and first is not None:
        yield from _numbers(ast.Constant(_text(first, constants).rpartition(":")[2]), constants)
    if (name in _HOST_FIRST or _is_run_on_address(call, constants)) and len(call.args) > 1:
        yield from _numbers(call.args[1], constants)
    if name in _HANDLER_FIRST and len(call.args) > 2:
        yield from _numbers(call.args[2], constants)


def _is_run_on_address(call: ast.Call, constants: _Constants) -> bool:
    """Return whether a call gives a host and a port to a method `run`, as Flask's takes it: app.run("0.0.0.0", 80)."""
    is_run = isinstance(call.func, ast.Attribute) and call.func.attr == "run" and len(call.args) > 1
    return is_run and _text(call.args[0], constants) in _HOSTS


def _option_ports(call: ast.Call, constants: _Constants) -> Iterator[int]:
    """Yield the default of argparse's or click's option called port."""
    if called_name(call) in ("add_argument", "option") and any(_text(word, constants) == "--port" for word in call.args):
        yield from _keyword_numbers(call, constants, "default")


def _keyword_numbers(call: ast.Call, constants: _Constants, *names: str) -> Iterator[int]:
    for keyword in call.keywords:
        if keyword.arg in names:
            yield from _numbers(keyword.value, constants)


def _hosts(call: ast.Call) -> Iterator[ast.expr]:
    name = called_name(call)
    if name in _START_CALLS:
        yield from (keyword.value for keyword in call.keywords if keyword.arg in ("host", "address", "server_name"))
    if name in _PAIR_FIRST and call.args and isinstance(call.args[0], ast.Tuple) and call.args[0].elts:
        yield call.args[0].elts[0]
    if call.args and (name in _HOST_FIRST or name in _ADDRESS_FIRST or _is_run_on_address(call, {})):
        yield call.args[0]
    if name in _HANDLER_FIRST and len(call.args) > 2:
        yield call.args[1]
    if name == "listen" and len(call.args) > 1:
        # Tornado's listen(port, address).
        yield call.args[1]


def _value(node: ast.expr, constants: _Constants) -> ast.expr:
    return constants.get(node.id, node) if isinstance(node, ast.Name) else node


def _text(node: ast.expr, constants: _Constants, depth: int = _MAX_TEXT_DEPTH) -> str:
    """Return the text of a literal, or of an expression that joins literals and numbers; empty for any other."""
    node = _value(node, constants)
    if depth == 0:
        return ""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left, constants, depth - 1) + _text(node.right, constants, depth - 1)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part, constants, depth - 1) for part in node.values)
    if isinstance(node, ast.FormattedValue) and depth < _MAX_TEXT_DEPTH:
        return "".join(map(str, _numbers(node.value, constants))) or _text(node.value, constants, depth - 1)
    if isinstance(node, ast.Call) and called_name(node) == "str" and node.args:
        return "".join(map(str, _numbers(node.args[0], constants)))
    if isinstance(node, ast.Call) and called_name(node) in ("get", "getenv") and len(node.args) == 2:
        # The default of an environment variable.
        return _text(node.args[1], constants, depth - 1)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _numbers(node: ast.expr, constants: _Constants, depth: int = _MAX_NUMBER_DEPTH) -> Iterator[int]:
    """Yield the number of a literal, a constant of the module, `int(…)` or the default of an environment variable, if it is one."""
    node = _value(node, constants)
    if depth == 0:
        return
    if isinstance(node, ast.Constant):
        if isinstance(node.value, int) and not isinstance(node.value, bool):
            yield node.value
        elif isinstance(node.value, str) and node.value.isascii() and node.value.isdecimal() and len(node.value) < 6:
            yield int(node.value)
    elif isinstance(node, ast.Call):
        name = called_name(node)
        if name == "int" and node.args:
            yield from _numbers(node.args[0], constants, depth - 1)
        elif name in ("get", "getenv") and len(node.args) == 2:
            yield from _numbers(node.args[1], constants, depth - 1)
    elif isinstance(node, ast.BoolOp):
        yield from _numbers(node.values[-1], constants, depth - 1)
