"""The versions in which a framework's applications were not ASGI yet."""

from datetime import date
from pathlib import Path

import pytest
from support.project_tree import launched

from shipwheel.project.old_interfaces import still_wsgi
from shipwheel.project.read import read_project

_APP = "import connexion\napp = connexion.FlaskApp(__name__)\n"


@pytest.mark.parametrize(
    ("requirement", "day", "is_wsgi"),
    [
        ("connexion[swagger-ui]==2.14.2", None, True),
        ("connexion>=2.7,<3", None, True),
        ("connexion", date(2020, 5, 1), True),
        ("Connexion>=2.0", date(2020, 5, 1), True),
        ("connexion", date(2024, 5, 1), False),
        ("connexion", None, False),
        ("connexion>=3.0,<4", date(2020, 5, 1), False),
        ("connexion~=2.7", None, True),
        ("connexion!=2.9,<=2.14", None, True),
        ("connexion==3.1.0", None, False),
        ("flask<3", date(2020, 5, 1), False),
    ],
)
def test_decides_by_the_bounds_of_requirements_and_the_day_of_an_old_project(requirement: str, day: date | None, is_wsgi: bool) -> None:
    assert still_wsgi([requirement], day) == (frozenset({"connexion"}) if is_wsgi else frozenset())


def test_an_application_of_an_old_version_is_served_through_wsgi(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(_APP)
    (tmp_path / "requirements.txt").write_text("connexion==2.14.2\n")
    launch = read_project(tmp_path).launch
    assert launch is not None
    assert (launch.command[0], launch.extra_requirements) == ("gunicorn", ("gunicorn",))


def test_an_application_of_a_newer_version_is_served_through_asgi(tmp_path: Path) -> None:
    assert launched(tmp_path, {"app.py": _APP}, "connexion").command[0] == "uvicorn"
