"""`shipwheel dev` with real engines: a saved file is answered, what is written belongs to the developer, and nothing is left behind."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.engines import PERSON, wait_until
from support.examples import Example
from support.run_target import RunTarget
from support.running import answer, start

URL = "http://127.0.0.1:8000/"
GREETING = "Hello from an image"

OWNERS = {"docker": 1000, "podman": 1001, "rootless": PERSON, "containerd": PERSON, "bwrap": os.getuid()}
"""Engine -> the owner of the directory: the first users of a machine, one that needs a large range, and the caller where it must be."""

each_engine = pytest.mark.parametrize("target", OWNERS, indirect=True)


@pytest.fixture
def owner(request: pytest.FixtureRequest) -> int:
    found: int = OWNERS[request.node.callspec.params["target"]]
    return found


@pytest.fixture
def project(target: RunTarget, fastapi: Example, owner: int) -> Iterator[Path]:
    """The example, in a directory of the owner."""
    folder = target.sandbox.folder("project")
    shutil.copytree(fastapi.archive.parent / "fastapi", folder, dirs_exist_ok=True)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, owner, owner)
    yield folder
    shutil.rmtree(folder)


def owners(folder: Path) -> set[int]:
    return {path.stat().st_uid for path in (folder, *folder.rglob("*"))}


def once(target: RunTarget, project: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-m", "shipwheel", "dev", str(project), "--engine", target.name, "--", *words]
    return target.sandbox.run(argv, check=False)


@each_engine
def test_a_saved_file_is_answered(target: RunTarget, project: Path, owner: int) -> None:
    run = start(target, str(project), command="dev")
    assert GREETING in run.wait_http(URL)
    wait_until(lambda: "answers at" in run.read("err"), "the address")
    main = project / "main.py"
    text = main.read_text()
    main.write_text(text.replace(GREETING, "Hello again"))
    wait_until(lambda: "Hello again" in answer(target, URL, run.folder / "status"), "the answer of the saved file")
    main.write_text("no Python")
    wait_until(lambda: "saving a file starts it again" in run.read("out"), "the error")
    assert "SyntaxError" in run.read("out")
    main.write_text(text)
    wait_until(lambda: GREETING in answer(target, URL, run.folder / "status"), "the answer after the error")
    run.signal_group("INT")
    assert run.status() == 0, run.read("err")
    assert target.left() == ""
    assert owners(project) == {owner}


@pytest.mark.parametrize("target", ["docker", "bwrap"], indirect=True)
def test_a_new_file_that_a_person_saves_starts_a_program_that_writes_files_again(target: RunTarget, project: Path) -> None:
    """The program's own file does not. Both are seen on this machine: of an engine, it needs what the first test shows of each.

    On a busy machine, the proxy of an engine answers for a program that has not begun to write.
    """
    main = project / "main.py"
    main.write_text("import pathlib\npathlib.Path('made.yaml').write_text('a: 1')\n" + main.read_text())
    run = start(target, str(project), command="dev")
    assert GREETING in run.wait_http(URL)
    wait_until(lambda: "answers at" in run.read("err"), "the address")
    (project / "own.yaml").write_text("a: 2")
    wait_until(lambda: "own.yaml saved: started again" in run.read("err"), "the restart")
    if target.name == "bwrap":
        assert not re.search(r"made\.yaml.* saved:", run.read("err"))
    run.signal_group("INT")
    assert run.status() == 0, run.read("err")
    assert target.left() == ""


@each_engine
def test_a_command_runs_once_as_the_developer(target: RunTarget, project: Path, owner: int) -> None:
    program = (
        "import getpass, os, fastapi; open('made', 'w'); os.makedirs('a/b'); print(getpass.getuser(), os.getcwd()); raise SystemExit(3)"
    )
    done = once(target, project, "python", "-c", program)
    assert (done.returncode, done.stdout) == (3, "developer /app\n"), done.stderr
    assert owners(project) == {owner}
    assert target.left() == ""
