"""The Dockerfile that production uses, among those of a repository."""

from pathlib import Path

import pytest
from support.project_tree import written

from shipwheel.project.deployment.find_dockerfile import Build, find_dockerfiles
from shipwheel.project.deployment.read import read_deployment
from shipwheel.user.files import UserFiles

COPIES = "FROM python\nCOPY . /app\n"


def _found(root: Path, *files: str, project: str = "", text: str = COPIES) -> list[str]:
    written(root, {"app.py": "", **dict.fromkeys(files, text)})
    return [found.name for found in find_dockerfiles(root / project if project else root, UserFiles())]


@pytest.mark.parametrize(
    "name",
    [
        "Dockerfile",
        "Containerfile",
        "dockerfile",
        "Dockerfile.prod",
        "prod.Dockerfile",
        "web.dockerfile",
        "docker/Dockerfile",
        "container/dist.dockerfile",
        ".docker/Dockerfile",
        "deploy/web/Dockerfile",
        "docker/prod/Dockerfile",
    ],
)
def test_finds_it_wherever_it_is(tmp_path: Path, name: str) -> None:
    assert _found(tmp_path, name) == [name]


@pytest.mark.parametrize("name", ["Dockerfile.md.txt/x", "src/a/b/Dockerfile", "mydockerfile", ".git/Dockerfile/x"])
def test_takes_nothing_else_for_one(tmp_path: Path, name: str) -> None:
    assert _found(tmp_path, name) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Dockerfile", "docker/Dockerfile"),
        ("docker/Dockerfile", "Dockerfile.dev"),
        ("Dockerfile.prod", "Dockerfile"),
        ("docker/prod/Dockerfile", "docker/local/Dockerfile"),
        ("Dockerfile", "nginx.Dockerfile"),
    ],
)
def test_prefers_production(tmp_path: Path, first: str, second: str) -> None:
    assert _found(tmp_path, second, first) == [first, second]


def test_one_inside_a_package_is_for_that_part(tmp_path: Path) -> None:
    written(tmp_path, {"docker/__init__.py": ""})
    assert _found(tmp_path, "docker/Dockerfile", "images/web/Dockerfile") == ["images/web/Dockerfile", "docker/Dockerfile"]


def test_the_project_itself_may_be_a_package(tmp_path: Path) -> None:
    written(tmp_path, {"__init__.py": ""})
    assert _found(tmp_path, "docker/Dockerfile", "Dockerfile") == ["Dockerfile", "docker/Dockerfile"]


def test_looks_above_the_project_only_inside_its_repository(tmp_path: Path) -> None:
    text = "FROM python\nCOPY backend/ /app\n"
    files = ("docker/backend/Dockerfile", "backend/main.py")
    assert _found(tmp_path, *files, project="backend", text=text) == []
    (tmp_path / ".git").mkdir()
    assert _found(tmp_path, *files, project="backend", text=text) == ["../docker/backend/Dockerfile"]


