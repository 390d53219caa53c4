"""A wheel of the project that lacks data files, and what goes into the image then."""

from pathlib import Path

import pytest
from support.project_tree import written

from shipwheel.digest import Digest
from shipwheel.errors import IncompleteWheel
from shipwheel.events import Event, Warned
from shipwheel.pipeline.unpackaged import report_unpackaged
from shipwheel.project.read import read_project
from shipwheel.wheels.built_wheels import BuiltWheel

TREE = {
    "pyproject.toml": '[build-system]\nrequires = ["setuptools"]\n[project]\nname = "shop"\nversion = "1"\ndependencies = ["flask"]\n',
    "shop/__init__.py": "from flask import Flask\napp = Flask(__name__)\n",
    "shop/templates/today.html": "",
}
SCRIPT = '[project.scripts]\nshop = "shop:main"\n'


def reported(
    root: Path,
    tree: dict[str, str],
    *,
    files: tuple[str, ...] = ("shop/__init__.py",),
    unpackaged: tuple[str, ...] = ("shop/templates/today.html",),
) -> list[str]:
    events: list[Event] = []
    wheel = BuiltWheel("shop-1-py3-none-any.whl", Digest("sha256:" + "a" * 64), 1, unpackaged=unpackaged, files=files)
    report_unpackaged(read_project(written(root, tree)), wheel, events.append)
    return [event.message for event in events if isinstance(event, Warned)]


def test_the_directory_is_taken_if_the_same_command_starts_there(tmp_path: Path) -> None:
    with pytest.raises(IncompleteWheel, match=r"the wheel of shop lacks files that its packages have: shop/templates/today\.html$"):
        reported(tmp_path, TREE)


@pytest.mark.parametrize(
    ("more", "files"),
    [
        ({}, ("shop/__init__.py", "shop/_version.py")),
        ({"shop/_version.py": "", ".gitignore": "_version.py\n"}, ("shop/__init__.py", "shop/_version.py")),
        ({}, ()),
    ],
    ids=["generated", "generated before, and ignored", "needed as a package"],
)
def test_a_wheel_with_what_the_image_would_lack_stays(more: dict[str, str], files: tuple[str, ...], tmp_path: Path) -> None:
    warned = ["the wheel of shop lacks files that its packages have: shop/templates/today.html"]
    assert reported(tmp_path, {**TREE, **more}, files=files) == warned


def test_the_packages_may_be_below_src(tmp_path: Path) -> None:
    with pytest.raises(IncompleteWheel):
        reported(tmp_path, {name.replace("shop/", "src/shop/"): text for name, text in TREE.items()})


def test_modules_below_src_are_missing_where_the_command_starts_above(tmp_path: Path) -> None:
    run = "import shop.db, flask\nopen('data/a.txt')\n"
    tree = {"pyproject.toml": TREE["pyproject.toml"], "Procfile": "web: python -m shop.run\n", "data/a.txt": "", "src/shop/run.py": run}
    assert len(reported(tmp_path, tree, files=("shop/run.py",), unpackaged=("shop/db/__init__.py",))) == 1


def test_a_console_script_needs_the_wheel(tmp_path: Path) -> None:
    main = 'from flask import Flask\napp = Flask(__name__)\ndef main():\n    app.run(host="0.0.0.0")\n'
    tree = {**TREE, "pyproject.toml": TREE["pyproject.toml"] + SCRIPT, "Procfile": "web: shop\n", "shop/__init__.py": main}
    assert len(reported(tmp_path, tree)) == 1


def test_nothing_is_missing_where_the_command_starts_in_the_directory(tmp_path: Path) -> None:
    assert not reported(
        tmp_path,
        {**TREE, "Procfile": "web: python -m shop.serve\n", "shop/serve.py": "", "data/a.txt": ""}
        | {
            "shop/serve.py": 'import shop\nopen("data/a.txt")\nshop.app.run()\n',
        },
    )


def test_other_data_is_not_missed(tmp_path: Path) -> None:
    assert not reported(tmp_path, TREE, unpackaged=("shop/notes.csv",))
