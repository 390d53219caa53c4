"""Reading projects from many small trees, without running any of their code."""

from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.project_tree import written

from shipwheel.errors import LockError, NoRequirements, ProjectError, ShipwheelError, UsageError
from shipwheel.project import read
from shipwheel.project.metadata import dependency_names
from shipwheel.project.nested_projects import list_beside_code
from shipwheel.project.project import Project
from shipwheel.project.read import find_settings, read_project, with_dependencies, with_python
from shipwheel.settings.settings import Settings
from shipwheel.user.files import UserFiles

FASTAPI = "from fastapi import FastAPI\napp = FastAPI()\n"
HATCH = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
SETUPTOOLS = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
POETRY = '[build-system]\nrequires = ["poetry-core"]\nbuild-backend = "poetry.core.masonry.api"\n'
PROJECT = '[project]\nname = "My.Demo_App"\nversion = "1.2"\n'
INLINE = '# /// script\n# requires-python = ">=3.11"\n# dependencies = [\n#   "fastapi[standard]",\n# ]\n# ///\n'


def _detect(root: Path, files: dict[str, str], **given: object) -> Project:
    return read_project(written(root, files), Settings(**given) if given else None)  # type: ignore[arg-type]


# layout -> (files, kind, name, version, dependencies, lock inputs)
LAYOUTS: dict[str, tuple[dict[str, str], str, str, str | None, str, str]] = {
    "requirements.txt": ({"requirements.txt": "Flask==3 # web\n\n", "app.py": ""}, "app", "root", None, "flask", "requirements.txt"),
    "requirements that include others": (
        {"requirements.txt": "-r base/x.txt\n-c c.txt\nA_b\n", "base/x.txt": "Q.q>1", "c.txt": "zzz==1", "main.py": ""},
        *("app", "root", None, "a-b q-q", "requirements.txt base/x.txt c.txt"),
    ),
    "requirements directory": (
        {"requirements/dev.txt": "pytest", "requirements/base.txt": "a", "requirements/production.txt": "-r base.txt\nb", "main.py": ""},
        *("app", "root", None, "a b", "requirements/production.txt requirements/base.txt"),
    ),
    "requirements-prod.txt": (
        {"requirements-prod.txt": "a", "requirements-dev.txt": "b", "main.py": ""},
        "app",
        "root",
        None,
        "a",
        "requirements-prod.txt",
    ),
    "an empty list beside another": (
        {"requirements/production.txt": "# none\n", "requirements/common.txt": "a", "main.py": ""},
        *("app", "root", None, "a", "requirements/common.txt"),
    ),
    "a list of another name": (
        {
            "requirement.txt": "a --hash=sha256:0",
            "requirements_dev.txt": "b",
            "Requirements of the shop.txt": "The shop needs:\n* a login page\n",
            "robots.txt": "User-agent: *",
            "main.py": "",
        },
        *("app", "root", None, "a", "requirement.txt"),
    ),
    "hatch package": (
        {
            "pyproject.toml": HATCH + PROJECT + 'dependencies = ["A"]\n[project.scripts]\ndemo = "my_demo_app:x"\n',
            "src/my_demo_app/__init__.py": "",
        },
        *("package", "my-demo-app", "1.2", "a", "pyproject.toml"),
    ),
    "pyproject without build-system": (
        {"pyproject.toml": PROJECT + 'dependencies = ["A"]\n', "main.py": ""},
        "app",
        "my-demo-app",
        "1.2",
        "a",
        "pyproject.toml",
    ),
    "uv package = false": (
        {"pyproject.toml": HATCH + PROJECT + "[tool.uv]\npackage = false\n", "my_demo_app/__init__.py": "", "main.py": ""},
        *("app", "my-demo-app", "1.2", "", "pyproject.toml"),
    ),
    "uv package = true": (
        {
            "pyproject.toml": PROJECT + '[project.scripts]\nx = "my_demo_app:x"\n[tool.uv]\npackage = true\n',
            "src/my_demo_app/__init__.py": "",
        },
        *("package", "my-demo-app", "1.2", "", "pyproject.toml"),
    ),
    "only tools in pyproject": (
        {"pyproject.toml": "[tool.ruff]\nline-length = 100\n", "requirements.txt": "a", "main.py": ""},
        *("app", "root", None, "a", "requirements.txt"),
    ),
    "project table, but requirements.txt has the dependencies": (
        {"pyproject.toml": PROJECT, "requirements.txt": "a", "main.py": ""},
        *("app", "my-demo-app", "1.2", "a", "requirements.txt"),
    ),
    "poetry package": (
        {
            "pyproject.toml": POETRY
            + '[tool.poetry]\nname = "demo"\nversion = "3"\n[tool.poetry.dependencies]\npython = "^3.10"\nA = "*"\n'
            'b = { version = "1", optional = true }\n[tool.poetry.scripts]\ndemo = "demo:main"\n',
            "demo/__init__.py": "",
        },
        *("package", "demo", "3", "a", "pyproject.toml"),
    ),
    "poetry app without a package": (
        {"pyproject.toml": POETRY + '[tool.poetry]\nname = "demo"\nversion = "3"\n[tool.poetry.dependencies]\nA = "1"\n', "main.py": ""},
        *("app", "demo", "3", "a", "pyproject.toml"),
    ),
    "poetry package-mode = false": (
        {
            "pyproject.toml": POETRY + "[tool.poetry]\npackage-mode = false\n[tool.poetry.dependencies]\n"
            'fastapi = { extras = ["all"], version = "1" }\n',
            "main.py": "",
        },
        *("app", "root", None, "fastapi uvicorn", "pyproject.toml"),
    ),
    "setup.py": (
        {
            "setup.py": "import setuptools, os\nREQS = ['A>1', 'b']\nif True:\n"
            "    setuptools.setup(name='old', version='0.1', install_requires=REQS,\n"
            "        packages=setuptools.find_packages(), entry_points={'console_scripts': ['old = old.cli:main']})\n",
            "old/__init__.py": "",
        },
        *("package", "old", "0.1", "a b", "setup.py"),
    ),
    "setup.cfg": (
        {
            "setup.cfg": "[metadata]\nname = cfg\nversion = attr: cfg.__version__\n[options]\ninstall_requires =\n    A>1  # why\n    b\n"
            "[options.entry_points]\nconsole_scripts =\n    cfg = cfg:main\n",
            "cfg/__init__.py": "",
        },
        *("package", "cfg", None, "a b", "setup.cfg"),
    ),
    "legacy setup.cfg with a build-system": (
        {"pyproject.toml": SETUPTOOLS, "setup.cfg": "[metadata]\nname = cfg\n[options]\npy_modules = cfg\n", "cfg.py": "", "main.py": ""},
        *("package", "cfg", None, "", "pyproject.toml setup.cfg"),
    ),
    "setup.cfg of other tools only": (
        {"setup.cfg": "[flake8]\nx = 1\n", "requirements.txt": "a", "main.py": ""},
        *("app", "root", None, "a", "requirements.txt"),
    ),
    "setuptools dynamic dependencies in a file": (
        {
            "pyproject.toml": SETUPTOOLS + '[project]\nname = "d"\ndynamic = ["version", "dependencies"]\n[tool.setuptools.dynamic]\n'
            'dependencies = { file = ["reqs.txt"] }\n',
            "reqs.txt": "a\nb\n",
            "d/__init__.py": "",
            "main.py": "",
        },
        *("package", "d", None, "a b", "pyproject.toml"),
    ),
    "script in a directory": ({"tool.py": INLINE + FASTAPI, "data.csv": ""}, "app", "tool", None, "fastapi uvicorn", "tool.py"),
    "markers for other systems": (
        {
            "requirements.txt": 'waitress ; sys_platform == "win32"\ngunicorn ; sys_platform != "win32"\nold ; python_version < "3.8"\n',
            "main.py": "",
        },
        *("app", "root", None, "gunicorn", "requirements.txt"),
    ),
    "UTF-16 requirements": ({"requirements.txt": "a\n", "main.py": ""}, "app", "root", None, "a", "requirements.txt"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_reads_every_layout(tmp_path: Path, layout: str) -> None:
    files, kind, name, version, dependencies, inputs = LAYOUTS[layout]
    root = written(tmp_path / "root", files)
    if layout.startswith("UTF-16"):
        (root / "requirements.txt").write_text("a\r\n", encoding="utf-16")
    project = read_project(root)
    assert (project.kind, project.name, project.version) == (kind, name, version)
    assert project.dependencies == frozenset(dependencies.split())
    assert tuple(project.inputs.texts) == tuple(inputs.split())
    assert project.launch is not None
    assert project.only == ()


def test_knows_the_import_names_in_a_wheel(tmp_path: Path) -> None:
    files = {
        "pyproject.toml": HATCH + PROJECT + '[project.scripts]\nx = "a:b"\n',
        "my_demo_app/__init__.py": "",
        "tests/__init__.py": "",
        "main.py": "",
    }
    project = _detect(tmp_path, files)
    assert project.packaged == {"my_demo_app"}
    assert project.scripts == {"x": "a:b"}
    (tmp_path / "pyproject.toml").write_text(
        HATCH + PROJECT + '[project.scripts]\nx = "a:b"\n[tool.hatch.build.targets.wheel]\npackages = ["src/inner"]\n'
    )
    assert read_project(tmp_path).packaged == {"inner"}


def test_notes_an_app_with_a_packages_metadata(tmp_path: Path) -> None:
    project = _detect(tmp_path, {"pyproject.toml": HATCH + PROJECT, "main.py": ""})
    assert project.kind == "app"
    assert "goes into /app" in project.notes[0]


BESIDE = "from pathlib import Path\nROOT = Path(__file__).parents[1]\n"


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({"demo/conf.py": BESIDE + "text = (ROOT / 'settings.yaml').read_text()\n", "settings.yaml": ""}, "settings.yaml"),
        (
            {"demo/conf.py": BESIDE, "demo/b.py": "import os\nfrom demo.conf import ROOT\nd = os.path.join(ROOT, 'web')\n", "web/x": ""},
            "web",
        ),
        ({"demo/conf.py": "import os\nos.makedirs(os.path.join(os.path.dirname(__file__), 'cache'), exist_ok=True)\n"}, "demo/cache"),
    ],
)
def test_builds_a_package_that_needs_its_directory_as_an_app(tmp_path: Path, files: dict[str, str], named: str) -> None:
    base = {"pyproject.toml": HATCH + PROJECT + 'dependencies = ["fastapi", "uvicorn"]\n', "demo/__init__.py": "", "demo/main.py": FASTAPI}
    project = _detect(tmp_path, {**base, **files}, name="demo")
    assert project.kind == "app"
    assert project.launch is not None
    assert project.launch.needs_source
    assert project.launch.command[-1] == "demo.main:app"
    assert named in " ".join(project.notes)


