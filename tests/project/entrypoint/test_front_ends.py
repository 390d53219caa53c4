"""Front ends that nobody has built: the settings that build them, by a Dockerfile's node stage or by what the source serves."""

import json
import os
from pathlib import Path

import pytest
from support.project_tree import launched, written

from shipwheel.settings.build import AssetSettings
from shipwheel.settings.settings import Settings

STAGE = """
FROM node:22 AS ui
WORKDIR /ui
COPY ui .
RUN npm ci
RUN npm run build
FROM python:3.13
WORKDIR /code
COPY . .
COPY --from=ui /ui/dist /code/shop/static
CMD gunicorn shop.web:app
"""
APP = {"shop/__init__.py": "", "shop/web.py": "from flask import Flask\napp = Flask(__name__)\n", "ui/package.json": "{}"}
VITE = {"frontend/package.json": '{"scripts": {"build": "vite build"}}', "frontend/vite.config.ts": "export default {}"}
SERVED = "from fastapi.staticfiles import StaticFiles\nfrom fastapi import FastAPI\napp = FastAPI()\n"


def test_reads_the_node_stage_of_a_dockerfile(tmp_path: Path) -> None:
    launch = launched(tmp_path, {**APP, "Dockerfile": STAGE}, "flask gunicorn")
    (front,) = launch.front_ends
    assert front.settings == AssetSettings(("npm", "run", "build"), "ui/dist", "ui", "shop/static", node="22")
    assert front.reason == "Dockerfile, line 10: `npm run build` makes shop/static for the image"
    assert [note for note in launch.notes if "[[tool.shipwheel.assets]]" in note and "shipwheel init" in note]


@pytest.mark.parametrize(
    ("image", "node"),
    [
        ("node:20-alpine", "20"),
        ("docker.example/library/node:22.12.0-slim", "^22.12.0"),
        ("node:22.12", "^22.12"),
        ("node:jod", "22"),
        ("node:lts-alpine", ""),
        ("node", ""),
        ("node@sha256:" + 64 * "0", ""),
        ("oven/bun:1", ""),
    ],
)
def test_the_image_of_a_stage_names_the_version_of_node(tmp_path: Path, image: str, node: str) -> None:
    (front,) = launched(tmp_path, {**APP, "Dockerfile": STAGE.replace("node:22", image)}, "flask gunicorn").front_ends
    assert front.settings.node == node


def test_several_commands_of_a_stage_run_in_a_shell(tmp_path: Path) -> None:
    stage = STAGE.replace("RUN npm run build", "RUN npm run js && npm run css")
    (front,) = launched(tmp_path, {**APP, "Dockerfile": stage}, "flask gunicorn").front_ends
    assert front.settings.run == ("sh", "-c", "npm run js && npm run css")


OWN = """
FROM python:3.13
WORKDIR /code
COPY . .
RUN pip install flask gunicorn
RUN {}
CMD gunicorn shop.web:app
"""


@pytest.mark.parametrize("locks", [[], ["bun.lock"], ["bun.lockb"], ["bun.lock", "package-lock.json"]])
def test_npm_runs_the_scripts_of_bun(tmp_path: Path, locks: list[str]) -> None:
    stage = STAGE.replace("npm ci", "bun install").replace("npm run", "bun run")
    (front,) = launched(tmp_path, {**APP, "Dockerfile": stage, **{f"ui/{lock}": "" for lock in locks}}, "flask gunicorn").front_ends
    assert front.settings.run == ("npm", "run", "build")


@pytest.mark.parametrize(
    ("command", "run"),
    [
        ("cd ui && npm ci && npm run build", ("npm", "run", "build")),
        ("npm ci --prefix ui && npm --prefix ui run build", ("npm", "run", "build")),
        ("yarn --cwd=ui build", ("yarn", "build")),
        (
            "cd ui && npm run js:build && npx tailwindcss -i a.css -o build/b.css",
            ("sh", "-c", "npm run js:build && npx tailwindcss -i a.css -o build/b.css"),
        ),
    ],
)
def test_reads_what_the_stage_of_the_app_builds_itself(tmp_path: Path, command: str, run: tuple[str, ...]) -> None:
    launch = launched(tmp_path, {**APP, "Dockerfile": OWN.format(command)}, "flask gunicorn")
    (front,) = launch.front_ends
    assert front.settings == AssetSettings(run, in_="ui")
    assert len([note for note in launch.notes if note.startswith("Dockerfile, line 6:") and "shipwheel init" in note]) == 1


