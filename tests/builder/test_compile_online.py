"""Small extension modules, compiled with the real archive's compilers for this machine and another: what a build misses is found."""

import io
import os
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.command import TEST_CACHE
from support.programs import needs, needs_mirror
from support.project_tree import written
from support.real_archive import workshop_for

from shipwheel.builder import image_workshop
from shipwheel.builder.compile import Compiled, SourceToCompile, compile_wheel
from shipwheel.builder.image_workshop import ImageWorkshop
from shipwheel.digest import digest_of
from shipwheel.events import silent
from shipwheel.files.elf import MACHINES, read_elf
from shipwheel.platform import DEBIAN_ARCHITECTURES, Platform, host_platform
from shipwheel.store.store import Store
from shipwheel.wheels.isolated_build import BuildOptions

pytestmark = [pytest.mark.online, needs_mirror, needs("bwrap")]

OTHER = next(each for each in DEBIAN_ARCHITECTURES if each != host_platform().architecture)
IN_C = {
    "setup.py": """
from setuptools import Extension, setup
setup(name="made", version="1.0", ext_modules=[Extension("made", ["made.c"], libraries=["yaml"])])
""",
    "made.c": """
#include <Python.h>
#include <yaml.h>
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "made"};
PyMODINIT_FUNC PyInit_made(void) { yaml_get_version_string(); return PyModule_Create(&module); }
""",
}
IN_RUST = {
    "pyproject.toml": """
[build-system]
requires = ["setuptools-rust"]
build-backend = "setuptools.build_meta"
[project]
name = "made"
version = "1.0"
[[tool.setuptools-rust.ext-modules]]
target = "made"
binding = "NoBinding"
""",
    "Cargo.toml": '[package]\nname = "made"\nversion = "1.0.0"\nedition = "2021"\n[lib]\ncrate-type = ["cdylib"]\n',
    "Cargo.lock": 'version = 3\n[[package]]\nname = "made"\nversion = "1.0.0"\n',
    "build.rs": 'fn main() { println!("cargo:rustc-env=MADE_ON=made on {}", std::env::consts::ARCH); }\n',
    "src/lib.rs": """
extern "C" { fn PyUnicode_FromString(text: *const u8) -> *mut u8; }
#[no_mangle]
pub extern "C" fn PyInit_made() -> *mut u8 { unsafe { PyUnicode_FromString(concat!(env!("MADE_ON"), "\\0").as_ptr()) } }
""",
}


def compile_files(
    files: Mapping[str, str], architecture: str, content: str, known: tuple[str, ...] | None = None
) -> tuple[Compiled, bytes]:
    """Compile a source twice, of which the second time takes the wheel of the first. Return it and its extension module."""
    store, platform = Store(TEST_CACHE), Platform("linux", architecture)
    workshop = workshop_for(platform)
    source = source_of(files, content)
    made = compile_wheel(source, workshop, BuildOptions("3.13", ""), store, silent, known=known)
    assert compile_wheel(source, workshop, BuildOptions("3.13", ""), store, silent, known=known) == made
    return made, module_of(made, platform)


def source_of(files: Mapping[str, str], content: str) -> SourceToCompile:
    def write(directory: Path) -> str:
        written(directory, dict(files))
        return "."

    return SourceToCompile("made", "made 1.0", content, write)


def module_of(made: Compiled, platform: Platform) -> bytes:
    assert made.wheel.filename == f"made-1.0-cp313-cp313-linux_{platform.machine}.whl"
    with zipfile.ZipFile(io.BytesIO(Store(TEST_CACHE).read(made.wheel.digest))) as wheel:
        return wheel.read(next(name for name in wheel.namelist() if name.endswith(".so")))


def assert_module(module: bytes, architecture: str, library: str) -> None:
    found = read_elf(io.BytesIO(module), "made.so", "made")
    assert found is not None
    assert (found.machine, library in found.needed) == (MACHINES[architecture], True)


@contextmanager
def elsewhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stand for another machine: another path, umask, locale and number of cores. Another user is that of an engine's sandbox."""
    folder.mkdir()
    cores, mask = os.sched_getaffinity(0), os.umask(0o077)
    with monkeypatch.context() as changed:
        changed.setattr(tempfile, "tempdir", str(folder))
        for name, value in {"LC_ALL": "tr_TR.UTF-8", "LANGUAGE": "tr", "TZ": "Asia/Tokyo", "HOME": str(folder), "MAKEFLAGS": "-j7"}.items():
            changed.setenv(name, value)
        os.sched_setaffinity(0, {min(cores)})
        try:
            yield
        finally:
            os.sched_setaffinity(0, cores)
            os.umask(mask)


# The content is another one each time: the store may have the wheel of an earlier run.
def test_compiles_for_another_machine_with_what_it_misses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, module = compile_files(IN_C, OTHER, str(tmp_path))
    with elsewhere(tmp_path / "elsewhere", monkeypatch):
        again, _ = compile_files(IN_C, OTHER, f"{tmp_path} again", made.packages)
    assert again.wheel.digest == made.wheel.digest
    assert made.packages == ("libyaml-dev",)
    assert "libyaml-dev" in [label.split()[0] for label in made.compilers]
    assert_module(module, OTHER, "libyaml-0.so.2")


def test_a_base_image_of_no_suite_compiles_for_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The root of a builder stands for an image with compilers and headers."""
    native, store, names = workshop_for(host_platform()), Store(TEST_CACHE), ("libyaml-dev",)
    monkeypatch.setattr(image_workshop, "unpack_image", lambda *_facts: native.root(names))
    image: Any = SimpleNamespace(digest=digest_of(bytes(tmp_path)))
    workshop = ImageWorkshop(image, "team/base:1", native.target, "/usr/bin/python3.13", store, silent)

    def compiled(content: str) -> Compiled:
        return compile_wheel(source_of(IN_C, content), workshop, BuildOptions("3.13", ""), store, silent, known=None)

    made = compiled(str(tmp_path))
    with elsewhere(tmp_path / "elsewhere", monkeypatch):
        assert compiled(f"{tmp_path} again").wheel.digest == made.wheel.digest
    assert (made.packages, made.compilers, made.debs) == ((), (), ())
    assert_module(module_of(made, host_platform()), host_platform().architecture, "libyaml-0.so.2")


def test_compiles_rust_for_another_machine_and_for_this_one(tmp_path: Path) -> None:
    made, module = compile_files(IN_RUST, OTHER, str(tmp_path))
    assert {label.split()[0] for label in made.compilers} > set(made.packages) > {"rustc-web"}
    assert_module(module, OTHER, "libc.so.6")
    assert f"made on {host_platform().machine}".encode() in module, "its build script ran here"
