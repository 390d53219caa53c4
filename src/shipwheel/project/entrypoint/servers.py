"""The production server for an application: one that the project depends on, or else one that shipwheel adds.

To add a server, add a function that returns it, and a line in `choose_server` or `_wsgi_server` at its rank.
"""

import msgspec
from msgspec.structs import replace

from shipwheel.project.entrypoint.applications import Application
from shipwheel.project.entrypoint.evidence import Evidence
from shipwheel.project.entrypoint.frameworks import FrameworkKind

__all__ = ["DEFAULT_PORT", "EVERY_ADDRESS", "GUNICORN_SETTINGS", "PROGRAM_PACKAGES", "Server", "choose_server"]

EVERY_ADDRESS = "0.0.0.0"  # noqa: S104
"""A container's port is reached from outside, so servers listen on all of its addresses."""
DEFAULT_PORT = "8000"
"""The port that a server listens on if nothing names one."""


PROGRAM_PACKAGES = {
    "gunicorn": "gunicorn",
    "uvicorn": "uvicorn",
    "hypercorn": "hypercorn",
    "daphne": "daphne",
    "granian": "granian",
    "waitress-serve": "waitress",
}
"""Program -> its Python package. Deployments often install a server beside the project's requirements."""


_THREADS = "8"
"""Requests that a process of a WSGI server handles at a time."""

GUNICORN_SETTINGS = "gunicorn.conf.py"
"""The file that gunicorn reads by itself. Options of the command would override it."""

_SCHEDULERS = ("apscheduler", "django-apscheduler", "flask-apscheduler", "rocketry", "schedule")
"""Python packages that run jobs inside the server: with two processes, each job would run twice."""


class Server(msgspec.Struct, frozen=True):
    """A server program and its arguments, in which `{target}` stands for module:variable."""

    program: str
    port: str
    arguments: tuple[str, ...]
    factory_arguments: tuple[str, ...] = ()
    """Inserted before the target if that is a factory. A server without any takes a factory written as a call."""
    requirements: tuple[str, ...] = ()
    """The server's Python package if the project does not depend on it."""
    workers_variable: str = ""
    """The environment variable from which it takes its number of processes, if that should follow the container's CPUs."""

    def command(self, app: Application) -> tuple[str, ...]:
        """Return the command that serves an application."""
        call = "()" if app.is_factory and not self.factory_arguments else ""
        words = [self.program]
        for argument in self.arguments:
            if app.is_factory and argument == "{target}":
                words += self.factory_arguments
            words.append(argument.replace("{target}", f"{app.module.name}:{app.variable}{call}"))
        return tuple(words)


def choose_server(kind: FrameworkKind, distribution: str, evidence: Evidence) -> Server:
    """Return the server for an application of this kind: one among the dependencies, or else one that must be added.

    `distribution` is the framework's Python package, whose own dependencies may include a server.
    """
    dependencies, port = evidence.dependencies, evidence.port or DEFAULT_PORT
    match kind:
        case FrameworkKind.SANIC:
            return Server("sanic", port, (*_host_and_port(port), "{target}"), ("--factory",))
        case FrameworkKind.AIOHTTP:
            return _required(_gunicorn(port, "aiohttp.GunicornWebWorker"), "gunicorn", dependencies)
        case FrameworkKind.WEBPY:
            return _required(_waitress(port, "--call", "{target}.wsgifunc"), "waitress", dependencies)
        case FrameworkKind.DASH:
            # Waitress alone can serve an attribute of an object: the Flask application is the Dash object's `server`.
            return _required(_waitress(port, "{target}.server"), "waitress", dependencies)
        case FrameworkKind.WSGI:
            server = _wsgi_server(evidence, port)
            return replace(server, workers_variable="") if evidence.has(*_SCHEDULERS) else server
    return _asgi_server(distribution, dependencies, port)


