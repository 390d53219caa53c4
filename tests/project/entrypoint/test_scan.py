"""Reading a project's directory: each file once, and only what counts."""

from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pytest
from support.project_tree import written

from shipwheel.errors import ProjectError
from shipwheel.project.deployment.read import Deployment
from shipwheel.project.entrypoint.scan import Scanner

FILES = {
    "Procfile": "web: x\n",
    "Dockerfile": "FROM x\n",
    "production.ini": "[app:main]\n",
    "web.tac": "x = 1\n",
    "src/main.py": "import db\n",
    "src/db.py": "",
    "src/inner/deep.py": "import db\n",
}


def test_opens_each_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, FILES)
    opened: list[str] = []
    real: Callable[..., IO[Any]] = Path.open

    def counted(path: Path, *given: Any, **more: Any) -> IO[Any]:
        opened.append(path.relative_to(tmp_path).as_posix())
        return real(path, *given, **more)

    monkeypatch.setattr(Path, "open", counted)
    scan = Scanner(tmp_path).scan_project()
    assert "src/db.py" in opened
    assert len(opened) == len({*opened})
    assert [module.name for module in scan.modules] == ["db", "main", "inner.deep"]


def test_a_scanner_scans_once(tmp_path: Path) -> None:
    scanner = Scanner(written(tmp_path, FILES))
    scan = scanner.scan_project()
    written(tmp_path, {"Procfile": "web: y\n"})
    assert scanner.scan_project() is scan
    assert scanner.scan_modules() is scan.modules


def test_reads_what_shows_how_a_project_starts(tmp_path: Path) -> None:
    scan = Scanner(written(tmp_path, {**FILES, "b.ipynb": "{}", "a.ipynb": "{}"})).scan_project()
    assert [process.name for process in scan.deployment.processes] == ["web"]
    assert scan.deployment.dockerfile is not None
    assert scan.pastedeploy == (("production.ini", "[app:main]\n"),)
    assert ([tac.file for tac in scan.tac_files], scan.notebooks) == (["web.tac"], ("a.ipynb", "b.ipynb"))


def test_a_single_file_is_the_whole_source(tmp_path: Path) -> None:
    scan = Scanner(written(tmp_path, FILES), "src/main.py").scan_project()
    assert [module.file for module in scan.modules] == ["src/main.py"]
    assert (scan.deployment, scan.pastedeploy, scan.tac_files) == (Deployment(), (), ())


def test_rejects_a_procfile_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_bytes(b"\xff")
    with pytest.raises(ProjectError, match="not UTF-8"):
        Scanner(tmp_path).scan_project()


def test_ignores_other_files_that_are_not_text(tmp_path: Path) -> None:
    for name in ("production.ini", "main.py"):
        (tmp_path / name).write_bytes(b"\xff")
    assert Scanner(tmp_path).scan_project().pastedeploy == ()
    assert Scanner(tmp_path).scan_project().modules == ()


@pytest.mark.parametrize(
    ("main", "name", "root"),
    [("from db import x\n", "main", "src"), ("from src.db import x\n", "src.main", ""), ("from .db import x\n", "src.main", "")],
)
def test_imports_decide_which_directory_is_on_the_import_path(tmp_path: Path, main: str, name: str, root: str) -> None:
    written(tmp_path, {"src/main.py": main, "src/db.py": ""})
    assert (name, root) in [(module.name, module.import_root) for module in Scanner(tmp_path).scan_modules()]


@pytest.mark.parametrize(
    ("files", "name", "root"),
    [
        ({"src/main.py": "import db\n"}, "main", "src"),
        ({"src/main.py": "from shop.views import x\n", "src/shop/__init__.py": ""}, "main", "src"),
        ({"src/main.py": "import db\n", "wsgi.py": "from src.main import app\n"}, "src.main", ""),
        ({"src/main.py": "import db\n", "db.py": ""}, "src.main", ""),
        ({"src/main.py": "import types, logging\n", "src/logging.py": "", "src/types.py": ""}, "src.main", ""),
        ({"src/main.py": "import celery.schedules\n", "src/celery.py": "from celery import Celery\n"}, "src.main", ""),
        ({"src/main.py": ""}, "src.main", ""),
    ],
    ids=["a neighbour", "a package below", "imported as a package", "a file beside it", "Python's modules", "a package's name", "nothing"],
)
def test_imports_decide_even_in_a_directory_with_an_init_file(tmp_path: Path, files: dict[str, str], name: str, root: str) -> None:
    written(tmp_path, {"src/__init__.py": "", "src/db.py": "", **files})
    found = {module.file: (module.name, module.import_root) for module in Scanner(tmp_path).scan_modules()}
    assert found["src/main.py"] == (name, root)


@pytest.mark.parametrize("other", ["", "main.py"])
def test_examples_are_the_project_where_there_is_no_other_code(tmp_path: Path, other: str) -> None:
    files = {"example/api.py": "", "tests/test_api.py": "", "tests/helper.py": "", **({other: ""} if other else {})}
    assert [module.file for module in Scanner(written(tmp_path, files)).scan_modules()] == [other or "example/api.py"]


def test_no_import_leads_through_a_directory_whose_name_is_no_identifier(tmp_path: Path) -> None:
    names = ["code/ch3-hello/main.py", "code/ch3-hello/views/home.py", "my-app/__init__.py", "my-app/main.py"]
    written(tmp_path, dict.fromkeys(names, "app = 1\n"))
    found = {module.file: (module.name, module.import_root) for module in Scanner(tmp_path).scan_modules()}
    assert found["code/ch3-hello/main.py"] == ("main", "code/ch3-hello")
    assert found["code/ch3-hello/views/home.py"] == ("views.home", "code/ch3-hello")
    assert found["my-app/main.py"] == ("my-app.main", "")


def test_the_projects_of_a_repository_are_imported_from_their_own_directories(tmp_path: Path) -> None:
    files = {
        "packages/api/pyproject.toml": "",
        "packages/api/generate.py": "",
        "packages/api/src/api/__init__.py": "",
        "packages/api/src/api/main.py": "from core import x\n",
        "apps/server/main.py": "import telemetry\n",
        "apps/server/telemetry.py": "",
        "shop/apps/__init__.py": "",
        "shop/apps/views.py": "",
        "shop/apps/jobs/run.py": "import run2\n",
        "shop/apps/jobs/run2.py": "",
    }
    written(tmp_path, files)
    found = {module.file: (module.name, module.import_root) for module in Scanner(tmp_path).scan_modules()}
    assert found["packages/api/src/api/main.py"] == ("api.main", "packages/api/src")
    assert found["apps/server/main.py"] == ("main", "apps/server")
    assert found["shop/apps/jobs/run.py"] == ("shop.apps.jobs.run", "")


def test_a_package_that_imports_itself_by_its_name_is_on_the_import_path(tmp_path: Path) -> None:
    files = {
        "src/py/shop/__init__.py": "",
        "src/py/shop/web.py": "from shop.db import x\n",
        "src/py/shop/db.py": "",
        "ns/shop2/__init__.py": "",
    }
    written(tmp_path, files)
    found = {module.file: (module.name, module.import_root) for module in Scanner(tmp_path).scan_modules()}
    assert found["src/py/shop/web.py"] == ("shop.web", "src/py")
