"""The module of an image that serves Django's static files."""

import sys
import types
from pathlib import Path

import pytest

from shipwheel.pipeline.static_front import front_files
from shipwheel.project.entrypoint.launch import StaticFront


class ImproperlyConfigured(Exception):
    pass


class SuspiciousFileOperation(Exception):
    pass


class Handler:
    """Django's, as far as the module knows it."""

    def __init__(self, application: object) -> None:
        if application == "without STATIC_URL":
            raise ImproperlyConfigured
        self.application = application

    def _should_handle(self, path: str) -> bool:
        return path.startswith("/static/")

    def file_path(self, path: str) -> str:
        return path.removeprefix("/static/")


def find(path: str) -> str | None:
    if path.startswith(".."):
        raise SuspiciousFileOperation
    if "\0" in path:
        raise ValueError
    return {"app": str(Path(__file__).parent), "app/a.css": __file__}.get(path)


def module(monkeypatch: pytest.MonkeyPatch, name: str, **values: object) -> None:
    made = types.ModuleType(name)
    vars(made).update(values)
    monkeypatch.setitem(sys.modules, name, made)


def served(monkeypatch: pytest.MonkeyPatch, front: StaticFront, application: object, *handlers: str) -> dict[str, object]:
    """Return the names of the module, run with a Django that has these handlers."""
    for name in ("django", "django.core", "django.contrib", "django.contrib.staticfiles", "asgiref", "shop"):
        module(monkeypatch, name)
    errors = {error.__name__: error for error in (ImproperlyConfigured, SuspiciousFileOperation)}
    module(monkeypatch, "django.core.exceptions", **errors)
    module(monkeypatch, "django.contrib.staticfiles.handlers", **dict.fromkeys(handlers, Handler))
    module(monkeypatch, "django.contrib.staticfiles.finders", find=find)
    module(monkeypatch, "asgiref.compatibility", guarantee_single_callable=lambda application: f"single {application}")
    module(monkeypatch, "shop.web", site=application)
    (entry,) = front_files(front, "site-packages").files
    assert entry.path == "site-packages/shipwheel_static.py"
    assert isinstance(entry.content, bytes)
    found: dict[str, object] = {}
    exec(entry.content, found)
    return found


WSGI, ASGI = StaticFront("shop.web:site", False, False), StaticFront("shop.web:site", True, False)
WSGI_HANDLER, ASGI_HANDLER = "StaticFilesHandler", "ASGIStaticFilesHandler"


@pytest.mark.parametrize(("front", "handler", "behind"), [(WSGI, WSGI_HANDLER, "shop"), (ASGI, ASGI_HANDLER, "single shop")])
def test_an_application_is_served_behind_the_handler_of_its_static_files(
    monkeypatch: pytest.MonkeyPatch, front: StaticFront, handler: str, behind: str
) -> None:
    site = served(monkeypatch, front, "shop", handler)["site"]
    assert isinstance(site, Handler)
    assert site.application == behind


@pytest.mark.parametrize(
    ("path", "own"),
    [
        ("/static/app/a.css", True),
        ("/static//app/a.css", True),
        ("/static/collected.css", False),
        ("/static/app", False),
        ("/static/../settings.py", False),
        ("/static/\0", False),
        ("/app/a.css", False),
    ],
)
def test_the_application_gets_the_requests_for_files_that_no_app_has(monkeypatch: pytest.MonkeyPatch, path: str, own: bool) -> None:
    site = served(monkeypatch, WSGI, "shop", WSGI_HANDLER)["site"]
    assert isinstance(site, Handler)
    assert site._should_handle(path) is own


@pytest.mark.parametrize(("front", "application", "handler"), [(WSGI, "without STATIC_URL", WSGI_HANDLER), (ASGI, "shop", WSGI_HANDLER)])
def test_an_application_that_has_none_is_served_as_it_is(
    monkeypatch: pytest.MonkeyPatch, front: StaticFront, application: str, handler: str
) -> None:
    assert served(monkeypatch, front, application, handler)["site"] == application


def test_a_factory_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    site = served(monkeypatch, StaticFront("shop.web:site()", False, True), lambda: "shop", WSGI_HANDLER)["site"]
    assert callable(site)
    assert site().application == "shop"


def test_apps_are_loaded_before_the_application_is_imported() -> None:
    (entry,) = front_files(StaticFront("shop.routing:application", True, False, loads_apps=True), "site-packages").files
    assert isinstance(entry.content, bytes)
    assert 0 < entry.content.index(b"\ndjango.setup()\n") < entry.content.index(b"from shop.routing import")