def _asgi_server(distribution: str, dependencies: frozenset[str], port: str) -> Server:
    if "uvicorn" in dependencies:
        return _uvicorn(port)
    if "granian" in dependencies:
        return _granian(port, "asgi")
    # Quart depends on Hypercorn.
    if "hypercorn" in dependencies or distribution == "quart":
        return _hypercorn(port)
    if dependencies & {"daphne", "channels"}:
        # Django Channels serves WebSockets, which uvicorn supports only with an extra.
        return _required(Server("daphne", port, ("-b", EVERY_ADDRESS, "-p", port, "{target}")), "daphne", dependencies)
    # FastHTML depends on uvicorn.
    return _uvicorn(port) if distribution == "python-fasthtml" else _required(_uvicorn(port), "uvicorn", dependencies)


def _wsgi_server(evidence: Evidence, port: str) -> Server:
    dependencies = evidence.dependencies
    if dependencies & {"flask-socketio", "flask-sock", "python-socketio"}:
        return _required(_websocket_gunicorn(port, dependencies), "gunicorn", dependencies)
    if "gunicorn" in dependencies:
        return _threaded_gunicorn(evidence, port)
    if "waitress" in dependencies:
        return replace(_waitress(port, "{target}"), factory_arguments=("--call",))
    if "granian" in dependencies:
        # It has hundreds of threads by itself.
        return replace(_granian(port, "wsgi"), workers_variable="GRANIAN_WORKERS")
    if "uwsgi" in dependencies:
        threads = ("--enable-threads", "--threads", _THREADS)
        # By itself it starts again on SIGTERM.
        words = ("--http-socket", f"{EVERY_ADDRESS}:{port}", "--master", "--die-on-term", *threads, "--need-app", "--module", "{target}")
        return Server("uwsgi", port, words, workers_variable="UWSGI_PROCESSES")
    if "hypercorn" in dependencies:
        return _hypercorn(port, "wsgi:{target}")
    return _required(_threaded_gunicorn(evidence, port), "gunicorn", dependencies)


def _threaded_gunicorn(evidence: Evidence, port: str) -> Server:
    threads = () if evidence.has_file(GUNICORN_SETTINGS) else ("--threads", _THREADS)
    return Server("gunicorn", port, ("--bind", f"{EVERY_ADDRESS}:{port}", *threads, "{target}"), workers_variable="WEB_CONCURRENCY")


def _websocket_gunicorn(port: str, dependencies: frozenset[str]) -> Server:
    """Return gunicorn with one worker for many clients: an open WebSocket occupies a thread or a coroutine for as long as it lasts."""
    if "eventlet" in dependencies:
        return _gunicorn(port, "eventlet")
    if "gevent-websocket" in dependencies:
        return _gunicorn(port, "geventwebsocket.gunicorn.workers.GeventWebSocketWorker")
    if "gevent" in dependencies:
        return _gunicorn(port, "gevent")
    return Server("gunicorn", port, ("--bind", f"{EVERY_ADDRESS}:{port}", "--threads", "100", "{target}"))


def _host_and_port(port: str) -> tuple[str, ...]:
    return ("--host", EVERY_ADDRESS, "--port", port)


def _uvicorn(port: str) -> Server:
    return Server("uvicorn", port, (*_host_and_port(port), "{target}"), ("--factory",))


def _granian(port: str, interface: str) -> Server:
    return Server("granian", port, ("--interface", interface, *_host_and_port(port), "{target}"), ("--factory",))


def _hypercorn(port: str, target: str = "{target}") -> Server:
    return Server("hypercorn", port, ("--bind", f"{EVERY_ADDRESS}:{port}", target))


def _waitress(port: str, *target: str) -> Server:
    return Server("waitress-serve", port, (*_host_and_port(port), "--threads", _THREADS, *target))


def _gunicorn(port: str, worker_class: str) -> Server:
    return Server("gunicorn", port, ("--bind", f"{EVERY_ADDRESS}:{port}", "--worker-class", worker_class, "{target}"))


def _required(server: Server, distribution: str, dependencies: frozenset[str]) -> Server:
    return replace(server, requirements=() if distribution in dependencies else (distribution,))
