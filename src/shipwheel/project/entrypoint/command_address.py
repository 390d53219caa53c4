"""The address that a command listens on: from its options, its environment, its server's configuration file, or its server's default.

To add a server, add a row to `_SERVERS`.
"""

import re
from collections.abc import Mapping, Sequence

import msgspec
from msgspec.structs import replace

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.deployment.stage import FIRST_PORT, parse_port
from shipwheel.project.entrypoint.evidence import Evidence
from shipwheel.project.entrypoint.listening import LOOPBACK
from shipwheel.project.entrypoint.module import Module
from shipwheel.project.entrypoint.servers import DEFAULT_PORT, EVERY_ADDRESS

__all__ = ["Listening", "find_address", "is_server", "lasts", "tool_of", "unprivileged", "without_flags"]

_INTERPRETER_FLAGS = lazy_pattern(r"-[uOBEsSIx]+m?")
_HOST_OPTIONS = ("--host", "--address", "--bind-address", "--ip", "--server.address", "--interface")
_PORT_OPTIONS = ("--port", "-p", "--server.port", "--http-port")
_EVERY = lazy_pattern(r"(?:^|[=,/])(?:0\.0\.0\.0|\[::\]|\*):(\d+)(?=$|[,/])")
"""An address that a program listens on, in a list or a URL: nobody calls this one."""
_BIND_OPTIONS = ("--bind", "-b", "--listen", "--http", "--http-socket")


class _Server(msgspec.Struct, frozen=True):
    """The options of a server that say where it listens."""

    port: str = ""
    """The default."""
    loopback: bool = False
    """True if the default address is the loopback interface."""
    host_options: tuple[str, ...] = ("--host",)
    port_options: tuple[str, ...] = ("--port",)
    bind_options: tuple[str, ...] = ()
    """Options whose value is host:port."""
    host_env: str = ""
    port_env: str = ""
    subcommand: bool = False
    """True if the options come after a subcommand."""


_SERVERS = {
    # With PORT in its environment, gunicorn listens on every address.
    "gunicorn": _Server("8000", True, (), (), ("--bind", "-b"), port_env="PORT"),
    "uvicorn": _Server("8000", True, host_env="UVICORN_HOST", port_env="UVICORN_PORT"),
    "hypercorn": _Server("8000", True, (), (), ("--bind", "-b")),
    "daphne": _Server("8000", True, ("--bind", "-b"), ("--port", "-p"), ("--endpoint", "-e")),
    "granian": _Server("8000", True, host_env="GRANIAN_HOST", port_env="GRANIAN_PORT"),
    "waitress-serve": _Server("8080", False, ("--host",), ("--port",), ("--listen",)),
    "sanic": _Server("8000", True, ("--host", "-H"), ("--port", "-p")),
    "uwsgi": _Server("", False, (), (), ("--http-socket", "--http", "--socket", "-s", "--https")),
    "fastapi": _Server("8000", False, subcommand=True),
    "litestar": _Server(
        "8000", True, ("--host", "-H"), ("--port", "-p"), host_env="LITESTAR_HOST", port_env="LITESTAR_PORT", subcommand=True
    ),
    "streamlit": _Server(
        "8501", False, ("--server.address",), ("--server.port",), (), "STREAMLIT_SERVER_ADDRESS", "STREAMLIT_SERVER_PORT", True
    ),
    "chainlit": _Server("8000", True, ("--host",), ("--port", "-p"), (), "CHAINLIT_HOST", "CHAINLIT_PORT", True),
    "panel": _Server("5006", False, ("--address",), ("--port",), subcommand=True),
    "bokeh": _Server("5006", False, ("--address",), ("--port",), subcommand=True),
    "shiny": _Server("8000", True, ("--host", "-h"), ("--port", "-p"), subcommand=True),
    "solara": _Server("8765", True, ("--host",), ("--port",), subcommand=True),
    "marimo": _Server("2718", True, ("--host",), ("--port", "-p"), subcommand=True),
    "bentoml": _Server("3000", False, ("--host",), ("--port", "-p"), (), "", "BENTOML_PORT", True),
    "voila": _Server("8866", True, ("--Voila.ip",), ("--port", "--Voila.port")),
    "mlflow": _Server("5000", True, ("--host", "-h"), ("--port", "-p"), subcommand=True),
    "flower": _Server("5555", False, ("--address",), ("--port",)),
    "datasette": _Server("8001", True, ("--host", "-h"), ("--port", "-p")),
    "aiohttp.web": _Server("8080", True, ("--hostname", "-H"), ("--port", "-P")),
}
"""Program, or module that Python runs -> its options."""
_EVERY_PORT_OPTION = frozenset(
    (*_PORT_OPTIONS, *_BIND_OPTIONS, *(option for server in _SERVERS.values() for option in (*server.port_options, *server.bind_options)))
)
_WORKERS = frozenset({"celery", "rq", "rqworker", "dramatiq", "arq", "huey_consumer", "faust", "faststream", "taskiq", "twistd", "pserve"})
"""Programs that run for as long as the container does, and listen on no port of their own."""
_WITH_SUBCOMMAND = frozenset({"celery", "rq", "faust", "faststream", "taskiq", *(name for name, it in _SERVERS.items() if it.subcommand)})
_LASTING = frozenset("run dev serve server start ui edit worker worker-pool beat events flower scheduler".split())  # noqa: SIM905
"""Subcommands that do not end: `celery purge` and `litestar database upgrade` do."""
_ENDING = frozenset({"--check-config", "--print-config", "--version", "--help"})


