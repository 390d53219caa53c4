"""The application that is meant by a directory."""

from pathlib import Path

import pytest
from support.project_tree import written

from shipwheel.api import make_request
from shipwheel.errors import NoCommand, ProjectError
from shipwheel.events import Event, Warned
from shipwheel.project.applications import project_directory
from shipwheel.project.nested_projects import nested_projects
from shipwheel.project.read import read_project
from shipwheel.project.requirements_files import find_requirements
from shipwheel.user.files import UserFiles

APP = {"backend/requirements.txt": "flask\n", "backend/app.py": "from flask import Flask\napp = Flask(__name__)\n"}
LIBRARY = {"libs/client/pyproject.toml": '[project]\nname = "client"\nversion = "1"\n', "libs/client/client/__init__.py": ""}
EMPTY_POETRY = '[tool.poetry]\nname = "all"\npackage-mode = false\n[tool.poetry.dependencies]\npython = "^3.11"\n'


def test_a_folder_without_code_is_about_the_code_beside_it(tmp_path: Path) -> None:
    build = "FROM python:3.13\nCOPY docker/web/requirements.txt /tmp/list.txt\nRUN pip install -r /tmp/list.txt\nCOPY shop.py .\n"
    files = {"docker/web/requirements.txt": "flask\n", "docker/web/Dockerfile": build, "docker/web/setup/x.sh": ""}
    root = written(tmp_path / "repository", {**files, "shop.py": "from flask import Flask\napp = Flask(__name__)\n"})
    assert project_directory(root) == root
    assert "flask" in read_project(root).dependencies


@pytest.mark.parametrize("folder", ["requirements", "py-requirements", "reqs"])
def test_a_folder_of_lists_may_have_a_name_of_its_own(tmp_path: Path, folder: str) -> None:
    lists = {f"{folder}/base.txt": "flask\n", f"{folder}/prod.txt": "-r base.txt\ngunicorn\n", f"{folder}/dev.txt": "black\n"}
    root = written(tmp_path, {**lists, "src/shop.py": "from flask import Flask\napp = Flask(__name__)\n"})
    assert read_project(project_directory(root)).dependencies == {"flask", "gunicorn"}


def test_a_folder_of_lists_for_developers_is_not_the_project_s(tmp_path: Path) -> None:
    root = written(tmp_path, {"test-requirements/base.txt": "pytest\n", "src/shop.py": "import flask\n"})
    assert find_requirements(root, UserFiles()) is None


@pytest.mark.parametrize(
    "around",
    [
        {"README.md": "", "frontend/package.json": "{}"},
        {"docs/requirements.txt": "sphinx\n", "release.py": "import subprocess\n"},
        {"pyproject.toml": EMPTY_POETRY, **LIBRARY},
        {"pyproject.toml": "[tool.ruff]\nline-length = 100\n"},
        {"parse_log.py": "import git\n"},
    ],
)
def test_the_one_application_below_a_directory_is_meant(tmp_path: Path, around: dict[str, str]) -> None:
    root = written(tmp_path / "repository", {**APP, **around})
    assert project_directory(root) == root / "backend"
    assert read_project(project_directory(root)).launch is not None


@pytest.mark.parametrize(
    "own",
    [
        {"requirements.txt": ""},
        {"pyproject.toml": EMPTY_POETRY + 'flask = "*"\n'},
        {"pyproject.toml": '[project]\nname = "all"\n'},
        {"shipwheel.toml": 'dependencies = ["flask"]\n'},
        {"main.py": "import flask\n"},
        {"shop/views.py": APP["backend/app.py"]},
        {"worker/requirements.txt": "flask\n", "worker/main.py": APP["backend/app.py"]},
    ],
)
def test_a_directory_with_an_application_of_its_own_or_several_is_meant_itself(tmp_path: Path, own: dict[str, str]) -> None:
    root = written(tmp_path / "repository", {**APP, **own})
    assert project_directory(root) == root


WORKSPACE = '[project]\nname = "all"\nversion = "1"\ndependencies = []\n[tool.uv.workspace]\nmembers = ["libs/*", "apps/*"]\n'
MEMBER = {
    "apps/web/pyproject.toml": '[project]\nname = "web"\nversion = "1"\ndependencies = ["flask", "gunicorn"]\n',
    "apps/web/app.py": APP["backend/app.py"],
}
TOOL = {
    "apps/tool/pyproject.toml": '[project]\nname = "tool"\nversion = "1"\nscripts = {tool = "tool:main"}\n[build-system]\nrequires = []\n',
    "apps/tool/tool.py": "def main(): pass\n",
}


