"""Podman without rights: what containers write into a person's directories belongs to that person. test_dev.py has `dev`."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.engines import PERSON
from support.examples import Example
from support.run_target import RunTarget

SETTINGS = """
[tool.shipwheel]
volumes = ["/data"]
[tool.shipwheel.processes]
release = ["python", "-c", "import os; open('/data/released', 'w').write(open(os.environ['TOKEN_FILE']).read())"]
[tool.shipwheel.services.web]
secrets = ["TOKEN"]
ports = ["8768:8000"]
"""
READ = "import os; print(os.getuid(), open('/data/released').read())"
WRITE = "import os; open('/data/made', 'w'); os.mkdir('/data/folder')"


@pytest.fixture
def project(rootless: RunTarget, fastapi: Example) -> Iterator[Path]:
    """A project of the person."""
    folder = rootless.sandbox.folder("stack")
    shutil.copytree(fastapi.project, folder, dirs_exist_ok=True)
    with (folder / "pyproject.toml").open("a") as settings:
        settings.write(SETTINGS)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, PERSON, PERSON)
    yield folder
    shutil.rmtree(folder)


def test_a_stack_reads_its_secret_and_shares_its_volume(rootless: RunTarget, project: Path) -> None:
    up = rootless.shipwheel("up", str(project), "--engine", "podman", "--json", "-e", "TOKEN=secret")
    assert up.returncode == 0, up.stderr
    assert json.loads(up.stdout)["started"] == ["release", "web"]
    read = rootless.sandbox.run(["podman", "exec", "hello-web", "/opt/venv/bin/python", "-c", READ])
    assert read.stdout == "65532 secret\n"
    down = rootless.shipwheel("down", str(project), "--engine", "podman", "--volumes")
    assert (down.returncode, rootless.left()) == (0, ""), down.stderr


def test_what_a_container_writes_is_the_persons(rootless: RunTarget, project: Path) -> None:
    made = rootless.sandbox.folder("made")
    done = rootless.shipwheel("run", str(project), "--engine", "podman", "-v", f"{made}:/data", "--", "python", "-c", WRITE)
    assert done.returncode == 0, done.stderr
    assert {path.name: path.stat().st_uid for path in made.iterdir()} == {"made": PERSON, "folder": PERSON}
