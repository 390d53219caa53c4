"""Everything that a Dockerfile installs."""

from pathlib import Path

import pytest
from support.project_tree import written

from shipwheel.project.deployment.installs import Installs
from shipwheel.project.deployment.read import read_deployment
from shipwheel.user.files import UserFiles

FILES = {"requirements.txt": "", "requirements/prod.txt": "", "requirements/dev.txt": "", "app.py": "", "libs/a/setup.py": ""}


def _installs(root: Path, lines: str, image: str = "python:3.11-slim") -> Installs:
    written(root, {**FILES, "Dockerfile": f"FROM {image}\nWORKDIR /app\nCOPY . .\n{lines}\n"})
    return read_deployment(root, UserFiles()).installs


@pytest.mark.parametrize(
    ("image", "python"),
    [
        ("python:3.9.10-slim", "3.9"),
        ("docker.io/library/python:3.14-rc-slim", "3.14"),
        ("ghcr.io/someone/uv:python3.12-bookworm", "3.12"),
        ("someone/uvicorn-gunicorn:python3.10", "3.10"),
        ("python:slim", ""),
        ("python:3", ""),
        ("ubuntu:22.04", ""),
        ("x AS base\nFROM python:3.8 AS builder\nCOPY . /venv\nFROM distroless\nCOPY --from=builder /venv /venv", "3.8"),
    ],
)
def test_knows_the_python_of_the_image(tmp_path: Path, image: str, python: str) -> None:
    assert _installs(tmp_path, "", image).python == python


@pytest.mark.parametrize(
    ("image", "install", "python", "place"),
    [
        ("ubuntu:22.04", "apt-get install -y python3 python3-pip", "3.10", "FROM in Dockerfile, line 1"),
        ("public.example/ubuntu:noble", "apt update && apt install -y python3", "3.12", "FROM in Dockerfile, line 1"),
        ("debian:12.5", "apt-get install -y python3", "3.11", "FROM in Dockerfile, line 1"),
        ("debian:12.5-slim", "apt-get install -y python3", "3.11", "FROM in Dockerfile, line 1"),
        ("debian:bookworm-20240110-slim", "apt-get install -y python3", "3.11", "FROM in Dockerfile, line 1"),
        ("python:3.11-slim-bookworm", "apt-get install -y python3", "3.11", "FROM in Dockerfile, line 1"),
        ("debian:bullseye", "apt-get install -y python3", "3.9", "FROM in Dockerfile, line 1"),
        ("nvidia/cuda:12", "apt-get update && apt-get install -y python3.11-venv python3.11 python3", "3.11", "Dockerfile, line 4"),
        ("ubuntu:22.04", "apt-get install -y python3 && pyenv install 3.12.1", "3.12", "Dockerfile, line 4"),
        ("ubuntu:22.04", "apt-get install -y python3 && /bin/uv venv --python=3.13", "3.13", "Dockerfile, line 4"),
        ("ubuntu:22.04", "apt-get install -y python3 && conda create -n x python=3.11 pip", "3.11", "Dockerfile, line 4"),
        ("ubuntu:22.04", "apt-get install -y python3 && uv sync", "3.10", "FROM in Dockerfile, line 1"),
        ("ubuntu:22.04", "apt-get install -y curl", "", ""),
        ("ubuntu:99.04", "apt-get install -y python3", "", ""),
    ],
)
def test_knows_the_python_that_apt_or_another_program_installs(tmp_path: Path, image: str, install: str, python: str, place: str) -> None:
    found = _installs(tmp_path, f"RUN {install}", image)
    assert (found.python, found.python_place) == (python, place)


PIP = {
    "RUN pip install -r requirements.txt": (("requirements.txt",), ()),
    "RUN python3 -m pip install --no-cache-dir -q --requirement=requirements/prod.txt -r requirements/dev.txt": (
        ("requirements/prod.txt",),
        (),
    ),
    "COPY requirements.txt /tmp/r.txt\nRUN uv pip install --system -r /tmp/r.txt && pip install gunicorn 'uvicorn[standard]>=0.30' pip": (
        ("requirements.txt",),
        ("gunicorn", "uvicorn[standard]>=0.30"),
    ),
    "RUN --mount=type=bind,source=requirements/prod.txt,target=/r.txt pip3 install -r /r.txt": (("requirements/prod.txt",), ()),
    "RUN pip install -i http://index --extra-index-url x redis ./dist/*.whl https://host/x.whl missing.txt": ((), ("redis",)),
    "RUN pip install --root-user-action ignore redis && uv pip install --link-mode copy rq": ((), ("redis", "rq")),
    "ARG V\nRUN pip install a==$V b==1": ((), ("b==1",)),
    'RUN if [ -n "$DEV" ]; then pip install -r requirements.txt; fi': ((), ()),
}


@pytest.mark.parametrize("lines", PIP)
def test_reads_what_pip_installs(tmp_path: Path, lines: str) -> None:
    found = _installs(tmp_path, lines)
    assert (found.requirements, found.packages) == PIP[lines]


