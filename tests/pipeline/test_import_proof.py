"""A program that imports a module which nothing brings is not delivered; one that finds its modules in other ways is."""

from pathlib import Path

import pytest
from support.project_tree import written

from shipwheel.errors import MissingImports
from shipwheel.pipeline.import_proof import check_imports, wanted_imports
from shipwheel.project.read import read_project
from shipwheel.settings.settings import Settings
from shipwheel.testing.wheels import SmallWheel
from shipwheel.testing.world import MINOR, World

PROCFILE = "web: python main.py\n"


@pytest.mark.parametrize(
    ("files", "missing"),
    [
        ({"main.py": "import nowhere\n"}, "main.py, line 1: nowhere"),
        ({"main.py": "import helper\n", "helper.py": "\nfrom nowhere.deep import thing\n"}, "helper.py, line 2: nowhere"),
        (
            {"main.py": "from pack import inner\n", "pack/__init__.py": "", "pack/inner.py": "import nowhere\n"},
            "pack/inner.py, line 1: nowhere",
        ),
        ({"main.py": "import tkinter\n"}, "main.py, line 1: tkinter"),
    ],
    ids=["in the script", "in a module of it", "in a package of it", "in another Debian package"],
)
def test_what_nothing_brings_is_named(world: World, files: dict[str, str], missing: str) -> None:
    folder = app(world, files)
    ran = world.build(folder)
    assert ran.code == 8
    assert missing in ran.err
    assert not world.output(folder).exists()


@pytest.mark.parametrize(
    "files",
    [
        {"main.py": "import json, math, _thread, small\nfrom collections.abc import Mapping\n"},
        {"main.py": "try:\n    import nowhere\nexcept ImportError:\n    nowhere = None\n"},
        {"main.py": "def later():\n    import nowhere\n"},
        {"main.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import nowhere\n"},
        {"main.py": "import sys\nsys.path.insert(0, 'elsewhere')\nimport nowhere\n"},
        {"main.py": "import helper\n", "helper.py": "import small\n", "unused.py": "import nowhere\n"},
        {"main.py": "from . import helper\n", "helper.py": ""},
    ],
    ids=["what is there", "tried", "in a function", "for types", "a path of its own", "not imported", "relative"],
)
def test_what_is_there_or_may_be_missing_passes(world: World, files: dict[str, str]) -> None:
    assert world.build(app(world, files)).code == 0


def test_of_several_modules_of_a_name_the_one_on_the_import_path_counts(tmp_path: Path) -> None:
    app = "from fastapi import FastAPI\nimport core\napp = FastAPI()\n"
    files = {
        "api/main.py": app,
        "api/core/__init__.py": "",
        "bot/main.py": "import nowhere\nfrom core.config import x\nif __name__ == '__main__':\n    nowhere.run()\n",
        "bot/core/__init__.py": "",
        "bot/core/config.py": "x = 1\n",
    }
    project = read_project(written(tmp_path, {**files, "requirements.txt": "fastapi\nuvicorn\n"}))
    assert project.launch is not None and project.launch.python_path == ("api",)
    assert "nowhere" not in wanted_imports(project, MINOR).names


def test_a_module_that_the_user_vouches_for(world: World) -> None:
    folder = app(world, {"main.py": "import nowhere\n"})
    (folder / "shipwheel.toml").write_text(f'python = "{MINOR}"\nignore-imports = ["nowhere"]\n')
    assert world.build(folder).code == 0


def test_a_module_that_a_step_makes_is_there_and_one_that_none_makes_gets_its_next_step(world: World) -> None:
    folder = app(world, {"main.py": "import hello_pb2\n"})
    ran = world.build(folder)
    assert ran.code == 8
    assert "protoc makes hello_pb2 from a .proto file" in ran.err
    assert "ignore-imports" not in ran.err


def test_a_package_that_brings_it_under_another_name(world: World) -> None:
    world.add(SmallWheel("other", files={"nowhere/__init__.py": ""}))
    folder = app(world, {"main.py": "import nowhere\n"})
    assert world.build(folder).code == 8
    (folder / "requirements.txt").write_text("small\nother\n")
    assert world.build(folder).code == 0


