"""Django: its application, static files, and what needs another server."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from support.command import ROOT
from support.project_tree import Layout, assert_command, launched

from shipwheel.errors import ProjectError
from shipwheel.project.entrypoint.launch import StaticFront
from shipwheel.project.read import read_project
from shipwheel.settings.build import StepSettings
from shipwheel.settings.settings import Settings

GUNICORN = ("gunicorn", "--bind", "0.0.0.0:8000", "--threads", "8")

LAYOUTS: dict[str, Layout] = {
    "wsgi": (
        {
            "manage.py": "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site1.settings')\n",
            "site1/__init__.py": "",
            "site1/settings.py": "WSGI_APPLICATION = 'site1.wsgi.application'\n",
            "site1/wsgi.py": "",
            "site1/asgi.py": "",
        },
        "django gunicorn",
        (*GUNICORN, "site1.wsgi:application"),
    ),
    "settings package with channels": (
        {
            "manage.py": "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'c.settings.local')\n",
            "c/__init__.py": "",
            "c/settings/__init__.py": "",
            "c/settings/local.py": "from .base import *\n",
            "c/settings/base.py": "ASGI_APPLICATION = 'c.asgi.application'\nWSGI_APPLICATION = 'c.wsgi.application'\n",
            "c/asgi.py": "",
        },
        "django daphne channels",
        ("daphne", "-b", "0.0.0.0", "-p", "8000", "c.asgi:application"),
    ),
    "channels prefer asgi": (
        {
            "manage.py": "import os, django\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'c.settings')\n",
            "c/__init__.py": "",
            "c/settings.py": "ASGI_APPLICATION = 'c.asgi.application'\nWSGI_APPLICATION = 'c.wsgi.application'\n",
        },
        "django channels daphne gunicorn",
        ("daphne", "-b", "0.0.0.0", "-p", "8000", "c.asgi:application"),
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_finds_the_command(tmp_path: Path, layout: str) -> None:
    assert_command(tmp_path, LAYOUTS[layout])


@pytest.mark.parametrize(
    ("settings", "warned"),
    [
        ("DEBUG = True\nSECRET_KEY = 'django-insecure-1'\n", ("DEBUG", "SECRET_KEY")),
        ("DEBUG: bool = True\n", ("DEBUG",)),
        ("import os\nDEBUG = os.environ.get('DEBUG') == '1'\nSECRET_KEY = os.environ['SECRET_KEY']\n", ()),
        ("import os\nDEBUG = False\nif os.environ.get('DEV'):\n    DEBUG = True\n", ()),
    ],
)
def test_warns_about_settings_for_development(tmp_path: Path, settings: str, warned: tuple[str, ...]) -> None:
    files = {
        "manage.py": "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 's.local')\n",
        "s/__init__.py": "",
        "s/local.py": "DEBUG = True\nSECRET_KEY = 'x'\n",
        "s/settings.py": settings,
        "s/wsgi.py": "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 's.settings')\n",
    }
    notes = launched(tmp_path, files, "django gunicorn").notes
    assert len(notes) == len(warned)
    assert all(name in note and "s/settings.py" in note for name, note in zip(warned, notes, strict=True))


WSGI = "from django.core.wsgi import get_wsgi_application\napplication = get_wsgi_application()\n"
ASGI = "from channels.routing import ProtocolTypeRouter\napplication = ProtocolTypeRouter({})\n"
SITE = {"manage.py": "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 's.settings')\n", "s/__init__.py": "", "s/settings.py": ""}


@pytest.mark.parametrize(
    ("files", "dependencies", "served", "front"),
    [
        ({"s/wsgi.py": WSGI}, "django gunicorn", "shipwheel_static:application", StaticFront("s.wsgi:application", False, False)),
        (
            {"s/asgi.py": ASGI},
            "django daphne",
            "shipwheel_static:application",
            StaticFront("s.asgi:application", True, False, loads_apps=True),
        ),
        (
            {"s/wsgi.py": WSGI, "Procfile": "web: gunicorn s.wsgi\n"},
            "django gunicorn",
            "shipwheel_static:application",
            StaticFront("s.wsgi", False, False),
        ),
        (
            {},
            "django gunicorn",
            "shipwheel_static:get_wsgi_application()",
            StaticFront("django.core.wsgi:get_wsgi_application()", False, True),
        ),
        ({"s/wsgi.py": WSGI}, "django gunicorn whitenoise", "s.wsgi:application", None),
        ({"s/wsgi.py": "application = other()\n"}, "django gunicorn", "s.wsgi:application", None),
    ],
    ids=["wsgi", "asgi", "procfile", "without wsgi.py", "whitenoise", "not Django's"],
)
def test_static_files_that_nothing_serves_are_served(
    tmp_path: Path, files: dict[str, str], dependencies: str, served: str, front: StaticFront | None
) -> None:
    launch = launched(tmp_path, {**SITE, **files}, dependencies)
    assert (served in launch.command, launch.static_front) == (True, front)
    assert front is None or (front.application in launch.source_command and served not in launch.source_command)


def test_a_command_of_the_settings_is_kept(tmp_path: Path) -> None:
    command = ("gunicorn", "s.wsgi:application")
    launch = launched(tmp_path, {**SITE, "s/wsgi.py": WSGI}, "django gunicorn", settings=Settings(command=command))
    assert (launch.command, launch.source_command, launch.static_front) == (command, command, None)


DJANGO = {
    "back/manage.py": "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site1.settings')\n",
    "back/site1/__init__.py": "",
    "back/site1/settings.py": "WSGI_APPLICATION = 'site1.wsgi.application'\nSTATIC_ROOT = BASE_DIR / 'out' / 'static'\n",
    "back/site1/wsgi.py": "",
}


COLLECT = StepSettings(("python", "back/manage.py", "collectstatic", "--noinput"))


def test_collects_missing_static_files_while_the_image_is_built(tmp_path: Path) -> None:
    launch = launched(tmp_path, DJANGO, "django gunicorn whitenoise")
    assert (launch.steps, launch.before_start, launch.volumes, launch.notes) == ((COLLECT,), (), (), ())
    assert launched(tmp_path, DJANGO, "django gunicorn").steps == ()


def test_collects_static_files_for_a_command_of_a_procfile(tmp_path: Path) -> None:
    launch = launched(tmp_path, {**DJANGO, "Procfile": "web: gunicorn --chdir back site1.wsgi\n"}, "django gunicorn whitenoise")
    assert (launch.command[0], launch.steps, launch.before_start) == ("gunicorn", (COLLECT,), ())


def test_takes_collected_static_files_into_the_image(tmp_path: Path) -> None:
    launch = launched(tmp_path, {**DJANGO, "back/out/static/a.css": ""}, "django gunicorn whitenoise")
    assert (launch.include, launch.volumes, launch.steps, launch.notes) == (("/back/out/static/",), (), (), ())


def test_ignores_static_files_outside_the_project(tmp_path: Path) -> None:
    settings = "WSGI_APPLICATION = 'site1.wsgi.application'\nSTATIC_ROOT = '/var/www/static'\n"
    launch = launched(tmp_path, {**DJANGO, "back/site1/settings.py": settings}, "django gunicorn whitenoise")
    assert (launch.volumes, launch.steps, launch.notes) == ((), (), ())


@pytest.mark.parametrize("root", [".", "../../static", "", "a/..", "C:\\\\static", "x" * 300, "a\\nb", "linked/static"])
def test_ignores_static_files_in_a_place_that_is_not_plain(tmp_path: Path, root: str) -> None:
    settings = f"WSGI_APPLICATION = 'site1.wsgi.application'\nSTATIC_ROOT = BASE_DIR / '{root}'\n"
    (tmp_path / "back").mkdir()
    (tmp_path / "back" / "linked").symlink_to("site1")
    launch = launched(tmp_path, {**DJANGO, "back/site1/settings.py": settings}, "django gunicorn whitenoise")
    assert (launch.volumes, launch.steps, launch.include) == ((), (), ())


def test_takes_the_first_of_two_values_in_every_process(tmp_path: Path) -> None:
    settings = (
        "if DEV:\n    STATIC_ROOT = BASE_DIR / 'z'\nelse:\n    STATIC_ROOT = BASE_DIR / 'a'\nWSGI_APPLICATION = 'site1.wsgi.application'\n"
    )
    launched(tmp_path, {**DJANGO, "back/site1/settings.py": settings, "back/z/a.css": "", "back/a/a.css": ""}, "django gunicorn")
    code = (
        "import sys, pathlib\nfrom shipwheel.project.entrypoint.find import Evidence, find_launch\n"
        "names = frozenset(['django', 'gunicorn', 'whitenoise'])\n"
        "print(*find_launch(Evidence(pathlib.Path(sys.argv[1]), 'demo', 'app', dependencies=names)).include)\n"
    )
    for seed in range(6):
        environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
        done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=environment, check=True, capture_output=True, text=True)
        assert done.stdout == "/back/z/\n"


def test_steps_run_where_the_command_starts(tmp_path: Path) -> None:
    files = {
        "site/manage.py": "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n",
        "site/shop/settings.py": "DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': '/data/db.sqlite3'}}\n",
        "site/shop/wsgi.py": "application = 1\n",
        "Dockerfile": "FROM python\nCOPY . /code\nWORKDIR /code/site\nCMD gunicorn -b :80 shop.wsgi\n",
    }
    launch = launched(tmp_path, files, "django gunicorn")
    assert (launch.directory, launch.before_start[-1]) == ("site", ("python", "manage.py", "migrate", "--noinput"))


def test_a_project_without_a_wsgi_module_is_served_by_djangos_own(tmp_path: Path) -> None:
    files = {
        "manage.py": "import os, django\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n",
        "shop/__init__.py": "",
        "shop/settings.py": "ROOT_URLCONF = 'shop.urls'\n",
    }
    launch = launched(tmp_path, files, "django gunicorn")
    assert launch.command[0] == "gunicorn" and launch.source_command[-1] == "django.core.wsgi:get_wsgi_application()"
    assert (launch.needs_source, launch.env["DJANGO_SETTINGS_MODULE"]) == (True, "shop.settings")


WSGI = "from django.core.wsgi import get_wsgi_application\napplication = get_wsgi_application()\n"


@pytest.mark.parametrize(
    ("wsgi", "expected"),
    [
        (WSGI, "shop.settings"),
        ("import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', os.environ.get('MODE', 'x'))\n" + WSGI, None),
        ("import shop.env\n" + WSGI, None),
        ("def application(environ, start): return []\n", None),
    ],
    ids=["names none", "names computed ones", "imports what names them", "is not Django's own"],
)
def test_an_application_that_names_no_settings_gets_those_of_its_project(tmp_path: Path, wsgi: str, expected: str | None) -> None:
    files = {
        "manage.py": "import os\nfor name in ('DJANGO_SETTINGS_MODULE',):\n    os.environ.setdefault(name, 'shop.' + 'settings')\n",
        "shop/__init__.py": "",
        "shop/env.py": "import os\nos.environ['DJANGO_SETTINGS_MODULE'] = 'shop.settings'\n",
        "shop/settings.py": "WSGI_APPLICATION = 'shop.wsgi.application'\n",
        "shop/wsgi.py": wsgi,
    }
    assert launched(tmp_path, files, "django gunicorn").env.get("DJANGO_SETTINGS_MODULE") == expected


def test_settings_for_development_are_named_if_an_application_gets_them(tmp_path: Path) -> None:
    files = {
        "Procfile": "web: gunicorn shop.wsgi\n",
        "manage.py": "import os, django\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.development')\n",
        "shop/__init__.py": "",
        "shop/development.py": "DEBUG = True\n",
        "shop/wsgi.py": WSGI,
    }
    launch = launched(tmp_path, files, "django gunicorn")
    assert launch.env["DJANGO_SETTINGS_MODULE"] == "shop.development"
    assert sum(note.startswith("shop/development.py sets DEBUG = True") for note in launch.notes) == 1


SETTINGS_MODULE = "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', '{}')\n"
TWO_SETTINGS = {
    "manage.py": SETTINGS_MODULE.format("config.settings.local"),
    "config/__init__.py": "",
    "config/settings/__init__.py": "",
    "config/settings/local.py": "DEBUG = True\n",
    "config/settings/production.py": "WSGI_APPLICATION = 'config.wsgi.application'\n",
    "config/wsgi.py": SETTINGS_MODULE.format("config.settings.production"),
    "Procfile": "release: python manage.py migrate\nweb: gunicorn config.wsgi\n",
}


OWN_SETTINGS = {"config/settings/__init__.py": "# as ever\nfrom .production import *\n"}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, "config.settings.production"),
        ({"config/wsgi.py": SETTINGS_MODULE.format("config.settings.local")}, "config.settings.production"),
        ({"config/wsgi.py": SETTINGS_MODULE.format("settings.elsewhere")}, None),
        ({"config/wsgi.py": SETTINGS_MODULE.format("config.settings")}, "config.settings.production"),
        ({"config/wsgi.py": SETTINGS_MODULE.format("config.settings"), **OWN_SETTINGS}, "config.settings"),
        ({"config/wsgi.py": SETTINGS_MODULE.format("config.other"), "config/other/local.py": ""}, None),
        ({"config/wsgi.py": SETTINGS_MODULE.format("config.other"), "config/other/prod.py": ""}, "config.other.prod"),
        ({"Dockerfile": "FROM python:3.13\nENV DJANGO_SETTINGS_MODULE=config.settings.docker\n"}, "config.settings.docker"),
    ],
    ids=[
        "others",
        "those for developing",
        "not in the project",
        "an empty package",
        "a package with settings",
        "a package without any for production",
        "a directory",
        "in the Dockerfile",
    ],
)
def test_steps_get_the_settings_of_the_application_that_is_served(tmp_path: Path, more: dict[str, str], expected: str | None) -> None:
    launch = launched(tmp_path, {**TWO_SETTINGS, **more}, "django gunicorn")
    assert launch.before_start == (("python", "manage.py", "migrate"),)
    assert launch.env.get("DJANGO_SETTINGS_MODULE") == expected


def test_settings_that_others_import_are_taken_where_nothing_names_any(tmp_path: Path) -> None:
    files = {
        "manage.py": "import django\n",
        "shop/__init__.py": "",
        "shop/settings/__init__.py": "",
        "shop/settings/base.py": "WSGI_APPLICATION = 'shop.wsgi.application'\n",
        "shop/settings/development.py": "from .base import *\nDEBUG = True\n",
        "shop/wsgi.py": WSGI,
    }
    launch = launched(tmp_path, {**files, "Procfile": "web: gunicorn shop.wsgi\n"}, "django gunicorn")
    assert launch.env["DJANGO_SETTINGS_MODULE"] == "shop.settings.base"
    assert any("names no settings, and shop.settings is a package with nothing in it" in note for note in launch.notes)


@pytest.mark.parametrize("name", ["example", "docs"])
def test_finds_a_django_package_whatever_its_name(tmp_path: Path, name: str) -> None:
    files = {
        "manage.py": SETTINGS_MODULE.format(f"{name}.settings"),
        f"{name}/__init__.py": "",
        f"{name}/settings.py": f"WSGI_APPLICATION = '{name}.wsgi.application'\n",
        f"{name}/wsgi.py": "",
        "tests/__init__.py": "",
    }
    assert launched(tmp_path, files, "django gunicorn").command == (*GUNICORN, f"{name}.wsgi:application")


def test_channels_two_starts_with_the_module_that_loads_the_apps(tmp_path: Path) -> None:
    files = {
        "manage.py": SETTINGS_MODULE.format("c.settings"),
        "c/__init__.py": "",
        "c/settings.py": "ASGI_APPLICATION = 'c.routing.application'\n",
        "c/routing.py": "",
        "c/asgi.py": "from channels.routing import get_default_application\napplication = get_default_application()\n",
    }
    assert launched(tmp_path, files, "django daphne channels").command[-1] == "c.asgi:application"


@pytest.mark.parametrize(
    ("routing", "environment", "loads"),
    [
        ("", "c.settings", True),
        ("import django\ndjango.setup()\n", "c.settings", False),
        ("import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'c.settings')\n", None, False),
    ],
)
def test_channels_two_without_such_a_module_gets_its_apps_loaded(
    tmp_path: Path, routing: str, environment: str | None, loads: bool
) -> None:
    files = {
        "manage.py": SETTINGS_MODULE.format("c.settings"),
        "c/__init__.py": "",
        "c/settings.py": "ASGI_APPLICATION = 'c.routing.application'\n",
        "c/routing.py": f"{routing}from channels.routing import ProtocolTypeRouter\napplication = ProtocolTypeRouter({{}})\n",
    }
    launch = launched(tmp_path, files, "django daphne channels")
    assert launch.static_front == StaticFront("c.routing:application", True, False, "", loads)
    assert launch.env.get("DJANGO_SETTINGS_MODULE") == environment


def test_of_the_example_all_but_its_front_end_is_found() -> None:
    launch = read_project(ROOT / "examples" / "django", Settings()).launch
    assert launch is not None
    assert (launch.command[0], launch.command[-1], launch.translations) == ("uwsgi", "shop.wsgi:application", "django")
    assert [step.run for step in launch.steps] == [("python", "manage.py", "collectstatic", "--noinput")]


ASGI = "from django.core.asgi import get_asgi_application\n"
MADE = "from django.core.wsgi import get_wsgi_application\ndef make(mode=''):\n    return get_wsgi_application()\n"


@pytest.mark.parametrize(
    ("files", "command", "front"),
    [
        ({"job.py": WSGI}, "python -m job", None),
        ({"job.py": WSGI}, "dramatiq job", None),
        ({"shop/wsgi.py": MADE}, "gunicorn 'shop.wsgi:make()'", StaticFront("shop.wsgi:make()", False, True)),
        (
            {"shop/wsgi.py": WSGI},
            "hypercorn --bind 0.0.0.0:8000 wsgi:shop.wsgi:application",
            StaticFront("shop.wsgi:application", False, False, "wsgi:"),
        ),
        (
            {"shop/wsgi.py": WSGI},
            "uwsgi --http-socket 0.0.0.0:8000 --module=shop.wsgi",
            StaticFront("shop.wsgi", False, False, "--module="),
        ),
        ({"wsgi.py": WSGI}, "gunicorn wsgi:application", StaticFront("wsgi:application", False, False)),
        ({"shop/wsgi.py": MADE}, "waitress-serve --call shop.wsgi:make", StaticFront("shop.wsgi:make", False, True)),
        ({"shop/wsgi.py": MADE}, "gunicorn --bind 0.0.0.0:8000 \"shop.wsgi:make('a')\"", None),
        (
            {"main.py": f"from fastapi import FastAPI\n{WSGI}app = FastAPI()\napp.mount('/shop', application)\n"},
            "uvicorn --host 0.0.0.0 main:app",
            StaticFront("main:app", True, False),
        ),
        (
            {"both.py": f"{WSGI}{ASGI}asgi = get_asgi_application()\n"},
            "gunicorn both:application",
            StaticFront("both:application", False, False),
        ),
        ({"both.py": f"{WSGI}{ASGI}asgi = wrap(get_asgi_application())\n"}, "uvicorn --host 0.0.0.0 both:asgi", None),
    ],
    ids=[
        "a module",
        "a worker",
        "a call",
        "an interface",
        "an option",
        "a module of that name",
        "a factory",
        "arguments",
        "another framework",
        "two interfaces",
        "one of two, wrapped",
    ],
)
def test_only_an_application_of_a_server_is_put_behind_static_files(
    tmp_path: Path, files: dict[str, str], command: str, front: StaticFront | None
) -> None:
    project = {"manage.py": SETTINGS_MODULE.format("shop.settings"), "shop/__init__.py": "", "shop/settings.py": "", **files}
    process = "web" if front else "worker"
    launch = launched(
        tmp_path, {**project, "Procfile": f"{process}: {command}\n"}, "django gunicorn uvicorn waitress dramatiq fastapi hypercorn uwsgi"
    )
    assert launch.static_front == front
    assert launch.source_command == tuple(shlex.split(command))


def test_a_template_of_projects_is_none_itself(tmp_path: Path) -> None:
    files = {"manage.py": SETTINGS_MODULE.format("{{ project_name }}.settings.dev"), "Dockerfile": "CMD gunicorn shop.wsgi\n"}
    with pytest.raises(ProjectError, match=r"^manage\.py has a placeholder") as caught:
        launched(tmp_path, files, "django gunicorn")
    assert "django-admin startproject --template=./ NAME" in caught.value.hint


@pytest.mark.parametrize(
    ("files", "program"),
    [
        ({**SITE, "s/wsgi.py": WSGI, "s/settings.py": "WSGI_APPLICATION = 's.wsgi.application'\n"}, "gunicorn"),
        ({"main.py": "if __name__ == '__main__':\n    print(1)\n"}, "python"),
    ],
    ids=["a site", "a tool"],
)
def test_a_project_may_hold_a_template_of_others(tmp_path: Path, files: dict[str, str], program: str) -> None:
    template = {"starter/manage.py": SETTINGS_MODULE.format("{{ project_name }}.settings")}
    assert launched(tmp_path / "both", {**files, **template}, "django gunicorn").command[0] == program
    template |= {"starter/site/wsgi.py": WSGI, "starter/site/celery.py": "from celery import Celery\napp = Celery('site')\n"}
    with pytest.raises(ProjectError, match=r"^starter/manage\.py has a placeholder"):
        launched(tmp_path / "alone", template, "django gunicorn celery")


@pytest.mark.parametrize(
    ("named", "names", "used"),
    [
        ("shop.settings.local", ("base", "local", "production"), "shop.settings.production"),
        ("shop.settings.dev_small", ("dev_small", "prod"), "shop.settings.prod"),
        ("shop.settings_dev", (), "shop.settings_prod"),
        ("shop.settings.base", ("base", "production"), None),
        ("shop.settings.local", ("base", "local"), None),
    ],
)
def test_settings_for_production_come_before_those_that_developers_start_with(
    tmp_path: Path, named: str, names: tuple[str, ...], used: str | None
) -> None:
    start = "import os\nfrom django.core.wsgi import get_wsgi_application\nos.environ{}\napplication = get_wsgi_application()\n"
    files = {f"shop/settings/{name}.py": "DEBUG = True\n" for name in names} or {"shop/settings_prod.py": "", "shop/settings_dev.py": ""}
    given = f".setdefault('DJANGO_SETTINGS_MODULE', '{named}')"
    files = {**files, "manage.py": f"import os\nos.environ{given}\n", "shop/wsgi.py": start.format(given)}
    launch = launched(tmp_path, files, "django gunicorn")
    assert launch.env.get("DJANGO_SETTINGS_MODULE") == used
    assert not [note for note in launch.notes if "sets DEBUG" in note and used]
    files["shop/wsgi.py"] = start.format(f"['DJANGO_SETTINGS_MODULE'] = '{named}'")
    assert "DJANGO_SETTINGS_MODULE" not in launched(tmp_path, files, "django gunicorn").env


@pytest.mark.parametrize(("file", "served"), [("shop/callbacks.py", "shop.wsgi:application"), ("shop/api/main.py", "shop.api.main:app")])
def test_an_application_among_the_apps_of_a_project_is_no_other_project(tmp_path: Path, file: str, served: str) -> None:
    files, _, _ = LAYOUTS["wsgi"]
    files = {name.replace("site1", "shop"): text.replace("site1", "shop") for name, text in files.items()}
    app = "from flask import Flask\napp = Flask('')\n"
    assert launched(tmp_path, {**files, file: app}, "django flask gunicorn").command[-1] == served


@pytest.mark.parametrize(("names", "used"), [(("dev", "prod"), "conf.settings.prod"), (("dev",), None), (("prod", "production"), None)])
def test_settings_that_only_a_variable_names_are_those_for_production(tmp_path: Path, names: tuple[str, ...], used: str | None) -> None:
    wsgi = "import os\nfrom django.core.wsgi import get_wsgi_application\nos.environ['DJANGO_SETTINGS_MODULE']\n"
    wsgi += "application = get_wsgi_application()\n"
    files = {"manage.py": "import django\n", "conf/wsgi.py": wsgi, **{f"conf/settings/{name}.py": "" for name in names}}
    files["conf/settings/dev.py"] = "WSGI_APPLICATION = 'conf.wsgi.application'\n"
    assert launched(tmp_path, files, "django gunicorn").env.get("DJANGO_SETTINGS_MODULE") == used


def test_settings_that_the_application_puts_together_are_its_own_choice(tmp_path: Path) -> None:
    wsgi = "import os\nfrom django.core.wsgi import get_wsgi_application\n"
    wsgi += "os.environ['DJANGO_SETTINGS_MODULE'] = f'conf.settings.{os.environ.get(\"STAGE\", \"dev\")}'\n"
    wsgi += "application = get_wsgi_application()\n"
    files = {"manage.py": "import django\n", "conf/wsgi.py": wsgi, "conf/settings/prod.py": ""}
    files["conf/settings/dev.py"] = "WSGI_APPLICATION = 'conf.wsgi.application'\n"
    launch = launched(tmp_path, files, "django gunicorn")
    assert ("DJANGO_SETTINGS_MODULE" in launch.env, [note for note in launch.notes if "is conf.settings.prod" in note]) == (False, [])
