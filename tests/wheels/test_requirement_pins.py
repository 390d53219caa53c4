"""The pins of build requirements: of which wheels they have hashes, and for which requirements they count."""

import pytest

from shipwheel.wheels.requirement_pins import merged_pins, pins_of, usable_pins

A, B, C = ("ab" * 32, "cd" * 32, "ef" * 32)
PINS = (f"cython==0.29.24 --hash=sha256:{A}", f"numpy==1.23.5 --hash=sha256:{B}")


def listed(version: str, *hashes: str) -> str:
    wheels = ", ".join(f'{{ url = "https://files.invalid/x.whl", hashes = {{ sha256 = "{each}" }} }}' for each in hashes)
    return f'[[packages]]\nname = "NumPy"\nversion = "{version}"\nwheels = [{wheels}]\n'


def test_pins_have_the_wheels_of_both_kinds_of_machines() -> None:
    assert pins_of(listed("1.0", A), listed("1.0", B), listed("2.0", C)) == (f"numpy==1.0 --hash=sha256:{A} --hash=sha256:{B}",)


@pytest.mark.parametrize("hashes", [("no hash",), (A, "no hash"), ()])
def test_what_has_a_wheel_without_a_hash_gets_no_pin(hashes: tuple[str, ...]) -> None:
    assert pins_of(listed("1.0", *hashes), listed("1.0", B)) == ()


@pytest.mark.parametrize(
    ("requirements", "constraints", "usable"),
    [
        (["Cython>=0.29,<3", "numpy"], [], True),
        (["cython"], ["setuptools<66", "numpy<2"], True),
        (["cython", 'oldest-numpy; python_version < "3"'], [], True),
        (["cython>=3"], [], False),
        (["cython", "wheel"], [], False),
        (["cython"], ["numpy<1.20"], False),
        (["cython @ https://files.invalid/cython.whl"], [], False),
    ],
)
def test_pins_count_if_they_have_what_is_required(requirements: list[str], constraints: list[str], usable: bool) -> None:
    assert usable_pins(PINS, requirements, constraints) == (PINS if usable else ())


def test_the_later_of_two_installations_decides() -> None:
    newer = f"numpy==2.0 --hash=sha256:{C}"
    assert merged_pins(PINS, (newer,)) == (PINS[0], newer)
