"""The checksum of a lock's inputs: the same files give the same checksum in every version, so that existing locks stay current."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from support.lock_requests import lock_request

from shipwheel.locking.inputs import input_parts, inputs_digest


@dataclass(frozen=True)
class Recorded:
    """A directory, the choices of its lock request, and what versions before this test recorded for it."""

    files: dict[str, str]
    digest: str
    parts: dict[str, str]
    root: str = "."
    choices: dict[str, Any] = field(default_factory=dict)
    other_lock: str = ""


RECORDED = {
    "workspace member": Recorded(
        {
            "pyproject.toml": (
                "[project]\n"
                'name = "top"\n'
                'version = "1"\n'
                "[tool.uv.workspace]\n"
                'members = ["libs/*"]\n'
                'exclude = ["libs/old"]\n'
                "[tool.uv.sources]\n"
                'shared = { path = "shared" }\n'
                "[tool.uv]\n"
                'constraint-dependencies = ["small<2"]\n'
                "[[tool.uv.index]]\n"
                'name = "corp"\n'
                'url = "https://corp.example/simple"\n'
            ),
            "shared/pyproject.toml": ('[project]\nname = "shared"\nversion = "1"\ndependencies = ["leaf"]\n'),
            "libs/one/pyproject.toml": (
                "[project]\n"
                'name = "One_Lib"\n'
                'version = "1"\n'
                'dynamic = ["dependencies"]\n'
                "[build-system]\n"
                'requires = ["setuptools"]\n'
                "[tool.setuptools.dynamic]\n"
                'dependencies = { file = ["needs.txt"] }\n'
            ),
            "libs/old/pyproject.toml": ('[project]\nname = "old"\nversion = "1"\n'),
            "libs/app/pyproject.toml": (
                "[project]\n"
                'name = "app"\n'
                'version = "1"\n'
                'requires-python = ">=3.11"\n'
                'dependencies = ["one-lib", "small"]\n'
                'optional-dependencies.x = ["native"]\n'
                "[dependency-groups]\n"
                'run = ["tool"]\n'
                "[tool.uv.sources]\n"
                "one-lib = { workspace = true }\n"
                "[tool.shipwheel]\n"
                'tag = "app:1"\n'
            ),
        },
        "sha256:20bb7174f96bd5bacddf759a2b0c32547e9b830849d26615dd0c6e28f2d8e5c0",
        {
            "Python": "3.11",
            "extras": "x",
            "groups": "run",
            "pyproject.toml: name": "app",
            "pyproject.toml: requires-python": ">=3.11",
            "pyproject.toml: dependencies": "68f8abc00560",
            "pyproject.toml: optional-dependencies": "deff8e21c9f4",
            "pyproject.toml: dependency-groups": "ac6f4384fed4",
            "pyproject.toml: [tool.uv]": "fe3ce3f08325",
            "../../pyproject.toml: name": "top",
            "../../pyproject.toml: [tool.uv]": "5ef6446ab05e",
            "../one/pyproject.toml: name": "One_Lib",
            "../one/pyproject.toml: dynamic": "dbf93a94a901",
            "../one/pyproject.toml: build-system": "d6368b69d3d1",
            "../one/pyproject.toml: what its build backend reads": "1b4fb6345f8b",
            "../../shared/pyproject.toml: name": "shared",
            "../../shared/pyproject.toml: dependencies": "f5ba36d7e2c1",
        },
        root="libs/app",
        choices={"extras": ("x",), "groups": ("run",)},
    ),
    "uv.lock": Recorded(
        {
            "pyproject.toml": ('[project]\nname = "app"\nversion = "1"\ndependencies = ["small"]\n'),
            "uv.lock": ("version = 1\n"),
            "uv.toml": ("no-index = true\n"),
        },
        "sha256:0ab4649fa0a0c5a4a04997f621b09604a0a3fcb42700efd03acbe165bf3dea38",
        {
            "Python": "3.11",
            "what settings and command add": "gunicorn",
            "uv.lock": "dbab12665d98",
            "pyproject.toml: name": "app",
            "pyproject.toml: dependencies": "6580b0a3781d",
            "uv.toml": "f574c50f7984",
        },
        choices={"added": ("gunicorn",)},
        other_lock="uv.lock",
    ),
    "uv.lock on a day": Recorded(
        {
            "pyproject.toml": ('[project]\nname = "app"\nversion = "1"\ndependencies = ["small"]\n'),
            "uv.lock": ("version = 1\n"),
        },
        "sha256:3c3026231e6a8e0ca1acb56453321ada9456dcd1c6f4f362bb4fc117696712ff",
        {
            "Python": "3.11",
            "as-of": "2024-09-15",
            "accelerator": "cuda",
            "pyproject.toml: name": "app",
            "pyproject.toml: dependencies": "6580b0a3781d",
        },
        choices={"as_of": "2024-09-15", "accelerator": "cuda"},
    ),
    "requirements files": Recorded(
        {
            "requirements.txt": ("-r more.txt\n-c limits.txt\nsmall\n"),
            "more.txt": ("leaf==1.0\n"),
            "limits.txt": ("small<2\n"),
            "setup.py": ("import setuptools\n"),
        },
        "sha256:bccc8951be021d75f21c461859a7c45b4ff9c39b4114ebb8ebf3bf3ded84cee1",
        {"Python": "3.11", "requirements.txt": "1f3805af8a3a", "more.txt": "5afce0e93fa3", "limits.txt": "f84783c86d64"},
        choices={"requirements": ("requirements.txt",)},
    ),
    "requirements that list the project": Recorded(
        {
            "requirements.txt": ("-e .\nsmall\n"),
            "setup.py": ("import setuptools\nsetuptools.setup()\n"),
            "setup.cfg": ("[metadata]\nname = made\n"),
        },
        "sha256:dcba37ba43d839f30a6da65248cd15d77a14a11f6d51905e6d543198c0926607",
        {"Python": "3.11", "requirements.txt": "8f4e65478f01"},
        choices={"requirements": ("requirements.txt",)},
    ),
    "requirements beside pyproject.toml": Recorded(
        {
            "requirements.txt": ("small\n"),
            "pyproject.toml": ("[tool.black]\nline-length = 100\n[tool.uv]\nindex-url = 'https://corp.example/simple'\n"),
        },
        "sha256:fbf0f3cc76815c01dd5c61fcf3ad98cc9b9791960f5052c504a89eeee44e5695",
        {"Python": "3.11", "requirements.txt": "4c47b3e816fb", "pyproject.toml: [tool.uv]": "7db89d9951b3"},
        choices={"requirements": ("requirements.txt",)},
    ),
    "Poetry": Recorded(
        {
            "pyproject.toml": (
                "[tool.poetry]\n"
                'name = "p"\n'
                'version = "1"\n'
                "[tool.poetry.dependencies]\n"
                'python = "^3.11"\n'
                'small = "^1.0"\n'
                "[tool.poetry.group.run.dependencies]\n"
                'tool = "*"\n'
            ),
            "poetry.lock": ("[metadata]\nlock-version = '2.0'\n"),
        },
        "sha256:d4ef62753eb1c333ee6516e855e73812a9780c090a2a5b49eaba6d548a250eee",
        {"Python": "3.11", "groups": "run", "poetry.lock": "e76a37bd55c8", "pyproject.toml: what its build backend reads": "8d8d5ff516bd"},
        choices={"groups": ("run",)},
        other_lock="poetry.lock",
    ),
    "setuptools, dynamic": Recorded(
        {
            "pyproject.toml": (
                "[project]\n"
                'name = "dyn"\n'
                'dynamic = ["version", "dependencies", "optional-dependencies"]\n'
                "[tool.setuptools.dynamic]\n"
                'dependencies = { file = "needs.txt" }\n'
                'optional-dependencies.x = { file = ["x.txt"] }\n'
            ),
            "needs.txt": ("small\n"),
            "x.txt": ("leaf\n"),
            "setup.cfg": (""),
        },
        "sha256:0b52105839d5092d69efc7b206b7f8264add25f77c2e8968bf6674f06a4732c3",
        {
            "Python": "3.11",
            "pyproject.toml: name": "dyn",
            "pyproject.toml: dynamic": "1e7304b4f345",
            "pyproject.toml: what its build backend reads": "66d982063736",
            "setup.cfg": "e3b0c44298fc",
            "needs.txt": "4c47b3e816fb",
            "x.txt": "26d0bac9f0c7",
        },
    ),
    "Pipfile": Recorded(
        {
            "Pipfile": ('[packages]\nsmall = "*"\n[dev-packages]\ntool = "*"\n'),
            "Pipfile.lock": ("{}\n"),
        },
        "sha256:1857701de195595f5cbf2a5aa4a0e05f59b6ef6501f305b7d9f8730f05c5f476",
        {"Python": "3.11", "groups": "dev", "Pipfile.lock": "ca3d163bab05", "Pipfile": "25fed6ef203b"},
        choices={"groups": ("dev",)},
        other_lock="Pipfile.lock",
    ),
    "script": Recorded(
        {
            "job.py": ('# /// script\n# dependencies = ["small", "leaf>=1"]\n# requires-python = ">=3.11"\n# ///\n'),
            "pyproject.toml": ("[project]\nname = 'other'\n"),
            "uv.lock": ("version = 1\n"),
        },
        "sha256:5c591a43b465a394c92ea84a8d3fb6870fd7560b0cce96fb6a20869395df011e",
        {"Python": "3.11", "the inline metadata of job.py": "98f67e8ab5bc"},
        choices={"script": "job.py"},
    ),
    "foreign pylock.toml": Recorded(
        {
            "requirements.txt": ("small\n"),
            "pylock.toml": ('lock-version = "1.0"\ncreated-by = "pip"\npackages = []\n'),
        },
        "sha256:1961b5acb1aa6c33c6087ecdaef66386259df2b6619c73300cf9585a8efea631",
        {"Python": "3.11", "pylock.toml": "b1847feae05e", "requirements.txt": "4c47b3e816fb"},
        choices={"requirements": ("requirements.txt",)},
        other_lock="pylock.toml",
    ),
}


def test_a_project_in_a_repository_has_a_version_for_its_lock_alone(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'My.shop'\ndynamic = ['version', 'dependencies']\n")
    inputs = lock_request(tmp_path, "3.11").inputs
    assert (inputs.locked_version, inputs.pretended_version) == ({"SETUPTOOLS_SCM_PRETEND_VERSION_FOR_MY_SHOP": "0.0.0"}, {})


@pytest.mark.parametrize("name", RECORDED)
def test_keeps_the_checksum_and_the_parts_of_earlier_versions(tmp_path: Path, name: str) -> None:
    recorded = RECORDED[name]
    for path, text in recorded.files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    root, choices = tmp_path / recorded.root, dict(recorded.choices)
    requirements = tuple(root / file for file in choices.pop("requirements", ()))
    script = root / choices.pop("script") if "script" in choices else None
    request = lock_request(root, "3.11", requirements, script=script, **choices)
    assert inputs_digest(request) == recorded.digest
    assert input_parts(request) == recorded.parts
    assert (request.other_lock.path.name if request.other_lock else "") == recorded.other_lock


def test_a_path_that_the_settings_add_is_the_same_in_every_copy_of_the_project(tmp_path: Path) -> None:
    found = []
    for copy in ("here", "there"):
        (tmp_path / copy).mkdir()
        (tmp_path / copy / "requirements.txt").write_text("flask\n")
        request = replace(
            lock_request(tmp_path / copy, "3.11", (tmp_path / copy / "requirements.txt",)),
            added=("six", f"own @ {(tmp_path / copy).as_uri()}/libs/my%20own"),
        )
        found.append((inputs_digest(request), input_parts(request)))
    assert found[0] == found[1]
    assert found[0][1]["what settings and command add"] == "six, own @ libs/my own"
