"""Volumes and links for what an app writes, found by reading its source."""

import ast
import posixpath
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.project_tree import launched, written

from shipwheel.errors import UsageError
from shipwheel.oci.layer import LayerSpec, make_layer
from shipwheel.pipeline.generated import volume_directories
from shipwheel.project.app_tree import AppTree, list_app
from shipwheel.project.entrypoint.find import Launch
from shipwheel.project.entrypoint.path_eval import ROOT, PathEvaluator, normal_path
from shipwheel.project.entrypoint.write_scan import WRITE_HINTS
from shipwheel.settings.settings import Settings
from shipwheel.store.store import Store

FLASK = "from flask import Flask\napp = Flask(__name__)\n"
FACTORY = "import os, flask\ndef create_app():\n    app = flask.Flask('x')\n    os.makedirs(app.instance_path)\n    return app\n"
FASTAPI = "from fastapi import FastAPI\napp = FastAPI()\n"


def _launch(root: Path, files: dict[str, str], dependencies: str = "flask gunicorn", **more: object) -> Launch:
    return launched(root, files, dependencies, **more)  # type: ignore[arg-type]


LINKED: dict[str, tuple[dict[str, str], str]] = {
    "a relative URL": ({"main.py": FASTAPI + "URL = 'sqlite:///./sql.db'\n"}, "sql.db"),
    "an asynchronous driver": ({"main.py": FASTAPI + "e = create('sqlite+aiosqlite:///sql.db?timeout=3')\n"}, "sql.db"),
    "a joined path": (
        {
            "main.py": FASTAPI,
            "config.py": "import os\nbasedir = os.path.abspath(os.path.dirname(__file__))\n"
            "class Config:\n    URI = os.environ.get('DATABASE_URL') or 'sqlite:///' + os.path.join(basedir, 'app.db')\n",
        },
        "app.db",
    ),
    "a formatted URL": (
        {"main.py": FASTAPI + "from pathlib import Path\nBASE = Path(__file__).resolve().parent\nURL = f'sqlite:///{BASE}/x.db'\n"},
        "x.db",
    ),
    "a base from another module": (
        {
            "main.py": FASTAPI,
            "app/__init__.py": "",
            "app/paths.py": "from pathlib import Path\nROOT = Path(__file__).parents[1]\n",
            "app/db.py": "import sqlite3\nfrom app.paths import ROOT\nc = sqlite3.connect(ROOT / 'n.sqlite')\n",
        },
        "n.sqlite",
    ),
    "a pydantic default": (
        {"main.py": FASTAPI + "class S(BaseSettings):\n    url: str = Field(default='sqlite:///./s.db')\n"},
        "s.db",
    ),
    "a filled format string": (
        {"main.py": FASTAPI + "import os\nU = 'sqlite:///{}/f.db'.format(os.path.dirname(__file__))\nV = 'sqlite:///%s/{}.db' % unknown\n"},
        "f.db",
    ),
    "a connection": ({"main.py": FASTAPI + "import sqlite3\nNAME = 'd.db'\ndef f():\n    return sqlite3.connect(NAME)\n"}, "d.db"),
    "beside other files": ({"main.py": FASTAPI + "U = 'sqlite:///data/x.db'\n", "data/words.txt": ""}, "data/x.db"),
    "a file opened for writing": (
        {
            "main.py": FASTAPI
            + "def f():\n    with open('state.json', 'w') as g: ...\n    open('read.txt')\n    open('main.py', mode='a')\n"
        },
        "state.json",
    ),
    "a log": ({"main.py": FASTAPI + "import logging\nlogging.basicConfig(filename='app.log')\n"}, "app.log"),
    "dictConfig": (
        {"main.py": FASTAPI + "L = {'handlers': {'f': {'class': 'logging.FileHandler', 'filename': 'debug.log'}}}\n"},
        "debug.log",
    ),
    "a database of sqlite-utils": ({"main.py": FASTAPI + "from sqlite_utils import Database\ndb = Database('d.db')\n"}, "d.db"),
    "the session key of FastHTML": ({"main.py": "from fasthtml.common import *\napp, rt = fast_app()\n"}, ".sesskey"),
}


