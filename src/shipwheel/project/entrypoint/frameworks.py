"""The web frameworks and task queues that detection knows, by the class or function that creates their application.

To add a framework, add a row to `FRAMEWORKS`. If its applications need a server of their own, add a `Kind` here and a server in `servers`.
"""

from dataclasses import dataclass
from enum import Enum

__all__ = ["FRAMEWORKS", "Framework", "Kind", "framework_of"]


class Kind(Enum):
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


@dataclass(frozen=True, slots=True)
class Framework:
    """A framework: the Python package that contains it, and how its applications run."""

    distribution: str
    """Normalised name; empty for an application that implements the interface without a framework."""
    kind: Kind

    @property
    def label(self) -> str:
        """The name to show to users."""
        return self.distribution or self.kind.value


FRAMEWORKS = {
    ("fastapi", "FastAPI"): Framework("fastapi", Kind.ASGI),
    ("starlette", "Starlette"): Framework("starlette", Kind.ASGI),
    ("litestar", "Litestar"): Framework("litestar", Kind.ASGI),
    ("quart", "Quart"): Framework("quart", Kind.ASGI),
    ("blacksheep", "Application"): Framework("blacksheep", Kind.ASGI),
    ("fasthtml", "FastHTML"): Framework("python-fasthtml", Kind.ASGI),
    ("fasthtml", "fast_app"): Framework("python-fasthtml", Kind.ASGI),
    ("sanic", "Sanic"): Framework("sanic", Kind.SANIC),
    ("aiohttp", "Application"): Framework("aiohttp", Kind.AIOHTTP),
    ("flask", "Flask"): Framework("flask", Kind.WSGI),
    ("bottle", "Bottle"): Framework("bottle", Kind.WSGI),
    ("bottle", "default_app"): Framework("bottle", Kind.WSGI),
    ("pyramid", "Configurator"): Framework("pyramid", Kind.WSGI),
    ("dash", "Dash"): Framework("dash", Kind.DASH),
    ("apiflask", "APIFlask"): Framework("apiflask", Kind.WSGI),
    ("flask_openapi3", "OpenAPI"): Framework("flask-openapi3", Kind.WSGI),
    ("eve", "Eve"): Framework("eve", Kind.WSGI),
    ("cherrypy", "Application"): Framework("cherrypy", Kind.WSGI),
    ("cherrypy", "mount"): Framework("cherrypy", Kind.WSGI),
    ("spyne", "WsgiApplication"): Framework("spyne", Kind.WSGI),
    ("masonite", "Application"): Framework("masonite", Kind.WSGI),
    ("socketio", "WSGIApp"): Framework("python-socketio", Kind.WSGI),
    ("socketio", "ASGIApp"): Framework("python-socketio", Kind.ASGI),
    ("strawberry", "GraphQL"): Framework("strawberry-graphql", Kind.ASGI),
    ("shiny", "App"): Framework("shiny", Kind.ASGI),
    ("gradio", "mount_gradio_app"): Framework("gradio", Kind.ASGI),
    ("esmerald", "Esmerald"): Framework("esmerald", Kind.ASGI),
    ("starlite", "Starlite"): Framework("starlite", Kind.ASGI),
    ("emmett", "App"): Framework("emmett", Kind.ASGI),
    ("asgiref", "WsgiToAsgi"): Framework("asgiref", Kind.ASGI),
    ("web", "application"): Framework("web-py", Kind.WEBPY),
    ("celery", "Celery"): Framework("celery", Kind.WORKER),
    ("faust", "App"): Framework("faust-streaming", Kind.WORKER),
    ("faststream", "FastStream"): Framework("faststream", Kind.WORKER),
    **{("huey", name): Framework("huey", Kind.WORKER) for name in ("Huey", "RedisHuey", "SqliteHuey", "FileHuey", "PriorityRedisHuey")},
}
"""(top-level package, class or function) -> framework. `framework_of` adds those whose submodule decides: Falcon, Ariadne, Connexion."""


def framework_of(full_name: str) -> Framework | None:
    """Return the framework whose class or function has this dotted name, or None."""
    top = full_name.partition(".")[0]
    name = full_name.rpartition(".")[2]
    if top == "falcon" and name in ("App", "API"):
        return Framework("falcon", Kind.ASGI if ".asgi" in full_name else Kind.WSGI)
    if top == "ariadne" and name == "GraphQL":
        return Framework("ariadne", Kind.WSGI if ".wsgi" in full_name else Kind.ASGI)
    if top == "connexion" and name in ("App", "AsyncApp", "FlaskApp", "FlaskApi"):
        return Framework("connexion", Kind.ASGI)
    return FRAMEWORKS.get((top, name)) if top != name else None
