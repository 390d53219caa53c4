"""Conda environment files of projects without another list: which packages of the index stand for theirs."""

from pathlib import Path

import pytest

from shipwheel.project.conda import read_conda
from shipwheel.project.read import read_project
from shipwheel.user.files import UserFiles

ENVIRONMENT = """
name: shop
channels: [conda-forge]
dependencies:
  - python=3.11.4
  - pip
  - flask=2.3
  - conda-forge::numpy==1.26.4=py311_0
  - pandas >=2, <3
  - requests=2.31.0=pyhd8ed1ab_0
  - pyyaml
  - zlib=1.2.13
  - rare-web-kit=1.0
  - pip:
    - gunicorn==21.2.0
    - -e .
"""


def test_takes_what_pip_installs_and_what_the_code_imports(tmp_path: Path) -> None:
    (tmp_path / "environment.yml").write_text(ENVIRONMENT)
    found = read_conda(UserFiles(), tmp_path, ["flask.views", "yaml", "rare_web_kit.server"])
    assert found is not None
    assert found.requirements == (
        "flask==2.3.*",
        "numpy==1.26.4",
        "pandas>=2,<3",
        "requests==2.31.0",
        "pyyaml",
        "rare-web-kit==1.0.*",
        "gunicorn==21.2.0",
    )
    assert found.left_out == ("zlib",)


def test_a_package_with_an_extra_of_conda_forge_is_that_package(tmp_path: Path) -> None:
    (tmp_path / "environment.yml").write_text("dependencies: [strawberry-graphql-with-fastapi, argon2-cffi, zlib]")
    found = read_conda(UserFiles(), tmp_path, ["strawberry.fastapi", "argon2"])
    assert found is not None
    assert (found.requirements, found.left_out) == (("strawberry-graphql", "argon2-cffi"), ("zlib",))


@pytest.mark.parametrize("text", ["", "[", "dependencies: 3", "dependencies: [python=3.11, zlib, {pip: ['-r x.txt']}]"])
def test_a_file_without_packages_of_the_index_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "environment.yaml").write_text(text)
    assert read_conda(UserFiles(), tmp_path, []) is None


def test_a_project_for_conda_is_an_application(tmp_path: Path) -> None:
    (tmp_path / "environment.yml").write_text(ENVIRONMENT)
    (tmp_path / "app.py").write_text("from flask import Flask\napp = Flask(__name__)\n")
    project = read_project(tmp_path)
    assert (project.python, project.python_is_named) == ("3.11", True)
    assert {"flask", "gunicorn", "pandas"} <= project.dependencies
    assert "flask==2.3.*" in project.added and project.launch is not None
    assert any("left out, since the code does not import them: zlib, rare-web-kit" in note for note in project.notes)


@pytest.mark.parametrize(
    ("version", "specifier"),
    [
        ("=1.24.*", "==1.24.*"),
        ("==1.24.*", "==1.24.*"),
        (" 1.26", "==1.26"),
        (" 1.26 py311_0", "==1.26"),
        ("=2022a", ""),
        ("=1|=2", ""),
    ],
)
def test_versions_are_those_that_conda_takes(tmp_path: Path, version: str, specifier: str) -> None:
    (tmp_path / "environment.yml").write_text(f"dependencies:\n  - numpy{version}\n")
    found = read_conda(UserFiles(), tmp_path, ["numpy"])
    assert found is not None
    assert found.requirements == (f"numpy{specifier}",)


PIXI = """
[workspace]
name = "Shop"
channels = ["conda-forge"]
platforms = ["linux-64"]

[dependencies]
python = ">=3.11,<3.12"
flask = {version = "2.3.*", channel = "conda-forge"}
zlib = "*"

[target.linux-64.dependencies]
numpy = "*"

[target.osx-arm64.dependencies]
requests = "*"

[pypi-dependencies]
shop = {path = ".", editable = true}
gunicorn = "==21.2.0"
rich = {version = "*", extras = ["jupyter"]}
forked = {git = "https://example.org/forked.git", rev = "abc"}

[feature.web.pypi-dependencies]
httpx = "0.27"

[feature.docs.dependencies]
sphinx = "*"

[environments]
default = ["web"]
docs = ["docs"]
"""


def test_the_default_environment_of_pixi_counts(tmp_path: Path) -> None:
    (tmp_path / "pixi.toml").write_text(PIXI)
    found = read_conda(UserFiles(), tmp_path, ["flask"])
    assert found is not None
    assert found.requirements == (
        "flask==2.3.*",
        "numpy",
        "gunicorn==21.2.0",
        "rich[jupyter]",
        "forked @ git+https://example.org/forked.git@abc",
        "httpx==0.27",
    )
    assert (found.name, found.python, found.left_out) == ("Shop", ">=3.11,<3.12", ("zlib",))


def test_a_project_for_pixi_is_an_application(tmp_path: Path) -> None:
    (tmp_path / "pixi.toml").write_text(PIXI)
    (tmp_path / "app.py").write_text("from flask import Flask\napp = Flask(__name__)\n")
    project = read_project(tmp_path)
    assert (project.name, project.python, project.kind) == ("shop", "3.11", "app")
    assert "flask==2.3.*" in project.added and project.launch is not None


def test_pixi_adds_to_the_metadata(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "shop"\nversion = "1"\ndependencies = ["flask>=3"]\n'
        '[tool.pixi.dependencies]\npython = "3.11.*"\nflask = "*"\ngunicorn = "*"\nzlib = "*"\n'
    )
    (tmp_path / "app.py").write_text("from flask import Flask\napp = Flask(__name__)\n")
    project = read_project(tmp_path)
    assert (project.python, project.settings.dependencies) == ("3.11", ("gunicorn",))
    assert any(note.endswith("since the code does not import them: zlib.") for note in project.notes)


def test_a_conda_environment_stands_in_for_a_setup_script_without_requirements(tmp_path: Path) -> None:
    (tmp_path / "setup.py").write_text("from setuptools import setup\nsetup(name='shop', version='1', py_modules=['app'])\n")
    (tmp_path / "environment.yml").write_text(ENVIRONMENT)
    (tmp_path / "app.py").write_text("from flask import Flask\napp = Flask(__name__)\n")
    assert "flask==2.3.*" in read_project(tmp_path).added


def test_a_conda_environment_adds_nothing_to_a_list_of_no_dependencies(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "shop"\nversion = "1"\ndependencies = []\n')
    (tmp_path / "environment.yml").write_text(ENVIRONMENT)
    (tmp_path / "app.py").write_text("print('Hello')\n")
    assert read_project(tmp_path).added == ()


def test_any_name_and_path_in_a_manifest_of_pixi_is_read(tmp_path: Path) -> None:
    (tmp_path / "pixi.toml").write_text('[workspace]\nname = "My shop!"\n[pypi-dependencies]\nown = {path = "a\\u0000b"}\n')
    (tmp_path / "app.py").write_text("import own\n")
    assert read_project(tmp_path).name == "my-shop"


@pytest.mark.parametrize(
    ("file", "table"),
    [("pyproject.toml", '[project]\nname = "shop"\nversion = "1"\n[tool.pixi.'), ("pixi.toml", "[")],
)
def test_a_python_alone_counts(tmp_path: Path, file: str, table: str) -> None:
    (tmp_path / file).write_text(f'{table}dependencies]\npython = "3.11.*"\n')
    (tmp_path / "app.py").write_text("print('Hello')\n")
    project = read_project(tmp_path)
    assert (project.python, project.added, project.notes) == ("3.11", (), ())