@pytest.mark.parametrize(
    "files",
    [
        {"demo/conf.py": BESIDE + "x = ROOT / 'demo' / 'a.txt'\n", "demo/a.txt": ""},
        {"demo/conf.py": BESIDE + "x = ROOT / 'gone.yaml'\ny = ROOT / '.env'\n", ".env": ""},
        {
            "demo/conf.py": BESIDE + "from importlib.metadata import version\nv = version('demo')\nx = ROOT / 'settings.yaml'\n",
            "settings.yaml": "",
        },
    ],
)
def test_builds_a_package_whose_wheel_is_complete_as_a_package(tmp_path: Path, files: dict[str, str]) -> None:
    base = {"pyproject.toml": HATCH + PROJECT + 'dependencies = ["fastapi", "uvicorn"]\n', "demo/__init__.py": "", "demo/main.py": FASTAPI}
    assert _detect(tmp_path, {**base, **files}, name="demo").kind == "package"


@pytest.mark.parametrize(("lines", "taken"), [("fastapi==0.1\nuvicorn\ncachetools\n", True), ("fastapi\ncachetools\n", False)])
def test_prefers_a_fuller_requirements_file_for_a_package_built_as_an_app(tmp_path: Path, lines: str, taken: bool) -> None:
    files = {
        "pyproject.toml": HATCH + PROJECT + 'dependencies = ["fastapi", "uvicorn"]\n',
        "requirements.txt": lines,
        "demo/__init__.py": "",
        "demo/main.py": FASTAPI + "import os\nos.makedirs(os.path.join(os.path.dirname(__file__), 'cache'))\n",
    }
    project = _detect(tmp_path, files, name="demo")
    assert (project.kind, project.inputs.requirements is not None, "cachetools" in project.dependencies) == ("app", taken, taken)
    assert [note for note in project.notes if "demo/cache" in note]