@pytest.mark.parametrize(
    "source",
    [
        "from fasthtml.common import *\napp, rt = fast_app()\ndb = database('data/todos.db')\n",
        "from fasthtml.common import fast_app\napp, rt, todos, Todo = fast_app('data/todos.db', live=True, id=int)\n",
        "from fasthtml.common import *\napp, rt, todos, Todo = fast_app(db_file='data/todos.db')\n",
    ],
    ids=["opened", "first argument", "keyword"],
)
def test_the_database_of_fasthtml_is_on_a_volume(tmp_path: Path, source: str) -> None:
    launch = _launch(tmp_path, {"main.py": source}, "python-fasthtml")
    assert "/app/data" in launch.volumes


@pytest.mark.parametrize("name", LINKED)
def test_links_a_file_beside_the_code_into_a_volume(tmp_path: Path, name: str) -> None:
    files, path = LINKED[name]
    launch = _launch(tmp_path, files, "fastapi uvicorn python-fasthtml")
    assert launch.links == ((path, "/data/" + path.replace("/", "-")),)
    assert launch.volumes == ("/data",)
    assert launch.before_start == ()
    assert [note for note in launch.notes if path in note and "/data" in note]


DIRECTORIES: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "created": ({"main.py": FLASK + "import os\nos.makedirs('logs/today', exist_ok=True)\n"}, ("/app/logs/today",)),
    "created with pathlib": (
        {"main.py": FLASK + "from pathlib import Path\nD = Path(__file__).parent / 'out'\nD.mkdir(exist_ok=True)\n"},
        ("/app/out",),
    ),
    "uploads": (
        {"main.py": FLASK + "import os\napp.config['UPLOAD_FOLDER'] = os.path.join(app.root_path, 'up')\n", "up/.gitkeep": ""},
        ("/app/up",),
    ),
    "a folder for logs": (
        {
            "main.py": FLASK
            + "import os\nclass Config:\n    LOG_FOLDER = os.environ.get('L') or os.path.join(os.path.dirname(__file__), 'lg')\n"
        },
        ("/app/lg",),
    ),
    "a directory for a database": ({"main.py": FLASK + "U = 'sqlite:///var/x.db'\n"}, ("/app/var",)),
    "an absolute path": ({"main.py": FLASK + "U = 'sqlite:////srv/shop/x.db'\n"}, ("/srv/shop",)),
    "the instance directory": (
        {"pkg/__init__.py": FACTORY},
        ("/app/instance",),
    ),
    "default arguments": (
        {
            "main.py": FLASK
            + "from pathlib import Path\nclass Store:\n    def __init__(self, size, folder: str = 'up/users', *, logs='lg'):\n"
            + "        self.folder = Path(folder)\n        self.folder.mkdir()\n        Path(logs).mkdir()\n"
        },
        ("/app/up/users", "/app/lg"),
    ),
    "a default argument of another type": ({"main.py": FLASK + "def f(folder=None, n=1):\n    folder.mkdir()\n"}, ()),
    "nested directories": ({"main.py": FLASK + "import os\nos.makedirs('a/b')\nos.mkdir('a')\n"}, ("/app/a",)),
}


@pytest.mark.parametrize("name", DIRECTORIES)
def test_makes_a_written_directory_a_volume(tmp_path: Path, name: str) -> None:
    files, volumes = DIRECTORIES[name]
    launch = _launch(tmp_path, files)
    assert (launch.volumes, launch.links) == (volumes, ())


NOTHING: dict[str, str] = {
    "in memory": "U = 'sqlite:///:memory:'\nimport sqlite3\nsqlite3.connect(':memory:')\n",
    "no path": "U = 'sqlite:///'\nV = 'sqlite://'\n",
    "in a temporary directory": "import os\nos.makedirs('/tmp/x')\nU = 'sqlite:////tmp/x.db'\n",
    "a home directory": "import os\nos.makedirs('/home/me/x')\n",
    "unknown variables": "import os\nos.makedirs(os.environ['OUT'])\nos.makedirs(os.path.join(unknown, 'x'))\n",
    "above the project": "import os\nos.makedirs('../x')\nos.makedirs(os.path.dirname(os.path.dirname(__file__)))\n",
    "the project itself": "import os\nos.makedirs(os.path.dirname(__file__), exist_ok=True)\nos.makedirs('.', exist_ok=True)\n",
    "circular names": "import os\na = b + 'x'\nb = a + 'y'\nos.makedirs(a)\n",
}


