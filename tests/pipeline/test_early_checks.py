"""Layers are checked while others are made, and validation takes over what was found."""

import json
from pathlib import Path

import pytest

from shipwheel.files.entry import file
from shipwheel.oci.layer import Layer, LayerSpec, make_layer
from shipwheel.oci.validate import check
from shipwheel.pipeline.early_checks import EarlyChecks
from shipwheel.store.store import Store
from shipwheel.testing.images import EntriesSource
from shipwheel.testing.wheels import SmallWheel
from shipwheel.testing.world import World

FACTS = "records/layer-facts/*/*"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def made(store: Store) -> Layer:
    return make_layer(LayerSpec("layer", (EntriesSource((file("a.txt", "hello"),), "a"),)), store)


def test_validation_finds_what_an_early_check_found(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = made(store)
    with EarlyChecks(store) as checks:
        checks.add(layer)
    facts = [path.read_bytes() for path in store.root.glob(FACTS)]
    assert len(facts) == 1
    assert layer.diff_id.encode() in facts[0]
    monkeypatch.setattr(check, "check_layer", None)
    with EarlyChecks(store) as checks:
        checks.add(layer)
    assert [path.read_bytes() for path in store.root.glob(FACTS)] == facts


def test_a_damaged_layer_is_left_to_validation(store: Store) -> None:
    layer = made(store)
    store.path(layer.parts[1]).write_bytes(b"damaged")
    with EarlyChecks(store) as checks:
        checks.add(layer)
    assert not list(store.root.glob(FACTS))


def test_a_build_checks_each_layer_once(world: World, tmp_path: Path) -> None:
    world.add(SmallWheel())
    timeline = tmp_path / "timeline.json"
    document = world.build(world.app("small==1.0"), "--timeline", timeline).document
    checked = [event["args"]["about"] for event in json.loads(timeline.read_bytes())["traceEvents"] if event["name"] == "validate layer"]
    layers = {layer["digest"][:19] for image in document["images"] for layer in image["layers"]}
    # Those of the base were checked when it was composed.
    assert checked
    assert len(checked) == len(set(checked))
    assert layers.issuperset(checked)
