"""Where an editor finds the debugger of `shipwheel dev`."""

from types import SimpleNamespace

import pytest

from shipwheel.cli.dev_workbench import Workbench
from shipwheel.dev.container import DevProcess
from shipwheel.engine.interface import Port

PUBLISHED, OWN = Port(5678, 6000, address="127.0.0.1"), Port(5678, 5678, address="127.0.0.1")


@pytest.mark.parametrize(
    ("name", "publishes", "network", "expected"),
    [
        ("web", True, "", PUBLISHED),
        ("web", True, "host", OWN),
        ("web", False, "", OWN),
        ("web", True, "none", None),
        ("worker", True, "", None),
    ],
)
def test_an_editor_is_told_of_the_port_that_debugpy_has(name: str, publishes: bool, network: str, expected: Port | None) -> None:
    stated = {"engine": SimpleNamespace(publishes=publishes), "network": network, "debug_port": PUBLISHED}
    bench = Workbench(**(dict.fromkeys(Workbench.__struct_fields__) | stated))  # type: ignore[arg-type]
    assert bench.debugger(DevProcess(name, (), ("gunicorn",))) == expected
