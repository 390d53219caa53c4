"""The container of a process in development, and the saved files that matter to it."""

import json
import math
import os
from pathlib import Path

import pytest

from shipwheel.container.path import ContainerPath
from shipwheel.dev.changes import Watched
from shipwheel.dev.container import DevProcess, debugged, environment, import_roots, processes, source_mounts, under_reloader
from shipwheel.dev.developer import Developer
from shipwheel.dev.seen_files import SeenFiles
from shipwheel.errors import UsageError
from shipwheel.oci.execution import ExecutionConfig
from shipwheel.project.project import Project
from shipwheel.project.read import read_project

INIT = ("/usr/bin/tini", "--")


@pytest.fixture
def app(tmp_path: Path) -> Project:
    (tmp_path / "requirements.txt").write_text("flask\ngunicorn\ncelery\n")
    (tmp_path / "Procfile").write_text("web: gunicorn app:app\nworker: celery -A app worker\n")
    (tmp_path / "app.py").write_text("from flask import Flask\napp = Flask(__name__)\n")
    (tmp_path / "shipwheel.toml").write_text('state = ["uploads/", "db.sqlite3"]\n')
    return read_project(tmp_path)


def config(project: Project) -> ExecutionConfig:
    assert project.launch is not None
    return ExecutionConfig(entrypoint=INIT, cmd=project.launch.command, volumes=(ContainerPath("/app/uploads"), ContainerPath("/data")))


def test_the_process_starts_again_on_a_signal_behind_the_init(app: Project) -> None:
    web, worker = processes(app, config(app), ["web", "worker"])
    words = under_reloader(worker, "SIGINT")
    assert words[:6] == (*INIT, "python", "-I", "-S", "-c")
    assert json.loads(words[-1]) == {"command": ["celery", "-A", "app", "worker"], "grace": 3.0, "stop": "SIGINT"}
    assert web.command[0] == "gunicorn"
    assert processes(app, config(app), []) == (web,)


def test_names_the_processes_that_there_are(app: Project) -> None:
    with pytest.raises(UsageError, match="no process 'beat'") as caught:
        processes(app, config(app), ["beat"])
    assert "web, worker" in caught.value.hint


def test_volumes_inside_the_directory_are_the_directory(app: Project) -> None:
    mounts = source_mounts(app, "shop-dev", config(app).volumes)
    assert [(mount.source, mount.target) for mount in mounts] == [
        (str(app.root), "/app"),
        (str(app.root / "uploads"), "/app/uploads"),
        ("shop-dev-data", "/data"),
    ]


def test_a_volume_never_leads_out_of_the_directory(app: Project) -> None:
    (app.root / "uploads").symlink_to("/")
    with pytest.raises(UsageError, match="uploads leads out of the project"):
        source_mounts(app, "shop-dev", config(app).volumes)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (("gunicorn", "app:app"), ("/opt/venv/bin/gunicorn", "app:app")),
        (("python", "-m", "shop"), ("-m", "shop")),
        (("python", "main.py"), ("main.py",)),
    ],
)
def test_debugpy_starts_the_command(command: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert debugged(command, 5678) == ("python", "-Xfrozen_modules=off", "-m", "debugpy", "--listen", "0.0.0.0:5678", *expected)


@pytest.mark.parametrize(("folder", "roots"), [("src/", ("src",)), ("", (".",)), ("code/", ("code",))])
def test_modules_of_a_package_come_from_the_directory(tmp_path: Path, folder: str, roots: tuple[str, ...]) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "shop"\nversion = "1"\nscripts = {shop = "shop:main"}\n'
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        f'[tool.hatch.build.targets.wheel]\npackages = ["{folder}shop"]\n'
    )
    (tmp_path / folder / "shop").mkdir(parents=True)
    (tmp_path / folder / "shop" / "__init__.py").write_text("def main(): pass\n")
    project = read_project(tmp_path)
    assert import_roots(project) == roots
    found = environment(project, ExecutionConfig(), DevProcess("web", (), ("shop",)), roots, {"A": "b"})
    assert found["PYTHONPATH"] == ("/app" if roots == (".",) else f"/app/{roots[0]}")
    assert (found["A"], found["PYTHONDONTWRITEBYTECODE"]) == ("b", "")


