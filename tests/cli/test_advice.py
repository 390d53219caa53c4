"""What `init` is told about a project."""

from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from support.lock_requests import lock_request
from support.project_tree import written

from shipwheel.cli.advice import ProjectAdvisor
from shipwheel.locking.inputs import LockRequest
from shipwheel.locking.selection import LockedDistribution
from shipwheel.project import last_change
from shipwheel.project.read import read_project, with_dependencies, with_python
from shipwheel.settings.settings import Settings, added


@pytest.mark.parametrize(
    ("start", "steps"),
    [("", (("alembic", "upgrade", "head"),)), ("alembic upgrade head --sql && ", ())],
    ids=["no step", "the step runs"],
)
def test_a_step_that_runs_is_not_advised(tmp_path: Path, start: str, steps: tuple[tuple[str, ...], ...]) -> None:
    files = {
        "requirements.txt": "flask\ngunicorn\nalembic\n",
        "main.py": "from flask import Flask\napp = Flask(__name__)\n",
        "alembic.ini": "[alembic]\n",
        "Procfile": f"web: {start}gunicorn main:app\n",
    }
    project = with_dependencies(read_project(written(tmp_path, files), Settings()), frozenset({"flask", "gunicorn", "alembic"}))
    built: Any = SimpleNamespace(resolution=SimpleNamespace(project=project), platforms=[_platform()])
    unused: Any = None
    assert ProjectAdvisor(built, unused, unused, unused, unused).table_steps() == steps


@pytest.mark.parametrize(
    ("main", "made"),
    [
        ("def main():\n    db.create_all()\n    app.run()\nif __name__ == '__main__':\n    main()\n", True),
        ("if __name__ == '__main__':\n    app.run()\n", False),
        ("def later():\n    db.create_all()\n", False),
    ],
    ids=["its main makes tables", "its main only runs", "it has no main"],
)
def test_the_tables_that_a_file_makes_when_it_is_run(tmp_path: Path, main: str, made: bool) -> None:
    files = {
        "requirements.txt": "flask\ngunicorn\n",
        "site.py": f"from flask import Flask\nfrom x import db\napp = Flask(__name__)\n{main}",
    }
    project = with_dependencies(read_project(written(tmp_path, files), Settings()), frozenset({"flask", "gunicorn"}))
    built: Any = SimpleNamespace(resolution=SimpleNamespace(project=project), platforms=[_platform()])
    unused: Any = None
    steps = ProjectAdvisor(built, unused, unused, unused, unused).table_steps()
    assert [step[:2] for step in steps] == ([("python", "-c")] if made else [])
    if made:
        compile(steps[0][2], "step", "exec")
        assert "'site.py'" in steps[0][2] and "flask.Flask.run" in steps[0][2]


@pytest.mark.parametrize(("serve", "ends"), [("uvicorn.run(app)", True), ("uvicorn.Server(uvicorn.Config(app)).run()", False)])
def test_the_tables_that_a_file_makes_before_it_runs_its_server(tmp_path: Path, serve: str, ends: bool) -> None:
    main = f"async def main():\n    await Band.create_table()\nif __name__ == '__main__':\n    asyncio.run(main())\n    {serve}\n"
    text = f"import asyncio, uvicorn\nfrom fastapi import FastAPI\nfrom x import Band\napp = FastAPI()\n{main}"
    files = {"requirements.txt": "fastapi\nuvicorn\n", "web.py": text}
    project = with_dependencies(read_project(written(tmp_path, files), Settings()), frozenset({"fastapi", "uvicorn"}))
    built: Any = SimpleNamespace(resolution=SimpleNamespace(project=project), platforms=[_platform()])
    unused: Any = None
    steps = ProjectAdvisor(built, unused, unused, unused, unused).table_steps()
    assert bool(steps) == ends
    for *_, program in steps:
        compile(program, "step", "exec")
        assert program.startswith("import uvicorn, runpy; uvicorn.run = lambda")


