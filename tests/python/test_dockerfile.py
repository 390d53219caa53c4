"""The command that a Dockerfile starts, where nothing says more."""

from dataclasses import replace
from pathlib import Path

import pytest

from shipwheel.python.dockerfile import last_stage, launch_dockerfile
from shipwheel.python.framework import find_launch
from shipwheel.python.launch import Evidence


def _evidence(root: Path, dockerfile: str, dependencies: str = "gunicorn uvicorn", **more: object) -> Evidence:
    for name, text in {"Dockerfile": dockerfile, "bot/__init__.py": "", "bot/core.py": "", "run_it.py": ""}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return Evidence(root, "demo", "app", dependencies=frozenset(dependencies.split()), **more)  # type: ignore[arg-type]


TAKEN = {
    'CMD ["python", "-m", "bot.core"]': ("python", "-m", "bot.core"),
    'CMD ["python3.11", "-u", "run_it.py", "--fast"]': ("python", "-u", "run_it.py", "--fast"),
    "CMD python run_it.py": ("python", "run_it.py"),
    'ENTRYPOINT ["python"]\nCMD ["run_it.py"]': ("python", "run_it.py"),
    'CMD ["sh", "-c", "exec gunicorn -b 0.0.0.0:$PORT bot.core:make"]': ("gunicorn", "-b", "0.0.0.0:8080", "bot.core:make"),
    "ENV WORKERS=3\nCMD gunicorn \\\n  # how many\n  -w ${WORKERS} bot.core:x": ("gunicorn", "-w", "3", "bot.core:x"),
    'ENTRYPOINT ["tini", "--"]\nCMD ["uv", "run", "uvicorn", "bot.core:app"]': ("uvicorn", "bot.core:app"),
    'CMD ["poetry", "run", "python", "run_it.py"]': ("python", "run_it.py"),
    'CMD ["nothing"]\nFROM x\nEXPOSE 8080/tcp\nENTRYPOINT python -m bot.core': ("python", "-m", "bot.core"),
    'CMD ["demo-start", "--all"]': ("demo-start", "--all"),
}


@pytest.mark.parametrize("lines", TAKEN)
def test_a_command_that_the_image_has(tmp_path: Path, lines: str) -> None:
    evidence = _evidence(tmp_path, f"FROM python:3.11\nEXPOSE 8080\n{lines}\n", scripts={"demo-start": "demo:start"})
    launch = find_launch(evidence) if "demo-start" not in lines else launch_dockerfile(evidence)
    assert launch is not None
    assert (launch.command, launch.ports) == (TAKEN[lines], ("8080/tcp",))


@pytest.mark.parametrize(
    "lines",
    [
        "",
        'ENTRYPOINT ["./boot.sh"]',
        "CMD python migrate.py && python run_it.py",
        'CMD ["sh", "-c", "a; b"]',
        "CMD python manage.py runserver 0.0.0.0:8000",
        "CMD flask run",
        'CMD ["python", "-m", "flask", "run"]',
        'CMD ["uvicorn", "bot.core:app", "--reload"]',
        'CMD ["uvicorn", "other.module:app"]',
        'CMD ["python", "missing.py"]',
        'CMD ["nginx"]',
        'CMD ["celery", "worker"]',
        "CMD python $UNSET",
        "CMD [broken",
        'CMD ["python"]',
        'CMD ["python", 1]',
    ],
)
def test_what_an_image_would_not_have_is_passed_over(tmp_path: Path, lines: str) -> None:
    assert launch_dockerfile(_evidence(tmp_path, f"FROM python\n{lines}\n")) is None


def test_the_application_in_the_source_says_more(tmp_path: Path) -> None:
    evidence = _evidence(tmp_path, 'FROM python\nCMD ["python", "run_it.py"]\n', "flask")
    (tmp_path / "app.py").write_text("from flask import Flask\napp = Flask('x')\n")
    assert find_launch(evidence).command[0] == "gunicorn"


def test_only_the_last_stage_counts() -> None:
    stage = last_stage("FROM a AS b\nEXPOSE 1\nCMD x\nFROM c\nENV A=1 B='two words'\nENV C three\nexpose 80/tcp 53/udp\n")
    assert (stage.command, stage.ports) == ("", ("80",))
    assert dict(stage.variables) == {"A": "1", "B": "two words", "C": "three"}


def test_a_package_s_web_application_comes_before_what_starts_its_file(tmp_path: Path) -> None:
    evidence = _evidence(tmp_path, 'FROM python\nENTRYPOINT ["python", "app.py"]\n', "flask")
    (tmp_path / "app.py").write_text("from flask import Flask\napp = Flask('x')\n")
    assert find_launch(replace(evidence, kind="package")).command == ("gunicorn", "--bind", "0.0.0.0:8000", "app:app")


def test_a_port_that_only_the_file_names(tmp_path: Path) -> None:
    evidence = _evidence(tmp_path, 'FROM python\nENTRYPOINT ["python", "serve_it.py"]\n', "")
    (tmp_path / "serve_it.py").write_text("from http.server import HTTPServer, X\nHTTPServer(('', 8001), X)\n")
    launch = find_launch(evidence)
    assert (launch.command, launch.ports, launch.is_program) == (("python", "serve_it.py"), ("8001/tcp",), False)
