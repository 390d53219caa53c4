import pytest


def near(one: float, other: float) -> bool:
    return one == pytest.approx(other)
