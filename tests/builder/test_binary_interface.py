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


@pytest.mark.parametrize(("version", "bound"), [("1.23.5", "numpy<2"), ("2.1.0rc1", "numpy<3"), ("0.4", "numpy<1")])
def test_what_has_headers_keeps_its_major_version(tmp_path: Path, version: str, bound: str) -> None:
    wheel, environment = tmp_path / "made-1.0-py3-none-any.whl", tmp_path / "site-packages"
    with zipfile.ZipFile(wheel, "w") as archive:
        requires = ("NumPy (>=1.17.3) ; python_version < '3.14'", "set.tools", "cffi>=1", "===")
        lines = "".join(f"Requires-Dist: {text}\n" for text in requires)
        archive.writestr("made-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: made\nVersion: 1.0\n{lines}")
    installed(environment, "numpy", version, "numpy/core/include/numpy/arrayobject.h")
    installed(environment, "set-tools", "65.0", "setuptools/__init__.py")
    installed(environment, "cffi", "1.17", "cffi/_cffi_include.h")  # part of what it generates
    installed(environment, "pybind11", "2.1", "pybind11/include/pybind11.h")  # not required by the wheel
    assert run_time_bounds(wheel, environment) == (bound,)
