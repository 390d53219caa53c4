"""The order of precedence, and what every launch gets: settings, packages, and the error if there is no command."""

from pathlib import Path

import pytest
from support.project_tree import launched, written

from shipwheel.errors import NoCommand, ProjectError
from shipwheel.project.entrypoint.find import Evidence, Launch, find_launch
from shipwheel.project.entrypoint.scan import Scanner
from shipwheel.project.read import read_project
from shipwheel.settings.settings import Settings

FASTAPI = "from fastapi import FastAPI\napp = FastAPI()\n"


def test_a_procfile_comes_before_the_source(tmp_path: Path) -> None:
    files = {"Procfile": "web: gunicorn -w 2 app:app\nworker: x\n", "app.py": FASTAPI}
    assert launched(tmp_path, files, "fastapi uvicorn").command == ("gunicorn", "-w", "2", "app:app")


def test_the_settings_come_before_everything(tmp_path: Path) -> None:
    launch = launched(
        tmp_path, {"Procfile": "web: x | y\n", "main.py": FASTAPI}, "fastapi uvicorn", settings=Settings(command=("python", "main.py"))
    )
    assert (launch.command, launch.is_program, launch.ports) == (("python", "main.py"), False, ())
    launch = launched(tmp_path, {}, settings=Settings(entrypoint=("tool",), command=("--help",)))
    assert (launch.command, launch.is_program, launch.arguments) == (("tool",), True, ("--help",))


def _package(root: Path, files: dict[str, str], scripts: dict[str, str], dependencies: str = "", **more: object) -> Launch:
    return find_launch(
        Evidence(
            written(root, files),
            "demo",
            "package",
            scripts=scripts,
            dependencies=frozenset(dependencies.split()),
            packaged=frozenset({"demo"}),
            **more,  # type: ignore[arg-type]
        )
    )


def test_a_console_script_is_known_beside_the_application_that_it_may_not_serve(tmp_path: Path) -> None:
    launch = _package(tmp_path, {"demo/__init__.py": "", "demo/main.py": FASTAPI}, {"demo": "demo:main"}, "fastapi")
    assert (launch.command, launch.application[-1]) == (("demo",), "demo.main:app")
    assert "demo/main.py" in launch.application_reason
    served = _package(tmp_path, {}, {"demo": "demo:main"}, "fastapi uvicorn")
    assert (served.command[-1], served.application) == ("demo.main:app", ())


def test_an_application_of_a_package_whose_framework_is_listed_alone_comes_after_all_else(tmp_path: Path) -> None:
    files = {"demo/__init__.py": "", "demo/main.py": FASTAPI}
    listed = frozenset({"fastapi", "httpx"})
    launch = _package(tmp_path, files, {}, "httpx", listed=listed)
    assert (launch.command[-1], launch.extra_requirements) == ("demo.main:app", ("uvicorn",))
    assert _package(tmp_path, {"demo/__main__.py": "print(1)\n"}, {}, "httpx", listed=listed).command == ("python", "-m", "demo")


@pytest.mark.parametrize("file", ["demo/testing.py", "demo/contrib/web.py", "examples/app.py", "try_it/app.py"])
def test_an_application_that_a_library_is_tried_with_is_not_served(tmp_path: Path, file: str) -> None:
    with pytest.raises(ProjectError, match="no command to start was found"):
        _package(tmp_path, {"demo/__init__.py": "", file: FASTAPI}, {}, "httpx")


def test_a_listed_framework_is_in_the_image_with_the_application_of_a_package(tmp_path: Path) -> None:
    metadata = '[project]\nname = "demo"\nversion = "1"\ndependencies = ["httpx"]\n[build-system]\nrequires = ["hatchling"]\n'
    metadata += 'build-backend = "hatchling.build"\n'
    files = {"demo/__init__.py": "", "demo/web.py": FASTAPI, "pyproject.toml": metadata, "requirements.txt": "fastapi\nhttpx\n"}
    launch = read_project(written(tmp_path, files), Settings()).launch
    assert launch is not None
    assert (launch.command[-1], launch.extra_requirements) == ("demo.web:app", ("uvicorn", "fastapi"))


@pytest.mark.parametrize("line", ["from shop import app", "from shop import factory\napp = factory.flask"])
def test_an_object_that_a_script_runs_may_be_an_application(tmp_path: Path, line: str) -> None:
    script = f"{line}\nif __name__ == '__main__':\n    app.run()\n"
    launch = launched(tmp_path, {"run.py": script, "shop/__init__.py": "from shop.made import app, factory\n"}, "flask gunicorn")
    assert (launch.command, launch.application[-1]) == (("python", "run.py"), "run:app")


