"""What is read from the output of compilers, linkers, pkg-config and setup.py files. The lines are those of real builds."""

import pytest

from shipwheel.builder.complaints import Lack, LackKind, lacks_in, last_useful_lines, needs_newer_rust, ran_foreign_program

CMAKE = "CMake Error at /usr/share/cmake-3.31/Modules/FindPackageHandleStandardArgs.cmake:233 (message):\n"


@pytest.mark.parametrize(
    ("line", "kind", "name"),
    [
        ("Modules/common.h:9:10: fatal error: lber.h: No such file or directory", LackKind.HEADER, "lber.h"),
        ("src/a.cpp:1:10: fatal error: curl/curl.h: No such file or directory", LackKind.HEADER, "curl/curl.h"),
        ("x.c:3:10: fatal error: 'sasl/sasl.h' file not found", LackKind.HEADER, "sasl/sasl.h"),
        ("/usr/bin/aarch64-linux-gnu-ld: cannot find -lsasl2: No such file or directory", LackKind.LIBRARY, "sasl2"),
        ("/usr/bin/ld: cannot find -lfoo", LackKind.LIBRARY, "foo"),
        ("Package libffi was not found in the pkg-config search path.", LackKind.MODULE, "libffi"),
        ("Package 'libffi' not found", LackKind.MODULE, "libffi"),
        ("Package 'libxml-2.0', required by 'virtual:world', not found", LackKind.MODULE, "libxml-2.0"),
        ("No package 'xmlsec1' found", LackKind.MODULE, "xmlsec1"),
        ("Command 'pkg-config --exists mariadb' returned non-zero exit status 1.", LackKind.MODULE, "mariadb"),
        ("Error: pg_config executable not found.", LackKind.PROGRAM, "pg_config"),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'mysql_config'", LackKind.PROGRAM, "mysql_config"),
        ("/bin/sh: 1: krb5-config: not found", LackKind.PROGRAM, "krb5-config"),
        ("Exception: Could not run curl-config: [Errno 2] No such file or directory: 'curl-config'", LackKind.PROGRAM, "curl-config"),
        ("The headers or library files could not be found for jpeg,", LackKind.NAMED, "jpeg"),
        ("The headers or library files could not be found for zlib,", LackKind.NAMED, "zlib"),
        ("error: xmlsec1 is not installed or not in path.", LackKind.MODULE, "xmlsec1"),
        ("error: command 'swig' failed: No such file or directory", LackKind.PROGRAM, "swig"),
        ("unable to execute 'swig': No such file or directory", LackKind.PROGRAM, "swig"),
        (f"{CMAKE}  Could NOT find ZLIB (missing: ZLIB_LIBRARY ZLIB_INCLUDE_DIR)", LackKind.NAMED, "zlib"),
        (f'{CMAKE}  package configuration file "Eigen3" with any\n\n    Eigen3Config.cmake\n', LackKind.CMAKE, "Eigen3Config.cmake"),
        ("make: swig: command not found", LackKind.PROGRAM, "swig"),
        ("The system library `openssl` required by crate `openssl-sys` was not found.", LackKind.MODULE, "openssl"),
        ("failed to execute command: os error 2\n  is `cmake` not installed?", LackKind.PROGRAM, "cmake"),
        ("Could not find `protoc`. If `protoc` is installed, try setting the `PROTOC` variable", LackKind.PROGRAM, "protoc"),
    ],
)
def test_finds_what_is_missing(line: str, kind: LackKind, name: str) -> None:
    assert lacks_in(f"building\n{line}\nerror: command failed\n") == (Lack(kind, name),)


@pytest.mark.parametrize(
    "text",
    [
        "-- Could NOT find ZLIB (missing: ZLIB_LIBRARY)",
        f"{CMAKE}  Could NOT find Python (missing: Development.Module)",
        "",
        "gcc -c a.c -lfoo",
        "ModuleNotFoundError: No module named 'numpy'",
        "No such file or directory: '/build/source/README.md'",
    ],
)
def test_finds_nothing_else(text: str) -> None:
    assert lacks_in(text) == ()


def test_each_thing_is_named_once_and_in_order() -> None:
    output = "a.c:1: fatal error: b.h: No such file or directory\n" * 2 + "cannot find -la\n"
    assert lacks_in(output) == (Lack(LackKind.HEADER, "b.h"), Lack(LackKind.LIBRARY, "a"))


def test_errors_come_before_the_last_lines_and_commands_are_left_out() -> None:
    output = "\n".join(["x.c:9: error: unknown type name 'y'", "gcc -Wall -c " + "x" * 900, *map(str, range(100)), "the end"])
    lines = last_useful_lines(output)
    assert (lines[0], lines[-1]) == ("x.c:9: error: unknown type name 'y'", "the end")
    assert len(lines) < 30 and not any(line.startswith("gcc") for line in lines)


def test_the_rust_that_a_crate_wants_is_an_explanation() -> None:
    output = "error: rustc 1.96.0 is not supported by the following package:\n  made@1.0.0 requires rustc 1.199\n" + "running build\n" * 60
    assert needs_newer_rust(output)
    assert "  made@1.0.0 requires rustc 1.199" in last_useful_lines(output)


def test_one_line_can_name_two_libraries() -> None:
    line = "Error: Please make sure the libxml2 and libxslt development packages are installed."
    assert lacks_in(line) == (Lack(LackKind.NAMED, "xml2"), Lack(LackKind.NAMED, "xslt"))


def test_a_program_for_another_machine_is_recognized() -> None:
    assert ran_foreign_program("configure: error: cannot run C compiled programs.")
    assert ran_foreign_program("OSError: [Errno 8] Exec format error: './conftest'")
    assert not ran_foreign_program("configure: error: no acceptable C compiler found")
