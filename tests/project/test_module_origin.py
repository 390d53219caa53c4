"""The extra or group that brings a missing package."""

from pathlib import Path

import pytest
from support.project_tree import written

from shipwheel.project.module_origin import extra_or_group_with, listed_elsewhere
from shipwheel.project.read import read_project
from shipwheel.settings.settings import Settings

PYPROJECT = """
[project]
name = "shop"
version = "1"
[project.optional-dependencies]
"Config.Files" = ["PyYAML>=6", "tomli; python_version < '3.11'"]
test = ["pytest", "responses"]
all = ["redis"]
[dependency-groups]
web = ["gunicorn[gevent]", {include-group = "dev"}]
dev = ["ruff", "types-redis"]
"""


@pytest.mark.parametrize(
    ("package", "found"),
    [
        ("pyyaml", ("extras", "Config.Files")),
        ("PyYAML", ("extras", "Config.Files")),
        ("tomli", ("extras", "Config.Files")),
        ("gunicorn", ("groups", "web")),
        ("pytest", None),
        ("ruff", None),
        ("redis", None),
        ("flask", None),
        ("", None),
    ],
)
def test_names_the_extra_or_group_unless_it_is_for_developers(package: str, found: tuple[str, str] | None, tmp_path: Path) -> None:
    project = read_project(written(tmp_path, {"pyproject.toml": PYPROJECT, "main.py": "print(1)\n"}))
    assert extra_or_group_with(project, package) == found


def test_does_not_name_what_is_chosen_already(tmp_path: Path) -> None:
    files = written(tmp_path, {"pyproject.toml": PYPROJECT, "main.py": "print(1)\n"})
    assert extra_or_group_with(read_project(files, Settings(groups=("web",))), "gunicorn") is None


@pytest.mark.parametrize("table", ["", "[dependency-groups]\na = 1\nb = [1]", "[tool.x]"])
def test_tables_of_other_forms_have_none(table: str, tmp_path: Path) -> None:
    files = {"pyproject.toml": f"{table}\n", "requirements.txt": "b\n", "main.py": "print(1)\n"}
    project = read_project(written(tmp_path, files), launch=False)
    assert extra_or_group_with(project, "a") is None


@pytest.mark.parametrize(
    ("module", "found"),
    [
        ("djmoney", ("django-money==1.0", "Pipfile")),
        ("redis", ("redis==3.3.11", "Pipfile")),
        ("stripe", ("stripe>=2", "live.txt, line 1")),
        ("yaml", ("PyYAML==5.1", "live.txt, line 3")),
        ("developed", None),
        ("django", None),
        ("dj", None),
        ("ryaml", None),
        ("gone", None),
    ],
)
def test_another_list_of_the_project_may_have_the_package_of_a_module(tmp_path: Path, module: str, found: tuple[str, str] | None) -> None:
    files = {
        "main.py": "",
        "requirements.txt": "django\n",
        "requirements/live.txt": "stripe>=2\n-e .\nPyYAML==5.1\n",
        "requirements-dev.txt": "developed\n",
        "requirements-old.txt": "-r nowhere.txt\ngone\n",
        "Pipfile": '[packages]\ndjango = "*"\ndjango-money = "==1.0"\nredis = "==3.3.11"\nryaml = {path = "x"}\n',
    }
    assert listed_elsewhere(read_project(written(tmp_path, files)), module, {"django"}) == found
