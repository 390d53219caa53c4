"""A requirements.txt that was frozen on Windows: what only Windows has is left out and said, what merely is for Windows too stays."""

from pathlib import Path

import pytest
from msgspec.structs import replace
from support.sdist import sdist

from shipwheel.testing.wheels import Member, SmallWheel
from shipwheel.testing.world import MINOR, World

FROZEN = """\
colorama==0.4.6
native==1.0
pyreadline3==3.4.1
pywin32==306
pywinpty==2.0.13
small==1.0
tiny==1.0
"""


@pytest.fixture
def frozen(world: World) -> Path:
    """The shapes that these have: wheels for Windows alone; wheels for Windows and an sdist that compiles; a wheel for any system."""
    python = f"cp{MINOR.replace('.', '')}"
    world.add(*(SmallWheel("pywin32", "306", tag=f"{python}-{python}-{system}", purelib=False) for system in ("win32", "win_amd64")))
    world.add(SmallWheel("pywinpty", "2.0.13", tag=f"{python}-none-win_amd64", purelib=False))
    world.index.add("pywinpty-2.0.13.tar.gz", sdist("pywinpty", "2.0.13"))
    world.add(SmallWheel("colorama", "0.4.6", files={"colorama/__init__.py": ""}))
    world.add(SmallWheel("pyreadline3", "3.4.1", files={"readline3.py": ""}))
    return world.app(FROZEN)


def test_the_plan_says_what_is_left_out_and_why(world: World, frozen: Path) -> None:
    found = world.run("plan", frozen, "--json").document
    for platform in found["platforms"]:
        gone = {item["name"]: item for item in platform["left_out"]}
        assert set(gone) == {"pywin32", "pywinpty"}
        assert all("Windows" in item["reason"] for item in gone.values())
        assert "requirements.txt, line 4" in gone["pywin32"]["wanted_by"]
        assert {item["name"] for item in platform["distributions"]} == {"colorama", "native", "pyreadline3", "small", "tiny"}
    text = world.run("plan", frozen).out
    lines = [line for line in text.splitlines() if "left out" in line]
    assert len(lines) == 4, text
    assert any("pywinpty 2.0.13" in line and "Windows" in line and "requirements.txt, line 5" in line for line in lines)


def test_wheels_for_other_pythons_tell_what_a_source_is_for(world: World, frozen: Path) -> None:
    """pywinpty 1.1 has no wheel for this Python, and its source compiles; what has wheels of other systems and is needed is built."""
    world.add(SmallWheel("pywinpty", "1.1", tag="cp38-cp38-win_amd64", purelib=False))
    world.add(SmallWheel("wanted", "1.0", tag="cp38-cp38-win_amd64", purelib=False), SmallWheel("needy", requires=["wanted"]))
    world.index.add("pywinpty-1.1.tar.gz", sdist("pywinpty", "1.1"))
    world.index.add("wanted-1.0.tar.gz", sdist("wanted", "1.0"))
    (frozen / "requirements.txt").write_text(FROZEN.replace("2.0.13", "1.1").replace("pywin32==306\n", "") + "wanted==1.0\nneedy==1.0\n")
    for _ in range(2):
        ran = world.run("plan", frozen, "--json")
        assert ran.code == 0, ran.err
        found = ran.document
        for platform in found["platforms"]:
            gone = {item["name"]: item["reason"] for item in platform["left_out"]}
            assert set(gone) == {"pywinpty"}
            assert "Windows" in gone["pywinpty"]
            assert {item["name"]: item["kind"] for item in platform["distributions"]}["wanted"] == "sdist"
    assert world.build(frozen).code == 0


def test_it_builds(world: World, frozen: Path) -> None:
    ran = world.build(frozen)
    assert ran.digest
    for image in ran.document["images"]:
        assert {item["name"] for item in image["left-out"]} == {"pywin32", "pywinpty"}
        assert {"colorama", "pyreadline3"} <= set(image["distributions"])
    assert not any("pywin" in request.path and request.path.endswith((".whl", ".tar.gz")) for request in world.index.requests)


def test_what_something_needs_is_not_left_out(world: World, frozen: Path) -> None:
    world.add(SmallWheel("needy", requires=["pywin32"]))
    (frozen / "requirements.txt").write_text(FROZEN + "needy==1.0\n")
    ran = world.build(frozen)
    assert ran.code == 4, ran.err
    assert "pywin32" in ran.err and "needy" in ran.err


_COMPILED = (5, "which compiling needs")


@pytest.mark.parametrize(
    ("requirement", "system", "expected"),
    [
        ("serious", "Microsoft", _COMPILED),
        ("serious==1.0", "Unix", _COMPILED),
        ("serious==1.0", "Microsoft", (0, "left out  serious 1.0: its files are for Windows only")),
    ],
)
def test_a_source_is_compiled_unless_a_frozen_list_may_have_it_for_windows(
    world: World, requirement: str, system: str, expected: tuple[int, str]
) -> None:
    """psycopg2 and mysqlclient have wheels for Windows alone, and a source that everyone else compiles."""
    code, words = expected
    python = f"cp{MINOR.replace('.', '')}"
    metadata = f"Metadata-Version: 2.1\nName: serious\nVersion: 1.0\nClassifier: Operating System :: {system}\n"
    wheel = SmallWheel("serious", tag=f"{python}-{python}-win_amd64", purelib=False, omitted=frozenset({"METADATA"}))
    member = Member("serious-1.0.dist-info/METADATA", metadata.encode())
    world.add(replace(wheel, extra=[member]))
    world.index.add("serious-1.0.tar.gz", sdist("serious", build="import subprocess; subprocess.run(['cc'], check=True)"))
    planned = world.run("plan", world.app(f"small==1.0\n{requirement}\n"), "--platform", "linux/amd64")
    assert (planned.code, words in planned.err + planned.out) == (code, True), planned.err