def test_what_is_run_by_a_function_is_no_application(tmp_path: Path) -> None:
    script = "import asyncio\nfrom shop import main, app\nif __name__ == '__main__':\n    asyncio.run(main())\n"
    assert launched(tmp_path, {"run.py": script, "shop/__init__.py": ""}, "flask gunicorn").application == ()


SERVER = """
from http.server import HTTPServer, SimpleHTTPRequestHandler
if __name__ == "__main__":
    HTTPServer(("0.0.0.0", 8080), SimpleHTTPRequestHandler).serve_forever()
"""


def test_other_applications_and_servers_are_alternatives(tmp_path: Path) -> None:
    files = {"main.py": FASTAPI, "hooks.py": FASTAPI, "panel.py": SERVER, "tool.py": "if __name__ == '__main__':\n    print(1)\n"}
    launch = launched(tmp_path, files, "fastapi uvicorn")
    assert launch.command[-1] == "main:app"
    application, server = launch.alternatives
    assert (application[-1], server) == ("hooks:app", ("python", "panel.py"))


def test_the_module_that_makes_an_application_and_its_file_are_alternatives(tmp_path: Path) -> None:
    for name in ("flask", "fastapi"):
        (tmp_path / name).mkdir()
    run = "from config import app\nlevel = 1\nif __name__ == '__main__':\n    app.run(host='0.0.0.0', port=5000)\n"
    files = {"config.py": "from flask import Flask\napp = Flask(__name__)\n", "app.py": run}
    launch = launched(tmp_path / "flask", files, "flask gunicorn")
    assert (launch.command[-1], [other[-1] for other in launch.alternatives]) == ("app:app", ["config:app"])
    serving = FASTAPI + "import uvicorn\nif __name__ == '__main__':\n    uvicorn.run(app, host='0.0.0.0', port=8000)\n"
    launch = launched(tmp_path / "fastapi", {"main.py": serving}, "fastapi uvicorn")
    assert (launch.command[-1], launch.alternatives) == ("main:app", (("python", "main.py"),))


def test_a_program_that_adds_the_pages_before_it_serves_is_an_alternative(tmp_path: Path) -> None:
    start = "from shop.main import main\nif __name__ == '__main__':\n    main()\n"
    main = "from shop import app\n\ndef main():\n    from shop import pages\n    app.register_blueprint(pages)\n"
    files = {"start.py": start, "shop/__init__.py": "from flask import Flask\napp = Flask(__name__)\n", "shop/main.py": main}
    launch = launched(tmp_path, files, "flask gunicorn")
    assert (launch.command[-1], launch.alternatives) == ("shop:app", (("python", "start.py"),))


def test_a_console_script_is_an_alternative(tmp_path: Path) -> None:
    files = {"shop/__init__.py": "", "shop/main.py": FASTAPI}
    scripts = {"demo": "shop.cli:main", "demo-tool": "shop.tool:main"}
    launch = launched(tmp_path, files, "fastapi uvicorn", kind="package", scripts=scripts, packaged=frozenset({"shop"}))
    assert (launch.command[-1], launch.alternatives) == ("shop.main:app", (("demo",),))


def test_a_declared_command_has_no_alternatives(tmp_path: Path) -> None:
    files = {"main.py": FASTAPI, "hooks.py": FASTAPI, "Procfile": "web: uvicorn hooks:app\n"}
    assert launched(tmp_path, files, "fastapi uvicorn").alternatives == ()
    assert launched(tmp_path, {}, "fastapi uvicorn", settings=Settings(command=("uvicorn", "main:app"))).alternatives == ()


def test_a_program_that_names_nothing_of_the_wheel_finds_it_in_the_directory(tmp_path: Path) -> None:
    dockerfile = "FROM python:3.13\nCOPY . /srv\nWORKDIR /srv\nCMD fastapi run --workers 4{}\n"
    files = {"demo/__init__.py": "", "demo/main.py": FASTAPI, "alembic.ini": "", "Dockerfile": dockerfile.format("")}
    launch = _package(tmp_path, files, {}, "fastapi")
    assert (launch.command, launch.needs_source) == (("fastapi", "run", "--workers", "4"), True)
    named = {**files, "Dockerfile": dockerfile.format("\nCMD uvicorn demo.main:app")}
    assert not _package(tmp_path, named, {}, "uvicorn").needs_source
    stepping = {**files, "Dockerfile": dockerfile.format("\nCMD alembic upgrade head && uvicorn demo.main:app")}
    assert _package(tmp_path, stepping, {}, "uvicorn alembic").needs_source


