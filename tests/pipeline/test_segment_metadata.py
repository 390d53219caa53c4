"""What other machines say of layers is believed as facts, and never taken for bytes."""

from pathlib import Path

import msgspec
import pytest

from shipwheel.errors import ImageError
from shipwheel.files.compress import member
from shipwheel.files.entry import file
from shipwheel.files.segment import find_segment, load_segment_metadata, make_segment
from shipwheel.oci.layer import LayerSpec, make_layer
from shipwheel.pipeline.segment_metadata import pack, pack_builds, unpack, unpack_builds
from shipwheel.store.store import Store
from shipwheel.testing.images import EntriesSource
from shipwheel.wheels.built_wheels import BuiltWheel, find_built_wheel

ONE = EntriesSource((file("opt/one", "1"),), "one")
TWO = EntriesSource((file("opt/two", "2"),), "two")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_a_record_goes_round(tmp_path: Path, store: Store) -> None:
    there = Store(tmp_path / "there")
    packed = pack(make_layer(LayerSpec("both", (ONE, TWO)), there), there)
    assert packed is not None
    unpack(packed, [ONE.key, TWO.key], store)
    assert load_segment_metadata(ONE.key, store) == load_segment_metadata(ONE.key, there)
    assert find_segment(ONE.key, store) is None


def test_what_is_told_never_stands_for_bytes_of_this_store(store: Store) -> None:
    """Else who writes records could put one package in the place of another."""
    other = make_segment(TWO, store)
    unpack(bytes(member(msgspec.json.encode([msgspec.structs.replace(other, key=ONE.key)]))), [ONE.key], store)
    assert load_segment_metadata(ONE.key, store) is not None and find_segment(ONE.key, store) is None
    layer = make_layer(LayerSpec("one", (ONE,)), store)
    assert other.digest not in layer.parts
    mine = load_segment_metadata(ONE.key, store)
    assert mine is not None and set(mine.files) == {"opt/one"}, "what was made here counts"


def test_what_was_made_here_is_not_replaced(store: Store) -> None:
    mine = make_segment(ONE, store)
    lie = msgspec.structs.replace(mine, files={}, digest="sha256:" + "0" * 64)
    unpack(bytes(member(msgspec.json.encode([lie]))), [ONE.key], store)
    assert load_segment_metadata(ONE.key, store) == find_segment(ONE.key, store) == mine


@pytest.mark.parametrize(
    "data", [b"", b"x" * 100, bytes(member(b"{}")), bytes(member(b"[" * 100_000)), bytes(member(b"[]")), bytes(member(b"[7]"))[:-9]]
)
def test_damaged_records(store: Store, data: bytes) -> None:
    with pytest.raises(ImageError, match=r"the metadata of an image is damaged|the metadata of a layer describes another layer"):
        unpack(data, [ONE.key], store)


def test_a_record_that_unpacks_to_too_much(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shipwheel.pipeline.segment_metadata._MAX_RECORD", 1 << 16)
    with pytest.raises(ImageError, match="more than 0 MiB"):
        unpack(bytes(member(bytes(1 << 20))), [ONE.key], store)


def test_what_came_out_of_a_build_elsewhere_never_stands_for_bytes_of_this_store(store: Store) -> None:
    digest = store.add(b"another wheel")
    wheel = BuiltWheel("thing-1-py3-none-any.whl", digest, 13, "a" * 64)
    assert unpack_builds(pack_builds([wheel]), store)
    assert find_built_wheel(wheel.key, store, need_bytes=False) == wheel
    assert find_built_wheel(wheel.key, store, need_bytes=True) is None


@pytest.mark.parametrize("bound", ["numpy<2\n--index-url=https://elsewhere.example", "numpy @ https://elsewhere.example/numpy.whl"])
def test_a_constraint_that_was_forged_is_none(store: Store, bound: str) -> None:
    wheel = BuiltWheel("thing-1-cp313-cp313-linux_x86_64.whl", store.add(b"wheel"), 5, "a" * 64, bounds=(bound,))
    with pytest.raises(ImageError, match="damaged"):
        unpack_builds(pack_builds([wheel]), store)
    assert find_built_wheel(wheel.key, store, need_bytes=False) is None
