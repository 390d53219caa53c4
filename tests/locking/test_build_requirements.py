"""Builds that import what they do not require."""

from pathlib import Path

import pytest
from support.project_tree import written

from shipwheel.locking.build_requirements import missing_build_requirement
from shipwheel.locking.uv_output import FailureKind, parse_failure
from shipwheel.project.lock_inputs import LockInputs
from shipwheel.project.read import read_project
from shipwheel.settings.settings import Settings

SETUP = 'from setuptools import setup\nimport bottle\nsetup(name="jokes", install_requires=["bottle>=0.12", "PyYAML"])\n'

CFG = "[metadata]\nname = jokes\n[options]\ninstall_requires =\n  bottle\n"

OWN = """\
error: The build backend returned an error
  cause: Call to `setuptools.build_meta:__legacy__.get_requires_for_build_wheel` failed (exit status: 1)

         [stderr]
         Traceback (most recent call last):
           File "<string>", line 3, in <module>
         ModuleNotFoundError: No module named '{module}'
"""
OTHER = OWN.replace("error: The build backend", "error: Failed to build `Some_Thing==1.0`\n  cause: The build backend")


def _inputs(root: Path, files: dict[str, str]) -> LockInputs:
    return read_project(written(root, files), Settings(), launch=False).inputs


@pytest.mark.parametrize(
    ("files", "module", "requirement"),
    [
        ({"setup.py": SETUP}, "bottle", "bottle>=0.12"),
        ({"setup.py": SETUP}, "yaml.nodes", "PyYAML"),
        ({"setup.py": SETUP}, "pkg_resources", "setuptools<81"),
        ({"setup.py": 'name="x"\nsetup(name="jokes", install_requires="""\na\nbottle==1\n""".split())\n'}, "bottle", "bottle==1"),
        ({"setup.py": "setup()\n", "setup.cfg": CFG}, "bottle", "bottle"),
        ({"setup.py": SETUP, "requirements.txt": "-e .\nbottle==0.13\n"}, "bottle", "bottle==0.13"),
    ],
)  # fmt: skip
def test_takes_the_requirement_that_the_project_states(tmp_path: Path, files: dict[str, str], module: str, requirement: str) -> None:
    inputs = _inputs(tmp_path / "root", {**files, "jokes/__init__.py": ""})
    found = missing_build_requirement(parse_failure(OWN.format(module=module)), inputs, {})
    assert found == {"jokes": (requirement,)}
    assert missing_build_requirement(parse_failure(OWN.format(module=module)), inputs, found) is None, "it did not help"


@pytest.mark.parametrize("module", ["jokes", "nobody_knows", "helpers"])
def test_takes_no_package_that_nothing_names(tmp_path: Path, module: str) -> None:
    inputs = _inputs(tmp_path / "root", {"setup.py": SETUP, "jokes/__init__.py": "", "helpers.py": ""})
    assert missing_build_requirement(parse_failure(OWN.format(module=module)), inputs, {}) is None


def test_knows_the_package_that_was_built(tmp_path: Path) -> None:
    inputs = _inputs(tmp_path / "root", {"requirements.txt": "some-thing\nbottle\n", "main.py": ""})
    failure = parse_failure(OTHER.format(module="bottle"))
    assert (failure.kind, failure.built, failure.missing_module) == (FailureKind.BUILD, "some-thing", "bottle")
    assert missing_build_requirement(failure, inputs, {"jokes": ("a",)}) == {"jokes": ("a",), "some-thing": ("bottle",)}


def test_a_build_that_is_older_than_its_tools_gets_older_ones(tmp_path: Path) -> None:
    inputs = _inputs(tmp_path / "root", {"requirements.txt": "some-thing\n", "main.py": ""})
    output = OTHER.replace("ModuleNotFoundError: No module named '{module}'", "error in some-thing setup command: use_2to3 is invalid.")
    found = missing_build_requirement(parse_failure(output), inputs, {})
    assert found == {"some-thing": ("setuptools<58",)}
    assert missing_build_requirement(parse_failure(output), inputs, found) is None, "it did not help"


def test_a_failure_without_a_missing_module_asks_for_nothing(tmp_path: Path) -> None:
    inputs = _inputs(tmp_path / "root", {"setup.py": SETUP, "jokes/__init__.py": ""})
    assert missing_build_requirement(parse_failure("error: No solution found\nNo module named 'bottle'"), inputs, {}) is None
