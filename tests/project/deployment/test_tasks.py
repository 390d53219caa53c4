"""Tasks of project managers: which of them starts the app."""

from pathlib import Path

import pytest
from support.project_tree import written

from shipwheel.project.deployment.tasks import read_tasks
from shipwheel.project.read import read_project
from shipwheel.user.files import UserFiles

SERVE = "uvicorn --factory shop.web:make"
PROJECT = '[project]\nname = "shop"\nversion = "1"\ndependencies = ["fastapi", "uvicorn"]\n'
TOOL = {"shop/tool.py": "import sys\n\n\ndef loop(): print(sys.argv)\n\n\nloop()\n", "shop/__init__.py": ""}
"""A program that nothing but a task names."""


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("pixi.toml", f'[tasks]\ntest = "pytest"\nstart = "{SERVE}"\n'),
        ("pixi.toml", f'[tasks]\nstart = {{cmd = "{SERVE}", depends-on = ["build"]}}\n'),
        ("pyproject.toml", f'[tool.pixi.tasks]\nserve = "{SERVE}"\n'),
        ("pyproject.toml", f'[tool.pdm.scripts]\nstart.cmd = "{SERVE}"\n'),
        ("pyproject.toml", '[tool.pdm.scripts]\nstart.cmd = ["uvicorn", "--factory", "shop.web:make"]\n'),
        ("pyproject.toml", f'[tool.hatch.envs.default.scripts]\nserve = "{SERVE} {{args}}"\n'),
        ("pyproject.toml", f'[tool.poe.tasks]\nrun = "echo hello"\nstart = {{shell = "{SERVE}"}}\n'),
        ("pyproject.toml", f'[tool.taskipy.tasks]\nrun = "{SERVE}"\n'),
        ("hatch.toml", f'[envs.default.scripts]\nserve = ["{SERVE}"]\n'),
        ("Pipfile", f'[scripts]\nweb = "{SERVE}"\n'),
    ],
)
def test_the_task_that_starts_the_app_is_found(tmp_path: Path, file: str, text: str) -> None:
    (process,) = read_tasks(written(tmp_path, {file: text}), UserFiles())
    assert process.text.strip() == SERVE
    assert process.file == file
    assert "echo" not in text or process.line == 3


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("pyproject.toml", '[tool.pdm.scripts]\ntest = "pytest"\nstart = {call = "shop.web:main"}\nall = {composite = ["test"]}\n'),
        ("pyproject.toml", '[tool.hatch.envs.docs.scripts]\nserve = "mkdocs serve"\n'),
        ("pixi.toml", "[tasks]\nstart = 3\n"),
        ("pixi.toml", "[tasks\n"),
    ],
)
def test_other_tasks_start_nothing(tmp_path: Path, file: str, text: str) -> None:
    assert read_tasks(written(tmp_path, {file: text}), UserFiles()) == ()


def test_a_task_starts_what_the_source_does_not_tell(tmp_path: Path) -> None:
    files = {
        "pyproject.toml": PROJECT + '[tool.poe.tasks]\nstart = "python -m shop.tool --port 9000 --reload"\n',
        **TOOL,
    }
    launch = read_project(written(tmp_path, files)).launch
    assert launch is not None
    assert launch.command == ("python", "-m", "shop.tool", "--port", "9000")
    assert launch.declared_at == "pyproject.toml, line 6"


def test_a_task_brings_its_environment_without_secrets(tmp_path: Path) -> None:
    env = 'MODE = "production", API_TOKEN = "s3cret", HOME_OF_IT = "$PIXI_PROJECT_ROOT/data", DEBUG = 1'
    files = {
        "pyproject.toml": PROJECT + f'[tool.poe.tasks.start]\ncmd = "python -m shop.tool"\nenv = {{{env}}}\n',
        **TOOL,
    }
    launch = read_project(written(tmp_path, files)).launch
    assert launch is not None and (launch.declared_at, launch.env) == ("pyproject.toml, line 5", {"MODE": "production"})


def test_a_task_that_the_image_cannot_run_is_no_news(tmp_path: Path) -> None:
    files = {
        "pyproject.toml": PROJECT + '[tool.poe.tasks]\nstart = "docker compose up"\n',
        "main.py": "from fastapi import FastAPI\napp = FastAPI()\n",
    }
    launch = read_project(written(tmp_path, files)).launch
    assert launch is not None
    assert launch.command[0] == "uvicorn"
    assert not any("docker compose" in note for note in launch.notes)


def test_a_console_script_is_likelier_than_a_task(tmp_path: Path) -> None:
    files = {
        "pyproject.toml": PROJECT
        + "[project.scripts]\nshop = 'shop:main'\n[build-system]\nrequires = []\n[tool.poe.tasks]\nrun = 'python tools/try.py'\n",
        "shop/__init__.py": "def main(): pass\n",
        "tools/try.py": "print('Does it work?')\n",
    }
    launch = read_project(written(tmp_path, files)).launch
    assert launch is not None and launch.command == ("shop",)


def test_what_a_task_does_first_is_no_step_of_another_command(tmp_path: Path) -> None:
    files = {
        "pyproject.toml": PROJECT + '[tool.poe.tasks]\nstart = "python reset_db.py && uvicorn main:app --reload"\n',
        "main.py": "from fastapi import FastAPI\napp = FastAPI()\n",
        "reset_db.py": "print('dropped')\n",
    }
    launch = read_project(written(tmp_path, files)).launch
    assert launch is not None and (launch.declared_at, launch.before_start) == ("", ())
