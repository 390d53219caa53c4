"""gettext's catalogues, compiled for the image."""

import gettext
import io
from pathlib import Path

import pytest
from support.project_tree import launched, written

from shipwheel.errors import ProjectError
from shipwheel.events import Event, Warned, silent
from shipwheel.pipeline.app_files import app_tree
from shipwheel.pipeline.app_source import AppSource
from shipwheel.project.app_tree import AppTree, list_app
from shipwheel.project.read import read_project
from shipwheel.project.translations import compile_catalogue, uncompiled
from shipwheel.settings.settings import Settings

HEAD = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset={}\\n"\n\n'
ENTRIES = 'msgid "hello"\nmsgstr "schöner Tag"\n\n#, fuzzy\nmsgid "bye"\nmsgstr "falsch"\n\nmsgctxt "month"\nmsgid "May"\nmsgstr "Mai"\n'


@pytest.mark.parametrize("charset", ["UTF-8", "ISO-8859-1"])
def test_programs_load_what_was_compiled(charset: str) -> None:
    data = (HEAD.format(charset) + ENTRIES).encode(charset)
    compiled = compile_catalogue(data, "de.po")
    loaded = gettext.GNUTranslations(io.BytesIO(compiled))
    assert (loaded.gettext("hello"), loaded.gettext("bye"), loaded.pgettext("month", "May")) == ("schöner Tag", "bye", "Mai")
    assert compile_catalogue(data, "de.po") == compiled


@pytest.mark.parametrize("data", [b"words without any sense\n", b"\xff\xfe", b'"charset=no-such\\n"'])
def test_names_a_broken_catalogue(data: bytes) -> None:
    with pytest.raises(ProjectError, match="is no catalogue of translations: "):
        compile_catalogue(data, "de.po")


def test_only_catalogues_without_a_compiled_one_beside_them() -> None:
    paths = ("a/LC_MESSAGES/x.po", "b/LC_MESSAGES/x.po", "b/LC_MESSAGES/x.mo", "notes.po")
    assert uncompiled(paths) == {"a/LC_MESSAGES/x.po"}


def test_the_image_has_the_compiled_one_beside_the_text(tmp_path: Path) -> None:
    root = written(tmp_path, {"de/LC_MESSAGES/x.po": HEAD.format("UTF-8") + ENTRIES})
    plain = list_app(root)
    tree = AppTree(plain.files, catalogues=frozenset({"de/LC_MESSAGES/x.po"}))
    source = AppSource("shop", tree, "app", "3.13")
    assert [entry.path for entry in source.entries()][-2:] == ["app/de/LC_MESSAGES/x.mo", "app/de/LC_MESSAGES/x.po"]
    assert source.key != AppSource("shop", plain, "app", "3.13").key


def test_a_link_to_a_catalogue_stays_one(tmp_path: Path) -> None:
    root = written(tmp_path, {"requirements.txt": "django\n", "main.py": "", "locale/de/LC_MESSAGES/x.po": HEAD.format("UTF-8") + ENTRIES})
    (root / "locale/at/LC_MESSAGES").mkdir(parents=True)
    (root / "locale/at/LC_MESSAGES/x.po").symlink_to("../../de/LC_MESSAGES/x.po")
    tree = app_tree(read_project(root, Settings(command=("python", "main.py"))), silent)
    assert tree is not None
    compiled = [entry.path for entry in AppSource("shop", tree, "app", "3.13").entries() if entry.path.endswith(".mo")]
    assert compiled == ["app/locale/de/LC_MESSAGES/x.mo"]


def test_a_damaged_catalogue_is_named_and_stops_no_build(tmp_path: Path) -> None:
    whole, damaged = HEAD.format("UTF-8") + ENTRIES, "<<<<<<< HEAD\n"
    files = {"requirements.txt": "django\n", "main.py": "", "de/LC_MESSAGES/x.po": whole, "fr/LC_MESSAGES/x.po": damaged}
    warned: list[Event] = []
    tree = app_tree(read_project(written(tmp_path, files), Settings(command=("python", "main.py"))), warned.append)
    assert tree is not None
    assert tree.catalogues == {"de/LC_MESSAGES/x.po"}
    assert [event.message.partition(" is no catalogue")[0] for event in warned if isinstance(event, Warned)] == ["fr/LC_MESSAGES/x.po"]


STEPS = {
    "Makefile": "all:\n\tpybabel -q compile -d translations\n",
    "scripts/build.sh": "\nmsgfmt x.po\n",
    "Dockerfile": "FROM python\nRUN django-admin compilemessages\n",
}


@pytest.mark.parametrize("name", STEPS)
def test_the_step_is_found(name: str, tmp_path: Path) -> None:
    assert launched(tmp_path / "shop", {"main.py": "", name: STEPS[name]}).translations == f"{name}, line 2"
    assert launched(tmp_path / "other", {"main.py": "", name: "# nothing\n"}).translations == ""


def test_a_package_that_reads_compiled_translations_is_enough(tmp_path: Path) -> None:
    assert launched(tmp_path, {"main.py": ""}, "flask flask-babel").translations == "flask-babel"
    assert launched(tmp_path, {"main.py": ""}, "django").translations == "django"
    assert launched(tmp_path, {"main.py": ""}, "flask babel").translations == ""