class Listening(msgspec.Struct, frozen=True):
    """The ports that a command listens on, and the command that does so on every address."""

    words: tuple[str, ...]
    """The command; other than the given one if an option had to be added or changed."""
    ports: tuple[str, ...] = ()
    """TCP ports."""
    loopback: str = ""
    """The address that nothing outside the container reaches, if the command listened there as it was given; empty if not."""
    opened: bool = False
    """True if `words` listen on every address instead."""


def without_flags(words: Sequence[str]) -> tuple[str, ...]:
    """Return Python's command without options for the interpreter itself: `python -um x` is `python -m x`."""
    rest = list(words[1:])
    while rest and rest[0] != "-m" and _INTERPRETER_FLAGS.fullmatch(rest[0]):
        rest = ["-m", *rest[1:]] if rest[0].endswith("m") else rest[1:]
    return (*words[:1], *rest) if words[:1] == ("python",) else tuple(words)


def tool_of(words: Sequence[str]) -> str:
    """Return the program of a command, or the module that Python runs as one."""
    words = without_flags(words)
    return words[2] if tuple(words[:2]) == ("python", "-m") and len(words) > 2 else next(iter(words), "")


def is_server(words: Sequence[str]) -> bool:
    """Return whether a command runs a production server or a worker, which no other way to start the app replaces."""
    return tool_of(words) in _SERVERS or tool_of(words) in _WORKERS


def lasts(words: Sequence[str]) -> bool:
    """Return whether a command runs a production server or a worker that stays, and none of what these programs do once."""
    if tool_of(words) in _WITH_SUBCOMMAND:
        return not _LASTING.isdisjoint(words[1:])
    return is_server(words) and _ENDING.isdisjoint(words)


def find_address(
    words: tuple[str, ...], env: Mapping[str, str], evidence: Evidence, modules: Sequence[Module], directory: str, declared: str = ""
) -> Listening:
    """Return where a command listens, with the command that listens on every address.

    Args:
        words: The command.
        env: Its environment.
        evidence: The project.
        modules: Its modules, among them gunicorn's configuration.
        directory: The command's working directory in the project.
        declared: The port that somebody declared for it, taken if the address has to be given to it anyway.
    """
    server = _SERVERS.get(tool_of(words))
    if server is None:
        return _by_options(words)
    found = _Options(words, server)
    if not found.given and (configured := _configured(words, evidence, modules, directory)):
        if configured.startswith(("unix:", "/")):
            # Another server in front of it opens the socket elsewhere. An option counts more than the file.
            port = declared or server.port or DEFAULT_PORT
            return Listening(_with_host(words, server, port), (port,), configured, opened=True)
        return _from_config(words, server, configured)
    port = found.port or parse_port(env.get(server.port_env, "")) or server.port
    ports = (port,) if port else ()
    if found.socket:
        return found.without_socket(declared or server.port)
    if found.host is not None:
        return found.opened(ports) if found.host in LOOPBACK else Listening(words, ports)
    by_env = env.get(server.host_env, "") or (EVERY_ADDRESS if server.port_env == "PORT" and env.get("PORT") else "")
    if by_env not in ("", *LOOPBACK) or not server.loopback:
        return Listening(words, ports)
    if not found.port and declared:
        return Listening(_with_host(words, server, declared, port_too=True), (declared,), "127.0.0.1", opened=True)
    return Listening(_with_host(words, server, port), ports, "127.0.0.1", opened=True)