@pytest.mark.parametrize("name", NOTHING)
def test_ignores_paths_that_hold_no_data_of_the_app(tmp_path: Path, name: str) -> None:
    launch = _launch(tmp_path, {"main.py": FLASK + NOTHING[name]})
    assert (launch.volumes, launch.links, launch.before_start) == ((), (), ())


def test_evaluates_names_that_refer_to_each_other(tmp_path: Path) -> None:
    lines = "".join(f"a{n} = a{(n + 1) % 40} or a{(n + 7) % 40} or a{(n + 11) % 40} + 'x'\n" * 4 for n in range(40))
    assert _launch(tmp_path, {"main.py": FLASK + lines + "import os\nos.makedirs(a0)\n"}).volumes == ()


def test_no_volume_hides_files_of_the_image(tmp_path: Path) -> None:
    files = {"main.py": FLASK + "import os\nos.makedirs('data', exist_ok=True)\nos.makedirs('cache', exist_ok=True)\n", "data/a.csv": "1"}
    launch = _launch(tmp_path, {**files, "cache/old": "1", ".gitignore": "cache/*\n"})
    assert launch.volumes == ("/app/cache",)


DJANGO = {
    "manage.py": "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 's.settings')\nimport django\n",
    "s/__init__.py": "",
    "s/wsgi.py": "application = 1\n",
    "s/settings.py": "from pathlib import Path\nBASE_DIR = Path(__file__).resolve().parent.parent\n"
    "DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': BASE_DIR / 'db.sqlite3'}}\nMEDIA_ROOT = BASE_DIR / 'media'\n",
}


def test_keeps_and_migrates_djangos_database(tmp_path: Path) -> None:
    launch = _launch(tmp_path, DJANGO, "django gunicorn")
    assert launch.links == (("db.sqlite3", "/data/db.sqlite3"),)
    assert launch.volumes == ("/data", "/app/media")
    assert launch.before_start == launch.every_start == (("python", "manage.py", "migrate", "--noinput"),)


def test_keeps_a_database_whose_engine_the_environment_decides(tmp_path: Path) -> None:
    database = (
        "import os\nfrom django.conf import settings\nENGINES = {'small': 'django.db.backends.sqlite3', 'big': 'x.mysql'}\n"
        "def config():\n    engine = ENGINES.get(os.getenv('ENGINE'), ENGINES['small'])\n    name = os.getenv('DATABASE_NAME')\n"
        "    if not name:\n        name = os.path.join(settings.BASE_DIR, 'db.sqlite3')\n    return {'ENGINE': engine, 'NAME': name}\n"
    )
    settings = "import os\nBASE_DIR = os.path.dirname(os.path.dirname(__file__))\nDATABASES = {'default': config()}\n"
    launch = _launch(tmp_path, {**DJANGO, "s/database.py": database, "s/settings.py": settings}, "django gunicorn")
    assert launch.links == (("db.sqlite3", "/data/db.sqlite3"),)
    assert launch.before_start == (("python", "manage.py", "migrate", "--noinput"),)


def test_does_not_migrate_a_database_outside_volumes(tmp_path: Path) -> None:
    """The migration would fail, and the container would not start."""
    launch = _launch(tmp_path, {**DJANGO, "db.sqlite3": "x", "db.sqlite3.initial": "y"}, "django gunicorn")
    assert (launch.volumes, launch.links, launch.before_start) == (("/app/media",), (), ())


def test_copies_an_existing_database_once(tmp_path: Path) -> None:
    launch = _launch(tmp_path, {**DJANGO, "db.sqlite3": "x"}, "django gunicorn")
    copy, migrate = launch.before_start
    assert copy[:2] == ("python", "-c")
    assert "copyfile('/app/db.sqlite3.initial', '/data/db.sqlite3.part')" in copy[2]
    assert any("A new volume starts with the image's db.sqlite3" in note for note in launch.notes)
    assert migrate[1:3] == ("manage.py", "migrate")
    assert _launch(tmp_path, {".gitignore": "*.sqlite3\n"}, "django gunicorn").before_start == (migrate,)


