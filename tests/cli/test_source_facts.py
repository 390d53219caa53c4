"""Facts of a project's source for a trial."""

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from support.project_tree import written

from shipwheel.cli.source_facts import source_facts
from shipwheel.project.read import read_project

if TYPE_CHECKING:
    from shipwheel.pipeline.build import Built
    from shipwheel.trial.source_facts import SourceFacts

PACKAGE = (
    '[project]\nname = "shop"\nversion = "1"\ndependencies = ["flask"]\n[project.scripts]\nshop = "shop.cli:main"\n'
    '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
)
FLASK = "from flask import Flask\napp = Flask(__name__)\n"


def _facts(root: Path, files: dict[str, str]) -> "SourceFacts":
    project = read_project(written(root, files))
    return source_facts(cast("Built", SimpleNamespace(resolution=SimpleNamespace(project=project), wheels=(), platforms=())))


def test_the_projects_directory_is_missed_by_a_command_that_starts_below(tmp_path: Path) -> None:
    docker = 'FROM python:3.13\nWORKDIR /app/backend\nCOPY . /app\nCMD ["uvicorn", "app.main:app", "--host", "0.0.0.0"]\n'
    files = {"Dockerfile": docker, "requirements.txt": "fastapi\nuvicorn\n", "helpers.py": "", "backend/app/__init__.py": ""}
    files["backend/app/main.py"] = "from fastapi import FastAPI\nimport backend.app\napp = FastAPI()\n"
    files["telegram/send.py"] = ""
    modules = _facts(tmp_path, files).modules
    assert "telegram" not in dict(modules), "a package has a module of this name"
    assert {("backend", "/app"), ("helpers", "/app"), ("app", "/app/backend")} <= {*modules}


@pytest.mark.parametrize(
    ("files", "program"),
    [
        ({"Procfile": "web: gunicorn -b 0.0.0.0:8000 shop:app\n"}, "gunicorn"),
        ({"Procfile": "web: gunicorn --certfile c.pem -b 0.0.0.0:8000 shop:app\n"}, ""),
        ({"Procfile": "web: gunicorn -c conf.py -b 0.0.0.0:8000 shop:app\n", "conf.py": "certfile = 'c.pem'\n"}, ""),
        ({"Procfile": "web: python shop.py\n"}, ""),
    ],
)
def test_a_server_of_http_is_told_from_one_that_may_speak_tls(tmp_path: Path, files: dict[str, str], program: str) -> None:
    found = _facts(tmp_path, {"requirements.txt": "flask\ngunicorn\n", "shop.py": FLASK, **files})
    assert found.http_server == program


def test_finds_the_examples_of_files_that_a_person_makes(tmp_path: Path) -> None:
    names = ["conf/bot.example.yml", "example-config.yaml", "settings.py.dist", "kept.sample.ini", "kept.ini", ".git/x.example"]
    facts = _facts(tmp_path, {"main.py": "", "requirements.txt": "", **dict.fromkeys(names, "")})
    assert dict(facts.examples) == {
        "conf/bot.yml": "conf/bot.example.yml",
        "config.yaml": "example-config.yaml",
        "settings.py": "settings.py.dist",
    }


def test_finds_the_files_that_are_read_only_if_they_are_there(tmp_path: Path) -> None:
    reads = "from configparser import ConfigParser\nit = ConfigParser()\n"
    files = {
        "requirements.txt": "",
        "main.py": f"{reads}it.read('conf/a.ini')\nit.read([\"b.cfg\", 'kept.ini'])\n",
        "kept.ini": "",
        "shop/conf.py": f"{reads}it.read(os.path.join(HERE, 'own.ini'))\n",
        "shop/own.ini": "",
        "shop/env.py": "from dotenv import dotenv_values\nvalues = dotenv_values('.env')\n",
        "shop/old.py": "import configparser\nconfigparser.RawConfigParser().read(os.path.join(HERE, 'raw.ini'))\n",
        "shop/log.py": "open('log.conf')\n",
    }
    assert sorted(_facts(tmp_path, files).passed_over) == [
        (".env", "shop/env.py, line 2"),
        ("b.cfg", "main.py, line 4"),
        ("conf/a.ini", "main.py, line 3"),
        ("raw.ini", "shop/old.py, line 2"),
    ]


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({}, ""),
        ({"shop/web.py": FLASK}, "the project has a web application, which `gunicorn"),
        ({"Dockerfile": "FROM python\nCOPY . /x\nEXPOSE 9000\n"}, "Dockerfile exposes port 9000"),
    ],
)
def test_says_why_a_command_line_program_is_a_server(tmp_path: Path, more: dict[str, str], reason: str) -> None:
    files = {"pyproject.toml": PACKAGE, "shop/__init__.py": "", "shop/cli.py": "def main(): ...\n"}
    serving = _facts(tmp_path, {**files, **more}).serving
    assert serving.startswith(reason)
    assert bool(serving) == bool(reason)


