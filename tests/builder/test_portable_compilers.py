"""Compilers of a builder's root are not told to compile for the processor of this machine."""

import subprocess
from pathlib import Path

import pytest

from shipwheel.builder.portable_compilers import write_portable_compilers


def scripts(folder: Path, *compilers: str) -> dict[str, str]:
    """Return the scripts for a root with these compilers."""
    for path in compilers:
        (folder / "root" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "root" / path).symlink_to("somewhere")
    write_portable_compilers(folder / "root", folder)
    return {path.name: path.read_text() for path in (folder / "compilers").iterdir()}


def given(script: str, *words: str) -> str:
    """Return what a script gives its compiler."""
    shown = script.replace(f"exec {script.split()[-2]}", "printf '<%s>'")
    return subprocess.check_output(["/bin/sh", "-c", shown, "cc", *words], text=True)


@pytest.mark.parametrize("name", ["gcc", "aarch64-linux-gnu-g++", "c++", "x86_64-redhat-linux-gcc-13", "gfortran", "clang++", "gcc-4.9"])
def test_options_for_the_own_processor_are_left_out(tmp_path: Path, name: str) -> None:
    script = scripts(tmp_path, f"usr/bin/{name}", "usr/bin/python3", "usr/bin/gcc-ar")[name]
    assert f"exec /usr/bin/{name} " in script
    words = ["-O3", "-march=native", "-DA=a b", "-mtune=native", "", "-C", "-mcpu=native", "-march=armv8-a"]
    assert given(script, *words) == "<-O3><-DA=a b><><-C><-march=armv8-a>"


def test_other_programs_are_started_as_they_are(tmp_path: Path) -> None:
    assert set(scripts(tmp_path, "usr/bin/cc", "usr/bin/gcc-ar", "usr/bin/distcc", "usr/bin/rustc", "usr/bin/gccgo")) == {"cc", "rustc"}


def test_rust_compiles_for_every_processor(tmp_path: Path) -> None:
    script = scripts(tmp_path, "usr/bin/rustc")["rustc"]
    words = [
        "-C",
        "target-cpu=native",
        "a b.rs",
        "-Ctarget-cpu=native",
        "--codegen",
        "lto=fat",
        "--codegen=target-cpu=native",
        "-C",
        "debuginfo=0",
    ]
    assert given(script, *words) == "<a b.rs><-Clto=fat><-Cdebuginfo=0>"


def test_the_first_compiler_of_the_path_is_started(tmp_path: Path) -> None:
    assert "exec /usr/local/bin/gcc " in scripts(tmp_path, "usr/bin/gcc", "usr/local/bin/gcc", "bin/gcc")["gcc"]


def test_an_image_leads_to_no_directory_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "machine").mkdir()
    (tmp_path / "machine/gcc").touch()
    (tmp_path / "root").mkdir()
    (tmp_path / "root/bin").symlink_to(tmp_path / "machine")
    assert scripts(tmp_path) == {}