@pytest.mark.parametrize(
    ("changed", "days"),
    [("2016-09-01", ("2021-10-05", "2019-06-27")), ("2020-02-01", ("2021-10-05", "2020-02-01")), ("2023-05-04", ("2023-05-04",))],
)
def test_the_days_have_packages_for_a_python_that_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str, days: tuple[str, ...]
) -> None:
    monkeypatch.setattr(last_change, "last_commit", lambda _root: date.fromisoformat(changed))
    built: Any = SimpleNamespace(resolution=SimpleNamespace(project=SimpleNamespace(root=tmp_path)))
    unused: Any = None
    assert ProjectAdvisor(built, unused, unused, unused, unused).days() == days


@pytest.mark.parametrize(("day", "requirement"), [("2017-11-30", "pyyaml==3.12"), ("2022-01-01", ""), (None, "")])
def test_the_version_of_a_package_when_another_was_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, day: str | None, requirement: str
) -> None:
    asked: list[date | None] = []

    def version_of_day(name: str, request: LockRequest) -> str:
        asked.append(request.as_of)
        return {"pyyaml": "3.12"}[name]

    monkeypatch.setattr("shipwheel.locking.diagnose.alternatives.version_of_day", version_of_day)
    monkeypatch.setattr("shipwheel.pipeline.resolve.lock_request", lambda _: lock_request(tmp_path, "3.9"))
    old = LockedDistribution("old-user", "1.0", "sdist", uploaded=date.fromisoformat(day) if day else None)
    new = LockedDistribution("pyyaml", "5.4", "wheel", uploaded=date(2021, 1, 20))
    platform = SimpleNamespace(resolved=SimpleNamespace(selection=SimpleNamespace(distributions=(old, new))))
    built: Any = SimpleNamespace(resolution=SimpleNamespace(project=None), platforms=[platform])
    unused: Any = None
    advisor = ProjectAdvisor(built, unused, unused, unused, unused)
    assert advisor.version_then("yaml", "old_user") == requirement
    assert advisor.version_then("collections", "old_user") == ""
    assert asked == ([old.uploaded] if requirement else [])


@pytest.mark.parametrize(("version", "requirement"), [("2.0.1", "old-user<2"), ("1.3", "old-user<1"), ("0.9", ""), ("v1", "")])
def test_the_versions_before_the_major_one(version: str, requirement: str) -> None:
    item = LockedDistribution("old-user", version, "wheel")
    platform = SimpleNamespace(resolved=SimpleNamespace(selection=SimpleNamespace(distributions=(item,))))
    built, unused = cast(Any, SimpleNamespace(platforms=[platform])), cast(Any, None)
    assert ProjectAdvisor(built, unused, unused, unused, unused).before_major("old_user") == requirement


def test_the_image_tells_the_package_of_a_module_with_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shipwheel.locking.diagnose.alternatives.version_of_day", lambda name, _: {"py-moneyed": "0.8"}[name])
    monkeypatch.setattr("shipwheel.pipeline.resolve.lock_request", lambda _: lock_request(tmp_path, "3.9"))

    def run(_self: ProjectAdvisor, command: tuple[str, ...]) -> str:
        compile(command[2], "program", "exec")
        return {"moneyed": "a warning\nowner: py-moneyed\n", "djmoney": "owner: other\nowner: Django_Money\n"}.get(command[3], "")

    monkeypatch.setattr(ProjectAdvisor, "_help", run)
    old = LockedDistribution("django-money", "1.0", "wheel", uploaded=date(2019, 11, 8))
    new = LockedDistribution("py-moneyed", "1.2", "wheel", uploaded=date(2021, 2, 23))
    platform = SimpleNamespace(resolved=SimpleNamespace(selection=SimpleNamespace(distributions=(old, new))))
    built: Any = SimpleNamespace(resolution=SimpleNamespace(project=None), platforms=[platform])
    unused: Any = None
    advisor = ProjectAdvisor(built, unused, unused, unused, unused)
    assert advisor.version_then("moneyed", "djmoney") == "py-moneyed==0.8"
    assert advisor.version_then("moneyed", "unknown") == ""


