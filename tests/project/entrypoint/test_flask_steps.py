"""Flask's commands before the start: they know the application, and upgrades without migrations are left out."""

from pathlib import Path

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
    ],
    ids=["unknown", "in .flaskenv", "in wsgi.py", "in the command"],
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
