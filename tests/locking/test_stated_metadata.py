"""What sources state of themselves, where their setup.py does not run."""

from pathlib import Path

import pytest
from support.project_tree import written

from shipwheel.locking.stated_metadata import answer_from_source

STATED = "Metadata-Version: 1.1\nName: Old-Jokes\nVersion: 1.0\nDescription: many\n        lines\n"
REQUIRES = "far>=1\n\n[:python_version < '3']\nfutures\n\n[fast]\nspeed\n\n[fast:os_name == 'nt']\nwin\n"
PREPARE = 'backend.prepare_metadata_for_build_wheel("/metadata", None)'


def _answer(root: Path, files: dict[str, str], script: str) -> dict[str, str]:
    """Return the files that the answer consists of, by their paths; none if the source has no answer."""
    (root / "out").mkdir(parents=True)
    answered = answer_from_source(script, written(root / "source", files), root / "out", root / "out" / "metadata")
    found = {path.relative_to(root / "out").as_posix(): path.read_text() for path in (root / "out").rglob("*") if path.is_file()}
    assert answered == bool(found)
    return found


@pytest.mark.parametrize("folder", ["Old_Jokes.egg-info", "src/Old_Jokes.egg-info"])
def test_answers_what_setuptools_wrote(tmp_path: Path, folder: str) -> None:
    files = {"setup.py": "raise SystemExit", f"{folder}/PKG-INFO": STATED, f"{folder}/requires.txt": REQUIRES}
    assert _answer(tmp_path / "1", files, "backend.get_requires_for_build_wheel()") == {"get_requires_for_build_wheel.txt": "[]"}
    answer = _answer(tmp_path / "2", files, PREPARE)
    assert answer.pop("prepare_metadata_for_build_wheel.txt") == "Old_Jokes-1.0.dist-info"
    assert [*answer] == ["metadata/Old_Jokes-1.0.dist-info/METADATA"]
    assert "".join(answer.values()).splitlines() == [
        "Metadata-Version: 2.1",
        "Name: Old-Jokes",
        "Version: 1.0",
        "Requires-Dist: far>=1",
        "Requires-Dist: futures ; (python_version < '3')",
        "Provides-Extra: fast",
        'Requires-Dist: speed ; extra == "fast"',
        "Provides-Extra: fast",
        "Requires-Dist: win ; (os_name == 'nt') and extra == \"fast\"",
    ]


@pytest.mark.parametrize(
    "files",
    [
        {"setup.py": "", "PKG-INFO": STATED},
        {"a.egg-info/PKG-INFO": STATED.replace("1.0", "../1")},
        {"a.egg-info/PKG-INFO": "Metadata-Version: 1.1\n"},
        {"a.egg-info/PKG-INFO": STATED, "b.egg-info/PKG-INFO": STATED},
    ],
    ids=["nothing of setuptools", "a path", "nothing", "several"],
)
def test_other_sources_have_no_answer(tmp_path: Path, files: dict[str, str]) -> None:
    assert _answer(tmp_path, files, PREPARE) == {}


def test_a_wheel_is_never_stated(tmp_path: Path) -> None:
    assert _answer(tmp_path, {"a.egg-info/PKG-INFO": STATED}, 'backend.build_wheel("/wheels", {})') == {}


@pytest.mark.parametrize(("name", "text"), [("PKG-INFO", STATED), ("requires.txt", "private\n")])
def test_a_link_that_a_backend_made_leads_nowhere(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "secret").write_text(text)
    source = written(tmp_path / "source", {"a.egg-info/PKG-INFO": STATED})
    (source / "a.egg-info" / name).unlink(missing_ok=True)
    (source / "a.egg-info" / name).symlink_to(tmp_path / "secret")
    answer = _answer(tmp_path, {}, PREPARE)
    assert bool(answer) == (name == "requires.txt")
    assert "private" not in "".join(answer.values())


def test_any_bytes_are_requirements_or_none(tmp_path: Path) -> None:
    source = written(tmp_path / "source", {"a.egg-info/PKG-INFO": STATED})
    (source / "a.egg-info/requires.txt").write_bytes(b"\xff\n")
    assert _answer(tmp_path, {}, PREPARE)
