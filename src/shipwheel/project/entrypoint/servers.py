"""Production servers: which one serves an application, and with what words."""

import msgspec

__all__ = ["EVERYWHERE", "Served", "serve"]

EVERYWHERE = "0.0.0.0"  # noqa: S104
"""A container's port is reached from outside it."""


class Served(msgspec.Struct, frozen=True):
    """A server and its words; `{target}` stands for module:variable."""

    server: str
    port: str
    words: tuple[str, ...]
    factory_words: tuple[str, ...] = ()
    """Put before the target when it is a factory; when empty, the target is written as a call."""
    extra: tuple[str, ...] = ()
    """The server's distribution, when the project does not ask for it."""

    def command(self, module: str, variable: str, factory: bool) -> tuple[str, ...]:
        """The command that serves an application object or what a factory makes."""
        call = "()" if factory and not self.factory_words else ""
        words: list[str] = [self.server]
        for word in self.words:
            words += self.factory_words if factory and word == "{target}" else ()
            words.append(word.replace("{target}", f"{module}:{variable}{call}"))
        return tuple(words)


def _uvicorn(port: str) -> Served:
    return Served("uvicorn", port, ("--host", EVERYWHERE, "--port", port, "{target}"), ("--factory",))


def _granian(port: str, interface: str) -> Served:
    return Served("granian", port, ("--interface", interface, "--host", EVERYWHERE, "--port", port, "{target}"), ("--factory",))


def _hypercorn(port: str) -> Served:
    return Served("hypercorn", port, ("--bind", f"{EVERYWHERE}:{port}", "{target}"))


def _gunicorn(port: str, worker: str = "") -> Served:
    return Served("gunicorn", port, ("--bind", f"{EVERYWHERE}:{port}", *(("--worker-class", worker) if worker else ()), "{target}"))


def serve(kind: str, distribution: str, dependencies: frozenset[str], port: str) -> Served:
    """The server for an application of a kind (asgi, wsgi, dash, sanic, aiohttp): one among the dependencies, else one that is added."""
    if kind == "sanic":
        return Served("sanic", port, ("--host", EVERYWHERE, "--port", port, "{target}"), ("--factory",))
    if kind == "aiohttp":
        return _added(_gunicorn(port, "aiohttp.GunicornWebWorker"), "gunicorn", dependencies)
    if kind == "webpy":
        return _added(
            Served("waitress-serve", port, ("--host", EVERYWHERE, "--port", port, "--call", "{target}.wsgifunc")), "waitress", dependencies
        )
    if kind == "dash":
        # Of the servers it alone reaches into an object: the Flask application is the Dash object's `server`.
        words = ("--host", EVERYWHERE, "--port", port, "{target}.server")
        return _added(Served("waitress-serve", port, words), "waitress", dependencies)
    if kind == "wsgi":
        return _wsgi(dependencies, port)
    if "uvicorn" in dependencies:
        return _uvicorn(port)
    if "granian" in dependencies:
        return _granian(port, "asgi")
    # Quart depends on Hypercorn.
    if "hypercorn" in dependencies or distribution == "quart":
        return _hypercorn(port)
    if dependencies & {"daphne", "channels"}:
        # Django's Channels are about WebSockets, which Uvicorn alone does not speak.
        return _added(Served("daphne", port, ("-b", EVERYWHERE, "-p", port, "{target}")), "daphne", dependencies)
    # FastHTML depends on Uvicorn.
    return _uvicorn(port) if distribution == "python-fasthtml" else _added(_uvicorn(port), "uvicorn", dependencies)


def _with_sockets(port: str, dependencies: frozenset[str]) -> Served:
    """One worker, which keeps all clients' connections: an open WebSocket holds a thread or a coroutine for as long as it lasts."""
    if "eventlet" in dependencies:
        return _gunicorn(port, "eventlet")
    if "gevent-websocket" in dependencies:
        return _gunicorn(port, "geventwebsocket.gunicorn.workers.GeventWebSocketWorker")
    if "gevent" in dependencies:
        return _gunicorn(port, "gevent")
    plain = _gunicorn(port)
    return Served(plain.server, port, (*plain.words[:-1], "--threads", "100", plain.words[-1]))


def _wsgi(dependencies: frozenset[str], port: str) -> Served:
    if dependencies & {"flask-socketio", "flask-sock"}:
        return _added(_with_sockets(port, dependencies), "gunicorn", dependencies)
    if "gunicorn" in dependencies:
        return _gunicorn(port)
    if "waitress" in dependencies:
        return Served("waitress-serve", port, ("--host", EVERYWHERE, "--port", port, "{target}"), ("--call",))
    if "granian" in dependencies:
        return _granian(port, "wsgi")
    if "uwsgi" in dependencies:
        return Served("uwsgi", port, ("--http-socket", f"{EVERYWHERE}:{port}", "--master", "--need-app", "--module", "{target}"))
    if "hypercorn" in dependencies:
        served = _hypercorn(port)
        return Served(served.server, port, tuple(word.replace("{target}", "wsgi:{target}") for word in served.words))
    return _added(_gunicorn(port), "gunicorn", dependencies)


def _added(served: Served, distribution: str, dependencies: frozenset[str]) -> Served:
    extra = () if distribution in dependencies else (distribution,)
    return Served(served.server, served.port, served.words, served.factory_words, extra)
