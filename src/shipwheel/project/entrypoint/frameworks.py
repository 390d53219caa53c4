"""The web frameworks and task queues that detection knows, by the class or function that creates their application.

To add a framework, add a row to `FRAMEWORKS`. If its applications need a server of their own, add a `FrameworkKind` here, and the server in
`servers`.
"""

from enum import Enum

import msgspec

__all__ = ["FRAMEWORKS", "Framework", "FrameworkKind", "framework_of"]


class FrameworkKind(Enum):
    """How an application runs: the interface that servers call it through, or the framework that serves it itself."""

    ASGI = "ASGI"
    WSGI = "WSGI"
    AIOHTTP = "aiohttp"
    DASH = "Dash"
    """A Dash object is no WSGI application itself; its `server` attribute is one."""
    SANIC = "Sanic"
    WEBPY = "web.py"
    """A web.py application returns its WSGI application from `wsgifunc()`."""
    WORKER = "worker"
    """Takes jobs from a queue and listens on no port."""


class Framework(msgspec.Struct, frozen=True):
    """A framework: the Python package that contains it, and how its applications run."""

    distribution: str
    """Normalised name; empty for an application that implements the interface without a framework."""
    kind: FrameworkKind

    @property
    def label(self) -> str:
        """The name to show to users."""
        return self.distribution or self.kind.value


FRAMEWORKS = {
    ("fastapi", "FastAPI"): Framework("fastapi", FrameworkKind.ASGI),
    ("starlette", "Starlette"): Framework("starlette", FrameworkKind.ASGI),
    ("litestar", "Litestar"): Framework("litestar", FrameworkKind.ASGI),
    ("quart", "Quart"): Framework("quart", FrameworkKind.ASGI),
    ("blacksheep", "Application"): Framework("blacksheep", FrameworkKind.ASGI),
    ("fasthtml", "FastHTML"): Framework("python-fasthtml", FrameworkKind.ASGI),
    ("fasthtml", "fast_app"): Framework("python-fasthtml", FrameworkKind.ASGI),
    ("sanic", "Sanic"): Framework("sanic", FrameworkKind.SANIC),
    ("aiohttp", "Application"): Framework("aiohttp", FrameworkKind.AIOHTTP),
    ("flask", "Flask"): Framework("flask", FrameworkKind.WSGI),
    ("bottle", "Bottle"): Framework("bottle", FrameworkKind.WSGI),
    ("bottle", "default_app"): Framework("bottle", FrameworkKind.WSGI),
    ("pyramid", "Configurator"): Framework("pyramid", FrameworkKind.WSGI),
    ("dash", "Dash"): Framework("dash", FrameworkKind.DASH),
    ("apiflask", "APIFlask"): Framework("apiflask", FrameworkKind.WSGI),
    ("flask_openapi3", "OpenAPI"): Framework("flask-openapi3", FrameworkKind.WSGI),
    ("eve", "Eve"): Framework("eve", FrameworkKind.WSGI),
    ("cherrypy", "Application"): Framework("cherrypy", FrameworkKind.WSGI),
    ("cherrypy", "mount"): Framework("cherrypy", FrameworkKind.WSGI),
    ("spyne", "WsgiApplication"): Framework("spyne", FrameworkKind.WSGI),
    ("masonite", "Application"): Framework("masonite", FrameworkKind.WSGI),
    ("socketio", "WSGIApp"): Framework("python-socketio", FrameworkKind.WSGI),
    ("socketio", "ASGIApp"): Framework("python-socketio", FrameworkKind.ASGI),
    ("strawberry", "GraphQL"): Framework("strawberry-graphql", FrameworkKind.ASGI),
    ("shiny", "App"): Framework("shiny", FrameworkKind.ASGI),
    ("gradio", "mount_gradio_app"): Framework("gradio", FrameworkKind.ASGI),
    ("esmerald", "Esmerald"): Framework("esmerald", FrameworkKind.ASGI),
    ("starlite", "Starlite"): Framework("starlite", FrameworkKind.ASGI),
    ("emmett", "App"): Framework("emmett", FrameworkKind.ASGI),
    ("asgiref", "WsgiToAsgi"): Framework("asgiref", FrameworkKind.ASGI),
    ("web", "application"): Framework("web-py", FrameworkKind.WEBPY),
    ("celery", "Celery"): Framework("celery", FrameworkKind.WORKER),
    ("faust", "App"): Framework("faust-streaming", FrameworkKind.WORKER),
    ("faststream", "FastStream"): Framework("faststream", FrameworkKind.WORKER),
    **{
        ("huey", name): Framework("huey", FrameworkKind.WORKER)
        for name in ("Huey", "RedisHuey", "SqliteHuey", "FileHuey", "PriorityRedisHuey")
    },
}
"""(top-level package, class or function) -> framework. `framework_of` adds those whose submodule decides: Falcon, Ariadne, Connexion."""


def framework_of(full_name: str) -> Framework | None:
    """Return the framework whose class or function has this dotted name, or None."""
    top = full_name.partition(".")[0]
    name = full_name.rpartition(".")[2]
    if top == "falcon" and name in ("App", "API"):
        return Framework("falcon", FrameworkKind.ASGI if ".asgi" in full_name else FrameworkKind.WSGI)
    if top == "ariadne" and name == "GraphQL":
        return Framework("ariadne", FrameworkKind.WSGI if ".wsgi" in full_name else FrameworkKind.ASGI)
    if top == "connexion" and name in ("App", "AsyncApp", "FlaskApp", "FlaskApi"):
        return Framework("connexion", FrameworkKind.ASGI)
    return FRAMEWORKS.get((top, name)) if top != name else None
