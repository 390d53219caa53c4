"""The setting `state`: volumes and links for what a person, or a trial, says that the app writes."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.project_tree import launched, written

from shipwheel.errors import UsageError
from shipwheel.project.entrypoint.find import Launch
from shipwheel.project.project import Project
from shipwheel.project.read import read_project, with_dependencies
from shipwheel.settings.settings import Settings, merge

FLASK = "from flask import Flask\napp = Flask(__name__)\n"
SQLITE = FLASK + "U = 'sqlite:///found.db'\n"


def launch_with(root: Path, *state: str, files: dict[str, str] | None = None, **more: object) -> Launch:
    """Return how a project starts whose settings name state."""
    given = merge(Settings(), {"state": state, **more})
    return launched(root, files or {"main.py": FLASK}, "flask gunicorn", settings=given)


def test_a_directory_becomes_a_volume(tmp_path: Path) -> None:
    launch = launch_with(tmp_path, "uploads/", "a/b/", "/var/lib/shop/")
    assert (launch.volumes, launch.links) == (("/app/uploads", "/app/a/b", "/var/lib/shop"), ())


def test_a_file_becomes_a_link_into_a_volume(tmp_path: Path) -> None:
    launch = launch_with(tmp_path, "shop.db", "./var/x.db", "/app/y.db")
    assert launch.volumes == ("/data",)
    assert launch.links == (("shop.db", "/data/shop.db"), ("var/x.db", "/data/var-x.db"), ("y.db", "/data/y.db"))
    assert launch.before_start == ()


def test_outside_of_the_working_directory_every_path_is_a_directory(tmp_path: Path) -> None:
    assert launch_with(tmp_path, "/var/lib/shop").volumes == ("/var/lib/shop",)
    assert launch_with(tmp_path, "shop.db", workdir="/").volumes == ("/shop.db",)


def test_a_file_of_the_image_is_copied_before_the_first_start(tmp_path: Path) -> None:
    launch = launch_with(tmp_path, "shop.db", files={"main.py": FLASK, "shop.db": "rows"})
    ((python, flag, code),) = launch.before_start
    assert (python, flag) == ("python", "-c")
    assert "/app/shop.db.initial" in code


def test_the_copy_comes_before_the_steps_of_the_settings(tmp_path: Path) -> None:
    files = {"requirements.txt": "flask\ngunicorn\n", "main.py": FLASK, "shop.db": "rows"}
    given_settings = Settings(state=("shop.db",), before_start=(("flask", "init-db"),))
    project = with_dependencies(read_project(written(tmp_path, files), given_settings), frozenset({"flask", "gunicorn"}))
    copy, step = project.before_start
    assert "shop.db.initial" in copy[-1]
    assert step == ("flask", "init-db")
    assert project.every_start == ()


def _project(root: Path, **settings: Any) -> Project:
    """Return a project whose Dockerfile starts it with a migration."""
    files = {
        "requirements.txt": "flask\ngunicorn\n",
        "main.py": FLASK,
        "migrations/env.py": "",
        "Dockerfile": 'FROM python:3.12\nCOPY . .\nENTRYPOINT ["sh", "start.sh"]\n',
        "start.sh": "flask db upgrade\nexec gunicorn main:app\n",
    }
    return with_dependencies(read_project(written(root, files), Settings(**settings)), frozenset({"flask", "gunicorn"}))


def test_steps_of_the_settings_add_to_those_that_a_deployment_file_declares(tmp_path: Path) -> None:
    upgrade, own = ("flask", "db", "upgrade"), ("python", "fill.py")
    project = _project(tmp_path, before_start=(own,))
    assert (project.before_start, project.every_start) == ((upgrade, own), (upgrade,))
    assert (project.has_step((*upgrade, "--sql")), project.has_step(("flask", "db", "init"))) == (True, False)


def test_a_step_of_the_settings_replaces_its_like(tmp_path: Path) -> None:
    own = ("flask", "db", "upgrade", "--sql")
    project = _project(tmp_path, before_start=(own, ("python", "fill.py")))
    assert (project.before_start, project.every_start) == ((own, ("python", "fill.py")), ())


def test_what_was_found_and_what_is_named_share_a_volume(tmp_path: Path) -> None:
    launch = launch_with(tmp_path, "shop.db", files={"main.py": SQLITE})
    assert launch.volumes == ("/data",)
    assert launch.links == (("found.db", "/data/found.db"), ("shop.db", "/data/shop.db"))


def test_a_path_that_was_found_already_is_not_linked_twice(tmp_path: Path) -> None:
    assert launch_with(tmp_path / "a", "found.db", files={"main.py": SQLITE}).links == (("found.db", "/data/found.db"),)


def test_a_file_in_a_volume_needs_no_link(tmp_path: Path) -> None:
    launch = launch_with(tmp_path, "var/", "var/x.db")
    assert (launch.volumes, launch.links) == (("/app/var",), ())


def test_the_volume_is_one_that_the_app_does_not_use(tmp_path: Path) -> None:
    launch = launch_with(tmp_path, "x.db", workdir="/data/app")
    assert (launch.volumes, launch.links) == (("/state",), (("x.db", "/state/x.db"),))


def test_two_files_never_share_a_place(tmp_path: Path) -> None:
    assert launch_with(tmp_path, "a/b.db", "a-b.db").links == (("a-b.db", "/data/a-b.db"),)


def test_it_adds_to_the_volumes_of_the_settings(tmp_path: Path) -> None:
    files = {"requirements.txt": "flask\ngunicorn\n", "main.py": SQLITE}
    given_settings = Settings(volumes=("/own",), state=("uploads/", "shop.db"))
    project = with_dependencies(read_project(written(tmp_path, files), given_settings), frozenset({"flask", "gunicorn"}))
    assert project.volumes == ("/own", "/data", "/app/uploads")


@pytest.mark.parametrize("path", ["", "/", "./", ".", "..", "a/../b", "/etc/../x", "a//b", "x\0"])
def test_rejects_what_is_no_path_of_its_own(path: str) -> None:
    with pytest.raises(UsageError, match="state: "):
        merge(Settings(), {"state": [path]})


@given(st.lists(st.text(alphabet="ab-./", min_size=1, max_size=8), max_size=5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_state_gives_volumes_and_links_of_their_own(tmp_path: Path, paths: list[str]) -> None:
    try:
        given_settings = merge(Settings(), {"state": paths})
    except UsageError:
        return
    launch = launched(tmp_path, {"main.py": FLASK, "a/b": "content"}, "flask gunicorn", settings=given_settings)
    assert len(set(launch.volumes)) == len(launch.volumes)
    assert all(volume.startswith("/") and not volume.endswith("/") for volume in launch.volumes)
    targets = [target for _, target in launch.links]
    assert len(set(targets)) == len(targets)
    for name, target in launch.links:
        assert not any(f"/app/{name}/".startswith(f"{volume}/") for volume in launch.volumes)
        assert target.rpartition("/")[0] in launch.volumes
