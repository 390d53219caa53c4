"""The settings of an image for development."""

from pathlib import Path

import pytest

from shipwheel.dev.variant import development, for_editor
from shipwheel.project.pins import Pins
from shipwheel.project.read import read_project
from shipwheel.settings.settings import Settings

PYPROJECT = '[project]\nname = "shop"\nversion = "1"\ndependencies = ["flask"]\n'


def variant(root: Path, *, debugger: bool = False) -> Settings:
    return development(read_project(root, launch=False), debugger=debugger)


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "groups", "requirements"),
    [
        ({"pyproject.toml": f'{PYPROJECT}[dependency-groups]\ndev = ["pytest"]\n'}, ("dev",), ()),
        ({"requirements.txt": "flask\n", "requirements-dev.txt": "pytest\n"}, (), ("requirements.txt", "requirements-dev.txt")),
        ({"requirements/base.txt": "flask\n", "requirements/dev.txt": "x\n"}, (), ("requirements/base.txt", "requirements/dev.txt")),
        ({"Pipfile": '[packages]\nflask = "*"\n[dev-packages]\npytest = "*"\n'}, ("dev",), ()),
    ],
)
def test_takes_what_developers_need(tmp_path: Path, files: dict[str, str], groups: tuple[str, ...], requirements: tuple[str, ...]) -> None:
    settings = variant(write(tmp_path, {**files, "app.py": ""}))
    assert (settings.groups, settings.requirements, settings.lock) == (groups, requirements, "pylock.dev.toml")
    read_project(tmp_path, settings, launch=False)


def test_is_the_project_itself_where_nothing_is_added(tmp_path: Path) -> None:
    write(tmp_path, {"requirements.txt": "flask\n", "app.py": ""})
    assert variant(tmp_path) == Settings(steps=())


def test_has_a_debugger_once(tmp_path: Path) -> None:
    write(tmp_path, {"requirements.txt": "flask\n", "app.py": ""})
    assert variant(tmp_path, debugger=True).dependencies == ("debugpy",)
    (tmp_path / "requirements.txt").write_text("debugpy\n")
    assert variant(tmp_path, debugger=True) == Settings(steps=())


def test_has_the_versions_of_the_projects_lock(tmp_path: Path) -> None:
    write(tmp_path, {"requirements.txt": "flask\n", "app.py": ""})
    (tmp_path / "pylock.toml").write_text('lock-version = "1.0"\n[[packages]]\nname = "flask"\nversion = "2.0"\n[tool.shipwheel]\n')
    inputs = read_project(tmp_path, variant(tmp_path, debugger=True), launch=False).inputs
    assert inputs.pins == Pins((("flask", "2.0"),), "pylock.toml")
    assert (inputs.lock_path.name, inputs.main_lock) == ("pylock.dev.toml", tmp_path / "pylock.toml")


def test_an_editors_variant_has_a_shell_and_a_lock_of_its_own() -> None:
    plain = Settings(packages=("ffmpeg",))
    found = for_editor(plain)
    assert found.lock == "pylock.devcontainer.toml"
    assert found.packages[0] == "ffmpeg"
    assert {"bash", "coreutils", "dash", "git", "libstdc++6", "procps", "sed", "tar"} <= {*found.packages}