@pytest.mark.parametrize(
    ("call", "needs_source"),
    [
        ("StaticFiles(directory=Path('demo', 'static'))", True),
        ("open('demo/static/rules.txt')", True),
        ("Jinja2Templates('demo/pages')", False),
        ("open(Path(__file__).parent / 'static' / 'rules.txt')", False),
        ("open('data/rules.txt')", True),
    ],
)
def test_a_package_that_reads_its_files_from_the_working_directory_needs_its_source(
    tmp_path: Path, call: str, *, needs_source: bool
) -> None:
    code = f"from pathlib import Path\nimport uvicorn\nread = {call}\ndef main():\n    uvicorn.run('demo.main:app', host='0.0.0.0')\n"
    files = {"demo/__init__.py": "", "demo/main.py": code, "demo/static/rules.txt": "", "data/rules.txt": ""}
    assert _package(tmp_path, files, {"demo": "demo.main:main"}, "uvicorn").needs_source is needs_source


def test_a_step_that_names_a_file_of_the_directory_needs_it(tmp_path: Path) -> None:
    settings_file = (
        "import pathlib\nBASE = pathlib.Path('/var/shop')\nDATABASES = {'default': {'ENGINE': 'sqlite3', 'NAME': BASE / 'db'}}\n"
    )
    files = {
        "manage.py": "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'demo.settings')\n",
        "demo/__init__.py": "",
        "demo/settings.py": settings_file.replace("sqlite3'", "django.db.backends.sqlite3'"),
        "demo/wsgi.py": "from django.core.wsgi import get_wsgi_application\napplication = get_wsgi_application()\n",
    }
    launch = _package(tmp_path, files, {}, "django gunicorn")
    assert launch.before_start
    assert launch.needs_source


def test_console_scripts_are_programs(tmp_path: Path) -> None:
    launch = _package(tmp_path, {"src/demo/__init__.py": ""}, {"demo-cli": "demo:main"})
    assert (launch.command, launch.is_program, launch.needs_source) == (("demo-cli",), True, False)
    assert _package(tmp_path, {}, {"other": "demo:x", "Demo": "demo:main"}).command == ("Demo",)
    with pytest.raises(ProjectError, match="console scripts a, b") as caught:
        _package(tmp_path, {}, {"a": "demo:a", "b": "demo:b"})
    assert 'command = ["a"]' in caught.value.hint


def test_a_web_application_with_its_server_comes_before_a_console_script(tmp_path: Path) -> None:
    files = {"src/demo/__init__.py": "", "src/demo/main.py": FASTAPI}
    launch = _package(tmp_path, files, {"demo": "demo:main"}, "fastapi uvicorn")
    assert (launch.command[-1], launch.needs_source, launch.python_path) == ("demo.main:app", False, ())
    assert _package(tmp_path, files, {"demo": "demo:main"}, "fastapi").command == ("demo",)
    assert _package(tmp_path, files, {"demo": "demo:main"}, "httpx uvicorn").command == ("demo",)


def test_a_package_needs_its_source_if_the_wheel_lacks_the_command(tmp_path: Path) -> None:
    launch = _package(tmp_path, {"demo/__init__.py": "", "main.py": FASTAPI}, {}, "fastapi uvicorn")
    assert (launch.command[-1], launch.needs_source) == ("main:app", True)
    files = {"manage.py": "", "demo/__init__.py": ""}
    assert _package(tmp_path, files, {}, settings=Settings(command=("python", "manage.py", "x"))).needs_source
    assert not _package(tmp_path, files, {}, settings=Settings(command=("demo", "start", "-a"))).needs_source
    assert not _package(tmp_path, files, {}, settings=Settings(command=("gunicorn", "demo:app", "--config=other.py"))).needs_source
    files["other.py"] = ""
    assert _package(tmp_path, files, {}, settings=Settings(command=("gunicorn", "demo:app", "--config=other.py"))).needs_source
    files = {"gunicorn.conf.py": "bind = '0.0.0.0:8000'\n", "demo/__init__.py": ""}
    assert _package(tmp_path / "conf", files, {}, settings=Settings(command=("gunicorn", "demo:app"))).needs_source
    assert not _package(tmp_path, files, {}, settings=Settings(command=("uvicorn", "demo.api:app"))).needs_source