@pytest.mark.parametrize("install", [None, "source"])
@pytest.mark.parametrize("lines", ["flask==3.0.0\n", "-e .\nflask==3.0.0\n"])
def test_the_same_requirements_count_for_a_package_and_for_its_directory(tmp_path: Path, install: str | None, lines: str) -> None:
    setup = "from setuptools import find_packages, setup\nsetup(name='shop', version='1', install_requires=[], packages=find_packages())\n"
    main = "from flask import Flask\napp = Flask(__name__)\n"
    files = {"setup.py": setup, "requirements.txt": lines, "shop/__init__.py": "", "shop/main.py": main}
    project = _detect(tmp_path, files, install=install)
    assert project.inputs.requirements is not None
    assert "flask" in project.dependencies


def test_adds_the_directory_of_a_django_package_for_manage_py(tmp_path: Path) -> None:
    files = {
        "pyproject.toml": SETUPTOOLS + '[project]\nname = "shop"\ndependencies = ["django", "gunicorn"]\n',
        "shop/__init__.py": "",
        "shop/wsgi.py": "",
        "manage.py": "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n",
    }
    project = _detect(tmp_path, files)
    assert project.launch is not None
    assert (project.kind, project.launch.command[-1], project.launch.needs_source) == ("package", "shop.wsgi:application", False)
    manage = read_project(tmp_path, Settings(command=("python", "manage.py", "migrate")))
    assert manage.launch is not None
    assert manage.launch.needs_source


def test_reads_a_single_file_script(tmp_path: Path) -> None:
    written(tmp_path, {"My Tool.py": INLINE + FASTAPI, "secret-notes.txt": ""})
    project = read_project(tmp_path / "My Tool.py")
    assert (project.name, project.only, tuple(project.inputs.texts)) == ("my-tool", ("My Tool.py",), ("My Tool.py",))
    assert project.inputs.script is not None
    written(tmp_path, {"plain.py": "print(1)\n"})
    plain = read_project(tmp_path / "plain.py")
    assert (plain.inputs.script, plain.inputs.texts, plain.dependencies) == (None, {}, frozenset())
    assert plain.launch is not None
    assert plain.launch.command == ("python", "plain.py")


def test_reads_settings_from_inline_metadata(tmp_path: Path) -> None:
    text = '# /// script\n# dependencies = []\n# [tool.shipwheel]\n# command = "python x.py --serve"\n# ///\n'
    written(tmp_path, {"x.py": text})
    assert find_settings(tmp_path / "x.py").command == ("python", "x.py", "--serve")
    for path in (tmp_path, tmp_path / "x.py"):
        launch = read_project(path).launch
        assert launch is not None
        assert launch.command == ("python", "x.py", "--serve")
    (tmp_path / "x.py").write_text(text.replace("command", "comand"))
    with pytest.raises(UsageError, match="did you mean 'command'"):
        read_project(tmp_path / "x.py")


@pytest.mark.parametrize(("more", "is_dynamic"), [("", False), ("options['x'] = 1\n", True)])
def test_reads_options_that_setup_py_gives_in_a_dictionary(tmp_path: Path, more: str, is_dynamic: bool) -> None:
    options = "{'name': 'd', 'version': about(), 'install_requires': ['flask'], 'scripts': ['d']}"
    setup = f"from setuptools import setup\noptions = {options}\n{more}setup(**options)\n"
    files = {"setup.py": setup, "d": "#!/usr/bin/env python3\nprint(1)\n"}
    project = read_project(written(tmp_path, files), launch=False)
    assert (project.name, project.scripts, project.dependencies, project.dynamic) == ("d", {"d": "d"}, frozenset({"flask"}), is_dynamic)


def test_reads_entry_points_written_as_text_in_setup_py(tmp_path: Path) -> None:
    points = "\n    [console_scripts]\n    d=d.cli:cli\n\n    [x]\n    y=z\n"
    files = {"setup.py": f"from setuptools import setup\nsetup(name='d', entry_points={points!r})\n", "d/__init__.py": ""}
    assert _detect(tmp_path, files).scripts == {"d": "d.cli:cli"}


SETUP_WITH_PIPFILE = {
    "setup.py": "from setuptools import setup\nsetup(name='shop', version='1', packages=['shop'], install_requires=['flask'])\n",
    "Pipfile": '[packages]\nFlask = "*"\ngunicorn = "*"\n',
    "shop/__init__.py": "from flask import Flask\napp = Flask(__name__)\n",
}


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({}, "app"),
        ({"Pipfile": '[packages]\ngunicorn = "*"\n'}, "package"),
        ({"Pipfile": "[packages"}, "package"),
        ({"Pipfile": '[packages]\nflask = {path = "\\u0000"}\n'}, "package"),
        ({"Pipfile": '[packages]\nflask = "*"\ngunicorn = "*"\nshop = {path = ".", editable = true}\n'}, "package"),
        (
            {"setup.py": SETUP_WITH_PIPFILE["setup.py"].replace("packages=", "entry_points={'console_scripts': ['a=b:c']}, packages=")},
            "package",
        ),
        ({"requirements.txt": "flask\ngunicorn\n"}, "package"),
        ({"setup.py": SETUP_WITH_PIPFILE["setup.py"].replace("['flask']", "open('needed.txt').read().split()")}, "package"),
    ],
    ids=[
        "asks for more",
        "asks for other packages",
        "is no TOML",
        "has a path that cannot be",
        "installs the project",
        "has a console script",
        "is not the only list",
        "nobody knows",
    ],
)
def test_a_pipfile_that_asks_for_more_than_the_metadata_decides(tmp_path: Path, more: dict[str, str], kind: str) -> None:
    project = _detect(tmp_path, {**SETUP_WITH_PIPFILE, **more})
    assert (project.kind, project.name, project.inputs.pipfile is not None) == (kind, "shop", kind == "app")