def test_ignores_one_that_is_about_another_part_of_the_repository(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    written(tmp_path, {"backend/main.py": "", "frontend/x": "", "Dockerfile": "FROM python\nCOPY frontend /app\n"})
    assert find_dockerfiles(tmp_path / "backend", UserFiles()) == ()
    (tmp_path / "Dockerfile").write_text("FROM python\nCOPY . /app\n")
    assert find_dockerfiles(tmp_path / "backend", UserFiles()) == ()
    (tmp_path / "Dockerfile").write_text("FROM python\nCOPY . /app\nWORKDIR /app/backend\n")
    (found,) = find_dockerfiles(tmp_path / "backend", UserFiles())
    assert (found.files.home, found.files.context) == ("/app/backend", tmp_path)


def test_finds_the_build_context(tmp_path: Path) -> None:
    written(tmp_path, {"app/main.py": "", "requirements.txt": "", "docker/entry.sh": ""})
    for text, context in (("COPY app /app\nCOPY requirements.txt /", tmp_path), ("COPY entry.sh /\n", tmp_path / "docker")):
        written(tmp_path, {"docker/Dockerfile": f"FROM python\n{text}\n"})
        assert [found.files.context for found in find_dockerfiles(tmp_path, UserFiles())] == [context]


def test_skips_a_stage_for_development(tmp_path: Path) -> None:
    text = "FROM python AS production\nCOPY . /app\nCMD a\nFROM production AS development\nCMD b\n"
    written(tmp_path, {"app.py": "", "Dockerfile": text})
    (found,) = find_dockerfiles(tmp_path, UserFiles())
    assert found.stage.command == "a"


def test_a_stage_on_python_may_have_node_beside_it(tmp_path: Path) -> None:
    text = "FROM python AS build-stage\nRUN pip wheel .\nFROM python AS python-node-run-stage\nCOPY . /app\nCMD a\n"
    written(tmp_path, {"app.py": "", "Dockerfile": text})
    assert [found.stage.command for found in find_dockerfiles(tmp_path, UserFiles())] == ["a"]


@pytest.mark.parametrize("folder", ["", "docker/"])
def test_the_dockerfile_for_production_comes_before_the_plain_one_that_developers_build(tmp_path: Path, folder: str) -> None:
    text = "FROM python\nCOPY . /app\nCMD a\n"
    files = {"app.py": "", f"{folder}Dockerfile": text, f"{folder}Dockerfile.prod": text, f"{folder}Dockerfile.api": text}
    root = written(tmp_path, files)
    builds = [Build(root / folder / "Dockerfile", root, for_production=False)]
    assert find_dockerfiles(root, UserFiles(), builds)[0].name == f"{folder}Dockerfile.prod"


@pytest.mark.parametrize("other", ["Dockerfile.worker.prod", "docker/etl/Dockerfile.prod", "docker/prod/etl.Dockerfile"])
def test_another_programs_dockerfile_for_production_comes_behind_the_one_that_is_named(tmp_path: Path, other: str) -> None:
    text = "FROM python\nCOPY . /app\nCMD a\n"
    root = written(tmp_path, {"app.py": "", "Dockerfile": text, other: text})
    builds = [Build(root / "Dockerfile", root, for_production=False)]
    assert [found.name for found in find_dockerfiles(root, UserFiles(), builds)] == ["Dockerfile", other]


def test_a_proxy_for_production_does_not_stand_for_the_app(tmp_path: Path) -> None:
    files = {"app.py": "", "static/a.css": "", "Dockerfile": "FROM python\nCOPY . /app\nCMD a\n"}
    files["Dockerfile.prod"] = "FROM nginx\nCOPY static /usr/share/nginx/html\n"
    root = written(tmp_path, files)
    assert [found.name for found in find_dockerfiles(root, UserFiles())] == ["Dockerfile", "Dockerfile.prod"]


@pytest.mark.parametrize(("compose", "first"), [("compose.yaml", "Dockerfile.prod"), ("compose.prod.yaml", "Dockerfile")])
def test_what_a_compose_file_for_production_names_counts(tmp_path: Path, compose: str, first: str) -> None:
    text = "FROM python\nCOPY . /app\nCMD a\n"
    files = {"app.py": "", "Dockerfile": text, "Dockerfile.prod": text, compose: "services: {web: {build: ., ports: [80]}}"}
    dockerfile = read_deployment(written(tmp_path, files), UserFiles()).dockerfile
    assert dockerfile is not None
    assert dockerfile.name == first


def test_the_service_that_developers_build_names_the_companions_of_production_too(tmp_path: Path) -> None:
    text = "FROM python\nCOPY . /app\nCMD a\n"
    compose = "services: {web: {build: ., ports: [80]}, db: {image: postgres}}"
    written(tmp_path, {"app.py": "", "Dockerfile": text, "Dockerfile.prod": text, "compose.yaml": compose})
    deployment = read_deployment(tmp_path, UserFiles())
    assert deployment.dockerfile is not None
    assert (deployment.dockerfile.name, deployment.companions) == ("Dockerfile.prod", ("db (postgres)",))


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("docker/shop/prod/Dockerfile", 1),
        ("infrastructure/docker/Dockerfile.api", 1),
        (".devcontainer/Dockerfile", 0),
        ("docker/devcontainer/Dockerfile", 0),
    ],
)
def test_looks_into_the_folders_of_deployments(tmp_path: Path, name: str, found: int) -> None:
    written(tmp_path, {"app.py": "", name: "FROM python\nCOPY . /app\nCMD a\n"})
    assert len(find_dockerfiles(tmp_path, UserFiles())) == found


def test_a_source_above_the_context_is_one_inside_it(tmp_path: Path) -> None:
    text = "FROM python\nWORKDIR /app\nCOPY ../../app.py .\nCOPY ../.. .\nCMD a\n"
    written(tmp_path, {"app.py": "", "docker/api/Dockerfile": text})
    (found,) = find_dockerfiles(tmp_path, UserFiles(), [Build(tmp_path / "docker/api/Dockerfile", tmp_path)])
    assert (found.files.project_path("/app"), found.files.project_path("/app/app.py")) == (".", "app.py")


