"""Commands that are for developing."""

import pytest

from shipwheel.project.entrypoint.development import is_development_server, without_development_options

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
