"""Whole builds through four package indexes: quick, slow, stale and lying. They end right, and say what happened."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.mirrors import chosen

from shipwheel.testing.package_index import Fault, PackageIndex
from shipwheel.testing.wheels import SmallWheel
from shipwheel.testing.world import World

COUNT = 8


@pytest.fixture
def four() -> Iterator[dict[str, PackageIndex]]:
    with ExitStack() as stack:
        servers = {name: stack.enter_context(PackageIndex()) for name in ("lying", "slow", "stale", "quick")}
        for number in range(COUNT):
            wheel = SmallWheel(
                "small" if number == 0 else f"small{number}",
                files={f"small{number or ''}.py": "VALUE = 1\n# " + "".join(map(hex, range(30_000 + number)))},
            )
            paths = [server.add(wheel.filename, wheel.content(), shared=True) for server in servers.values()]
            kinds = (Fault(data=wheel.content()[::-1]), Fault(cut=3000), Fault(status=500), Fault(stall=10))
            servers["lying"].fault(paths[0], kinds[number % len(kinds)])
            servers["slow"].fault(paths[0], Fault(rate=15_000))
            if number % 2:
                servers["stale"].fault(paths[0], Fault(status=404))
        yield servers


def app(world: World) -> Path:
    return world.app("".join(f"small{number or ''}\n" for number in range(COUNT)))


def test_the_same_image_whoever_gives_the_files(world: World, four: dict[str, PackageIndex]) -> None:
    place = app(world)
    env = chosen(world, four, "lying", "slow", "stale", "quick")
    ran = world.build(place, env=env)
    digest = ran.digest
    assert "127.0.0.1:9/" in (place / "pylock.toml").read_text()
    assert not [server.url for server in four.values() if server.url in (place / "pylock.toml").read_text()], "no mirror's address"
    # Which of its faults is seen depends on how quickly the next server answers.
    counts = {name: sum(server.url in line for line in ran.err.splitlines()) for name, server in four.items()}
    assert counts["lying"] == 1
    assert counts["stale"] <= 1
    # Another machine, another mirror, the same lock.
    other = world.root / "other"
    again = world.build(place, env={**chosen(world, four, "quick", root=other), "SHIPWHEEL_CACHE": str(other)})
    assert again.digest == digest


def test_a_chosen_mirror_that_is_gone(world: World, four: dict[str, PackageIndex]) -> None:
    gone = PackageIndex().start()
    gone.refuse()
    place = app(world)
    ran = world.build(place, env=chosen(world, {**four, "gone": gone}, "gone", "quick"))
    gone.close()
    assert ran.digest
    assert f"the chosen mirror {gone.url.removeprefix('http://')} failed, using the next one" in ran.err


def test_what_uv_is_told_of_comes_before_the_choice(world: World, four: dict[str, PackageIndex]) -> None:
    place = app(world)
    env = {**chosen(world, four, "lying"), "UV_DEFAULT_INDEX": four["quick"].simple}
    assert world.build(place, env=env).digest
    assert not four["lying"].requests
