"""Compilers of a builder's root are not told to compile for the processor of this machine."""

import subprocess
from pathlib import Path

import pytest

from shipwheel.builder.portable_compilers import last_complaint, write_portable_compilers


def scripts(folder: Path, *compilers: str) -> dict[str, str]:
    """Return the scripts for a root with these compilers."""
    for path in compilers:
        (folder / "root" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "root" / path).symlink_to("somewhere")
    write_portable_compilers(folder / "root", folder)
    return {path.name: path.read_text() for path in (folder / "compilers").iterdir()}


def given(script: str, compiler: str, *words: str) -> str:
    """Return what a script gives its compiler."""
    shown = script.replace(f"exec {compiler} ", "printf '<%s>' ")
    return subprocess.check_output(["/bin/sh", "-c", shown, "cc", *words], text=True)


@pytest.mark.parametrize("name", ["gcc", "aarch64-linux-gnu-g++", "c++", "x86_64-redhat-linux-gcc-13", "gfortran", "clang++", "gcc-4.9"])
def test_options_for_the_own_processor_are_left_out(tmp_path: Path, name: str) -> None:
    script = scripts(tmp_path, f"usr/bin/{name}", "usr/bin/python3", "usr/bin/gcc-ar")[name]
    assert f"exec /usr/bin/{name} " in script
    words = ["-O3", "-march=native", "-DA=a b", "-mtune=native", "", "-C", "-mcpu=native", "-march=armv8-a"]
    assert given(script, f"/usr/bin/{name}", *words) == "<-O3><-DA=a b><><-C><-march=armv8-a>"


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
    assert given(script, "/usr/bin/rustc", *words) == "<a b.rs><-Clto=fat><-Cdebuginfo=0>"


def test_the_first_compiler_of_the_path_is_started(tmp_path: Path) -> None:
    assert "exec /usr/local/bin/gcc " in scripts(tmp_path, "usr/bin/gcc", "usr/local/bin/gcc", "bin/gcc")["gcc"]


def test_an_image_leads_to_no_directory_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "machine").mkdir()
    (tmp_path / "machine/gcc").touch()
    (tmp_path / "root").mkdir()
    (tmp_path / "root/bin").symlink_to(tmp_path / "machine")
    assert scripts(tmp_path) == {}


COMPILER = "#!/bin/sh\ncat\necho made\necho 'fatal error: x.h: No such file or directory' >&2\nexit $1\n"


@pytest.mark.parametrize("code", [0, 3])
def test_what_a_compiler_says_that_fails_is_kept(tmp_path: Path, code: int) -> None:
    script = scripts(tmp_path, "usr/bin/cc")["cc"].replace("/build/", f"{tmp_path}/")
    (tmp_path / "home").mkdir()
    (tmp_path / "compiler").write_text(COMPILER)
    (tmp_path / "compiler").chmod(0o755)
    words = ["/bin/sh", "-c", script.replace("/usr/bin/cc", str(tmp_path / "compiler")), "cc", str(code)]
    done = subprocess.run(words, input="given\n", capture_output=True, text=True, check=False)
    said = "fatal error: x.h: No such file or directory\n"
    assert (done.returncode, done.stdout, done.stderr) == (code, "given\nmade\n", said)
    assert last_complaint(tmp_path) == (said if code else "")


def test_a_build_leads_to_no_file_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "secret").write_text("fatal error")
    (tmp_path / "home/.compiler").symlink_to(tmp_path / "secret")
    assert last_complaint(tmp_path) == ""
