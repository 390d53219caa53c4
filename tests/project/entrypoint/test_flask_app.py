"""The application that `flask run` would serve is the one that the image serves."""

from pathlib import Path

import pytest
from support.project_tree import launched

FLASK = "from flask import Flask\n{name} = Flask(__name__)\n"
TWO = {"requirements.txt": "flask\n", "backend.py": FLASK.format(name="site"), "app.py": FLASK.format(name="app")}
RUN = "FROM python\nWORKDIR /app\nCOPY . .\nCMD flask run --host 0.0.0.0\n"
COMPOSE = "services: {{web: {{build: ., env_file: {file}}}}}\n"
NAMED = {
    "a file of Flask": {".flaskenv": "FLASK_APP=backend\n"},
    "a file of variables": {".env": "A=1\nexport FLASK_APP='backend.py:site'\n"},
    "what it is made from": {".env.example": "FLASK_APP=/app/backend.py\n"},
    "a file that compose gives": {"Dockerfile": RUN, "compose.yml": COMPOSE.format(file="e/web.env"), "e/web.env": "FLASK_APP=backend\n"},
    "one of several": {"Dockerfile": RUN, "compose.yml": COMPOSE.format(file="[{path: ./web.env}]"), "web.env": "FLASK_APP=backend\n"},
    "a variable of the image": {"Dockerfile": RUN.replace("CMD", "ENV FLASK_APP=backend:site\nCMD")},
    "an option": {"Dockerfile": RUN.replace("flask run", "flask --app backend run")},
    "a start script": {"Dockerfile": RUN.replace("flask run --host 0.0.0.0", "sh run.sh"), "run.sh": "FLASK_APP=backend flask run\n"},
    "a Procfile": {"Procfile": "web: FLASK_APP=backend.py flask run\n"},
}


@pytest.mark.parametrize("files", NAMED.values(), ids=NAMED)
def test_serves_the_application_that_flask_would(tmp_path: Path, files: dict[str, str]) -> None:
    assert launched(tmp_path, {**TWO, **files}).command[-1] == "backend:site"


@pytest.mark.parametrize("value", ["", "nothing", "missing:app", "((("])
def test_a_name_of_no_application_changes_nothing(tmp_path: Path, value: str) -> None:
    assert launched(tmp_path, {**TWO, ".flaskenv": f"FLASK_APP={value}\n"}).command[-1] == "app:app"


def test_a_file_for_servers_stays_before_the_application_that_it_is_made_of(tmp_path: Path) -> None:
    files = {
        "requirements.txt": "flask\n",
        "wsgi.py": "from shop import create_app\napp = create_app()\n",
        "shop/__init__.py": "from flask import Flask\ndef create_app():\n    return Flask(__name__)\n",
        ".flaskenv": "FLASK_APP=shop\n",
    }
    assert launched(tmp_path, files).command[-1] == "wsgi:app"