def test_copies_completely_and_never_over_the_volumes_content(tmp_path: Path) -> None:
    step = _launch(tmp_path / "app", {**DJANGO, "db.sqlite3": "x"}, "django gunicorn").before_start[0]
    (tmp_path / "db.initial").write_text("ours")
    (tmp_path / "db.part").write_text("ou")
    code = step[2].replace("/app/db.sqlite3.initial", str(tmp_path / "db.initial")).replace("/data/db.sqlite3", str(tmp_path / "db"))
    subprocess.run([sys.executable, "-c", code], check=True)
    assert (tmp_path / "db").read_text() == "ours"
    (tmp_path / "db").write_text("theirs")
    subprocess.run([sys.executable, "-c", code], check=True)
    assert (tmp_path / "db").read_text() == "theirs"
    assert not (tmp_path / "db.part").exists()


def test_static_files_are_on_no_volume(tmp_path: Path) -> None:
    files = {**DJANGO, "s/settings.py": DJANGO["s/settings.py"] + "STATIC_ROOT = BASE_DIR / 'static'\n"}
    launch = _launch(tmp_path, files, "django gunicorn whitenoise")
    assert launch.volumes == ("/data", "/app/media")
    assert [step[2] for step in launch.before_start] == ["migrate"]
    assert [step.run[2] for step in launch.steps] == ["collectstatic"]


@pytest.mark.parametrize(
    "url",
    [
        "'sqlite:///x.db'",
        "f'sqlite:///{names.FILE}'",
        "'sqlite:///' + FILE",
        "'{}:///{}'.format(os.environ.get('ENGINE', 'sqlite'), FILE)",
        "URL.create('sqlite', database=FILE)",
    ],
)
def test_resolves_relative_urls_as_flask_sqlalchemy_does(tmp_path: Path, url: str) -> None:
    imports = "import os\nfrom sqlalchemy import URL\nfrom web import names\nfrom web.names import FILE\n"
    code = f"{imports}{FLASK}app.config['SQLALCHEMY_DATABASE_URI'] = {url}\n"
    files = {"web/__init__.py": code, "web/names.py": "FILE = 'x.db'\n"}
    launch = _launch(tmp_path, files, "flask flask-sqlalchemy gunicorn")
    assert launch.volumes == ("/data", "/app/instance")
    assert launch.links == (("web/x.db", "/data/web-x.db"),)


def test_knows_the_instance_directory_of_frameworks_derived_from_flask(tmp_path: Path) -> None:
    files = {"web/__init__.py": "from apiflask import APIFlask\napp = APIFlask(__name__)\nU = 'sqlite:///x.db'\n"}
    assert "/app/instance" in _launch(tmp_path, files, "apiflask flask flask-sqlalchemy gunicorn").volumes


@pytest.mark.parametrize(("storage", "is_kept"), [("user", True), ("general", True), ("tab", False)])
def test_keeps_the_storage_of_nicegui_that_is_a_file(tmp_path: Path, storage: str, is_kept: bool) -> None:
    code = f"from nicegui import app, ui\ndef page():\n    app.storage.{storage}['seen'] = True\nui.run()\n"
    assert _launch(tmp_path, {"main.py": code}, "nicegui").volumes == (("/app/.nicegui",) if is_kept else ())


def test_an_installed_apps_instance_directory_is_in_the_environment(tmp_path: Path) -> None:
    files = {"pkg/__init__.py": FACTORY}
    launch = _launch(tmp_path, files, kind="package", packaged=frozenset({"pkg"}))
    assert (launch.volumes, launch.needs_source) == (("/opt/venv/var/pkg-instance",), False)


REFUSED: dict[str, str] = {
    "the working directory": "os.makedirs('/app', exist_ok=True)\nUPLOAD_DIR = '/app/'\n",
    "the root": "os.makedirs('/', exist_ok=True)\n",
    "the virtual environment": "os.makedirs('/opt/venv/lib')\nos.makedirs('/opt/venv')\n",
    "system directories": "".join(
        f"os.makedirs({path!r})\n" for path in ("/var", "/var/lib", "/srv", "/sbin", "/lib64", "/boot", "/var/run/x")
    ),
    "URLs": "UPLOAD_DIR = 's3://bucket/media'\nMEDIA_DIR = 'https://cdn.example/x'\n",
    "Windows paths": "os.makedirs('C:\\\\data\\\\x')\nUPLOAD_DIR = r'D:\\up'\nopen('C:\\\\t.txt', 'w')\n",
    "control characters": "UPLOAD_DIR = 'q\\nr'\nopen('a\\nb', 'w')\nopen('\\x01/b', 'w')\n",
    "surrogates": "open('\\ud800x', 'w')\nU = 'sqlite:///\\udc80.db'\n",
    "names that are too long": f"open({'x' * 270!r}, 'w')\nU = 'sqlite:///{'数' * 90}'\n",
    "format strings": "from loguru import logger\nlogger.add('f_{time}.log')\nopen('$HOME/x', 'w')\n",
    "the null device": "open(os.devnull, 'w')\nnothing = getattr(os, 'devnull', '/dev/null')\nopen(nothing, 'a')\n",
    "an option's name": "from shop import config\nopen(config.get('LOG', 'PATH'), 'a')\n",
    "read only": "U = 'sqlite:///file:x.db?mode=ro&uri=true'\nV = 'sqlite:///file:y.db?uri=true&immutable=1'\n",
}


