"""Why the package index of a build was not reached."""

from shipwheel.wheels.isolated_build import not_reached


def test_causes_that_lead_in_a_circle_end() -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert not_reached(first) is None
    assert not_reached(None) is None
