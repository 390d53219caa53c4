"""Files that only instructions of a Dockerfile make."""

from pathlib import Path

import pytest
from support.project_tree import launched, written

from shipwheel.project.deployment.built_files import missing_note
from shipwheel.project.deployment.read import read_deployment
from shipwheel.user.files import UserFiles

DOCKERFILE = """
FROM node:22 AS assets
WORKDIR /ui
COPY ui .
RUN npm ci && npm run build
FROM python:3.12
WORKDIR /code
COPY . .
COPY --from=assets /ui/dist /code/shop/static/dist
RUN pip install -r requirements.txt && SECRET_KEY=hidden python manage.py build_index && python manage.py collectstatic
"""
FILES = {"Dockerfile": DOCKERFILE, "manage.py": "", "shop/x.py": "", "ui/package.json": "{}", "requirements.txt": ""}


def test_names_what_the_image_lacks(tmp_path: Path) -> None:
    deployment = read_deployment(written(tmp_path, FILES), UserFiles())
    (built,), (unmade,) = deployment.built, deployment.notes
    missing = missing_note(built, is_known=True)
    assert missing.startswith(
        "Dockerfile, line 9: shop/static/dist, which `npm run build` makes, is not in the project, so the image lacks it."
    )
    assert missing.endswith("make it before the build: cd ui && npm ci && npm run build")
    assert unmade.startswith("Dockerfile, line 10: `SECRET_KEY=… python manage.py build_index` does not run here.")


def test_is_content_with_what_was_made_before(tmp_path: Path) -> None:
    files = {**FILES, "Dockerfile": DOCKERFILE.partition("RUN pip")[0], "shop/static/dist/app.js": ""}
    assert read_deployment(written(tmp_path, files), UserFiles()).notes == ()


@pytest.mark.parametrize(
    ("ignored", "more", "lacks"),
    [
        ("**/dist/js\n", {}, True),
        ("/shop/static/dist/js/\n", {}, True),
        ("**/dist/js\n", {"shop/static/dist/js/app.js": ""}, False),
        ("dist/*.map\n#dist/x\nother/dist2/js\n", {}, False),
        ("/shop/static/dist/bundle.js*\n", {}, True),
        ("/shop/static/dist/bundle-*.css\n", {"shop/static/dist/bundle-1.css": ""}, False),
    ],
)
def test_a_directory_of_sources_that_a_build_adds_to_is_not_made_before_it(
    tmp_path: Path, ignored: str, more: dict[str, str], lacks: bool
) -> None:
    files = {**FILES, "Dockerfile": DOCKERFILE.partition("RUN pip")[0], "shop/static/dist/logo.svg": "", ".gitignore": ignored, **more}
    (built,) = read_deployment(written(tmp_path, files), UserFiles()).built
    assert built.is_there is not lacks


def test_takes_what_was_made_from_where_it_was_made(tmp_path: Path) -> None:
    made = {**FILES, "main.py": "", ".gitignore": "dist\n", "ui/dist/app.js": ""}
    assert launched(tmp_path, made).copies == (("/app/shop/static/dist", "ui/dist"),)
    there = launched(tmp_path, {**made, "shop/static/dist/app.js": ""})
    assert (there.copies, there.include) == ((), ("/shop/static/dist",))


def test_names_what_a_stage_makes_whose_directory_is_copied_as_a_whole(tmp_path: Path) -> None:
    dockerfile = """
FROM debian AS builder
WORKDIR /code
COPY . .
RUN yarnpkg install --inline-builds && yarnpkg build && flask assets build
FROM python:3.12
WORKDIR /code
COPY --from=builder /code /code
CMD python main.py
"""
    files = {"Dockerfile": dockerfile, "main.py": "", "package.json": "{}", "requirements.txt": "flask"}
    deployment = read_deployment(written(tmp_path, files), UserFiles())
    assert [(built.directory, built.commands) for built in deployment.own_builds] == [(".", ("yarnpkg build",))]
    (note,) = deployment.notes
    assert note.startswith("Dockerfile, line 5: `flask assets build` does not run here.")