@pytest.mark.parametrize(("changed", "pythons"), [("2023-10-13", ("3.9",)), ("2025-01-01", ("3.9", "3.13"))])
def test_no_python_is_tried_that_came_after_the_last_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str, pythons: tuple[str, ...]
) -> None:
    monkeypatch.setattr(last_change, "last_commit", lambda _root: date.fromisoformat(changed))
    project = SimpleNamespace(root=tmp_path, python="3.11", wanted_python="", other_pythons=("3.9", "3.13", "3.14"))
    built: Any = SimpleNamespace(resolution=SimpleNamespace(project=project))
    unused: Any = None
    advisor = ProjectAdvisor(built, unused, unused, unused, unused)
    assert (advisor.other_pythons(), advisor.newer_pythons()) == (pythons, pythons[1:])


def test_the_python_that_a_file_names_is_the_first_other_one(tmp_path: Path) -> None:
    files = {"requirements.txt": "", "main.py": "import json\n", "Dockerfile": "FROM python:3.10-slim\nCOPY . .\nCMD python main.py\n"}
    project = read_project(written(tmp_path, files), Settings())
    assert (project.python, project.wanted_python) == ("3.11", "3.10")
    unused: Any = None
    for oldest, first in ((0, "3.10"), (11, "3.13")):
        built: Any = SimpleNamespace(resolution=SimpleNamespace(project=msgspec.structs.replace(project, oldest_python=oldest)))
        assert ProjectAdvisor(built, unused, unused, unused, unused).other_pythons()[0] == first


def _platform() -> SimpleNamespace:
    return SimpleNamespace(resolved=SimpleNamespace(selection=SimpleNamespace(distributions=())))


def test_what_nothing_lists_stays_beside_a_package_that_is_added(tmp_path: Path) -> None:
    project = read_project(written(tmp_path, {"main.py": "import requests\nfrom flask import Flask\napp = Flask(__name__)\n"}), Settings())
    other = with_python(project, "3.11")
    for each in (project, other):
        built: Any = SimpleNamespace(resolution=SimpleNamespace(project=each))
        unused: Any = None
        found = ProjectAdvisor(built, unused, unused, unused, unused).unlisted()
        assert found == ("flask", "requests")
        settings = added(Settings(), "dependencies", (*found, "pillow"))
        assert {"flask", "requests", "pillow"} <= read_project(tmp_path, settings).dependencies


def test_a_list_stays_beside_a_package_that_is_added(tmp_path: Path) -> None:
    project = read_project(
        written(tmp_path, {"requirements.txt": "flask\n", "main.py": "from flask import Flask\n"}), Settings(), launch=False
    )
    built: Any = SimpleNamespace(resolution=SimpleNamespace(project=project))
    unused: Any = None
    assert ProjectAdvisor(built, unused, unused, unused, unused).unlisted() == ()


def test_an_example_changes_nothing_that_the_image_sets(tmp_path: Path) -> None:
    (tmp_path / ".env.example").write_text("DJANGO_SETTINGS_MODULE=shop.settings.local\nDB_DRIVER=sqlite\n")
    image = SimpleNamespace(execution=SimpleNamespace(environment={"DJANGO_SETTINGS_MODULE": "shop.settings.production"}))
    built: Any = SimpleNamespace(
        resolution=SimpleNamespace(project=SimpleNamespace(root=tmp_path)), index=SimpleNamespace(images=[image]), platforms=[_platform()]
    )
    unused: Any = None
    assert ProjectAdvisor(built, unused, unused, unused, unused).example_environment() == (".env.example", {"DB_DRIVER": "sqlite"})
