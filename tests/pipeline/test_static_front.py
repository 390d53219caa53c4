"""The module of an image that serves Django's static files."""

import sys
import types

import pytest

from shipwheel.pipeline.static_front import front_files
from shipwheel.project.entrypoint.launch import StaticFront


class ImproperlyConfigured(Exception):
    pass


class SuspiciousFileOperation(Exception):
    pass


class Http404(Exception):
    pass


class Handler:
    """Django's, as far as the module knows it."""

    def __init__(self, application: object) -> None:
        if application == "without STATIC_URL":
            raise ImproperlyConfigured
        self.application = application

    def serve(self, path: str) -> str:
        if ".." in path:
            raise SuspiciousFileOperation
        return path


def module(monkeypatch: pytest.MonkeyPatch, name: str, **values: object) -> None:
    made = types.ModuleType(name)
    vars(made).update(values)
    monkeypatch.setitem(sys.modules, name, made)


def served(monkeypatch: pytest.MonkeyPatch, front: StaticFront, application: object, *handlers: str) -> dict[str, object]:
    """Return the names of the module, run with a Django that has these handlers."""
    for name in ("django", "django.core", "django.contrib", "django.contrib.staticfiles", "asgiref", "shop"):
        module(monkeypatch, name)
    module(monkeypatch, "django.http", Http404=Http404)
    errors = {error.__name__: error for error in (ImproperlyConfigured, SuspiciousFileOperation)}
    module(monkeypatch, "django.core.exceptions", **errors)
    module(monkeypatch, "django.contrib.staticfiles.handlers", **dict.fromkeys(handlers, Handler))
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
    assert (site.application, site.serve("a.css")) == (behind, "a.css")
    with pytest.raises(Http404):
        site.serve("../settings.py")


@pytest.mark.parametrize(("front", "application", "handler"), [(WSGI, "without STATIC_URL", WSGI_HANDLER), (ASGI, "shop", WSGI_HANDLER)])
def test_an_application_that_has_none_is_served_as_it_is(
    monkeypatch: pytest.MonkeyPatch, front: StaticFront, application: str, handler: str
) -> None:
    assert served(monkeypatch, front, application, handler)["site"] == application


def test_a_factory_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    site = served(monkeypatch, StaticFront("shop.web:site()", False, True), lambda: "shop", WSGI_HANDLER)["site"]
    assert callable(site)
    assert site().application == "shop"