@pytest.mark.parametrize("around", [{}, LIBRARY, TOOL, {"main.py": "print('Hello')\n"}])
def test_the_one_server_of_a_workspace_is_meant(tmp_path: Path, around: dict[str, str]) -> None:
    root = written(tmp_path / "repository", {"pyproject.toml": WORKSPACE, **MEMBER, **around})
    assert project_directory(root) == root / "apps/web"


@pytest.mark.parametrize(
    "own",
    [
        {"main.py": MEMBER["apps/web/app.py"]},
        {name.replace("web", "other"): text for name, text in MEMBER.items()},
        {"pyproject.toml": WORKSPACE.replace("[]", '["flask", "gunicorn"]', 1), "main.py": MEMBER["apps/web/app.py"]},
        {"pyproject.toml": WORKSPACE + '[tool.shipwheel]\ncommand = ["python", "-m", "http.server"]\n'},
        {"Procfile": "web: python serve.py\n", "serve.py": "import http.server\nhttp.server.test()\n"},
        {
            "pyproject.toml": WORKSPACE + "[project.scripts]\nall = 'all_of_it:main'\n[build-system]\nrequires = []\n",
            "all_of_it.py": "import http.server\ndef main(): http.server.test()\n",
        },
    ],
)
def test_the_root_of_a_workspace_with_code_or_several_servers_is_meant_itself(tmp_path: Path, own: dict[str, str]) -> None:
    root = written(tmp_path / "repository", {"pyproject.toml": WORKSPACE, **MEMBER, **own})
    assert project_directory(root) == root


def test_a_command_that_starts_in_a_member_is_that_members(tmp_path: Path) -> None:
    files = {
        "pyproject.toml": WORKSPACE,
        "compose.yaml": "services:\n  web:\n    build: ./apps/web\n    command: gunicorn app:app\n",
        "apps/web/Dockerfile": "FROM python:3.13\nCOPY . .\nCMD gunicorn app:app\n",
    }
    root = written(tmp_path / "repository", {**files, **MEMBER})
    assert project_directory(root) == root / "apps/web"


@pytest.mark.parametrize(("requires", "folder"), [('"httpx"', "apps/web"), ('"web"', "."), ("", "apps/web")])
@pytest.mark.parametrize("dockerfile", ["Dockerfile", "docker/Dockerfile"])
def test_a_dockerfile_that_starts_in_a_member_is_that_members(tmp_path: Path, dockerfile: str, requires: str, folder: str) -> None:
    workspace = WORKSPACE.replace("[]", f"[{requires}]", 1) + "[tool.uv.sources]\nweb = {workspace = true}\n"
    run = "FROM python:3.13\nCOPY . /app\nRUN uv sync --all-packages\nWORKDIR /app/apps/web\nCMD gunicorn -b :8000 app:app\n"
    root = written(tmp_path / "repository", {"pyproject.toml": workspace, dockerfile: run, **MEMBER})
    assert project_directory(root) == root / folder


def test_a_member_may_lie_beside_the_workspace(tmp_path: Path) -> None:
    written(tmp_path, MEMBER)
    root = written(tmp_path / "root", {"pyproject.toml": WORKSPACE.replace("libs/*", "../apps/*"), "serve.sh": ""})
    assert project_directory(root) == root / "../apps/web"


@pytest.mark.parametrize("pattern", ["/etc", ""])
def test_a_pattern_of_members_that_cannot_be_is_named(tmp_path: Path, pattern: str) -> None:
    root = written(tmp_path, {"pyproject.toml": WORKSPACE.replace("libs/*", pattern), "main.py": ""})
    with pytest.raises(ProjectError, match="has the pattern"):
        read_project(project_directory(root))


def test_the_root_of_a_workspace_without_a_command_names_the_members(tmp_path: Path) -> None:
    root = written(tmp_path / "repository", {"pyproject.toml": WORKSPACE, **LIBRARY, **{name: MEMBER[name] for name in [*MEMBER][:1]}})
    with pytest.raises(NoCommand) as raised:
        read_project(root)
    assert "name the member to build, one of apps/web, libs/client." in raised.value.hint


@pytest.mark.parametrize("name", ["integration_tests", "testing", "vendor/mail", "{{cookiecutter.slug}}", "myenv/src/mail"])
def test_what_is_no_part_of_the_project_is_not_its_application(tmp_path: Path, name: str) -> None:
    files = {f"{name}/{file.partition('/')[2]}": text for file, text in APP.items()}
    root = written(tmp_path / "repository", {**files, "myenv/pyvenv.cfg": ""})
    assert project_directory(root) == root


def test_files_hide_no_project(tmp_path: Path) -> None:
    projects = {f"service{number:02}/requirements.txt": "" for number in range(20)}
    root = written(tmp_path / "repository", {**projects, **{f"{number}.csv": "" for number in range(400)}})
    assert len(nested_projects(root, UserFiles())) == len(projects)