def test_files_that_setup_py_installs_as_programs_are_commands(tmp_path: Path) -> None:
    files = {
        "setup.py": "from setuptools import setup\nsetup(name='d', packages=['d'], scripts=['bin/d', 'bin/d-setup.sh'])\n",
        "d/__init__.py": "",
        "bin/d": "#!/usr/bin/env python3\nimport d\n",
        "bin/d-setup.sh": "#!/bin/sh\n",
    }
    project = _detect(tmp_path, files)
    assert project.scripts == {"d": "bin/d"}
    assert project.launch is not None
    assert project.launch.command == ("d",)


def test_a_program_that_setup_py_installs_beside_an_application_is_its_tool(tmp_path: Path) -> None:
    files = {
        "setup.py": "from setuptools import setup\nsetup(name='d', packages=['d'], install_requires=['flask'], scripts=['load'])\n",
        "d/__init__.py": "from flask import Flask\napp = Flask(__name__)\n",
        "load": "#!/usr/bin/env python\nimport d\n",
    }
    launch = _detect(tmp_path, files).launch
    assert launch is not None and launch.command[-1] == "d:app"


def test_django_s_own_program_is_no_command_if_setup_py_installs_it(tmp_path: Path) -> None:
    files = {
        "setup.py": "from setuptools import setup\nsetup(name='d', packages=['d'], install_requires=['django'], scripts=['manage.py'])\n",
        "manage.py": "#!/usr/bin/env python\nfrom django.core.management import execute_from_command_line\nexecute_from_command_line()\n",
        "d/__init__.py": "",
        "d/wsgi.py": "from django.core.wsgi import get_wsgi_application\napplication = get_wsgi_application()\n",
    }
    launch = _detect(tmp_path, files).launch
    assert launch is not None and launch.static_front is not None
    assert launch.static_front.application == "d.wsgi:application"


