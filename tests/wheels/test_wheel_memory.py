"""A wheel is read in pieces, however large its files are: counted in bytes for each read and for each batch of modules."""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from shipwheel.container.venv import Paths
from shipwheel.files.compress import Deflated, deflated
from shipwheel.files.file_part import OpenFile
from shipwheel.files.segment import make_segment
from shipwheel.store.store import Store
from shipwheel.testing.wheels import SmallWheel
from shipwheel.wheels import wheel as wheel_module
from shipwheel.wheels.wheel import WheelSource

PATHS = Paths("3.11")
MANY = 5 << 20
AT_ONCE = 1 << 20


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the sizes that are asked for, which are added while wheels are read."""
    sizes: list[int] = []
    read = OpenFile.read

    def counted(self: OpenFile, start: int, size: int) -> bytes:
        sizes.append(size)
        return read(self, start, size)

    monkeypatch.setattr(OpenFile, "read", counted)
    return sizes


@pytest.mark.parametrize("spliced", [True, False])
@pytest.mark.parametrize("stored", [True, False])
def test_large_files_are_read_in_pieces(
    spliced: bool, stored: bool, store: Store, reads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shipwheel.files.compress.MAX_WHOLE", AT_ONCE)
    wheel = SmallWheel(files={"small/data.bin": random.Random(1).randbytes(MANY)}, stored=stored)
    source = WheelSource("small 1.0", wheel.filename, store.add(wheel.content()), store, PATHS, None, spliced)
    assert make_segment(source, store).unpacked_size > MANY
    assert sum(reads) > MANY
    assert max(reads) <= AT_ONCE


class CountingCompiler:
    """A compiler that counts the bytes that it is given at once."""

    identity = "counting"

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def compile(self, sources: Sequence[tuple[str, bytes]]) -> list[Deflated | None]:
        self.sizes.append(sum(len(source) for _, source in sources))
        return [deflated(path.encode()) for path, _ in sources]


def test_modules_are_compiled_some_at_a_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = SmallWheel(files={f"small/m{number:02}.py": f"{'x' * 90}\n" for number in range(40)})

    def made(limit: int) -> tuple[str, CountingCompiler]:
        monkeypatch.setattr(wheel_module, "_MAX_SOURCE_BYTES", limit)
        compiler = CountingCompiler()
        source = WheelSource("small 1.0", wheel.filename, store.add(wheel.content()), store, PATHS, compiler)
        return make_segment(source, store).digest, compiler

    (whole, at_once), (pieces, batched) = made(1 << 20), made(200)
    assert whole == pieces
    assert len(at_once.sizes) == 1
    assert sum(batched.sizes) == at_once.sizes[0]
    assert max(batched.sizes) < 300