@pytest.mark.parametrize("name", REFUSED)
def test_ignores_paths_that_cannot_be_volumes(tmp_path: Path, name: str) -> None:
    launch = _launch(tmp_path, {"main.py": FLASK + "import os\n" + REFUSED[name]})
    assert (launch.volumes, launch.links) == ((), ())


@pytest.mark.parametrize("workdir", ["/srv/app", "/srv/app/", "/opt", "/", "/usr"])
def test_no_volume_contains_the_working_directory(tmp_path: Path, workdir: str) -> None:
    text = (
        "import os\nos.makedirs('/srv', exist_ok=True)\nos.makedirs('/srv/app')\nos.makedirs('/opt/venv')\nos.makedirs('/opt/shipwheel')\n"
    )
    assert _launch(tmp_path, {"main.py": FLASK + text}, settings=Settings(workdir=workdir)).volumes == ()


@pytest.mark.parametrize(
    ("workdir", "text", "volumes"),
    [
        ("/data", "", ("/state",)),
        ("/data/app", "", ("/state",)),
        ("/app", "V = 'sqlite:////data/app.db'\n", ("/state", "/data")),
        ("/app", "import os\nos.makedirs('/data')\n", ("/state", "/data")),
        ("/app", "import os\nos.makedirs('/data/a')\nos.makedirs('/state')\n", ("/data/a", "/state")),
    ],
)
def test_takes_a_data_volume_that_the_app_does_not_use(tmp_path: Path, workdir: str, text: str, volumes: tuple[str, ...]) -> None:
    launch = _launch(tmp_path, {"main.py": FASTAPI + "U = 'sqlite:///app.db'\n" + text}, settings=Settings(workdir=workdir))
    assert launch.volumes == volumes
    assert [posixpath.dirname(target) for _, target in launch.links] == ["/state"] * (volumes[0] == "/state")


def test_a_directory_of_code_is_not_a_volume(tmp_path: Path) -> None:
    code = "import os\nHERE = os.path.dirname(os.path.abspath(__file__))\nos.makedirs(HERE, exist_ok=True)\n"
    assert _launch(tmp_path, {"main.py": FLASK + "import cache\n", "cache/__init__.py": code}).volumes == ()


def test_does_not_copy_a_file_that_the_image_lacks(tmp_path: Path) -> None:
    files = {"demo/__init__.py": FASTAPI + "U = 'sqlite:///x.db'\nV = 'sqlite:///demo/y.db'\n", "x.db": "1"}
    launch = _launch(tmp_path, files, "fastapi uvicorn", kind="package", packaged=frozenset({"demo"}))
    assert (launch.needs_source, launch.before_start) == (False, ())
    assert (launch.volumes, launch.links) == (("/data", "/app/demo"), (("x.db", "/data/x.db"),))


def test_ignored_files_on_the_developers_disk_change_nothing(tmp_path: Path) -> None:
    code = "def f(): open('state.json', 'w')\nU = 'sqlite:///var/x.db'\nimport os\nos.makedirs('up')\nV = 'sqlite:///y.db'\n"
    files = {"main.py": FASTAPI + code, ".gitignore": "state.json\nvar\nup\n*.db\n"}
    clean = _launch(tmp_path, files)
    assert (clean.volumes, [path for path, _ in clean.links]) == (("/data", "/app/up", "/app/var"), ["state.json", "y.db"])
    assert _launch(tmp_path, {"state.json": "{}", "var/x.db": "", "up/a": "1", "y.db": "1"}) == clean


