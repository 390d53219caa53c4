"""Servers of the Model Context Protocol, which listen on a port, or are spoken to over their standard input: the source says which."""

import ast
from collections.abc import Iterable, Iterator

from shipwheel.project.entrypoint.syntax import SourceFile, called_name, full_name, keyword_value

__all__ = ["SERVERS", "chooses_transport", "is_spoken_to", "server_calls"]

_CLASSES = frozenset(
    {"mcp.server.fastmcp.FastMCP", "mcp.server.FastMCP", "mcp.server.mcpserver.MCPServer", "mcp.server.MCPServer", "fastmcp.FastMCP"}
)
SERVERS = ("mcp.server", "fastmcp.FastMCP", "fastmcp.server")
"""Starts of the dotted names of what makes a server."""
_TRANSPORTS = frozenset({"http", "sse", "streamable-http"})
"""Transports that listen on a port."""
_PORT = 8000
"""The default port of these classes, on the loopback interface."""
_STARTS = frozenset({"run_sse_async", "run_http_async", "run_streamable_http_async"})


def is_spoken_to(source: SourceFile) -> bool:
    """Return whether a program speaks over its standard input unless an option or a variable chooses another transport."""
    if not any(origin.startswith(SERVERS) for origin in source.aliases.values()):
        return False
    for node in source.of(ast.Call):
        by_variable = node.args[1] if called_name(node) in ("get", "getenv") and len(node.args) == 2 else None
        by_option = keyword_value(node, "default") if called_name(node) in ("add_argument", "option") else None
        if any(isinstance(default, ast.Constant) and default.value == "stdio" for default in (by_variable, by_option)):
            return True
    return False


def chooses_transport(words: Iterable[str]) -> bool:
    """Return whether words of commands, or values of variables, choose a transport that listens on a port."""
    return any(word.rpartition("=")[2] in _TRANSPORTS for word in words)


def server_calls(source: SourceFile) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Yield (host, port) of servers that a file starts on a port where the call that starts them does not say it."""
    made = {
        target.id: node.value
        for node in source.of(ast.Assign)
        if isinstance(node.value, ast.Call) and full_name(node.value.func, source.aliases) in _CLASSES
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in source.of(ast.Call) if made else ():
        if not (isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name)):
            continue
        variable, method = node.func.value.id, node.func.attr
        transport = keyword_value(node, "transport") or (node.args[0] if node.args else None)
        listens = method in _STARTS or (
            method in ("run", "run_async") and isinstance(transport, ast.Constant) and transport.value in _TRANSPORTS
        )
        if variable in made and listens and keyword_value(node, "port") is None:
            host = keyword_value(node, "host") or _stated(source, made[variable], variable, "host") or ast.Constant("127.0.0.1")
            yield host, _stated(source, made[variable], variable, "port") or ast.Constant(_PORT)


def _stated(source: SourceFile, made: ast.Call, variable: str, name: str) -> ast.expr | None:
    """Return what `variable.settings.NAME` is set to, or the argument of the class."""
    for node in source.of(ast.Assign):
        if any(full_name(target, {}) == f"{variable}.settings.{name}" for target in node.targets):
            return node.value
    return keyword_value(made, name)