def test_what_the_project_has_and_an_ignore_file_leaves_out_is_named(world: World) -> None:
    folder = app(
        world, {"main.py": "import store\nimport nowhere\n", "store/__init__.py": "", ".dockerignore": "store/\n", "Dockerfile": "FROM x\n"}
    )
    ran = world.build(folder)
    assert ran.code == 8
    assert 'set include = ["/store/"]' in ran.err and 'ignore-imports = ["nowhere"]' in ran.err


def test_what_the_project_has_in_another_directory_is_named(world: World) -> None:
    folder = app(world, {"main.py": "import store\n", "lib/store/__init__.py": ""})
    ran = world.build(folder)
    assert (ran.code, 'set env = {PYTHONPATH = "/app/lib"}' in ran.err, "ignore-imports" in ran.err) == (8, True, False)
    with (folder / "shipwheel.toml").open("a") as file:
        file.write('env = {PYTHONPATH = "/app/lib"}\n')
    assert world.build(folder).code == 0


def test_a_module_that_a_person_makes_from_an_example_is_no_package_of_the_index(tmp_path: Path) -> None:
    files = {"main.py": "import settings, nowhere\n", "settings.py.tpl": "", "requirements.txt": "", "Procfile": PROCFILE}
    with pytest.raises(MissingImports) as caught:
        check_imports(read_project(written(tmp_path, files)), MINOR, ())
    assert "Make settings.py from settings.py.tpl before the build" in caught.value.hint
    assert caught.value.modules == ("nowhere",)


def test_a_module_that_git_ignores_by_its_name_is_no_package_of_the_index(tmp_path: Path) -> None:
    ignored = f"*.log\n{'x' * 300}.py\n/config.py\n"
    files = {"main.py": "import config, nowhere\n", ".gitignore": ignored, "requirements.txt": "", "Procfile": PROCFILE}
    with pytest.raises(MissingImports) as caught:
        check_imports(read_project(written(tmp_path, files)), MINOR, ())
    assert "Make config.py, which .gitignore names" in caught.value.hint
    assert caught.value.modules == ("nowhere",)


def test_a_submodule_that_is_not_checked_out_is_no_package_of_the_index(tmp_path: Path) -> None:
    modules = '[submodule "lib/shop-core"]\n\tpath = lib/shop-core\n\turl = ../shop-core.git\n'
    files = {"main.py": "import shop_core.views, nowhere\n", ".gitmodules": modules, "requirements.txt": "", "Procfile": PROCFILE}
    root = written(tmp_path, files)
    (root / "lib/shop-core").mkdir(parents=True)
    with pytest.raises(MissingImports) as caught:
        check_imports(read_project(root), MINOR, ())
    assert "lib/shop-core: a git submodule that is not checked out. Run `git submodule update --init`" in caught.value.hint
    assert caught.value.modules == ("nowhere",)
    (root / "lib/shop-core/shop_core").mkdir()
    with pytest.raises(MissingImports) as caught:
        check_imports(read_project(root), MINOR, ())
    assert set(caught.value.modules) == {"shop_core", "nowhere"}


@pytest.mark.parametrize(
    ("more", "settings"),
    [
        ({}, (("workdir", "/app/shop"), ("env", {"PYTHONPATH": "/app"}))),
        ({"requirements_shop.txt": "shop==1\n"}, (("dependencies", ("shop==1",)),)),
        ({"views.py": "import shop.catalogue\n"}, ()),
    ],
    ids=["nothing else", "another list", "something that it has not"],
)
def test_the_directory_itself_may_have_another_name_in_imports(
    more: dict[str, str], settings: tuple[tuple[str, object], ...], tmp_path: Path
) -> None:
    files = {"main.py": "import shop.views, shop.utils.log\n", "views.py": "", "utils/log.py": ""}
    with pytest.raises(MissingImports) as caught:
        check_imports(read_project(written(tmp_path, {**files, "requirements.txt": "", "Procfile": PROCFILE, **more})), MINOR, ())
    assert caught.value.settings == settings


def test_a_package_of_another_list_is_taken_from_there(tmp_path: Path) -> None:
    lists = {"requirements.txt": "", "requirements_webui.txt": "streamlit-chatbox~=1.1.11\n", "requirements-dev.txt": "nowhere\n"}
    files = {"main.py": "import streamlit_chatbox, nowhere\n", **lists, "Procfile": PROCFILE}
    with pytest.raises(MissingImports) as caught:
        check_imports(read_project(written(tmp_path, files)), MINOR, ())
    assert caught.value.settings == (("dependencies", ("streamlit-chatbox~=1.1.11",)),)
    assert '"streamlit-chatbox~=1.1.11" (requirements_webui.txt, line 1)' in caught.value.hint
    assert caught.value.modules == ("nowhere",)