def unprivileged(found: Listening) -> Listening:
    """Return a command that listens on ports which only root may open with others in their place: 8080 for 80."""
    words, ports = found.words, found.ports
    for port in ports:
        new = str(8000 + int(port)) if port != "443" else "8443"
        if int(port) < FIRST_PORT:
            moved = tuple(_moved(word, before, port, new) for before, word in zip(("", *words), words, strict=False))
            ports = tuple(new if each == port and moved != words else each for each in ports)
            words = moved
    return replace(found, words=words, ports=tuple(dict.fromkeys(ports)))


def _moved(word: str, before: str, port: str, new: str) -> str:
    """Return a word with another port, if it is the value of an option for one, alone or after an address."""
    option, equals, value = word.partition("=") if word.startswith("--") else _short(word)
    if not equals:
        option, value = before, word
    given = option in _EVERY_PORT_OPTION and re.fullmatch(rf"(.*:)?{port}", value) is not None
    return word.removesuffix(port) + new if given else word


class _Options:
    """The options of a command that say where it listens: `host` is None without one."""

    def __init__(self, words: tuple[str, ...], server: _Server) -> None:
        self._words, self._server = words, server
        self.port = ""
        self.host: str | None = None
        self.socket = ""
        """The Unix socket that the command listens on instead."""
        self._host_at: tuple[int, str] | None = None
        for number, word in enumerate(words[1:], 1):
            option, equals, value = word.partition("=") if word.startswith("--") else _short(word)
            value = value if equals else words[number + 1] if number + 1 < len(words) else ""
            self._read(option, value, number if equals else number + 1)

    @property
    def given(self) -> bool:
        """True if there is such an option."""
        return bool(self.port) or bool(self.socket) or self.host is not None

    def _read(self, option: str, value: str, position: int) -> None:
        server = self._server
        if option in server.bind_options and value.startswith("unix:"):
            self.socket, self._host_at = value, (position, value)
        elif option in server.bind_options:
            host, port = _split_address(value)
            if port or host:
                self.port, self.host, self._host_at = self.port or port, host, (position, value)
        elif option in server.host_options:
            self.host, self._host_at = value, (position, value)
        elif option in server.port_options and (port := parse_port(value)):
            self.port = self.port or port

    def without_socket(self, port: str) -> Listening:
        """Return the command with a port in the place of a Unix socket, which another server in front of it would open."""
        assert self._host_at is not None  # noqa: S101 - the caller found a socket
        position, value = self._host_at
        words = list(self._words)
        words[position] = words[position].replace(value, f"{EVERY_ADDRESS}:{port}")
        return Listening(tuple(words), (port,), value, opened=True)

    def opened(self, ports: tuple[str, ...]) -> Listening:
        """Return the command with the loopback address replaced."""
        assert self._host_at is not None  # noqa: S101 - the caller found a host
        position, value = self._host_at
        host = self.host or ""
        new = value.replace(f"[{host}]" if f"[{host}]" in value else host, EVERY_ADDRESS, 1)
        words = list(self._words)
        words[position] = words[position].replace(value, new)
        return Listening(tuple(words), ports, host, opened=True)


