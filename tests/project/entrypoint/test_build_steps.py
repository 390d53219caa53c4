"""Steps that run while the image is built: found in the project's deployment files, and told from everything else that these run."""

from pathlib import Path

import pytest
from support.project_tree import launched

from shipwheel.project.deployment.build_steps import is_build_step
from shipwheel.settings.build import StepSettings
from shipwheel.settings.settings import Settings

DJANGO = {
    "manage.py": "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n",
    "shop/__init__.py": "",
    "shop/settings.py": "WSGI_APPLICATION = 'shop.wsgi.application'\nSTATIC_ROOT = '/srv/static'\n",
    "shop/wsgi.py": "",
}
COLLECT = ("python", "manage.py", "collectstatic", "--noinput")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("python manage.py collectstatic --noinput", True),
        ("python -B manage.py compress --force", True),
        ("django-admin collectstatic", True),
        ("python -m django collectstatic", True),
        ("flask assets build", True),
        ("flask --app shop translate compile", True),
        ("python -m flask digest compile", True),
        ("python manage.py migrate", False),
        ("python manage.py createcachetable", False),
        ("python collectstatic.py", False),
        ("gunicorn collectstatic", False),
        ("flask db upgrade", False),
        ("python", False),
    ],
)
def test_tells_what_makes_files_of_the_image(line: str, expected: bool) -> None:
    assert is_build_step(tuple(line.split())) == expected


def test_takes_over_the_lines_of_a_dockerfile(tmp_path: Path) -> None:
    dockerfile = (
        "FROM python:3.13\nWORKDIR /srv\nCOPY . .\nRUN pip install -r requirements.txt\n"
        "RUN SECRET_KEY=unused CONF=/srv/shop python3 manage.py collectstatic --noinput && python manage.py migrate\n"
        "RUN python manage.py compress\nCMD gunicorn shop.wsgi\n"
    )
    launch = launched(tmp_path, {**DJANGO, "Dockerfile": dockerfile}, "django gunicorn")
    given = {"SECRET_KEY": "unused", "CONF": "/app/shop"}
    assert launch.steps == (StepSettings(COLLECT, given), StepSettings(("python", "manage.py", "compress")))
    assert launch.optional_steps == ()
    assert [note for note in launch.notes if "collectstatic" in note or "compress" in note] == []


@pytest.mark.parametrize("before", ["", "SECRET_KEY=$SECRET_KEY "])
def test_a_step_has_what_stands_in_for_a_secret_while_the_image_is_built(tmp_path: Path, before: str) -> None:
    build = f"ARG SECRET_KEY=stand-in\nARG DB_URL=x://u:p@h/\nRUN {before}{' '.join(COLLECT)}\n"
    dockerfile = f"FROM python\nCOPY . /app\nWORKDIR /app\n{build}CMD gunicorn shop.wsgi\n"
    launch = launched(tmp_path, {**DJANGO, "Dockerfile": dockerfile}, "django gunicorn")
    assert launch.steps == (StepSettings(COLLECT, {"SECRET_KEY": "stand-in"}),)
    assert "SECRET_KEY" not in launch.env


def test_a_step_has_no_secret_that_production_runs_with(tmp_path: Path) -> None:
    build = f"ENV SECRET_KEY=real MODE=production\nRUN {' '.join(COLLECT)}\n"
    dockerfile = f"FROM python\nCOPY . /app\nWORKDIR /app\n{build}CMD gunicorn shop.wsgi\n"
    launch = launched(tmp_path, {**DJANGO, "Dockerfile": dockerfile}, "django gunicorn")
    assert [step.env.get("SECRET_KEY") for step in launch.steps] == [None]


def test_runs_at_build_what_a_start_script_would_write_beside_the_code(tmp_path: Path) -> None:
    files = {**DJANGO, "Procfile": "web: python manage.py migrate && python manage.py collectstatic --noinput && gunicorn shop.wsgi\n"}
    launch = launched(tmp_path, files, "django gunicorn")
    assert launch.steps == launch.optional_steps == (StepSettings(COLLECT),)
    assert launch.before_start == (("python", "manage.py", "migrate"),)