def test_the_list_of_a_project_manager_is_not_the_projects(tmp_path: Path) -> None:
    written(tmp_path, {"pins/pipenv.txt": "certifi==2026.7.22 \\\n    --hash=sha256:00\npipenv==2026.7.1\n"})
    lines = "RUN pip install --require-hashes -r pins/pipenv.txt\n"
    assert _installs(tmp_path, f"{lines}RUN pipenv verify && pipenv sync").requirements == ()
    assert _installs(tmp_path, lines).requirements == ("pins/pipenv.txt",)


@pytest.mark.parametrize(
    ("line", "extras", "groups"),
    [
        ("pip install .[web,postgres,dev]", ("web", "postgres"), ()),
        ("pip install -e '/app[web]'", ("web",), ()),
        ("uv sync --frozen --extra web --extra=s3 --group prod --no-dev", ("web", "s3"), ("prod",)),
        ("poetry install --no-root --extras 'web s3' --with prod,docs", ("web", "s3"), ("prod",)),
        ("poetry export -E web -o r.txt", ("web",), ()),
        ("pdm sync --prod -G web", (), ("web",)),
    ],
)
def test_knows_extras_and_groups(tmp_path: Path, line: str, extras: tuple[str, ...], groups: tuple[str, ...]) -> None:
    found = _installs(tmp_path, f"RUN {line}")
    assert (found.extras, found.groups) == (extras, groups)


def test_reads_stages_that_files_come_from(tmp_path: Path) -> None:
    text = (
        "FROM python:3.11 AS builder\nCOPY requirements.txt .\nRUN apt-get install gcc && pip install -r requirements.txt -t /packages\n"
        "FROM python:3.11 AS tests\nRUN pip install pytest-django\n"
        "FROM python:3.11\nCOPY --from=builder /packages /packages\nCOPY app.py .\n"
        "RUN apt-get update && apt-get install -y libpq5\n"
    )
    written(tmp_path, {**FILES, "Dockerfile": text})
    found = read_deployment(tmp_path, UserFiles()).installs
    assert (found.requirements, found.packages) == (("requirements.txt",), ())
    assert (found.system.names, found.system.left_out) == (("libpq5",), ())


def test_names_another_project_that_is_not_taken_over(tmp_path: Path) -> None:
    found = _installs(tmp_path, "RUN pip install ./libs/a")
    what = "`pip install ./libs/a` installs the project in libs/a, which is not in the image: build that directory, or require ./libs/a."
    assert found.notes == (f"Dockerfile, line 4: {what}",)


def test_tells_system_packages_from_tools(tmp_path: Path) -> None:
    lines = (
        "ARG RUNTIME='ffmpeg libmagic1 ca-certificates'\nRUN B='build-essential libpq-dev swig' && apt-get update -qq \\\n"
        " && apt-get install -y --no-install-recommends $RUNTIME $B libpq5=15.* git \\\n && make && apt-get purge -y --auto-remove $B\n"
        "RUN apk add --no-cache tor curl\n"
    )
    found = _installs(tmp_path, lines).system
    assert (found.names, found.left_out) == (("ffmpeg", "libmagic1", "libpq5"), ("git",))
    assert found.headers == ()
    assert found.notes == ("Dockerfile, line 8: Alpine's packages are not in the image: tor.",)
    assert "git" in found.left_out_note


def test_keeps_the_names_of_headers_that_stay_installed(tmp_path: Path) -> None:
    assert _installs(tmp_path, "RUN apt-get install -y libpq-dev gcc python3-dev\n").system.headers == ("libpq-dev", "python3-dev")


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (
            {"Aptfile": "# for PDFs\n:repo:deb https://host/ x main\nhttps://host/x.deb\npoppler-utils\nlibgl1 git\n"},
            ("poppler-utils", "libgl1"),
        ),
        (
            {"packages.txt": "tesseract-ocr\ntesseract-ocr-deu\n", "requirements.txt": "streamlit==1.30\n"},
            ("tesseract-ocr", "tesseract-ocr-deu"),
        ),
        ({"packages.txt": "ffmpeg\n", "README.md": "---\nsdk: gradio\n---\n"}, ("ffmpeg",)),
        ({"packages.txt": "flask\nredis\n", "requirements.txt": "flask\n"}, ()),
    ],
)
def test_knows_the_packages_that_a_host_installs(tmp_path: Path, files: dict[str, str], names: tuple[str, ...]) -> None:
    deployment = read_deployment(written(tmp_path, files), UserFiles())
    assert deployment.installs.system.names == names
    # A Dockerfile installs what its image needs.
    written(tmp_path, {"Dockerfile": "FROM python:3.13\nCOPY . .\nRUN apt-get install -y libmagic1\nCMD python app.py\n"})
    assert read_deployment(tmp_path, UserFiles()).installs.system.names == ("libmagic1",)
