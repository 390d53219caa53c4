"""What a build asks the servers for: each file once when it is cold, nothing at all when nothing changed, nothing large for nothing."""

from collections import Counter
from pathlib import Path

import pytest
from support.sdist import sdist

from shipwheel.testing.package_index import Fault
from shipwheel.testing.wheels import SmallWheel
from shipwheel.testing.world import MINOR, SUITE, World, extension_wheel


@pytest.fixture
def world(empty_world: World) -> World:
    """What is fetched is the subject of these tests."""
    return empty_world


def asked(world: World) -> tuple[Counter[str], Counter[str]]:
    """What each server was asked for, and how often."""
    return Counter(request.path for request in world.index.requests), Counter(request.path for request in world.mirror.requests)


def test_each_file_once_and_then_nothing(world: World) -> None:
    world.index.add("sourced-1.0.tar.gz", sdist("sourced"))
    place = world.app("small\nnative\nsourced\n")
    digest = world.build(place, "--bytecode").digest
    index, mirror = asked(world)
    wheels = {path: count for path, count in index.items() if path.endswith(".whl")}
    packages = {path: count for path, count in mirror.items() if path.endswith(".deb")}
    assert (len(wheels), set(wheels.values())) == (4, {1})
    assert len(packages) >= 30 and set(packages.values()) == {1}
    assert sum("libfoo1" in path for path in packages) == 2, "found through Contents, for each architecture"
    lists = {path: count for path, count in mirror.items() if "/dists/" in path}
    assert set(lists.values()) == {1}, "releases are for all platforms"
    assert {path.rpartition("/")[2] for path in lists} >= {"InRelease"} and any(SUITE.codename in path for path in lists)
    # uv reads an sdist's metadata itself, and the build wants its bytes with the hash checked.
    assert index["/files/sourced-1.0.tar.gz"] <= 2

    before = asked(world)
    assert world.build(place, "--bytecode").digest == digest
    assert world.run("plan", place).code == 0
    assert asked(world) == before, "nobody is asked for anything"


def test_a_version_that_the_index_has_deleted_is_named_with_what_takes_its_place(world: World) -> None:
    place = world.app("small\n")
    assert world.run("lock", place).code == 0
    world.index.fault("/files/small-*", Fault(status=404))
    result = world.run("build", place)
    assert result.code == 5
    assert '[tool.shipwheel.replace] small = "small<1.0"' in result.err


def test_only_what_an_index_does_not_have_is_to_be_replaced(world: World) -> None:
    place = world.app("small\n")
    assert world.run("lock", place).code == 0
    world.index.fault("/files/small-*", Fault(status=404))
    world.index.fault("/files/tiny-*", Fault(status=403))
    result = world.run("build", place)
    assert result.code == 5 and "replace" not in result.err


def test_a_file_of_this_machine_is_none_that_an_index_has_deleted(world: World, tmp_path: Path) -> None:
    place = world.app("./own-1.0-py3-none-any.whl\n")
    wheel = place / "own-1.0-py3-none-any.whl"
    wheel.write_bytes(SmallWheel("own").content())
    world.build(place)
    wheel.unlink()
    result = world.run("build", place, "--frozen", env={"SHIPWHEEL_CACHE": str(tmp_path / "another")})
    assert result.code == 5 and "replace" not in result.err and "Put the file there" in result.err


def test_without_servers_nothing_is_missed(world: World) -> None:
    """A build whose store is warm does not even look for the servers; an edit of the app needs none either."""
    place = world.app("small\n")
    digest = world.build(place).digest
    nowhere = {"UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple/", "SHIPWHEEL_DEBIAN_MIRROR": "http://127.0.0.1:9/debian"}
    assert world.build(place, env=nowhere).digest == digest
    (place / "main.py").write_text("print('edited')\n")
    assert world.build(place, env=nowhere).digest != digest


def test_a_second_platform_and_a_second_app_fetch_what_is_theirs(world: World) -> None:
    world.build(world.app("small\nnative\n"), "--platform", "linux/amd64")
    before = asked(world)
    assert world.build(world.app("small\nnative\n"), "--platform", "linux/arm64").digest
    index, mirror = (after - first for after, first in zip(asked(world), before, strict=True))
    assert [path for path in index if path.endswith(".whl")] == [
        "/files/native-1.0-cp{0}-cp{0}-manylinux_2_17_aarch64.whl".format(MINOR.replace(".", ""))
    ]
    assert all("arm64" in path for path in mirror if path.endswith(".deb"))
    before = asked(world)
    assert world.build(world.app("tiny\n", "other")).digest
    index, mirror = (after - first for after, first in zip(asked(world), before, strict=True))
    assert not [path for path in (*index, *mirror) if path.endswith((".whl", ".deb"))]


@pytest.mark.parametrize("kind", ["machine", "python", "glibc", "system"])
def test_no_usable_file_is_said_before_anything_large_is_fetched(world: World, kind: str) -> None:
    """The project wants `native`, which is fine, and one that has nothing for arm64, this Python, this glibc, or Linux."""
    from msgspec.structs import replace

    wheel = extension_wheel("picky", "amd64")
    match kind:
        case "python":
            wheel = replace(wheel, tag="cp36-cp36m-manylinux_2_17_x86_64")
        case "glibc":
            wheel = replace(wheel, tag=wheel.tag.replace("2_17", "2_99"))
        case "system":
            wheel = replace(wheel, tag=wheel.tag.rpartition("-")[0] + "-win_amd64")
        case _:
            pass
    world.add(wheel)
    # Not a frozen list: it is wanted, so it is not left out.
    ran = world.build(world.app("native\npicky\n"))
    assert ran.code == 4, ran.err
    assert "picky" in ran.err and "requirements.txt" in ran.err and "hint: " in ran.err
    index, mirror = asked(world)
    assert not [path for path in (*index, *mirror) if path.endswith((".whl", ".deb"))]
    assert not list(world.root.glob("*.oci"))