BESIDE = {
    "shop/main.py": f"from models.item import Item\nimport platform\nimport redis\n{FASTAPI}",
    "models/item.py": "Item = 1\n",
    "redis/conf.py": "",
    "platform/deploy.py": "",
}


def test_an_application_that_imports_what_its_wheel_lacks_runs_in_its_directory(tmp_path: Path) -> None:
    metadata = '[project]\nname = "shop"\nversion = "1"\ndependencies = ["fastapi", "uvicorn", "redis"]\n'
    build = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
    packages = '[tool.hatch.build.targets.wheel]\npackages = ["shop"]\n'
    project = read_project(written(tmp_path, {**BESIDE, "pyproject.toml": metadata + build + packages}), Settings())
    assert (project.kind, [note for note in project.notes if "models of its directory" in note]) == ("app", list(project.notes))
    files = {**BESIDE, "pyproject.toml": metadata + build + packages.replace('["shop"]', '["shop", "models"]')}
    assert read_project(written(tmp_path / "whole", files), Settings()).kind == "package"


@pytest.mark.parametrize(
    ("line", "packages"),
    [
        ("os.system('streamlit run x')", ("dash",)),
        ("from os import system\nsystem('make')", ("dash",)),
        ("import subprocess\nsubprocess.getoutput('date')", ("dash",)),
        ("os.chdir('/tmp')", ()),
    ],
)
def test_a_program_that_starts_a_shell_has_one(tmp_path: Path, line: str, packages: tuple[str, ...]) -> None:
    files = {"main.py": "import worker.jobs\n", "worker/jobs/__init__.py": f"import os\n{line}\n", "requirements.txt": ""}
    files["other.py"] = "import os\nos.system('make')\n"
    project = read_project(written(tmp_path, files), Settings())
    assert project.launch is not None and project.packages == packages
    assert [note for note in project.launch.notes if "worker/jobs/__init__.py calls " in note] == list(project.launch.notes)
    assert bool(project.launch.notes) == bool(packages)


@pytest.mark.parametrize(("command", "packages"), [("python main.py", ("dash",)), ("python other/run.py", ())])
def test_of_modules_with_one_name_that_counts_which_python_imports(tmp_path: Path, command: str, packages: tuple[str, ...]) -> None:
    files = {"main.py": "import utils\nutils.go()\n", "utils.py": "import os\ndef go():\n    os.system('ls')\n"}
    files |= {"other/run.py": "import utils\nprint(utils.x)\n", "other/utils.py": "x = 1\n", "requirements.txt": ""}
    project = read_project(written(tmp_path, {**files, "Procfile": f"web: {command}\n"}), Settings())
    assert project.launch is not None and project.launch.command == tuple(command.split()) and project.packages == packages


def test_a_shell_is_found_behind_the_handler_of_static_files(tmp_path: Path) -> None:
    wsgi = "from django.core.wsgi import get_wsgi_application\nimport shop.jobs\napplication = get_wsgi_application()\n"
    files = {"manage.py": "from django.core.management import execute_from_command_line\n", "shop/wsgi.py": wsgi}
    files |= {"shop/jobs.py": "import os\nos.system('true')\n", "requirements.txt": "django\ngunicorn\n"}
    project = read_project(written(tmp_path, files), Settings())
    assert project.launch is not None and project.launch.static_front is not None
    assert project.packages == ("dash",)


def test_a_path_with_dots_is_the_directory_that_it_names(tmp_path: Path) -> None:
    written(tmp_path / "app", {"app.py": FASTAPI, "requirements.txt": "fastapi\nuvicorn\n", "Dockerfile": "FROM python\nEXPOSE 7000\n"})
    written(tmp_path / "other", {"x": ""})
    launch = read_project(tmp_path / "other" / ".." / "app", Settings()).launch
    assert launch is not None and launch.ports == ("7000/tcp",)


def test_without_a_command_the_error_says_why_a_declared_one_is_not_it(tmp_path: Path) -> None:
    dockerfile = 'FROM python\nCOPY . /x\nCMD ["airflow", "webserver"]\n'
    with pytest.raises(ProjectError, match=r"no command to start was found\. Dockerfile, line 3: `airflow webserver` is not the") as caught:
        launched(tmp_path, {"lib.py": "x = 1\n", "Dockerfile": dockerfile})
    assert "shipwheel.toml: command = [" in caught.value.hint