def test_finds_out_where_an_unknown_base_image_starts(tmp_path: Path) -> None:
    text = 'FROM shop/base\nCOPY container/ ./\nCOPY --from=shop/built /usr/local/shop/pkg ./pkg\nENTRYPOINT ["/usr/local/shop/entry.sh"]\n'
    written(tmp_path, {"container/Dockerfile": text, "container/entry.sh": "exec serve\n", "pkg/__init__.py": ""})
    (found,) = find_dockerfiles(tmp_path, UserFiles())
    assert (found.stage.workdir, found.files.home) == ("/usr/local/shop", "/usr/local/shop")
    assert found.files.read_script("/usr/local/shop/entry.sh") is not None
    assert found.files.project_path("/usr/local/shop") == "."


BUILD = "docker build -t ground:v2 -f docker/base.Dockerfile ."
BASE = "FROM python:3.12\nENV MODE=fast\nWORKDIR /srv\nCOPY requirements.txt /tmp/\nRUN pip install -r /tmp/requirements.txt\nCMD serve\n"


@pytest.mark.parametrize(
    ("image", "more"),
    [
        ("acme/shop-base:1.2", {}),
        ("shop:base", {}),
        ("team/ground", {"compose.yaml": "services: {b: {build: {context: ., dockerfile: docker/base.Dockerfile}, image: team/ground}}\n"}),
        (
            "ground:v2",
            {".gitlab-ci.yml": "build: {script: [docker build -t ground:v2 -f docker/base.Dockerfile .]}\n", "docker/Dockerfile": COPIES},
        ),
    ],
)
def test_follows_an_image_that_another_dockerfile_makes(tmp_path: Path, image: str, more: dict[str, str]) -> None:
    files = {
        "requirements.txt": "flask\n",
        "app.py": "",
        "docker/base.Dockerfile": BASE,
        "Dockerfile": f"FROM {image}\nCOPY . .\nEXPOSE 80\n",
    }
    deployment = read_deployment(written(tmp_path / "shop", {".git/HEAD": "", **files, **more}), UserFiles())
    assert deployment.dockerfile is not None
    stage = deployment.dockerfile.stage
    assert (stage.image, stage.workdir, dict(stage.variables), stage.command) == ("python:3.12", "/srv", {"MODE": "fast"}, "serve")
    assert deployment.installs.requirements == ("requirements.txt",)
    assert (deployment.installs.python, deployment.installs.python_place) == ("3.12", "FROM in Dockerfile, line 1")
    assert [process.place for process in deployment.processes if process.name == "web"] == ["docker/base.Dockerfile, line 6"]


def test_an_image_of_others_or_of_itself_is_not_followed(tmp_path: Path) -> None:
    texts = {"Dockerfile": "FROM shop-base\n", "Dockerfile.base": "FROM shop\nCOPY . /x\n"}
    root = written(tmp_path / "shop", {"app.py": "", **texts})
    assert [found.stage.image for found in find_dockerfiles(root, UserFiles())][:1] == ["shop"]
    root = written(tmp_path / "other", {"app.py": "", "Dockerfile": "FROM nvidia/cuda:base\nCOPY . /y\n", "base.Dockerfile": BASE})
    assert find_dockerfiles(root, UserFiles())[0].stage.image == "nvidia/cuda:base"


def test_the_files_of_an_image_are_those_of_its_own_context(tmp_path: Path) -> None:
    base = 'FROM python\nCOPY start.sh /start.sh\nENTRYPOINT ["/start.sh"]\n'
    files = {"app.py": "", "docker/base/Dockerfile": base, "docker/base/start.sh": "#!/bin/sh\nserve\n"}
    compose = "services: {base: {build: docker/base, image: acme/base}, web: {build: .}}\n"
    root = written(tmp_path / "shop", {**files, "compose.yaml": compose, "Dockerfile": "FROM acme/base\nCOPY . /srv\n"})
    deployment = read_deployment(root, UserFiles())
    assert deployment.dockerfile is not None
    assert deployment.dockerfile.files.project_path("/start.sh") == "docker/base/start.sh"
    (process,) = (process for process in deployment.processes if process.name == "web")
    assert [command.words for command in process.commands({})] == [("serve",)]
