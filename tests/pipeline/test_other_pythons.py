"""The Python version of an image if nothing names one: the best for which the requirements resolve."""

from pathlib import Path

from shipwheel.testing.wheels import SmallWheel
from shipwheel.testing.world import MINOR, SUITE, World


def _app(world: World, requirements: str) -> Path:
    folder = world.app(requirements)
    (folder / "shipwheel.toml").write_text('command = ["python", "main.py"]\n')
    return folder


def test_falls_back_to_an_older_python(world: World) -> None:
    tag = f"cp{MINOR.replace('.', '')}"
    for machine in ("x86_64", "aarch64"):
        world.add(SmallWheel("old", "1.0", tag=f"{tag}-{tag}-manylinux_2_17_{machine}", purelib=False))
    folder = _app(world, "old==1.0\n")
    first = world.build(folder)
    assert first.code == 0, first.err
    assert f'python = "{MINOR}"' in (folder / "pylock.toml").read_text()
    assert MINOR == "3.13" or "warning: Python 3.11 is used, since 3.13 does not work: " in first.err
    # The lock that was built is current, so its Python is the first that is tried.
    second = world.build(folder)
    assert (second.digest, "is used" in second.err) == (first.digest, False)


def test_reports_requirements_that_no_python_has(world: World) -> None:
    world.add(SmallWheel("old", "1.0", tag="cp27-cp27m-manylinux_2_17_x86_64", purelib=False))
    ran = world.build(_app(world, "old==1.0\n"))
    assert ran.code == 4
    assert "hint: Python 3.11, 3.14, 3.9 failed too" in ran.err


def test_reports_at_once_what_no_python_changes(world: World) -> None:
    ran = world.build(_app(world, "nowhere\n"))
    assert (ran.code, "--python" in ran.err) == (4, False)
    assert "nowhere" in ran.err


def test_builds_with_a_python_that_no_suite_has(world: World) -> None:
    """Where no standalone build can be had: what is there instead depends on what the project allows."""
    folder = _app(world, "small\n")
    with (folder / "shipwheel.toml").open("a") as file:
        file.write(f'suite = "{SUITE.codename}"\n')
    (folder / "pyproject.toml").write_text('[project]\nname = "shop"\nversion = "1"\nrequires-python = "==3.12.*"\n')
    ran = world.build(folder)
    assert ran.code == 5
    assert "error: Python 3.12 is not available: no Debian suite has Python 3.12, and " in ran.err
    assert "hint: Alternatives: Debian's Python 3.13, if the project runs with it: let its requirement ==3.12.* allow that; a " in ran.err
    (folder / "pyproject.toml").write_text('[project]\nname = "shop"\nversion = "1"\nrequires-python = ">=3.11,<3.14"\n')
    ran = world.build(folder, "--python", "3.12")
    assert "hint: Alternatives: Debian's Python 3.13 or 3.11, which the project allows (--python 3.13); " in ran.err