def test_a_list_of_tools_is_no_application(tmp_path: Path) -> None:
    root = written(tmp_path / "repository", {"ci/requirements.txt": "tox\n", "shop/app.py": APP["backend/app.py"]})
    assert project_directory(root) == root


def test_several_projects_are_named(tmp_path: Path) -> None:
    root = written(tmp_path / "repository", {**APP, "worker/requirements.txt": "", "services/mail/setup.py": ""})
    with pytest.raises(ProjectError) as raised:
        read_project(root)
    assert "backend, services/mail, worker" in raised.value.hint and "`shipwheel build backend`" in raised.value.hint


BUILT = "FROM python:3.11\nWORKDIR /code\nCOPY backend/ ./\nRUN pip install uv && uv sync\n"
BACKEND = {
    "backend/pyproject.toml": '[project]\nname = "backend"\nversion = "1"\ndependencies = ["flask"]\n',
    "backend/app.py": APP["backend/app.py"],
}


@pytest.mark.parametrize(
    ("dockerfile", "more", "meant"),
    [
        (BUILT + 'CMD ["flask", "run", "--host=0.0.0.0"]\n', {}, "backend"),
        ('FROM nginx\nCMD ["nginx"]\n', {}, "backend"),
        ("FROM python:3.11\nCOPY requirements/all.txt ./\nRUN pip install -r all.txt\n", {"requirements/all.txt": "flask\n"}, ""),
    ],
)
def test_a_dockerfile_is_that_of_the_one_application_below_unless_it_installs_from_its_own_directory(
    tmp_path: Path, dockerfile: str, more: dict[str, str], meant: str
) -> None:
    root = written(tmp_path / "repository", {**BACKEND, "Dockerfile": dockerfile, **more})
    assert project_directory(root) == root / meant


def test_a_project_that_a_dockerfile_installs_is_meant_where_nothing_starts_above_it(tmp_path: Path) -> None:
    scripts = "entry_points={'console_scripts': ['exporter = exporter:main']}"
    setup = f"from setuptools import setup\nsetup(name='exporter', packages=['exporter'], {scripts})\n"
    dockerfile = "FROM python:3.11\nCOPY exporter exporter\nRUN pip install -r exporter/requirements.txt && pip install ./exporter\n"
    files = {"exporter/setup.py": setup, "exporter/requirements.txt": "flask\n", "exporter/exporter/__init__.py": "def main(): ...\n"}
    root = written(tmp_path / "repository", {**files, "Dockerfile": f"{dockerfile}CMD exporter ${{CONFIG}}\n"})
    assert project_directory(root) == root / "exporter"


def test_the_directory_that_was_given_is_the_repositorys_where_git_knows_of_none(tmp_path: Path) -> None:
    compose = "services:\n  web:\n    build: backend\n  jobs:\n    build: backend\n    command: python app.py jobs\n"
    dockerfile = "FROM python:3.11\nWORKDIR /app\nCOPY . .\nCMD gunicorn app:app\n"
    root = written(tmp_path / "unpacked", {**APP, "compose.yml": compose, "backend/Dockerfile": dockerfile})
    events: list[Event] = []
    request = make_request(root, reporter=events.append)
    assert [event.hint for event in events if isinstance(event, Warned)] == [
        "Go on naming this one: outside a git repository, the compose files and Dockerfiles above the project count only then."
    ]
    launch = read_project(request.path, request.settings, files=request.files()).launch
    assert launch is not None
    assert [name for name, _ in launch.processes] == ["jobs", "web"]
    # What lies beside a directory that was given itself is nobody's business.
    launch = read_project(root / "backend").launch
    assert launch is not None
    assert not launch.processes


def test_in_a_repository_the_project_is_named_itself(tmp_path: Path) -> None:
    root = written(tmp_path / "clone", {**APP, ".git/HEAD": ""})
    events: list[Event] = []
    request = make_request(root, reporter=events.append)
    assert [event.hint for event in events if isinstance(event, Warned)] == [f"Name it: shipwheel build {request.path}."]


@pytest.mark.parametrize(
    ("pipfile", "file", "below"), [("[packages]\n", "", True), ("[packages]\na = '*'\n", "", False), ("", "run.py", False)]
)
def test_a_pipfile_without_packages_is_no_project(tmp_path: Path, pipfile: str, file: str, below: bool) -> None:
    app = "from fastapi import FastAPI\napp = FastAPI()\n"
    files = {"Pipfile": pipfile, "backend/requirements.txt": "fastapi\nuvicorn\n", "backend/main.py": app, **({file: ""} if file else {})}
    root = written(tmp_path, files)
    assert project_directory(root) == (root / "backend" if below else root)