@pytest.mark.parametrize("text", [INLINE + "\n" + INLINE, "# /// script\n# a = \n# ///\n"])
def test_rejects_malformed_inline_metadata(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.py").write_text(text)
    with pytest.raises(ProjectError, match=r"x\.py"):
        read_project(tmp_path / "x.py")


def test_postpones_the_command_while_dependencies_are_dynamic(tmp_path: Path) -> None:
    files = {
        "setup.py": "from setuptools import setup\nsetup(name='d', install_requires=open('r').read().split(), packages=['d'])\n",
        "d/__init__.py": "",
    }
    project = _detect(tmp_path, files)
    assert project.dynamic
    assert project.launch is None
    (tmp_path / "d/main.py").write_text(FASTAPI)
    again = with_dependencies(read_project(tmp_path, launch=False), frozenset({"FastAPI", "uvicorn"}))
    assert again.launch is not None
    assert again.launch.command == ("uvicorn", "--host", "0.0.0.0", "--port", "8000", "d.main:app")
    with pytest.raises(ProjectError, match="no command"):
        with_dependencies(project, frozenset())


def test_a_dockerfile_may_start_a_program_of_dependencies_that_only_a_build_tells(tmp_path: Path) -> None:
    files = {
        "setup.py": "from setuptools import setup\nsetup(name='d', install_requires=open('r').read().split(), packages=['d'])\n",
        "d/__init__.py": "",
        "d/__main__.py": "print(1)\n",
        "Dockerfile": "FROM python:3.13\nRUN pip install celery d\nEXPOSE 5555\nCMD celery d\n",
    }
    project = _detect(tmp_path, files)
    assert project.launch is None
    launch = with_dependencies(project, frozenset({"celery"})).launch
    assert launch is not None
    assert (launch.command, launch.ports) == (("celery", "d"), ("5555/tcp",))


@pytest.mark.parametrize(
    ("run", "decides"),
    [
        ("pip install -r requirements.txt", True),
        ("pip install -r requirements.txt && pip install -e .", False),
        ("pip install -r requirements.txt && python setup.py develop", False),
        ("poetry install && pip install -r requirements.txt", False),
    ],
)
def test_a_list_that_a_dockerfile_installs_without_the_project_decides(tmp_path: Path, run: str, decides: bool) -> None:
    files = {
        "setup.py": "from setuptools import setup\nsetup(name='d', install_requires=['flask', 'pyyaml', 'dotenv'], packages=['d'])\n",
        "d/__init__.py": "",
        "d/main.py": "from flask import Flask\napp = Flask(__name__)\n",
        "pro.txt": "flask==1.1.1\npyyaml\nflask-limiter\nlimits\n",
        "Dockerfile": f"FROM python:3.13\nWORKDIR /srv\nCOPY d d\nCOPY setup.py .\nCOPY pro.txt requirements.txt\nRUN {run}\n",
    }
    assert ("flask-limiter" in _detect(tmp_path, files).dependencies) is decides


def test_what_a_dockerfile_installs_beside_the_requirements_is_there_whether_it_has_wheels_or_not(tmp_path: Path) -> None:
    docker = "FROM python:3.13\nCOPY . .\nRUN pip install -r requirements.txt uwsgi mysqlclient==2.2.7\nCMD uwsgi --http :8000 -w main\n"
    project = _detect(tmp_path, {"requirements.txt": "flask\n", "main.py": "application = None\n", "Dockerfile": docker})
    assert project.launch is not None and project.launch.command[0] == "uwsgi"
    assert project.added == ("uwsgi", "mysqlclient==2.2.7")
    assert any("installs uwsgi, mysqlclient==2.2.7 beside" in note for note in project.notes)


def test_scans_the_source_once_for_all_dependencies_and_pythons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = _detect(tmp_path, {"requirements.txt": "fastapi\nuvicorn\n", "main.py": FASTAPI})
    monkeypatch.setattr("shipwheel.project.entrypoint.scan.read_module", None)
    for again in (with_dependencies(project, frozenset({"fastapi", "hypercorn"})), with_python(project, "3.12")):
        assert again.launch is not None
        assert again.launch.command[-1] == "main:app"


def test_counts_chosen_extras_and_groups(tmp_path: Path) -> None:
    text = (
        PROJECT
        + 'optional-dependencies = { "My_Extra" = ["e"] }\n[dependency-groups]\nprod = ["g", { include-group = "More" }]\nmore = ["m"]\n'
    )
    files = {"pyproject.toml": text, "main.py": ""}
    assert _detect(tmp_path, files).dependencies == frozenset()
    assert _detect(tmp_path, files, extras=("my-extra",), groups=("prod",)).dependencies == {"e", "g", "m"}


def test_survives_a_group_that_includes_itself(tmp_path: Path) -> None:
    files = {
        "pyproject.toml": PROJECT + '[dependency-groups]\na = [{ include-group = "b" }]\nb = [{ include-group = "a" }, "x"]\n',
        "main.py": "",
    }
    assert _detect(tmp_path, files, groups=("a",)).dependencies == {"x"}


def test_prefers_the_requirements_setting(tmp_path: Path) -> None:
    files = {"pyproject.toml": PROJECT + 'dependencies = ["a"]\n', "deploy.txt": "b\n", "main.py": ""}
    project = _detect(tmp_path, files, requirements=("deploy.txt",))
    assert project.dependencies == {"b"}
    assert project.inputs.requirements is not None
    assert (tuple(project.inputs.texts), list(project.inputs.requirements.files)) == (("deploy.txt",), [tmp_path / "deploy.txt"])
    with pytest.raises(ShipwheelError, match=r"nowhere\.txt"):
        read_project(tmp_path, Settings(requirements=("nowhere.txt",)))


@pytest.mark.parametrize(
    ("requires", "chosen"),
    [
        ("", "3.13"),
        (">=3.8", "3.13"),
        (">=3.10,<3.12", "3.11"),
        (">=3.8,<3.13", "3.11"),
        (">=3.14", "3.14"),
        ("<3.10", "3.9"),
        ("~=3.11", "3.13"),
        ("==3.11.*", "3.11"),
        (">=3.12,<3.13", "3.12"),
        (">=3.10,<3.11", "3.10"),
    ],
)
def test_chooses_a_python_that_requires_python_allows(tmp_path: Path, requires: str, chosen: str) -> None:
    line = f'requires-python = "{requires}"\n' if requires else ""
    assert _detect(tmp_path, {"pyproject.toml": PROJECT + line, "main.py": ""}).python == chosen


@pytest.mark.parametrize("requires", ["==3.11.7", ">=3.11.4,<3.12", "~=3.11.9"])
@pytest.mark.parametrize("named", ["", "3.11.7\n"])
def test_a_pinned_micro_version_stands_for_its_minor_version(tmp_path: Path, requires: str, named: str) -> None:
    files = {"pyproject.toml": PROJECT + f'requires-python = "{requires}"\n', "main.py": ""}
    project = _detect(tmp_path, {**files, **({".python-version": named} if named else {})})
    assert (project.python, project.requires_python) == ("3.11", "==3.11.*")
    assert any(f"requires Python {requires}: the image has Debian's 3.11.2" in note for note in project.notes)


def test_a_template_is_no_project(tmp_path: Path) -> None:
    written(tmp_path, {"{{cookiecutter.slug}}/setup.py": "", "README.md": ""})
    with pytest.raises(ProjectError) as raised:
        read_project(tmp_path)
    assert raised.value.hint.startswith("{{cookiecutter.slug}} is a template: make a project from it")


def test_names_a_submodule_that_is_not_here(tmp_path: Path) -> None:
    written(tmp_path, {".gitmodules": '[submodule "backend"]\n', "compose.yaml": "", "site/x": ""})
    (tmp_path / "backend").mkdir()
    with pytest.raises(ProjectError) as raised:
        read_project(tmp_path)
    assert raised.value.hint.startswith("backend may be a repository of its own") and "git submodule update" in raised.value.hint


@pytest.mark.parametrize(
    ("changed", "requires", "chosen", "others"),
    [
        (date(2023, 5, 1), "", "3.11", ("3.9", "3.13", "3.14")),
        (date(2021, 5, 1), ">=3.8", "3.9", ("3.11", "3.13", "3.14")),
        (date(2019, 5, 1), "", "3.9", ("3.11", "3.13", "3.14")),
        (date(2023, 5, 1), ">=3.12", "3.13", ("3.14",)),
        (date(2025, 5, 1), "", "3.13", ("3.11", "3.14", "3.9")),
    ],
)
def test_a_project_that_was_left_alone_gets_a_python_of_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: date, requires: str, chosen: str, others: tuple[str, ...]
) -> None:
    monkeypatch.setattr(read, "old_last_commit", lambda _root, _today: changed)
    line = f'requires-python = "{requires}"\n' if requires else ""
    project = _detect(tmp_path, {"pyproject.toml": PROJECT + line, "main.py": ""})
    assert (project.python, project.other_pythons) == (chosen, others)
    assert [changed.isoformat() in note for note in project.notes] == ([True] if chosen in ("3.9", "3.11") else [])
    assert read_project(tmp_path, Settings(python="3.14")).python == "3.14"
    (tmp_path / "runtime.txt").write_text("python-3.13.x\n")
    assert read_project(tmp_path).python == "3.13"


def test_a_script_named_setup_is_no_metadata(tmp_path: Path) -> None:
    files = {
        "requirements.txt": "flask\n",
        "setup.py": "import toml\nopen('config.toml', 'w').write('')\n",
        "app.py": "import flask\napp = flask.Flask('')\n",
    }
    project = _detect(tmp_path, files)
    assert (project.kind, project.dynamic, project.launch is not None) == ("app", False, True)


def test_prefers_the_python_that_the_user_names(tmp_path: Path) -> None:
    files = {"requirements.txt": "", "main.py": "", "runtime.txt": "python -3.9.18\n"}
    project = _detect(tmp_path, files)
    assert (project.python, project.python_reason, project.other_pythons, project.notes) == ("3.9", "runtime.txt names it", (), ())
    assert read_project(tmp_path, Settings(python="3.12")).python == "3.12"
    assert read_project(tmp_path, Settings(python="3.14")).other_pythons == ()
    (tmp_path / ".python-version").write_text("pypy3.10\n")
    assert read_project(tmp_path).python == "3.9"