def test_two_files_never_share_a_path_on_the_volume(tmp_path: Path) -> None:
    files = {"main.py": FASTAPI + "U = 'sqlite:///data/app.db'\nV = 'sqlite:///data-app.db'\n", "data/w.txt": ""}
    launch = _launch(tmp_path, files)
    assert launch.links == (("data-app.db", "/data/data-app.db"),)
    assert [note for note in launch.notes if "also writes to /app/data/app.db" in note]


def test_links_nothing_if_the_place_of_the_initial_content_is_taken(tmp_path: Path) -> None:
    assert _launch(tmp_path, {"main.py": FASTAPI + "U = 'sqlite:///x.db'\n", "x.db": "1", "x.db.initial": "2"}).links == ()


def test_ignores_paths_behind_a_symbolic_link(tmp_path: Path) -> None:
    code = "import os\nU = 'sqlite:///data/x.db'\nos.makedirs('data/up')\nos.makedirs('data')\nV = 'sqlite:///data'\n"
    written(tmp_path, {"real/words.txt": "w"})
    (tmp_path / "data").symlink_to("real")
    launch = _launch(tmp_path, {"main.py": FASTAPI + code})
    assert (launch.volumes, launch.links) == ((), ())


def test_names_the_paths_beyond_the_limit(tmp_path: Path) -> None:
    launch = _launch(tmp_path, {"main.py": FASTAPI + "".join(f"U{n} = 'sqlite:///x{n:02}.db'\n" for n in range(14))})
    assert len(launch.links) == 12
    assert [note for note in launch.notes if "x12.db" in note and "x13.db" in note and "volumes" in note]


def test_lists_the_projects_files_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[Path] = []

    def counted(root: Path, **given: Any) -> AppTree:
        listed.append(root)
        return list_app(root, **given)

    monkeypatch.setattr("shipwheel.project.app_tree.list_app", counted)
    code = "import os\n" + "".join(f"os.makedirs('d{n}', exist_ok=True)\n" for n in range(9))
    _launch(tmp_path, {"main.py": FASTAPI + code, **{f"d{n}/words.txt": "" for n in range(9)}})
    assert listed == [tmp_path]


@pytest.mark.parametrize(
    ("code", "path"),
    [
        ("sqlite3.connect(os.getenv('U', 'sqlite:///app.db').replace('sqlite:///', ''))", "app.db"),
        ("sqlite3.connect('app.db'.replace(old, new))", ""),
        ("sqlite3.connect(' app.db '.strip())", "app.db"),
        ("sqlite3.connect('app.db'.strip(1, 2, 3))", ""),
    ],
)
def test_evaluates_string_methods(tmp_path: Path, code: str, path: str) -> None:
    launch = _launch(tmp_path, {"main.py": FASTAPI + f"import os, sqlite3\nc = {code}\n"})
    assert [link for link, _ in launch.links] == [path] * bool(path)


SCOPES: dict[str, tuple[str, tuple[str, ...]]] = {
    "a parameter": ("name = 'static'\ndef g(name):\n    os.makedirs(name)\n", ()),
    "a name of another function": ("def f():\n    p = 'z'\ndef g():\n    p = unknown()\n    os.makedirs(p)\n", ()),
    "a loop variable": ("p = 'z'\ndef g():\n    for p in unknown():\n        os.makedirs(p)\n", ()),
    "a local variable": ("p = 'z'\ndef g():\n    p = 'y'\n    os.makedirs(p)\n", ("/app/y",)),
    "a default": ("p = 'z'\ndef g(p=None):\n    p = p or 'y'\n    os.makedirs(p)\n", ("/app/y",)),
    "a name of an outer function": ("p = 'z'\ndef f():\n    p = 'y'\n    def g():\n        os.makedirs(p)\n", ("/app/y",)),
    "a global name": ("p = 'z'\ndef g():\n    global p\n    p = p or 'z'\n    os.makedirs(p)\n", ("/app/z",)),
    "a parameter of a lambda": ("p = 'z'\ng = lambda p: os.makedirs(p)\n", ()),
}


@pytest.mark.parametrize("name", SCOPES)
def test_resolves_names_in_the_scope_of_their_function(tmp_path: Path, name: str) -> None:
    code, volumes = SCOPES[name]
    assert _launch(tmp_path, {"main.py": FLASK + "import os\n" + code}).volumes == volumes


