"""The TCP ports that a source file says it listens on, by syntax tree."""

import ast
from collections.abc import Iterator, Mapping

from shipwheel.project.entrypoint.syntax import nodes

__all__ = ["listens_on", "only_local"]

_STARTS = frozenset(
    """
    run run_app listen serve launch start start_server create_server run_simple make_server start_http_server bind serve_forever
    run_forever Config
    """.split()  # noqa: SIM905
)
"""Functions and methods that servers are started with."""
_PAIRED = frozenset({"HTTPServer", "ThreadingHTTPServer", "TCPServer", "ThreadingTCPServer", "bind", "WSGIServer"})
"""What takes (host, port) as its first argument."""
_FIRST = frozenset({"listen", "start_http_server", "listenTCP", "TCPServer"})
"""What takes the port as its first argument."""
_ADDRESSED = frozenset({"add_insecure_port", "add_secure_port"})
"""What takes host:port as its first argument: gRPC's."""
_CHERRYPY_PORT = 8080
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


def listens_on(tree: ast.Module) -> tuple[str, ...]:
    """The ports, in the order of the source: of calls that start a server, and the defaults of options called port."""
    known = dict(_constants(tree))
    found = [port for node in nodes(tree) if isinstance(node, ast.Call) for port in _ports(node, known)]
    if _cherrypy(tree):
        found += [*_number(_cherrypy_says(tree, "server.socket_port"), known)] or [_CHERRYPY_PORT]
    return tuple(dict.fromkeys(str(port) for port in found if 0 < port < 1 << 16))


def only_local(tree: ast.Module) -> bool:
    """Whether a server is started on the loopback interface, where nobody outside a container reaches it."""
    known = dict(_constants(tree))
    calls = [node for node in nodes(tree) if isinstance(node, ast.Call)]
    if _cherrypy(tree):
        # Its own default is the loopback interface.
        return _text(_cherrypy_says(tree, "server.socket_host"), known) in ("", *_LOCAL)
    return any(_host(node, host, known) in _LOCAL for node in calls for host in _hosts(node))


def _host(node: ast.Call, host: ast.expr, known: Mapping[str, ast.expr]) -> str:
    text = _text(host, known)
    return text.rpartition(":")[0].strip("[]") if _name(node) in _ADDRESSED else text


def _cherrypy(tree: ast.Module) -> bool:
    quick = (node.value for node in nodes(tree) if isinstance(node, ast.Attribute) and node.attr == "quickstart")
    return any(isinstance(module, ast.Name) and module.id == "cherrypy" for module in quick)


def _cherrypy_says(tree: ast.Module, name: str) -> ast.expr:
    """The value of a setting, wherever the file says it."""
    for node in nodes(tree):
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == name:
                    return value
    return ast.Constant("")


def _constants(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    for node in sorted((node for node in nodes(tree) if isinstance(node, ast.Assign)), key=lambda node: -node.col_offset):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, node.value


def _name(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id if isinstance(node.func, ast.Name) else ""


def _ports(node: ast.Call, known: Mapping[str, ast.expr]) -> Iterator[int]:
    name = _name(node)
    if name == "define" and node.args and _text(node.args[0], known) == "port":
        yield from (port for keyword in node.keywords if keyword.arg == "default" for port in _number(keyword.value, known))
    if name in _STARTS:
        yield from (port for keyword in node.keywords if keyword.arg in ("port", "server_port") for port in _number(keyword.value, known))
    if name in _FIRST and node.args:
        yield from _number(node.args[0], known)
    if name in _PAIRED and node.args and isinstance(pair := _resolved(node.args[0], known), ast.Tuple) and len(pair.elts) == 2:
        yield from _number(pair.elts[1], known)
    if name in _ADDRESSED and node.args:
        yield from _number(ast.Constant(_text(node.args[0], known).rpartition(":")[2]), known)
    if name == "make_server" and len(node.args) > 1:
        yield from _number(node.args[1], known)


def _hosts(node: ast.Call) -> Iterator[ast.expr]:
    name = _name(node)
    if name in _STARTS:
        yield from (keyword.value for keyword in node.keywords if keyword.arg in ("host", "address", "server_name"))
    if name in _PAIRED and node.args and isinstance(node.args[0], ast.Tuple) and node.args[0].elts:
        yield node.args[0].elts[0]
    if name in ("make_server", *_ADDRESSED) and node.args:
        yield node.args[0]


def _resolved(node: ast.expr, known: Mapping[str, ast.expr]) -> ast.expr:
    return known.get(node.id, node) if isinstance(node, ast.Name) else node


def _text(node: ast.expr, known: Mapping[str, ast.expr], depth: int = 6) -> str:
    """A literal, also one that is put together of literals, and of numbers."""
    node = _resolved(node, known)
    if depth == 0:
        return ""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left, known, depth - 1) + _text(node.right, known, depth - 1)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part, known, depth - 1) for part in node.values)
    if isinstance(node, ast.FormattedValue) and depth < 6:
        return "".join(map(str, _number(node.value, known))) or _text(node.value, known, depth - 1)
    if isinstance(node, ast.Call) and _name(node) == "str" and node.args:
        return "".join(map(str, _number(node.args[0], known)))
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _number(node: ast.expr, known: Mapping[str, ast.expr], depth: int = 4) -> Iterator[int]:
    """A literal, a module's constant, int(…), or the default of an environment variable."""
    node = _resolved(node, known)
    if depth == 0:
        return
    if isinstance(node, ast.Constant):
        if isinstance(node.value, int) and not isinstance(node.value, bool):
            yield node.value
        elif isinstance(node.value, str) and node.value.isascii() and node.value.isdecimal() and len(node.value) < 6:
            yield int(node.value)
    elif isinstance(node, ast.Call):
        name = _name(node)
        if name == "int" and node.args:
            yield from _number(node.args[0], known, depth - 1)
        elif name in ("get", "getenv") and len(node.args) == 2:
            yield from _number(node.args[1], known, depth - 1)
    elif isinstance(node, ast.BoolOp):
        yield from _number(node.values[-1], known, depth - 1)