@pytest.mark.parametrize(
    ("preferred", "requires", "chosen", "others"),
    [
        ("3.12.4", "", "3.13", ("3.14", "3.11", "3.9")),
        ("3.10", "", "3.11", ("3.13", "3.14", "3.9")),
        ("3.12", "<3.13", "3.11", ("3.9",)),
        ("3.12", ">=3.12", "3.13", ("3.14",)),
        ("3.15", ">=3.11", "3.14", ("3.13", "3.11")),
        ("3.12", "==3.12.*", "3.12", ()),
        ("3.11.7", ">=3.11.7", "3.13", ("3.14",)),
        ("3.11.7", "==3.11.7", "3.11", ()),
    ],
)
def test_chooses_the_closest_python_if_debian_lacks_the_preferred_one(
    tmp_path: Path, preferred: str, requires: str, chosen: str, others: tuple[str, ...]
) -> None:
    line = f'requires-python = "{requires}"\n' if requires else ""
    project = _detect(tmp_path, {".python-version": f"# pyenv\n{preferred}\n", "pyproject.toml": PROJECT + line, "main.py": ""})
    assert (project.python, project.other_pythons) == (chosen, others)
    short = ".".join(preferred.split(".")[:2])
    lacking = "3.11 that pyproject.toml allows (it has 3.11.2)" if short == "3.11" else short
    note = f"Debian has no Python {lacking}, which .python-version names: {chosen} is the closest that the project allows."
    fixes = f"pyproject.toml requires Python {requires}: the image has Debian's 3.11.2, which differs in fixes alone."
    assert project.notes == ((note,) if chosen != short else (fixes,) if short == "3.11" else ())
    if chosen != short:
        assert project.python_reason.startswith(f".python-version names {short}, and Debian has no {lacking}; ")
        assert project.wanted_python == ("" if short == "3.11" else short), "where Debian has it, its builds are no others"


def test_chooses_the_python_of_the_suite_setting(tmp_path: Path) -> None:
    project = _detect(tmp_path, {"requirements.txt": "", "main.py": "", ".python-version": "3.12"}, suite="bookworm")
    assert (project.python, project.other_pythons) == ("3.11", ())


def test_another_python_selects_other_dependencies(tmp_path: Path) -> None:
    files = {"requirements.txt": "flask ; python_version < '3.12'\n", "main.py": ""}
    project = _detect(tmp_path, files)
    assert (project.python, project.other_pythons, project.dependencies) == ("3.13", ("3.11", "3.14", "3.9"), frozenset())
    other = with_python(project, "3.11")
    assert (other.python, other.settings, other.dependencies) == ("3.11", project.settings, frozenset({"flask"}))
    assert other.python_reason == "the requirements have no solution for 3.13"


def test_what_another_python_does_not_change_is_said_once(tmp_path: Path) -> None:
    project = _detect(tmp_path, {"pyproject.toml": HATCH + PROJECT, "app/x.txt": "", "run.py": ""})
    assert any("No importable code was found" in note for note in project.notes)
    assert with_python(project, "3.11").notes == project.notes


def test_rejects_a_python_that_the_project_excludes(tmp_path: Path) -> None:
    files = {"pyproject.toml": PROJECT + 'requires-python = ">=3.10,<3.12"\n', "main.py": ""}
    with pytest.raises(
        ProjectError, match=r"setting python wants Python 3\.13 \(Debian has 3\.13\.5\), but pyproject\.toml requires >=3\.10,<3\.12"
    ):
        _detect(tmp_path, files, python="3.13")
    for wrong in ("banana", ">=4", "==3.11.77"):
        (tmp_path / "pyproject.toml").write_text(PROJECT + f'requires-python = "{wrong}"\n')
        with pytest.raises(ProjectError, match=r"pyproject\.toml: "):
            read_project(tmp_path)


def test_ignores_pythons_released_after_the_day(tmp_path: Path) -> None:
    assert _detect(tmp_path, {"requirements.txt": "", "main.py": "", "shipwheel.toml": "as-of = 2024-09-15\n"}).python == "3.11"
    (tmp_path / "shipwheel.toml").write_text("as-of = 2018-09-15\n")
    assert read_project(tmp_path).python == "3.9", "the oldest that there is"


def test_chooses_the_python_from_poetrys_alternatives(tmp_path: Path) -> None:
    text = POETRY + '[tool.poetry]\nname = "x"\nversion = "1"\n[tool.poetry.dependencies]\npython = "~3.9 || ~3.11"\n'
    project = _detect(tmp_path, {"pyproject.toml": text, "main.py": ""})
    assert (project.python, project.requires_python) == ("3.11", ">=3.11,<3.12")


def test_counts_the_servers_that_extras_install() -> None:
    assert dependency_names(["FastAPI[Standard]>=0.1", "celery[redis]"], "3.11") == {"fastapi", "uvicorn", "celery"}


def test_rejects_a_directory_without_a_project(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="an empty directory"):
        read_project(tmp_path)
    with pytest.raises(ProjectError, match="does not exist"):
        read_project(tmp_path / "nowhere")
    written(tmp_path, {"notes.txt": "", "backend/requirements.txt": ""})
    with pytest.raises(ProjectError, match=r"Looked for: pyproject\.toml .*Found: backend, notes\.txt") as caught:
        read_project(tmp_path)
    assert str(tmp_path / "backend") in caught.value.hint
    with pytest.raises(ProjectError, match="not a Python script"):
        read_project(tmp_path / "notes.txt")


@pytest.mark.parametrize(
    ("file", "hint"),
    [("environment.yml", "Conda"), ("report.ipynb", "list voila")],
)
def test_tells_the_next_step_without_a_project(tmp_path: Path, file: str, hint: str) -> None:
    with pytest.raises(ProjectError) as caught:
        _detect(tmp_path, {file: ""})
    assert hint in caught.value.hint


def test_code_without_requirements_is_an_error_that_tells_what_it_imports(tmp_path: Path) -> None:
    files = {
        "main.py": "import os, tests.help\nimport yaml\nfrom google.cloud import storage\nfrom inner import x\nimport shop.cart\n",
        "src/inner.py": "try:\n    import orjson\nexcept ImportError:\n    pass\nimport yaml, cgi\n",
        "shop/cart.py": "from . import other\nfrom httpx import Client\n",
        "tests/help.py": "import pytest\n",
        "ruff.toml": "",
    }
    with pytest.raises(NoRequirements) as caught:
        _detect(tmp_path / "root", files)
    assert "shipwheel init" in caught.value.hint
    assert [(name, place) for name, place in caught.value.imports if name.count(".") < 2] == [
        ("yaml", "main.py, line 2"),
        ("google.cloud", "main.py, line 3"),
        ("httpx", "shop/cart.py, line 2"),
        ("httpx.Client", "shop/cart.py, line 2"),
    ]


