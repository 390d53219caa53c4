"""Packages with files of the same path: the last one in the lock wins, in whichever layers they are."""

import random
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipwheel.container.venv import Paths
from shipwheel.digest import digest_of
from shipwheel.errors import ArchiveError
from shipwheel.files.segment import Segment
from shipwheel.oci.layout import read_layout
from shipwheel.pipeline.layering import BUCKETS, LARGE, SizedSource, _bucket, wheel_layers
from shipwheel.pipeline.winning_files import winning_files
from shipwheel.store.store import Store
from shipwheel.testing.registry import FakeRegistry
from shipwheel.testing.wheels import SmallWheel
from shipwheel.testing.world import MINOR, World
from shipwheel.wheels.wheel import WheelSource

TESTS = "tests/__init__.py"
SITE = f"opt/venv/lib/python{MINOR}/site-packages"
Packages = dict[str, tuple[bool, dict[str, int]]]
"""Name -> (is large, path -> CRC-32)."""

TREES = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.integers(0, 2), max_size=3)
PACKAGES = st.dictionaries(st.from_regex(r"[a-z]{1,4}", fullmatch=True), st.tuples(st.booleans(), TREES), min_size=1, max_size=12)


def segment(name: str, files: Mapping[str, int]) -> Segment:
    return Segment(name, name, digest_of(b""), 1, 1, dict(files), {}, {}, ())


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


def wheel_source(name: str, store: Store) -> WheelSource:
    return WheelSource(name, f"{name}-1-py3-none-any.whl", digest_of(name.encode()), store, Paths("3.11"))


@given(packages=PACKAGES, budget=st.integers(1, 20))
def test_the_last_package_in_the_lock_wins_in_any_layers(store: Store, packages: Packages, budget: int) -> None:
    locked = {name: wheel_source(name, store) for name in sorted(packages)}
    sized = [SizedSource(name, LARGE if packages[name][0] else 1, source) for name, source in locked.items()]
    stacked = [source for layer in wheel_layers(sized, budget) for source in layer.sources]
    segments = {source.key: segment(name, packages[name][1]) for name, source in locked.items()}
    found = winning_files(tuple(locked.values()), [source.key for source in stacked], segments)
    on_top: dict[str, int] = {}
    for source in stacked:
        on_top |= segments[source.key].files
    for each in found:
        repeated = {path: segments[each.wheel.key].files[path] for path in each.paths}
        assert all(on_top[path] != crc for path, crc in repeated.items()), "only what another package covers is repeated"
        on_top |= repeated
    expected: dict[str, int] = {}
    for name in locked:
        expected |= packages[name][1]
    assert on_top == expected
    assert len({path for each in found for path in each.paths}) == sum(len(each.paths) for each in found)


def test_rejects_packages_that_no_directory_can_hold(store: Store) -> None:
    one, two = wheel_source("one", store), wheel_source("two", store)
    segments = {one.key: segment("one 1", {"x": 1}), two.key: segment("two 2", {"x/y": 1, "x/z": 1})}
    with pytest.raises(ArchiveError, match="one 1 has a file x, and two 2 has a directory there"):
        winning_files((one, two), [two.key, one.key], segments)


def two_of_one_layer() -> list[str]:
    """Return the names of two packages that share a layer, sorted."""
    return [name for number in range(100) if _bucket(name := f"p{number:04}", BUCKETS) == 0][:2]


def in_image(world: World, project: Path) -> list[bytes]:
    """The contents that tests/__init__.py has in the layers of the image, bottom first."""
    image = read_layout(world.output(project)).images().images[0]
    found = []
    for layer in image.layers:
        with tarfile.open(layer.path) as archive:  # type: ignore[union-attr]
            found += [archive.extractfile(member).read() for member in archive if member.name == f"{SITE}/{TESTS}"]  # type: ignore[union-attr]
    return found


def with_tests(name: str, text: str, size: int = 1) -> SmallWheel:
    filling = random.Random(name).randbytes(size).hex()
    return SmallWheel(name, files={f"{name}.py": f"X = {filling!r}\n", TESTS: text})


def test_two_packages_of_one_layer_may_have_the_same_file(world: World) -> None:
    first, second = two_of_one_layer()
    world.add(with_tests(first, "FIRST = 1\n"), with_tests(second, "SECOND = 2\n"))
    project = world.app(f"small\n{first}\n{second}\n")
    done = world.run("build", project, "--json", "-o", world.output(project), "--platform", "linux/amd64")
    assert done.code == 0, done.err
    assert in_image(world, project) == [b"SECOND = 2\n"]
    assert f"{first} 1.0 and {second} 1.0 both bring" in done.err and f"those of {second} 1.0 are in the image" in done.err
    assert world.run("validate", world.output(project)).code == 0


def test_equal_files_are_no_reason_for_a_warning(world: World) -> None:
    first, second = two_of_one_layer()
    world.add(with_tests(first, ""), with_tests(second, ""))
    project = world.app(f"small\n{first}\n{second}\n")
    done = world.build(project)
    assert done.code == 0, done.err
    assert "both bring" not in done.err


def test_a_large_package_that_comes_last_wins(world: World) -> None:
    world.add(with_tests("alpha", "ALPHA = 1\n"), with_tests("zeta", "ZETA = 1\n", LARGE))
    project = world.app("small\nalpha\nzeta\n")
    done = world.build(project)
    assert done.code == 0, done.err
    assert in_image(world, project)[-1] == b"ZETA = 1\n"
    assert "alpha 1.0 and zeta 1.0 both bring" in done.err and "those of zeta 1.0 are in the image" in done.err
    assert world.build(project).digest == done.digest


def test_a_large_package_that_comes_first_is_left_below(world: World) -> None:
    world.add(with_tests("alpha", "ALPHA = 1\n", LARGE), with_tests("zeta", "ZETA = 1\n"))
    project = world.app("small\nalpha\nzeta\n")
    done = world.build(project)
    assert done.code == 0, done.err
    assert in_image(world, project) == [b"ALPHA = 1\n", b"ZETA = 1\n"]
    assert not [layer for layer in done.document["images"][0]["layers"] if layer["name"] == "files of several packages"]


def test_an_empty_machine_fetches_nothing_for_files_of_several_packages(world: World) -> None:
    world.add(with_tests("alpha", "ALPHA = 1\n"), with_tests("zeta", "ZETA = 1\n", LARGE))
    project = world.app("small\nalpha\nzeta\n")
    with FakeRegistry() as registry:
        push = ("build", project, "--no-bytecode", "--json", "--push", "-t", f"{registry.host}/team/shop:1")
        first = world.run(*push)
        assert first.code == 0, first.err
        seen = len(world.index.requests)
        again = world.run(*push, env={"SHIPWHEEL_CACHE": str(world.root / "empty")})
        assert again.digest == first.digest
        assert not [request for request in world.index.requests[seen:] if request.path.endswith(".whl")]
        (project / "main.py").write_text("import small\n")
        edited = world.run(*push, env={"SHIPWHEEL_CACHE": str(world.root / "emptier")})
        assert edited.code == 0, edited.err
        assert not [request for request in world.index.requests[seen:] if request.path.endswith(".whl")]
        assert "those of zeta 1.0 are in the image" in edited.err
