"""Which Python is tried after one that will not do, and what is said of it."""

from pathlib import Path

import pytest

from shipwheel.build.fitting import first_fitting
from shipwheel.config import Settings
from shipwheel.errors import LockError
from shipwheel.events import Event, Warned
from shipwheel.python.explain import explained
from shipwheel.python.project import Project, detect
from shipwheel.python.uv import Finished, UvFailed

FAILED = """\
error: Failed to build `old==1.0`
  cause: The build backend returned an error
  cause: Call to `setuptools.build_meta.build_wheel` failed (exit status: 1)
         [stderr]
         AttributeError: module 'configparser' has no attribute 'SafeConfigParser'
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "main.py").write_text("print('hello')\n")
    (tmp_path / "requirements.txt").write_text("old==1.0\n")
    return detect(tmp_path, Settings())


def failed() -> LockError:
    return explained(UvFailed(Finished(1, "", FAILED)), "requirements.txt", {})


def test_after_a_build_that_failed_another_python_is_tried(project: Project) -> None:
    seen: list[Event] = []

    def attempt(tried: Project) -> str:
        if tried.python == project.python:
            raise failed()
        return tried.python

    found = first_fitting(project, seen.append, attempt)
    assert found == project.other_pythons[0]
    (warning,) = (event.message for event in seen if isinstance(event, Warned))
    assert warning.endswith("will not do: requirements.txt cannot be locked: Failed to build `old==1.0`")


def test_a_build_that_fails_on_each(project: Project) -> None:
    tried: list[str] = []

    def attempt(it: Project) -> str:
        tried.append(it.python)
        raise failed()

    with pytest.raises(LockError, match="SafeConfigParser") as caught:
        first_fitting(project, lambda _: None, attempt)
    assert tried == [project.python, *project.other_pythons]
    assert f"Python {', '.join(project.other_pythons)} either" in caught.value.hint and "--as-of" in caught.value.hint