def test_without_a_command_the_error_shows_the_settings_to_add(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="no command to start was found") as caught:
        launched(tmp_path, {"lib.py": "x = 1\n"})
    assert "Streamlit" in caught.value.message
    assert "shipwheel.toml: command = [" in caught.value.hint


def test_a_package_that_starts_nothing_may_be_a_library(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="no command to start was found") as caught:
        _package(tmp_path, {"demo/__init__.py": "", "demo/api.py": "x = 1\n"}, {})
    assert caught.value.hint.startswith("demo may be a library: build the project that requires it.")


def test_without_a_command_the_error_names_the_programs_that_could_be_meant(tmp_path: Path) -> None:
    main = 'if __name__ == "__main__":\n    print(1)\n'
    files = {"a.py": main, "b.py": main, "lib/x/y/server.py": main, "examples/chat/app.py": main, "examples/lib.py": "x = 1\n"}
    with pytest.raises(ProjectError, match="no command to start was found") as caught:
        launched(tmp_path, files)
    assert 'command = ["python", "a.py"]' in caught.value.hint
    assert "Its programs are a.py, b.py, lib/x/y/server.py, examples/chat/app.py." in caught.value.hint


def test_of_several_programs_the_server_is_named_first(tmp_path: Path) -> None:
    main = 'if __name__ == "__main__":\n    print(1)\n'
    with pytest.raises(ProjectError, match="no command to start was found") as caught:
        launched(tmp_path, {"shop/client/__main__.py": main, "shop/server/__main__.py": main, "shop/__init__.py": ""})
    assert 'command = ["python", "shop/server/__main__.py"]' in caught.value.hint


def test_without_a_command_the_error_runs_a_file_of_a_package_as_a_module(tmp_path: Path) -> None:
    main = 'from ._main import run\nif __name__ == "__main__":\n    run()\n'
    with pytest.raises(ProjectError, match="no command to start was found") as caught:
        launched(tmp_path, {"shop/__init__.py": "", "shop/_main.py": "def run(): ...\n", "shop/a.py": main, "shop/b.py": main})
    assert 'command = ["python", "-m", "shop.a"]' in caught.value.hint


