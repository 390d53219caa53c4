"""A build through four mirrors of a real index server: quick, slow, stale and lying ones, each a small proxy before the server."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from support.mirrors import chosen

from shipwheel.testing.mirrors import KINDS, MirrorProxy, run_mirrors
from shipwheel.testing.wheels import SmallWheel
from shipwheel.testing.world import World

pytestmark = pytest.mark.online

COUNT = 12


@pytest.fixture
def mirrors(tmp_path: Path) -> Iterator[Mapping[str, MirrorProxy]]:
    folder = tmp_path / "wheels"
    folder.mkdir()
    for number in range(COUNT):
        name = f"small{number}"
        wheel = SmallWheel(name, files={f"{name}.py": "".join(map(hex, range(30_000 + number)))})
        (folder / wheel.filename).write_bytes(wheel.content())
    with run_mirrors(folder, tmp_path / "said") as made:
        yield made


def test_it_ends_right_through_all_of_them(world: World, mirrors: Mapping[str, MirrorProxy]) -> None:
    place = world.app("".join(f"small{number}\n" for number in range(COUNT)))
    ran = world.build(place, env=chosen(world, mirrors, *KINDS))
    assert ran.digest, ran.err
    lock = (place / "pylock.toml").read_text()
    for proxy in mirrors.values():
        host = proxy.simple.split("/")[2]
        assert host not in lock, "no mirror's address"
        assert len([line for line in ran.err.splitlines() if line.startswith("warning: ") and host in line]) <= 2, ran.err
    assert any("/packages/" in path for path in mirrors["fast"].paths)
    assert any("/packages/" in path for path in mirrors["corrupt"].paths), "the first one was asked first"
    other = world.root / "other"
    again = world.build(place, env={**chosen(world, mirrors, "fast", root=other), "SHIPWHEEL_CACHE": str(other)})
    assert again.digest == ran.digest
