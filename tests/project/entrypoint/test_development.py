"""Commands that are for developing."""

import pytest

from shipwheel.project.entrypoint.development import as_own_user, is_development_server, without_development_options

PRODUCTION = {
    "arq worker.Settings --watch src": "arq worker.Settings",
    "python -m dramatiq --watch . app": "python -m dramatiq app",
    "chainlit run --watch app.py": "chainlit run app.py",
    "uvicorn a:b --reload --reload-dir=src --reload-include *.css": "uvicorn a:b",
    "python main.py --debug false --port 80": "python main.py --port 80",
    "fastapi dev main.py": "fastapi run main.py",
    "python -m fastapi dev main.py": "python -m fastapi run main.py",
    "python -um fastapi dev dev": "python -um fastapi run dev",
    "litestar --app a:b run --debug --reload": "litestar --app a:b run",
    "gunicorn a:b": "gunicorn a:b",
    "--reload": "--reload",
}


@pytest.mark.parametrize("words", PRODUCTION)
def test_leaves_out_what_is_for_developing(words: str) -> None:
    assert " ".join(without_development_options(words.split())) == PRODUCTION[words]


@pytest.mark.parametrize("words", ["flask run", "python -m flask --app a run", "python manage.py runserver", "poe dev"])
def test_tells_a_server_for_developing(words: str) -> None:
    assert is_development_server(words.split())
    assert not is_development_server(["gunicorn", "a:b"])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("celery -A a worker --uid=nobody --gid nogroup -Q b", "celery -A a worker -Q b"),
        ("python -m celery --app a worker --uid 1000", "python -m celery --app a worker"),
        ("gunicorn -u www-data --group=www-data a:b", "gunicorn a:b"),
        ("uwsgi --uid www --gid www --http :80", "uwsgi --http :80"),
        ("uvicorn a:b --uid x", "uvicorn a:b --uid x"),
    ],
)
def test_a_server_does_not_become_another_user_which_only_root_may(words: str, expected: str) -> None:
    assert " ".join(as_own_user(words.split())) == expected