def test_code_without_requirements_gets_the_packages_that_many_projects_have(tmp_path: Path) -> None:
    manage = 'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")\n'
    apps = 'INSTALLED_APPS = [\n    "django.contrib.admin",\n    "rest_framework",\n    "shop.apps.ShopConfig",\n]\n'
    files = {
        "manage.py": manage,
        "shop/wsgi.py": "application = 1\n",
        "shop/settings.py": f"WSGI_APPLICATION = 'shop.wsgi.application'\n{apps}",
        "shop/views.py": "import os\nfrom bs4 import BeautifulSoup\nfrom django.http import HttpResponse\nimport shop.models\n",
    }
    project = _detect(tmp_path / "root", files)
    assert project.settings.dependencies == ("beautifulsoup4", "django", "djangorestframework")
    assert "No file lists the packages" in "\n".join(project.notes)


@pytest.mark.parametrize("imported", ["flask\nimport strangers_package", "haystack"])
def test_one_package_that_few_know_is_left_to_a_person(tmp_path: Path, imported: str) -> None:
    with pytest.raises(NoRequirements):
        _detect(tmp_path / "root", {"app.py": f"import {imported}\n"})


def test_code_that_imports_nothing_else_needs_no_list(tmp_path: Path) -> None:
    project = _detect(tmp_path / "root", {"main.py": "import json, own.bottle\n", "own/bottle.py": "import os\n"})
    assert (project.dependencies, project.notes) == (frozenset(), ())


def test_a_file_that_starts_a_server_needs_no_list_whatever_its_name(tmp_path: Path) -> None:
    code = "from http.server import HTTPServer, SimpleHTTPRequestHandler as Files\nHTTPServer(('', 8000), Files).serve_forever()\n"
    assert _detect(tmp_path / "root", {"files.py": code}).dependencies == frozenset()


@pytest.mark.parametrize(
    ("folders", "found"),
    [
        ({"setup/requirements.txt": "fastapi\nflask\n", "setup/api.sql": ""}, True),
        ({"setup/requirements.txt": "fastapi\n", "deploy/requirements.txt": "gunicorn\n"}, False),
        ({"setup/requirements.txt": "fastapi\n", "setup/tool.py": ""}, False),
        ({"setup/requirements.txt": "fastapi\nflask\n", "setup/__init__.py": "", "cli.py": "import setup\n"}, True),
        ({"docs/requirements.txt": "fastapi\n"}, False),
        ({"ci/requirements.txt": "tox\n"}, False),
    ],
    ids=["one", "two", "a project", "a package of the code", "documentation", "tools"],
)
def test_a_list_in_a_folder_without_code_is_that_of_the_code_beside_it(tmp_path: Path, folders: dict[str, str], found: bool) -> None:
    root = written(tmp_path / "root", {"main.py": FASTAPI, **folders})
    assert list_beside_code(root, UserFiles(), ["fastapi.routing"]) == ((root / "setup/requirements.txt",) if found else ())
    if not found and "setup/tool.py" not in folders:
        assert read_project(root).dependencies == {"fastapi"}
    if found:
        assert read_project(root).dependencies == {"fastapi", "flask"}
        (root / "environment.yml").write_text("dependencies: [fastapi]\n")
        assert read_project(root).dependencies == {"fastapi"}


@pytest.mark.parametrize("other", ["package.json", "go.mod", "bashrc"])
def test_a_tool_beside_a_program_in_another_language_is_no_project(tmp_path: Path, other: str) -> None:
    files = {other: "", "release.py": "import json\nif __name__ == '__main__':\n    print(json.dumps(1))\n"}
    with pytest.raises(NoRequirements, match=f"is not a project.* Found: {other}, release.py"):
        _detect(tmp_path / "root", files)


@pytest.mark.parametrize(
    ("stated", "tree"),
    [('shared = { path = "../libs/shared" }', ""), ('shared = "*"', "api"), ('shared = { path = "./shared" }', "api")],
)
def test_a_backend_gets_the_repository_if_the_metadata_leads_out_of_the_project(tmp_path: Path, stated: str, tree: str) -> None:
    (tmp_path / ".git").mkdir()
    metadata = f'[tool.poetry]\nname = "api"\nversion = "1"\n[tool.poetry.dependencies]\n{stated}\n'
    project = read_project(written(tmp_path / "api", {"pyproject.toml": metadata + POETRY, "api/__init__.py": ""}), launch=False)
    assert project.inputs.project.tree == (tmp_path / tree).resolve()


def test_uv_gets_the_settings_that_forbid_builds(tmp_path: Path) -> None:
    text = f'{PROJECT}dependencies = []\n[tool.uv]\nno-build = true\nno-build-package = ["docopt"]\nmanaged = true\n'
    project = read_project(written(tmp_path / "root", {"pyproject.toml": text, "main.py": ""}), launch=False)
    assert project.inputs.workspace.settings == {"no-build": True, "no-build-package": ["docopt"]}


def test_settings_that_name_packages_make_a_project(tmp_path: Path) -> None:
    project = _detect(tmp_path / "root", {"shipwheel.toml": 'dependencies = ["fastapi", "uvicorn"]\n', "main.py": FASTAPI})
    assert project.kind == "app"
    assert project.dependencies == {"fastapi", "uvicorn"}
    assert project.added == ("fastapi", "uvicorn")
    assert project.launch is not None
    assert project.launch.command[0] == "uvicorn"
    assert project.inputs.requirements is not None
    assert project.inputs.requirements.origin == "the setting dependencies"