def test_what_the_stage_builds_elsewhere_is_only_named(tmp_path: Path) -> None:
    launch = launched(tmp_path, {**APP, "Dockerfile": OWN.format("cd shop && npm run build")}, "flask gunicorn")
    assert launch.front_ends == ()
    (note,) = (note for note in launch.notes if "`npm run build` does not run here" in note)
    assert "init" not in note
    settings = Settings(assets=(AssetSettings(("npm", "run", "build")),))
    assert not [note for note in launched(tmp_path, {}, "flask gunicorn", settings=settings).notes if "npm run build" in note]


@pytest.mark.parametrize("made", ["ui/dist/a.js", "shop/static/a.js"])
def test_builds_nothing_that_is_there(tmp_path: Path, made: str) -> None:
    launch = launched(tmp_path, {**APP, "Dockerfile": STAGE, made: ""}, "flask gunicorn")
    assert (launch.front_ends, [note for note in launch.notes if "assets" in note]) == ((), [])


def test_says_of_a_front_end_beside_the_project_that_it_is_not_built(tmp_path: Path) -> None:
    config = 'export default {\n  build: {\n    outDir: "../backend/static",\n  },\n}\n'
    for name in ("frontend", "docs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "package.json").write_text('{"scripts": {"build": "vite build"}}')
    (tmp_path / "frontend" / "vite.config.ts").write_text(config)
    (tmp_path / "docs" / "vite.config.ts").write_text(config.replace("../backend/static", "site"))
    (tmp_path / "pipes").mkdir()
    os.mkfifo(tmp_path / "pipes" / "package.json")
    assert launched(tmp_path / "backend", APP, "flask gunicorn").notes == (), "outside of a repository, it is nobody's business"
    (tmp_path / ".git").mkdir()
    notes = launched(tmp_path / "backend", APP, "flask gunicorn").notes
    assert [note.partition(",")[0] for note in notes] == ["../frontend/vite.config.ts writes a front end to static of this directory"]
    assert launched(tmp_path / "backend", {**APP, "static/index.html": ""}, "flask gunicorn").notes == ()


def test_the_settings_have_the_last_word(tmp_path: Path) -> None:
    settings = Settings(assets=(AssetSettings(("make", "js"), "out"),))
    launch = launched(tmp_path, {**APP, "Dockerfile": STAGE}, "flask gunicorn", settings)
    assert (launch.front_ends, [note for note in launch.notes if "assets" in note]) == ((), [])


MANIFEST = "manifest = os.path.join(BASE_DIR, 'static', 'dist', 'manifest.json')"


@pytest.mark.parametrize(
    ("line", "config", "output"),
    [
        ("app.mount('/', StaticFiles(directory='frontend/dist'))", "export default {}", "frontend/dist"),
        ("DIST = Path(__file__).parent / 'frontend' / 'dist'", "export default {}", "frontend/dist"),
        ("app.mount('/', StaticFiles(directory='shop/static'))", "export default {build: {outDir: '../shop/static'}}", "shop/static"),
        (MANIFEST, "export default {build: {outDir: resolve(__dirname, '../static/dist')}}", "static/dist"),
        (MANIFEST, "outDir: fileURLToPath(new URL('../static/dist', import.meta.url)),", "static/dist"),
        (MANIFEST, "outDir: made,\n base: '../static/dist',", ""),
        pytest.param(MANIFEST, f"outDir:{' ' * 500_000}", "", id="many spaces"),
        ("app.mount('/', StaticFiles(directory='static'))", "export default {}", ""),
        ("dist = 'frontend'", "export default {}", ""),
    ],
)
def test_finds_what_the_source_serves(tmp_path: Path, line: str, config: str, output: str) -> None:
    files = {**VITE, "frontend/vite.config.ts": config, "main.py": f"{SERVED}{line}\n"}
    fronts = launched(tmp_path, files, "fastapi uvicorn").front_ends
    expected = [AssetSettings(("npm", "run", "build"), output, "frontend")] if output else []
    assert [front.settings for front in fronts] == expected


@pytest.mark.parametrize(("config", "output"), [("module.exports = {}", "dist"), ("module.exports = {outputDir: 'public'}", "public")])
def test_finds_what_vue_cli_builds_for_the_source(tmp_path: Path, config: str, output: str) -> None:
    package = '{"scripts": {"build": "vue-cli-service build"}, "devDependencies": {"@vue/cli-service": "3"}}'
    source = f"from flask import Flask\napp = Flask(__name__, static_folder='{output}')\n"
    files = {"package.json": package, "vue.config.js": config, "main.py": source}
    (front,) = launched(tmp_path, files, "flask gunicorn").front_ends
    assert front.settings == AssetSettings(("npm", "run", "build"), output)


@pytest.mark.parametrize(
    ("line", "is_served"),
    [
        ("STATICFILES_DIRS = [\n    BASE_DIR / 'node_modules',\n]", True),
        ("NODE = os.path.join(BASE_DIR, 'node_modules', 'jquery')", True),
        ("app.mount('/lib', StaticFiles(directory='node_modules'))", True),
        ("send_from_directory('./node_modules/jquery', 'x.js')", True),
        ("EXCLUDED = ['node_modules', '.git']", False),
        ("if name == 'node_modules': pass", False),
    ],
)
@pytest.mark.parametrize("lock", ["", "package-lock.json", "yarn.lock"])
def test_finds_the_packages_of_node_that_the_source_serves(tmp_path: Path, line: str, is_served: bool, lock: str) -> None:
    files = {"package.json": '{"dependencies": {"jquery": "3"}}', "main.py": f"{SERVED}{line}\n", **({lock: ""} if lock else {})}
    run = ("node", "-e", "0") if lock == "yarn.lock" else ("npm", "prune", "--omit=dev")
    fronts = launched(tmp_path, files, "fastapi uvicorn").front_ends
    assert [front.settings for front in fronts] == ([AssetSettings(run, "node_modules")] if is_served else [])


def test_a_front_end_without_a_build_or_a_server_is_none(tmp_path: Path) -> None:
    served = f"{SERVED}app.mount('/', StaticFiles(directory='frontend/dist'))\n"
    assert launched(tmp_path, {"main.py": served, "frontend/package.json": "[]"}, "fastapi uvicorn").front_ends == ()
    assert launched(tmp_path, {**VITE, "main.py": SERVED}, "fastapi uvicorn").front_ends == ()


BESIDE = """
FROM node:22 AS web
WORKDIR /web
COPY frontend/package*.json ./
RUN npm ci
COPY frontend/ .
RUN npm run build
FROM python:3.13
WORKDIR /srv
COPY backend/requirements.txt .
COPY backend/ .
COPY --from=web /web/dist ./static
CMD uvicorn main:app
"""
TWO = {
    "Dockerfile": BESIDE,
    "frontend/package.json": "{}",
    "backend/requirements.txt": "fastapi\nuvicorn\n",
    "backend/main.py": "from fastapi import FastAPI\napp = FastAPI()\n",
}


def test_a_front_end_is_put_where_the_back_end_is(tmp_path: Path) -> None:
    (front,) = launched(tmp_path, TWO, "fastapi uvicorn").front_ends
    assert front.settings == AssetSettings(("npm", "run", "build"), "frontend/dist", "frontend", "backend/static", node="22")


def test_a_front_end_outside_the_project_is_only_named(tmp_path: Path) -> None:
    written(tmp_path, {**TWO, ".git/HEAD": ""})
    launch = launched(tmp_path / "backend", {}, "fastapi uvicorn")
    (note,) = (note for note in launch.notes if "npm run build" in note)
    assert (launch.front_ends, "static, which" in note, "init" in note) == ((), True, False)


@pytest.mark.parametrize(
    ("folder", "script", "output"),
    [
        (
            "theme/static_src",
            {"build": "npm run build:css", "build:css": "tailwindcss -o ../static/css/styles.css"},
            "theme/static/css/styles.css",
        ),
        (".", {"build": "tailwindcss -i in.css --output static/a.css"}, "static/a.css"),
        (".", {"build": "tailwindcss -o static/a.css && tailwindcss -o static/b.css"}, ""),
        (".", {"build": "tailwindcss -o dist/a.css"}, None),
        (".", {"watch": "tailwindcss -o static/a.css"}, None),
        (".", {"build": "webpack", "build:css": "tailwindcss -o static/a.css"}, None),
        (".", {"build": "run-p build:*", "build:css": "tailwindcss -o static/a.css"}, "static/a.css"),
        (".", {"build": "tailwindcss -o static/a.css --watch"}, None),
        (".", {"build": "tailwindcss -o static/there.css"}, None),
        ("theme/static_src", {"build": "tailwindcss -o ../../../static/a.css"}, None),
    ],
)
def test_finds_the_style_sheet_that_a_script_writes(tmp_path: Path, folder: str, script: dict[str, str], output: str | None) -> None:
    files = {"app.py": SERVED, "static/there.css": "", f"{folder}/package.json": json.dumps({"scripts": script})}
    launch = launched(tmp_path, files, "fastapi uvicorn")
    expected = [AssetSettings(("npm", "run", "build"), output, folder)] if output is not None else []
    assert [front.settings for front in launch.front_ends] == expected
