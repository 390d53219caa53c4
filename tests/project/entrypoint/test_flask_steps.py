"""Flask's commands before the start: they know the application, and upgrades without migrations are left out."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.project_tree import launched

PROCFILE = "release: flask db upgrade\nweb: gunicorn shop.app:app\n"
SHOP = {"shop/__init__.py": "", "shop/app.py": "from flask import Flask\napp = Flask(__name__)\n", "Procfile": PROCFILE}
MIGRATIONS = {"migrations/env.py": "", "migrations/alembic.ini": ""}
UPGRADE = ("flask", "db", "upgrade")


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, "shop.app:app"),
        ({".flaskenv": "FLASK_APP=shop.app\n"}, None),
        ({"wsgi.py": "from shop.app import app\n"}, None),
        ({"Procfile": PROCFILE.replace("flask", "flask --app shop.app")}, None),
        ({"Dockerfile": "FROM python:3.13\nWORKDIR /srv\nCOPY . .\nENV FLASK_APP=manage.py\nCMD gunicorn shop.app:app\n"}, "manage.py"),
    ],
    ids=["unknown", "in .flaskenv", "in wsgi.py", "in the command", "in the Dockerfile"],
)
def test_a_step_gets_the_application_that_is_served(tmp_path: Path, more: dict[str, str], expected: str | None) -> None:
    launch = launched(tmp_path, {**SHOP, **MIGRATIONS, **more}, "flask gunicorn flask-migrate")
    assert len(launch.before_start) == 1
    assert launch.env.get("FLASK_APP") == expected


def test_an_upgrade_without_migrations_is_left_out(tmp_path: Path) -> None:
    launch = launched(tmp_path, SHOP, "flask gunicorn flask-migrate")
    assert (launch.before_start, launch.every_start) == ((), ())
    assert "FLASK_APP" not in launch.env
    assert "`flask db upgrade` is left out: the project has no migrations." in launch.notes


@pytest.mark.parametrize("folder", ["migrations", "src/shop/db/migrations", "services/shop/src/shop/migrations"])
def test_migrations_may_be_anywhere_in_the_project(tmp_path: Path, folder: str) -> None:
    launch = launched(tmp_path, {**SHOP, f"{folder}/env.py": ""}, "flask gunicorn flask-migrate")
    assert launch.before_start == (UPGRADE,)


def test_migrations_of_an_installed_package_are_not_the_project_s(tmp_path: Path) -> None:
    files = {"my-venv/pyvenv.cfg": "", "my-venv/lib/migrations/env.py": "", "node_modules/a/env.py": ""}
    assert launched(tmp_path, {**SHOP, **files}, "flask gunicorn flask-migrate").before_start == ()


MODELS = """from flask import Flask
from flask_sqlalchemy import SQLAlchemy
app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///data.db"
db = SQLAlchemy(app)
"""


@pytest.mark.parametrize(
    ("more", "makes"),
    [
        ({}, True),
        (MIGRATIONS, False),
        ({"shop.py": f"{MODELS}@app.cli.command()\ndef initdb():\n    db.create_all()\n"}, True),
        ({"Procfile": "release: flask db-init\nweb: gunicorn shop:app\n"}, False),
        ({"Procfile": "web: gunicorn served:app\n", "served.py": "import shop\napp = Middleware(shop.app)\n"}, False),
        ({"data.py": "import sqlite3\n", "shop.py": MODELS.replace("sqlite:///data.db", "postgresql://db/shop")}, False),
    ],
    ids=[
        "nothing makes them",
        "migrations",
        "a command that a person runs",
        "a release step",
        "a middleware is served",
        "another database",
    ],
)
def test_the_tables_of_models_are_made_at_every_start_if_nothing_else_makes_them(tmp_path: Path, more: dict[str, str], makes: bool) -> None:
    launch = launched(tmp_path, {"shop.py": MODELS, **more}, "flask flask-sqlalchemy gunicorn")
    steps = [step for step in launch.before_start if "create_all" in " ".join(step)]
    assert [step[-1] for step in steps] == (["shop:app"] if makes else [])
    assert all(step in launch.every_start for step in steps)


@pytest.mark.parametrize("version", [2, 3])
def test_that_step_knows_both_versions_of_the_extension(tmp_path: Path, version: int, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    tables = SimpleNamespace(create_all=lambda: done.append("tables"))
    extensions = {"other": object(), "sqlalchemy": SimpleNamespace(db=tables) if version == 2 else tables}
    app = SimpleNamespace(extensions=extensions, app_context=lambda: SimpleNamespace(push=lambda: done.append("context")))
    applications = {"shop:app": SimpleNamespace(load_app=lambda: app)}
    cli = SimpleNamespace(ScriptInfo=applications.__getitem__)
    monkeypatch.setitem(sys.modules, "flask", SimpleNamespace(cli=cli))
    monkeypatch.setitem(sys.modules, "flask.cli", cli)
    (step,) = launched(tmp_path, {"shop.py": MODELS}, "flask flask-sqlalchemy gunicorn").before_start
    monkeypatch.setattr(sys, "argv", ["-c", *step[3:]])
    exec(step[2], {})
    assert done == ["context", "tables"]
