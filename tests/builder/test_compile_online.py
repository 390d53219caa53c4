"""A small extension module, compiled with the real archive's compilers for both platforms: the header that it misses is found."""

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.command import TEST_CACHE
from support.programs import needs, needs_mirror

from shipwheel.builder.compile import SourceToCompile, compile_wheel
from shipwheel.builder.interpreter import suite_python
from shipwheel.builder.workshop import Workshop
from shipwheel.debian.downloads import fetch_packages
from shipwheel.debian.package import DebianPackage
from shipwheel.debian.session import ArchiveSession
from shipwheel.events import silent
from shipwheel.files.elf import MACHINES, read_elf
from shipwheel.locking.target import Target
from shipwheel.platform import Platform, host_platform
from shipwheel.store import Store
from shipwheel.suites import suite_by_name
from shipwheel.wheels.isolated_build import BuildOptions

pytestmark = [pytest.mark.online, needs_mirror]

SETUP = """
from setuptools import Extension, setup
setup(name="made", version="1.0", ext_modules=[Extension("made", ["made.c"], libraries=["yaml"])])
"""
CODE = """
#include <Python.h>
#include <yaml.h>
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "made"};
PyMODINIT_FUNC PyInit_made(void) { yaml_get_version_string(); return PyModule_Create(&module); }
"""


def write(directory: Path) -> str:
    directory.mkdir()
    (directory / "setup.py").write_text(SETUP)
    (directory / "made.c").write_text(CODE)
    return "."


@needs("bwrap")
@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_compiles_for_the_platform_with_what_it_misses(tmp_path: Path, architecture: str) -> None:
    store, suite, platform = Store(TEST_CACHE), suite_by_name("trixie"), Platform("linux", architecture)
    archive = ArchiveSession(None, store, silent)

    def fetch(packages: Sequence[DebianPackage]) -> None:
        fetch_packages([package for package in packages if not store.has(package.digest)], archive.choose_mirror(), store)

    target = Target(platform, suite.full_python, suite.libc)
    workshop = Workshop(suite, host_platform(), target, suite_python("3.13", platform.multiarch), archive, fetch, store)
    # Another content each time: the store may have the wheel of an earlier run.
    source = SourceToCompile("made", "made 1.0", str(tmp_path), write)
    made = compile_wheel(source, workshop, BuildOptions("3.13", ""), store, silent, known=None)
    assert made.packages == ("libyaml-dev",)
    assert made.wheel.filename == f"made-1.0-cp313-cp313-linux_{platform.machine}.whl"
    with zipfile.ZipFile(io.BytesIO(store.read(made.wheel.digest))) as wheel:
        name = next(name for name in wheel.namelist() if name.endswith(".so"))
        found = read_elf(io.BytesIO(wheel.read(name)), name, "made")
    assert found is not None
    assert (found.machine, "libyaml-0.so.2" in found.needed) == (MACHINES[architecture], True)
    assert compile_wheel(source, workshop, BuildOptions("3.13", ""), store, silent, known=None) == made