def test_streamlit_loads_saved_files_itself(app: Project) -> None:
    process = DevProcess("web", (), ("streamlit", "run", "app.py"))
    assert process.reloads
    assert environment(app, ExecutionConfig(), process, (), {})["STREAMLIT_SERVER_RUN_ON_SAVE"] == "true"


def test_knows_which_saved_files_matter(app: Project) -> None:
    watched = Watched.of(app)
    names = ("app.py", "requirements.txt", "templates/a.html", ".venv/x.py", ".git/config", "uploads/a.yaml", "db.sqlite3", "pylock.toml")
    saved = watched.saved([*(str(app.root / name) for name in names), "/elsewhere/a.py"])
    assert (saved.rebuilding, saved.restarting) == (("requirements.txt",), ("app.py", "templates/a.html"))
    assert not watched.saved([str(app.root / "db.sqlite3")])


def test_what_a_starting_program_writes_is_not_saved(app: Project) -> None:
    watched = Watched.of(app)
    files, main, made = SeenFiles(watched), app.root / "app.py", app.root / "settings.yaml"

    def look(path: Path, *, starting: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
        seen = files.look(watched.saved([str(path)]), answered=math.inf if starting else 0)
        return seen.saved.restarting, seen.own

    made.write_text("")
    assert look(made, starting=True) == ((), ("settings.yaml",))
    made.write_text("a: 1")
    assert look(made, starting=True) == ((), ("settings.yaml",)), "in two steps"
    main.write_text("edited")
    assert look(main, starting=True) == (("app.py",), ()), "a person's"
    assert look(main, starting=True) == ((), ()), "written again as it was"
    made.write_text("a: 2")
    assert look(made, starting=False) == (("settings.yaml",), ()), "edited later"
    (app.root / "new.py").write_text("")
    assert look(app.root / "new.py", starting=False) == (("new.py",), ())
    main.unlink()
    assert look(main, starting=False) == (("app.py",), ())
    assert look(app.root / "gone.py", starting=False) == ((), ())
    late = app.root / "late.yaml"
    late.write_text("")
    assert files.look(watched.saved([str(late)]), answered=late.stat().st_mtime).own == ("late.yaml",), (
        "reported after the program answered"
    )


def test_a_pipe_is_not_waited_for(app: Project) -> None:
    os.mkfifo(app.root / ".env")
    watched = Watched.of(app)
    assert not SeenFiles(watched).look(watched.saved([str(app.root / ".env")]), answered=0).saved


def test_the_lock_that_a_build_writes_is_no_change(app: Project) -> None:
    (app.root / "pylock.toml").write_text("lock-version = '1.0'\npackages = []\n[tool.shipwheel]\n")
    assert not Watched.of(read_project(app.root)).saved([str(app.root / "pylock.toml")])
    (app.root / "pylock.toml").write_text("lock-version = '1.0'\npackages = []\n")
    assert Watched.of(read_project(app.root)).saved([str(app.root / "pylock.toml")]).rebuilding == ("pylock.toml",), "another tool's"


@pytest.mark.parametrize(("uid", "users"), [(0, [0]), (1000, [0, 1000]), (100000, [0, 100000])])
def test_the_developer_has_a_name_and_a_home(tmp_path: Path, uid: int, users: list[int]) -> None:
    passwd, group = Developer(uid, uid).mounts(tmp_path / "dev")
    lines = [line.split(":") for line in Path(passwd.source).read_text().splitlines()]
    assert [int(line[2]) for line in lines] == users
    assert lines[-1][5] == "/tmp"
    assert (passwd.target, passwd.read_only, group.target) == ("/etc/passwd", True, "/etc/group")
    assert Path(group.source).read_text().splitlines()[-1].split(":")[2] == str(uid)