def test_evaluates_an_expression_once(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluated: list[ast.expr] = []
    real = PathEvaluator._evaluate

    def counted(evaluator: PathEvaluator, node: ast.expr, depth: int) -> str | None:
        evaluated.append(node)
        return real(evaluator, node, depth)

    monkeypatch.setattr(PathEvaluator, "_evaluate", counted)
    text = "getenv('a', " * 16 + "'x'" + ")" * 16
    assert PathEvaluator("a.py", {"getenv": "os.getenv"}, {}, {}).text(ast.parse(text, mode="eval").body) == "x"
    assert len(evaluated) == 17


def test_write_hints_match_only_near_the_start_of_a_call() -> None:
    """Otherwise matching would take quadratic time on a long line of such calls."""
    assert re.search(WRITE_HINTS, b"f = open(path, 'w')")
    assert not re.search(WRITE_HINTS, b"open(" + b"x" * 300 + b"'w'")


PATHS = st.one_of(
    st.text(), st.lists(st.sampled_from([*"/.@~:\\ ab", "..", "app", "data", "opt/venv", "srv", "main.py", "x.db"])).map("/".join)
)
FORMS = (
    "os.makedirs({!r})",
    "open({!r}, 'w')",
    "sqlite3.connect({!r})",
    "UPLOAD_DIR = {!r}",
    "os.makedirs(os.path.join(os.path.dirname(__file__), {!r}))",
)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(FORMS), PATHS), max_size=6), st.sampled_from(["/app", "/data/a", "/srv/app", "/"]))
def test_volumes_for_any_writes_make_a_layer(writes: list[tuple[str, str]], workdir: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        code = "".join(form.format(text) + "\n" for form, text in writes)
        files = {"main.py": FASTAPI + "import os, sqlite3\n" + code, "a/b": "", "data/x.db": ""}
        launch = _launch(Path(folder) / "app", files, settings=Settings(workdir=workdir))
        assert len({*launch.volumes}) == len(launch.volumes)
        assert len({target for _, target in launch.links}) == len(launch.links)
        assert not [path for path in launch.volumes if f"{workdir}/".startswith(f"{path}/") or "/opt/venv/".startswith(f"{path}/")]
        if launch.volumes:
            places = volume_directories(launch.volumes, 1, workdir.strip("/"), launch.links)
            make_layer(LayerSpec("volumes", (places,)), Store(Path(folder) / "store"))


def test_a_file_is_copied_before_the_steps_of_the_settings(tmp_path: Path) -> None:
    files = {"main.py": FLASK + "U = 'sqlite:///x.db'\n", "x.db": "made beforehand"}
    launch = _launch(tmp_path, files, settings=Settings(before_start=(("python", "init.py"),)))
    assert (launch.volumes, launch.links, len(launch.before_start)) == (("/data",), (("x.db", "/data/x.db"),), 1)


def test_settings_and_programs_get_no_volumes(tmp_path: Path) -> None:
    files = {"main.py": FLASK + "U = 'sqlite:///x.db'\n"}
    launch = _launch(tmp_path / "a", files, settings=Settings(volumes=("/var/lib/mine",)))
    assert (launch.volumes, launch.links) == ((), ())
    launch = _launch(tmp_path / "c", {"main.py": "import argparse, os\nos.makedirs('out')\n"}, "")
    assert (launch.is_program, launch.volumes) == (True, ())


@pytest.mark.parametrize(
    ("text", "path"),
    [
        *((f"{ROOT}/a/../b", f"{ROOT}/b"), (f"{ROOT}/a/..", ROOT), (f"{ROOT}/a/../..", None), (f"a/{ROOT}/b", f"{ROOT}/b")),
        *(("x/./y", "x/y"), ("/a//b/../c", "/a/c"), ("..", None), ("/srv/@up/x", "/srv/@up/x")),
    ],
)
def test_normalises_paths(text: str, path: str | None) -> None:
    assert normal_path(text) == path


@pytest.mark.parametrize("volume", ["/app", "/opt", "/opt/venv"])
def test_a_volume_over_what_the_image_runs_is_refused(tmp_path: Path, volume: str) -> None:
    with pytest.raises(UsageError, match=f"volumes: {volume} would keep what the image has in"):
        _launch(tmp_path, {"app.py": FLASK}, settings=Settings(volumes=(volume,)))


def test_a_volume_beside_or_below_the_code_is_not(tmp_path: Path) -> None:
    volumes = ("/app/uploads", "/application", "/data")
    assert _launch(tmp_path, {"app.py": FLASK}, settings=Settings(volumes=volumes)).needs_source