EMPTY = (("TOKEN", "TOKEN", "main.py, line 7"), ("HOST", "HOST", "main.py, line 8"), ("DB_URI", "DB", "main.py, line 10"))
"""Variables with an empty default, with another variable for one that has none, and for a key of a configuration."""


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_finds_variables_without_a_default_and_modules_below(tmp_path: Path, end: str) -> None:
    source = (
        'import os\nURL = os.getenv("DATABASE_URL")\nSIZE = os.getenv("SIZE", "9")\nMODE = os.environ.get("MODE") or "x"\n'
        'class Settings:\n    key: str = str(os.environ.get("API_KEY"))  # secret\n'
        'TOKEN = os.getenv("TOKEN", "")\nHOST = os.environ.get("HOST", os.environ.get("SERVER"))\n'
        'PLACE = os.getenv("PLACE", os.getenv("CITY", "x"))\n'
        'app.config["DB_URI"] = os.environ.get("DB")\n'
    )
    files = {"main.py": source.replace("\n", end), "requirements.txt": "", "src/shop/__init__.py": "", "src/tools.py": "", "src/cv2.py": ""}
    facts = _facts(tmp_path, files)
    assert facts.variables == (("URL", "DATABASE_URL", "main.py, line 2"), ("key", "API_KEY", "main.py, line 6"), *EMPTY)
    assert dict(facts.modules) == {"shop": "/app/src", "tools": "/app/src"}


def test_finds_the_variables_that_a_text_is_composed_from(tmp_path: Path) -> None:
    read = 'import os\nuser = os.getenv("DB_USER")\nHOST = os.getenv("DB_HOST")\nSIZE = os.getenv("SIZE", "9")\n'
    used = 'from data import *\nURL = (\n    f"x://{user}@{settings.HOST}:{SIZE}/"\n    f"{os.environ.get(\'DB\')}"\n)\nNOTE = "{HOST}"\n'
    facts = _facts(tmp_path, {"data.py": read + 'PLACE: str = f"//{user}/x"\n', "main.py": used, "requirements.txt": ""})
    assert facts.variables[2:] == (
        ("PLACE", "DB_USER", "data.py, line 2"),
        ("URL", "DB_HOST", "data.py, line 3"),
        ("URL", "DB", "main.py, line 2"),
    )


def test_finds_the_addresses_of_servers(tmp_path: Path) -> None:
    code = "import os\nA = 'redis://cache/0'\nB = os.getenv('DB', 'mysql://db/shop')\n"
    facts = _facts(tmp_path, {"main.py": code, "requirements.txt": ""})
    assert facts.fixed == (("cache", "6379", "main.py, line 2"),)
    assert facts.defaults == (("DB", "db", "3306", "main.py, line 3"),)


@pytest.mark.parametrize(
    ("call", "variables"),
    [
        ("config()", ["DATABASE_URL"]),
        ("config(conn_max_age=600, env='SHOP_DB')", ["SHOP_DB"]),
        ("config(default='sqlite:///x')", []),
        ("parse(x)", []),
    ],
)
def test_finds_the_variable_of_djangos_database(tmp_path: Path, call: str, variables: list[str]) -> None:
    facts = _facts(
        tmp_path, {"main.py": f"import dj_database_url\nDATABASES = {{'default': dj_database_url.{call}}}\n", "requirements.txt": ""}
    )
    assert facts.variables == tuple(("DATABASES", name, "main.py, line 2") for name in variables)


@pytest.mark.parametrize(
    ("start", "modules"), [("shop", {}), ("python start.py", {"start": "/app", "tools": "/app", "helpers": "/app/lib", "shop": "/app"})]
)
def test_finds_modules_beside_a_wheel_if_the_image_has_them(tmp_path: Path, start: str, modules: dict[str, str]) -> None:
    files = {"shop/__init__.py": "", "shop/cli.py": "def main(): ...\n", "tools.py": "", "lib/helpers.py": "", "start.py": "import tools\n"}
    facts = _facts(tmp_path, {"pyproject.toml": PACKAGE, "Procfile": f"web: {start}\n", **files})
    assert dict(facts.modules) == modules
    assert ("tools.py" in facts.beside) == (not modules)


@pytest.mark.parametrize(
    ("requirement", "code", "said"),
    [
        ("mcp[cli]", "", True),
        ("mcp[cli]", "from mcp.server.fastmcp import FastMCP\n", True),
        ("fastmcp", "import fastmcp\nit = fastmcp.FastMCP()\n", True),
        ("mcp", "from mcp import ClientSession\nfrom mcp.client.sse import sse_client\n", False),
        ("flask", "", False),
    ],
)
def test_knows_what_may_be_spoken_to_over_its_input(tmp_path: Path, requirement: str, code: str, said: bool) -> None:
    dockerfile = 'FROM python\nCOPY . /x\nEXPOSE 9000\nCMD ["python", "main.py"]\n'
    facts = _facts(tmp_path, {"main.py": code, "requirements.txt": requirement, "Dockerfile": dockerfile})
    assert bool(facts.dialogue) == said


def test_knows_what_a_dockerfile_makes(tmp_path: Path) -> None:
    dockerfile = "FROM python\nCOPY . /x\nRUN mkdir /etc/shop && shop init --ini /etc/shop/shop.ini\nRUN make $(arch)\n"
    facts = _facts(tmp_path, {"main.py": "", "requirements.txt": "", "Dockerfile": dockerfile})
    assert facts.made == (("shop init --ini /etc/shop/shop.ini", "Dockerfile, line 3"),)


def test_finds_what_a_deployment_file_sets_and_the_image_has_not(tmp_path: Path) -> None:
    compose = "services:\n  web:\n    build: .\n    command: python main.py\n    environment:\n      API_TOKEN: abc\n      MODE: fast\n"
    facts = _facts(tmp_path, {"main.py": "", "requirements.txt": "", "Dockerfile": "FROM python\n", "docker-compose.yml": compose})
    ((name, place),) = facts.withheld
    assert (name, place.startswith("docker-compose.yml, line ")) == ("API_TOKEN", True)
