"""A module is left out of imports in one place alone, and of no other thread's."""

import importlib
import sys
import threading

import pytest

from shipwheel.cli.left_out import left_out

NAME = "this_module_is_left_out"


@pytest.fixture(autouse=True)
def module(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("modules")
    (folder / f"{NAME}.py").touch()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    monkeypatch.setattr(threading, "active_count", lambda: 1)


def test_an_import_fails_inside_and_works_after_it() -> None:
    with left_out(NAME), pytest.raises(ImportError):
        importlib.import_module(NAME)
    importlib.import_module(NAME)


def test_what_is_there_already_stays() -> None:
    known = importlib.import_module(NAME)
    with left_out(NAME):
        assert importlib.import_module(NAME) is known
    assert sys.modules[NAME] is known


def test_other_threads_may_need_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "active_count", lambda: 2)
    with left_out(NAME):
        importlib.import_module(NAME)
