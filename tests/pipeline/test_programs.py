"""An image that could not start what it is told to start is not delivered."""

import pytest
from support.digests import ANY

from shipwheel.errors import ProofError
from shipwheel.files.segment import Segment
from shipwheel.pipeline.programs import check_programs
from shipwheel.project.read import read_project
from shipwheel.testing.wheels import SmallWheel
from shipwheel.testing.world import MINOR, World


def test_a_command_that_nothing_brings(world: World) -> None:
    folder = world.app("small\n")
    (folder / "shipwheel.toml").write_text(f'python = "{MINOR}"\ncommand = ["serveit", "main:app"]\n')
    ran = world.build(folder)
    assert ran.code == 8
    assert "error: the image would not start: serveit is not in it" in ran.err
    assert not world.output(folder).exists()
    world.add(SmallWheel("serveit", files={"g.py": "", "serveit-1.0.dist-info/entry_points.txt": "[console_scripts]\nserveit = g:main\n"}))
    (folder / "requirements.txt").write_text("small\nserveit\n")
    assert world.build(folder).code == 0


def test_where_programs_are_looked_for(world: World) -> None:
    folder = world.app("small\n")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    for command, found in (
        ("./run.sh", True),
        ("/app/run.sh", True),
        ("run.sh", False),
        ("/bin/python9", False),
        (f"/bin/python{MINOR}", True),
        ("/data/tool", True),
    ):
        (folder / "shipwheel.toml").write_text(f'command = ["{command}"]\nvolumes = ["/data"]\npython = "{MINOR}"\n')
        assert world.build(folder).code == (0 if found else 8), command
    (folder / "shipwheel.toml").write_text(f'command = ["run.sh"]\npython = "{MINOR}"\n[env]\nPATH = "/app:/usr/bin"\n')
    assert world.build(folder).code == 0


def segment(*paths: str) -> Segment:
    return Segment("key", "label", ANY, 0, 0, dict.fromkeys(paths, 0), {}, {}, ())


def test_rejects_an_image_without_its_init(world: World) -> None:
    project = read_project(world.app("small\n"))
    command, init = segment("opt/venv/bin/python"), segment("usr/bin/tini")
    check_programs(project, "/usr/bin/tini", "/opt/venv/bin", [command, init])
    check_programs(project, "", "/opt/venv/bin", [command])
    with pytest.raises(ProofError, match="/usr/bin/tini is not in it"):
        check_programs(project, "/usr/bin/tini", "/opt/venv/bin", [command])