def test_the_same_step_runs_once(tmp_path: Path) -> None:
    files = {
        **DJANGO,
        "shop/settings.py": "WSGI_APPLICATION = 'shop.wsgi.application'\nSTATIC_ROOT = 'out'\n",
        "Procfile": "release: python manage.py collectstatic\nweb: python manage.py collectstatic --noinput; gunicorn shop.wsgi\n",
    }
    launch = launched(tmp_path, files, "django gunicorn whitenoise")
    assert [step.run for step in launch.steps] == [("python", "manage.py", "collectstatic")]


def test_a_build_can_go_without_a_step_that_no_file_names(tmp_path: Path) -> None:
    """A platform may set the variable that gives the settings their STATIC_ROOT."""
    settings = "WSGI_APPLICATION = 'shop.wsgi.application'\nif not DEBUG:\n    STATIC_ROOT = 'out'\n"
    launch = launched(tmp_path, {**DJANGO, "shop/settings.py": settings}, "django gunicorn whitenoise")
    assert launch.steps == launch.optional_steps == (StepSettings(COLLECT),)


def test_a_package_whose_steps_need_its_directory_gets_it(tmp_path: Path) -> None:
    settings = Settings(command=("gunicorn", "shop.wsgi"), steps=(StepSettings(COLLECT),))
    launch = launched(tmp_path, DJANGO, "django gunicorn", settings, kind="package", packaged=frozenset({"shop"}))
    assert launch.needs_source


MAKER = "import joblib\nmodel = 1\njoblib.dump(model, 'model.pkl')\n"


@pytest.mark.parametrize(("text", "is_named"), [(MAKER, True), (f"from shop.models import db\n{MAKER}", False), ("print(1)\n", False)])
def test_a_file_that_makes_files_for_the_app_is_named_and_no_start_step(tmp_path: Path, text: str, is_named: bool) -> None:
    files = {"main.py": "from fastapi import FastAPI\napp = FastAPI()\n", "train.py": text}
    dockerfile = "FROM python\nCOPY . .\nRUN python train.py\nCMD uvicorn main:app\n"
    launch = launched(tmp_path / "a", {**files, "Dockerfile": dockerfile}, "fastapi uvicorn")
    assert any("line 3: the build does not run `python train.py`" in note for note in launch.notes) == is_named
    render = (
        "services:\n  - type: web\n    runtime: python\n    buildCommand: pip install -r requirements.txt && python train.py\n"
        "    startCommand: uvicorn main:app --host 0.0.0.0 --port $PORT\n"
    )
    hosted = launched(tmp_path / "b", {**files, "render.yaml": render}, "fastapi uvicorn")
    assert hosted.before_start == (() if is_named else (("python", "train.py"),))
    assert any("`python train.py` is not a start step: it writes beside the code" in note for note in hosted.notes) == is_named


def test_no_volume_hides_the_static_files_that_a_step_collects(tmp_path: Path) -> None:
    files = {
        **DJANGO,
        "shop/settings.py": "WSGI_APPLICATION = 'shop.wsgi.application'\nSTATIC_ROOT = 'out/static'\n",
        "Dockerfile": f"FROM python\nCOPY . /app\nWORKDIR /app\nRUN {' '.join(COLLECT)}\nCMD gunicorn shop.wsgi\n",
        "compose.yaml": "services: {web: {build: ., ports: ['80:80'], volumes: ['a:/app/out/static', 'b:/app/media']}}\n",
    }
    assert launched(tmp_path / "a", files, "django gunicorn").volumes == ("/app/media",)
    by_others = {**files, "Dockerfile": "FROM python\nCOPY . /app\nWORKDIR /app\nCMD gunicorn shop.wsgi\n"}
    assert launched(tmp_path / "b", by_others, "django gunicorn").volumes == ("/app/out/static", "/app/media")
