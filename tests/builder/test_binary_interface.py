"""What a compiled wheel needs at run time beyond what it states, by the headers that it was compiled with."""

import zipfile
from pathlib import Path

import pytest

from shipwheel.builder.binary_interface import run_time_bounds


def installed(site_packages: Path, name: str, version: str, *files: str) -> None:
    folder = site_packages / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (folder / "RECORD").write_text("".join(f"{file},,\n" for file in files))


def made(folder: Path, module: bytes) -> Path:
    wheel = folder / "made-1.0-cp311-cp311-linux_x86_64.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        requires = ("NumPy (>=1.17.3) ; python_version < '3.14'", "set.tools", "cffi>=1", "pycairo", "===")
        lines = "".join(f"Requires-Dist: {text}\n" for text in requires)
        archive.writestr("made-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: made\nVersion: 1.0\n{lines}")
        archive.writestr("made/module.so", module)
    return wheel


@pytest.mark.parametrize(("version", "bound"), [("1.23.5", "numpy<2"), ("2.1.0rc1", "numpy<3"), ("0.4", "numpy<1")])
def test_what_has_headers_keeps_its_major_version(tmp_path: Path, version: str, bound: str) -> None:
    environment = tmp_path / "site-packages"
    installed(environment, "numpy", version, "numpy/core/include/numpy/arrayobject.h")
    installed(environment, "set-tools", "65.0", "setuptools/__init__.py")
    installed(environment, "cffi", "1.17", "cffi/_cffi_include.h")  # part of what it generates
    installed(environment, "pybind11", "2.1", "pybind11/include/pybind11.h")  # not required by the wheel
    assert run_time_bounds(made(tmp_path, b"\x7fELF numpy.core.multiarray cffi pybind11"), environment) == (bound,)


@pytest.mark.parametrize(
    ("module", "bounds"), [(b"import numpy", ()), (b"\x7fELF PyInit_made", ()), (b"\x7fELF PyInit_made cairo.CAPI", ("pycairo<2",))]
)
def test_only_a_library_that_looks_for_a_package_is_bound_to_it(tmp_path: Path, module: bytes, bounds: tuple[str, ...]) -> None:
    """A setup.py may import numpy for nothing that is compiled."""
    environment = tmp_path / "site-packages"
    installed(environment, "numpy", "1.23.5", "numpy/core/include/numpy/arrayobject.h")
    installed(environment, "pycairo", "1.20", "cairo/include/pycairo.h")
    assert run_time_bounds(made(tmp_path, module), environment) == bounds