def test_never_runs_the_code(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    evil = f"open({str(mark)!r}, 'w')\n"
    launched(tmp_path, {"main.py": evil + FASTAPI, "conftest.py": evil, "manage.py": evil}, "fastapi uvicorn")
    assert not mark.exists()


@pytest.mark.parametrize(
    ("files", "target"),
    [
        ({"local_test.py": "from flask import Flask\napp = Flask(__name__)\n"}, "local_test:app"),
        ({"test_web.py": "from flask import Flask\napp = Flask(__name__)\ndef test_it(): ...\n"}, ""),
        (
            {
                "test_web.py": "from flask import Flask\napp = Flask(__name__)\n",
                "shop/web.py": "from flask import Flask\nit = Flask('x')\n",
            },
            "shop.web:it",
        ),
    ],
    ids=["alone", "a test", "beside the application"],
)
def test_an_application_may_have_the_name_of_a_test(tmp_path: Path, files: dict[str, str], target: str) -> None:
    if target:
        assert launched(tmp_path, files, "flask gunicorn").command[-1] == target
    else:
        with pytest.raises(NoCommand):
            launched(tmp_path, files, "flask gunicorn")


def test_a_file_with_the_name_of_a_test_is_one_if_it_serves_nothing_or_is_beside_a_library(tmp_path: Path) -> None:
    smoke = "from handler import run\nif __name__ == '__main__':\n    run()\n"
    with pytest.raises(NoCommand):
        launched(tmp_path / "app", {"handler.py": "def run(): ...\n", "smoke_test.py": smoke})
    with pytest.raises(ProjectError):
        _package(tmp_path / "library", {"demo/__init__.py": "", "try_test.py": FASTAPI}, {}, "fastapi uvicorn")


def test_an_application_in_a_test_is_not_the_projects(tmp_path: Path) -> None:
    fixtures = {f"{name}.py": FASTAPI for name in ("app_test", "test_app", "conftest")}
    files = {**fixtures, "shop/__init__.py": "", "shop/core/__init__.py": "", "shop/core/site.py": FASTAPI}
    assert launched(tmp_path, files, "fastapi uvicorn").command[-1] == "shop.core.site:app"


def test_does_not_follow_links_or_enter_environments(tmp_path: Path) -> None:
    written(tmp_path, {"main.py": "", "myenv/pyvenv.cfg": "", "myenv/app.py": FASTAPI})
    (tmp_path / "loop").symlink_to(".")
    assert [module.file for module in Scanner(tmp_path).scan_modules()] == ["main.py"]


@pytest.mark.parametrize(
    ("imported", "word", "directory"), [("import db\n", "main:app", "app"), ("from .db import session\n", "app.main:app", "")]
)
def test_a_module_of_a_package_starts_above_it_whatever_the_dockerfile_says(
    tmp_path: Path, imported: str, word: str, directory: str
) -> None:
    dockerfile = "FROM python\nWORKDIR /app\nCOPY ./app /app\n"
    files = {"app/main.py": imported + FASTAPI, "app/db.py": "session = 1\n", "app/__init__.py": "", "Dockerfile": dockerfile}
    launch = launched(tmp_path, files, "fastapi uvicorn")
    assert (launch.command[-1], launch.directory) == (word, directory)


def test_a_package_below_the_dockerfiles_directory_keeps_its_relative_imports(tmp_path: Path) -> None:
    files = {
        "src/shop/main.py": "from .db import session\n" + FASTAPI,
        "src/shop/db.py": "session = 1\n",
        "src/shop/__init__.py": "",
        "Dockerfile": "FROM python\nWORKDIR /app\nCOPY ./src /app\n",
    }
    launch = launched(tmp_path, files, "fastapi uvicorn")
    assert (launch.command[-1], launch.directory) == ("shop.main:app", "src")


def test_a_declared_command_comes_before_a_console_script(tmp_path: Path) -> None:
    files = {
        "demo/__init__.py": "",
        "run.py": "import demo\n",
        "Dockerfile": "FROM python\nCOPY . /app\nWORKDIR /app\nCMD python run.py -d /data\n",
    }
    assert _package(tmp_path, files, {"demo": "demo:main"}).command == ("python", "run.py", "-d", "/data")


def test_names_declared_commands_that_are_not_taken(tmp_path: Path) -> None:
    files = {"Procfile": "web: nginx -g x\n", "Dockerfile": "FROM python\nCOPY . /app\nWORKDIR /app\nCMD flask run\n", "main.py": FASTAPI}
    assert launched(tmp_path, files, "fastapi uvicorn flask").notes == (
        "Procfile, line 1: `nginx -g x` is not the image's command: nginx is not in the image.",
        "Dockerfile, line 4: `flask run` is not the image's command: it starts a development server.",
    )


_FLASK = "from flask import Flask\napp = Flask(__name__)\n"
_MANAGER = "import os, django\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n"


@pytest.mark.parametrize(
    ("page", "is_other"),
    [
        ("import streamlit as st\nst.title('a')\n", True),
        ("import streamlit as st\nimport main\nst.title('a')\n", False),
        ("import os\n", False),
    ],
)
def test_a_page_with_a_server_of_its_own_is_named(tmp_path: Path, page: str, is_other: bool) -> None:
    launch = launched(tmp_path, {"main.py": FASTAPI, "ui/app.py": page}, "fastapi uvicorn streamlit")
    assert launch.command[0] == "uvicorn"
    assert ["not ui/app.py" in note and "`streamlit run ui/app.py" in note for note in launch.notes] == [True] * is_other


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({"01-hello/hello.py": _FLASK, "02-forms/hello.py": _FLASK, "03-data/hello.py": _FLASK}, ["02-forms/hello.py", "03-data/hello.py"]),
        ({"first.py": "import streamlit as st\nst.title('a')\n", "second.py": "import streamlit\n"}, ["second.py"]),
        ({f"{name}/{file}": _MANAGER for name in "ab" for file in ("manage.py", "shop/wsgi.py")}, ["b/manage.py"]),
        ({"app.py": _FLASK, "other/hello.py": _FLASK}, []),
        ({"hello.py": _FLASK + "import parts\n", "parts.py": _FLASK}, []),
        ({"parts.py": _FLASK, "views.py": "import parts\n" + _FLASK}, []),
    ],
    ids=["folders", "files", "Django", "a usual name at the top", "imported", "importing"],
)
def test_other_applications_that_may_be_meant_are_named(tmp_path: Path, files: dict[str, str], named: list[str]) -> None:
    launch = launched(tmp_path, files, "flask streamlit django gunicorn")
    notes = [note for note in launch.notes if ", and no other application, such as " in note]
    assert [", ".join(named) in note for note in notes] == ([True] if named else [])