def test_rejects_two_scripts_with_inline_metadata(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"a\.py, b\.py"):
        _detect(tmp_path, {"a.py": INLINE, "b.py": INLINE})


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("pyproject.toml", "[project\n", r"pyproject\.toml, line 1"),
        ("pyproject.toml", "[project]\nversion = '1'\n", "no name"),
        ("setup.py", "import setuptools\ndef x(:\n", r"setup\.py, line 2"),
        ("setup.cfg", "no section\n", r"setup\.cfg"),
    ],
)
def test_names_the_file_of_a_syntax_error(tmp_path: Path, file: str, text: str, message: str) -> None:
    with pytest.raises(ProjectError, match=message):
        _detect(tmp_path, {file: text})


def test_never_runs_setup_py(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    _detect(
        tmp_path,
        {
            "setup.py": f"from setuptools import setup\nopen({str(mark)!r}, 'w')\nsetup(name='x', py_modules=['x'])\n",
            "x.py": "",
            "main.py": "",
        },
    )
    assert not mark.exists()


def test_makes_a_valid_name_of_any_directory_name(tmp_path: Path) -> None:
    assert _detect(tmp_path / "我的项目", {"requirements.txt": "", "main.py": ""}).name == "app"
    assert _detect(tmp_path / "My  App (2)", {"requirements.txt": "", "main.py": ""}).name == "my-app-2"


_VALUES = st.recursive(
    st.sampled_from(['"x"', "1", "true", '""', "\"a>=1; python_version<'3'\"", '"^3.1 || *"', '">=3"', '["a", 1]', "{ a = 1 }"]),
    lambda inner: st.lists(inner, max_size=2).map(lambda items: f"[{', '.join(items)}]"),
    max_leaves=3,
)
_TABLES = """
    [project] [tool.poetry] [tool.poetry.dependencies] [tool.poetry.scripts] [build-system] [tool.setuptools] [project.scripts] [tool.uv]
    [dependency-groups] [project.optional-dependencies] [tool.shipwheel] [tool.setuptools.dynamic.dependencies] [tool]
    [tool.hatch.build.targets.wheel]
    """.split()  # noqa: SIM905
_NAMES = """
    name version dependencies dynamic python scripts packages package requires-python build-backend build-system file extras group tool
    project poetry optional-dependencies package-mode command ports env groups py-modules
    """.split()  # noqa: SIM905
_LINES = st.sampled_from(_TABLES) | st.tuples(st.sampled_from(_NAMES), _VALUES).map(" = ".join)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_LINES, max_size=8))
@example(["[tool.setuptools.dynamic.dependencies]", "file = 1"])
def test_any_pyproject_gives_a_project_or_a_shipwheel_error(tmp_path: Path, lines: list[str]) -> None:
    (tmp_path / "pyproject.toml").write_text("\n".join(lines))
    (tmp_path / "main.py").touch()
    try:
        project = read_project(tmp_path)
    except ShipwheelError as error:
        assert error.hint
    else:
        assert project.python.startswith("3.")


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text(alphabet="ab=[];#-\n\\ .<>'\"@:/(){}*,", max_size=60),
    st.sampled_from(["requirements.txt", "setup.cfg", "setup.py", ".python-version", "x.py"]),
)
def test_any_other_file_gives_a_project_or_a_shipwheel_error(tmp_path: Path, text: str, name: str) -> None:
    for old in tmp_path.iterdir():
        old.unlink()
    written(tmp_path, {"requirements.txt": "", "main.py": "", name: text})
    try:
        read_project(tmp_path)
    except ShipwheelError as error:
        assert error.hint


URL = "sqlalchemy @ git+https://git.example/sqlalchemy"


@pytest.mark.parametrize(
    ("line", "added"),
    [("SQLAlchemy>=1.4,<2", "SQLAlchemy>=1.4,<2"), ("sqlalchemy==1.4", "sqlalchemy"), (URL, URL), ("x", ""), ("store==1", "")],
)
def test_what_the_code_imports_and_only_a_requirements_file_lists_is_in_the_image(tmp_path: Path, line: str, added: str) -> None:
    metadata = '[tool.poetry]\nname = "shop"\nversion = "1"\npackage-mode = false\n[tool.poetry.dependencies]\npython = "*"\nflask = "*"\n'
    main = "import flask\nimport store\napp = flask.Flask(__name__)\n"
    files = {"main.py": main, "store.py": "import sqlalchemy.orm\n", "tool.py": "import docutils\n", "pyproject.toml": metadata}
    for name, text in {**files, "requirements.txt": f"flask\n{line}\ndocutils\n"}.items():
        (tmp_path / name).write_text(text)
    launch = read_project(tmp_path).launch
    assert launch is not None and launch.extra_requirements == ("gunicorn", *filter(None, [added]))
    assert [note for note in launch.notes if "requirements.txt lists" in note] == list(launch.notes)


def test_what_only_a_requirements_file_lists_is_found_behind_the_handler_of_static_files(tmp_path: Path) -> None:
    metadata = '[tool.poetry]\nname = "shop"\nversion = "1"\npackage-mode = false\n[tool.poetry.dependencies]\npython = "*"\ndjango = "*"\n'
    wsgi = "import redis\nfrom django.core.wsgi import get_wsgi_application\napplication = get_wsgi_application()\n"
    files = {"manage.py": "import django\n", "shop/wsgi.py": wsgi, "pyproject.toml": metadata, "requirements.txt": "django\nredis\n"}
    launch = read_project(written(tmp_path, files)).launch
    assert launch is not None and launch.static_front is not None
    assert "redis" in launch.extra_requirements


@pytest.mark.parametrize("name", ["requirements.txt", "requirement.txt"])
def test_a_list_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / name).write_text("flask\n")
    (tmp_path / "app.py").write_text("import flask\napp = flask.Flask('a')\n")
    read = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.name == name:
            raise PermissionError(13, "Permission denied")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(LockError, match=rf"{name} cannot be read: Permission denied"):
        read_project(tmp_path)


def test_of_several_projects_below_one_with_a_dockerfile_is_named_first(tmp_path: Path) -> None:
    files = {"libs/common/requirements.txt": "", "services/web/requirements.txt": "", "services/web/Dockerfile": "FROM python\n"}
    with pytest.raises(ProjectError) as caught:
        read_project(written(tmp_path, files))
    assert "build one of them, as in `shipwheel build services/web`" in str(caught.value.hint)