def _by_options(words: tuple[str, ...]) -> Listening:
    """Return where a program listens of which nothing is known: options have their usual names, or name every address with a port."""
    server = _Server("", False, _HOST_OPTIONS, _PORT_OPTIONS, _BIND_OPTIONS)
    found = _Options(words, server)
    open_ports = dict.fromkeys(port for word in words[1:] for match in _EVERY.finditer(word) if (port := parse_port(match[1])))
    ports = (found.port,) if found.port else tuple(open_ports)
    return found.opened(ports) if found.port and found.host in LOOPBACK else Listening(words, ports)


def _short(word: str) -> tuple[str, str, str]:
    """Split `-b:5000` and `-b=:5000`."""
    if re.fullmatch(r"-[a-zA-Z].+", word):
        return word[:2], "=", word[2:].removeprefix("=")
    return word, "", ""


def _split_address(value: str) -> tuple[str, str]:
    """Return (host, port) of an address such as 0.0.0.0:80, :80, [::]:80, 80 or tcp:port=80:interface=0.0.0.0."""
    if value.startswith("tcp:"):
        fields = dict(part.partition("=")[::2] for part in value.split(":")[1:])
        return fields.get("interface", EVERY_ADDRESS), parse_port(fields.get("port", ""))
    value = value.split(",")[0].removeprefix("http://").removeprefix("tcp://")
    host, colon, port = value.rpartition(":")
    if not colon:
        return ("", parse_port(value)) if parse_port(value) else (value if value in LOOPBACK or value == EVERY_ADDRESS else "", "")
    return host.strip("[]") or EVERY_ADDRESS, parse_port(port)


def _with_host(words: tuple[str, ...], server: _Server, port: str, *, port_too: bool = False) -> tuple[str, ...]:
    """Return a command with the option that makes it listen on every address, and on a port that is not its default."""
    cut = 3 if words[:2] == ("python", "-m") else 1
    if server.subcommand and len(words) > cut and not words[cut].startswith("-"):
        cut += 1
    option: tuple[str, ...] = (
        (server.host_options[0], EVERY_ADDRESS) if server.host_options else (server.bind_options[0], f"{EVERY_ADDRESS}:{port}")
    )
    if port_too and server.host_options and server.port_options:
        option = (*option, server.port_options[0], port)
    return (*words[:cut], *option, *words[cut:])


def _from_config(words: tuple[str, ...], server: _Server, address: str) -> Listening:
    host, port = _split_address(address)
    ports = (port,) if port else ()
    if host not in LOOPBACK or not server.bind_options[0].startswith("--bind"):
        return Listening(words, ports, host if host in LOOPBACK else "")
    return Listening(_with_host(words, server, port), ports, host, opened=True)


def _configured(words: tuple[str, ...], evidence: Evidence, modules: Sequence[Module], directory: str) -> str:
    """Return the address in a server's configuration file; empty if there is none."""
    tool = tool_of(words)
    prefix = f"{directory}/" if directory not in ("", ".") else ""
    if tool == "gunicorn":
        name = _config_file(words, ("-c", "--config")) or "gunicorn.conf.py"
        if name.startswith("python:"):
            return next((module.bind for module in modules if module.name == name.removeprefix("python:")), "")
        return next((module.bind for module in modules if module.file == prefix + name.removeprefix("file:").removeprefix("./")), "")
    if tool == "uwsgi":
        name = _config_file(words, ("--ini",)) or next((word for word in words[1:] if word.endswith(".ini")), "")
        return _uwsgi_address(evidence.read_text(prefix + name.removeprefix("./"))) if name else ""
    return ""


def _config_file(words: tuple[str, ...], options: tuple[str, ...]) -> str:
    for number, word in enumerate(words):
        option, equals, value = word.partition("=")
        if option in options:
            return value if equals else words[number + 1] if number + 1 < len(words) else ""
    return ""


def _uwsgi_address(text: str) -> str:
    import configparser

    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    try:
        parser.read_string(text)
    except configparser.Error:
        return ""
    section = parser["uwsgi"] if parser.has_section("uwsgi") else {}
    for name in ("http-socket", "http", "https", "socket"):
        if value := section.get(name):
            number = re.search(r"(?P<host>[\w.\[\]:]*?):?\$\(PORT\)$", value)
            return f"{number['host']}:0" if number else value
    return ""
