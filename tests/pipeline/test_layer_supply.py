"""The supply of layers: the order in which they are made."""

from pathlib import Path

import pytest

from shipwheel.container.venv import Paths
from shipwheel.oci.layer import Layer, LayerSpec, make_layer
from shipwheel.pipeline import layer_processes
from shipwheel.pipeline.layer_processes import LayerProcesses
from shipwheel.pipeline.layer_supply import LayerSupply
from shipwheel.store.store import Store
from shipwheel.testing.wheels import SmallWheel
from shipwheel.wheels.wheel import WheelSource


def test_the_layer_with_most_to_do_begins_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "store")
    begun: list[str] = []

    def noted(spec: LayerSpec, store: Store) -> Layer:
        begun.append(spec.name)
        return make_layer(spec, store)

    monkeypatch.setattr(layer_processes, "make_layer", noted)
    specs = []
    for name, lines in (("middle", 200), ("small", 2), ("large", 20_000)):
        wheel = SmallWheel(name, files={f"{name}.txt": "".join(f"{number}\n" for number in range(lines))})
        specs.append(LayerSpec(name, (WheelSource(name, wheel.filename, store.add(wheel.content()), store, Paths("3.11")),)))
    # One thread, which makes one after the other.
    supply = LayerSupply((), None, None, None, store, lambda _: None, 0, LayerProcesses(store, None, 0))  # type: ignore[arg-type]
    announced: list[str] = []
    supply.announce_to(lambda layer: announced.append(layer.name))
    supply.make(specs)
    assert begun == ["large", "middle", "small"]
    assert sorted(announced) == sorted(begun)
    assert [layer.name for layer in supply.layers(specs)] == ["middle", "small", "large"]