def test_an_extra_of_the_project_comes_before_any_version_of_a_package(tmp_path: Path) -> None:
    metadata = (
        '[project]\nname = "shop"\nversion = "1"\n[project.optional-dependencies]\nweb = ["django>=4,<7", "pyyaml"]\ntest = ["nowhere"]\n'
    )
    files = {"main.py": "import django, yaml, nowhere\n", "pyproject.toml": metadata, "Procfile": PROCFILE}
    with pytest.raises(MissingImports) as caught:
        check_imports(read_project(written(tmp_path, files), Settings(install="source")), MINOR, ())
    assert caught.value.settings == (("extras", ("web",)),)
    assert 'django is in the project\'s extras: set extras = ["web"].' in caught.value.hint
    assert caught.value.modules == ("nowhere",)


def test_what_no_file_of_requirements_lists_is_handed_on(tmp_path: Path) -> None:
    files = {"main.py": "import flask, nowhere\n", "environment.yml": "dependencies:\n  - flask=2.0\n", "Procfile": PROCFILE}
    with pytest.raises(MissingImports) as caught:
        check_imports(read_project(written(tmp_path, files)), MINOR, ())
    (flask,) = caught.value.unlisted
    assert flask.startswith("flask=")
    assert f"to the setting `dependencies`, beside all that it then replaces ({flask})." in caught.value.hint


def test_packages_that_are_known_to_bring_a_module_are_named(tmp_path: Path) -> None:
    code = "from fasthtml.common import *\nimport google.protobuf.message, pkg_resources, requests, nowhere\n"
    with pytest.raises(MissingImports) as caught:
        check_imports(read_project(written(tmp_path, {"main.py": code, "requirements.txt": "", "Procfile": PROCFILE})), MINOR, ())
    packages = 'python-fasthtml, protobuf, "setuptools<81", requests and the packages that bring nowhere'
    assert f"Add {packages} to the project's dependencies" in caught.value.hint


def test_the_project_itself_imported_from_above_is_named(world: World) -> None:
    folder = app(world, {"main.py": "import small\n", "store.py": ""})
    (folder / "main.py").write_text(f"import {folder.name}.store\n")
    ran = world.build(folder)
    settings = (f'workdir = "/app/{folder.name}"', 'env = {PYTHONPATH = "/app"}')
    assert (ran.code, f"{folder.name} is this directory: set {' and '.join(settings)}." in ran.err) == (8, True)
    with (folder / "shipwheel.toml").open("a") as file:
        file.write("".join(f"{setting}\n" for setting in settings))
    assert world.build(folder).code == 0


def test_setuptools_brings_the_module_that_the_standard_library_lost(world: World) -> None:
    world.add(SmallWheel("other", files={"_distutils_hack/__init__.py": ""}))
    folder = app(world, {"main.py": "import distutils\nimport nowhere\n"})
    (folder / "requirements.txt").write_text("small\nother\n")
    ran = world.build(folder)
    assert (ran.code, "nowhere" in ran.err, "distutils" in ran.err) == (8, True, False)


def app(world: World, files: dict[str, str]) -> Path:
    folder = world.app("small\n")
    (folder / "Procfile").write_text(PROCFILE)
    (folder / "shipwheel.toml").write_text(f'python = "{MINOR}"\n')
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("marker", ["shop/__init__.py", "shop/settings.py"])
def test_a_wheel_without_the_projects_own_package_asks_for_its_source(tmp_path: Path, marker: str) -> None:
    files = {
        "setup.py": "from setuptools import setup\npackages = []\nsetup(name='shop', version='1', packages=packages)\n",
        marker: "",
        "shop/main.py": "import shop\n",
        "Procfile": "web: gunicorn shop.main:app\n",
        "requirements.txt": "gunicorn\n",
    }
    with pytest.raises(MissingImports) as caught:
        check_imports(read_project(written(tmp_path, files)), MINOR, ())
    assert (caught.value.settings, caught.value.modules) == ((("install", "source"),), ())
    assert 'set install = "source"' in caught.value.hint
