"""Packages and Contents files as compact tables."""

import gzip
import lzma

import pytest

from shipwheel.debian.tables import contents_table, packages_table
from shipwheel.errors import ArchiveError


def test_the_contents_table_has_only_loader_directories() -> None:
    lines = (
        "bin/ls  utils/coreutils",
        "lib64/ld-linux-x86-64.so.2  libs/libc6",
        "lib/x86_64-linux-gnu/libc.so.6  libs/libc6",
        "usr/lib/x86_64-linux-gnu/libGL.so.1\t\tlibs/libgl1",
        "usr/lib/x86_64-linux-gnu/libfoo.so  libdevel/libfoo-dev",
        "usr/lib/x86_64-linux-gnu/blas/libblas.so.3  libs/libblas3",
        "usr/lib/x86_64-linux-gnu/dri/swrast_dri.so  libs/libgl1-mesa-dri",
        "usr/lib/aarch64-linux-gnu/libx.so.1  libs/libx1-arm64-cross",
        "usr/lib32/liby.so.1  libs/lib32y1",
        "usr/lib/libz.so.1  contrib/libs/libz1,libs/libz2",
        "usr/share/lib/x86_64-linux-gnu/libq.so.1  libs/libq1",
        "usr/lib/x86_64-linux-gnu/libno.sometimes  libs/libno1",
    )
    data = gzip.compress("".join(f"{line}\n" for line in lines).encode())
    table = contents_table([data[:50], data[50:]], "x86_64-linux-gnu", "x").decode().splitlines()
    assert table == [
        "ld-linux-x86-64.so.2\tlibc6",
        "libGL.so.1\tlibgl1",
        "libblas.so.3\tlibblas3",
        "libc.so.6\tlibc6",
        "libfoo.so\tlibfoo-dev",
        "libz.so.1\tlibz1,libz2",
    ]


@pytest.mark.parametrize("cut", [0, 1, 20, -1])
def test_rejects_truncated_files(cut: int) -> None:
    with pytest.raises(ArchiveError, match="truncated"):
        packages_table([lzma.compress(b"Package: a\n" * 50)[:cut]], "x")
    with pytest.raises(ArchiveError, match="truncated"):
        contents_table([gzip.compress(b"usr/lib/a  b\n" * 50)[:cut]], "m", "x")


def test_rejects_damaged_files() -> None:
    with pytest.raises(ArchiveError, match="damaged"):
        packages_table([b"no xz at all, but long enough to tell"], "x")
    with pytest.raises(ArchiveError, match="damaged"):
        contents_table([b"no gzip at all"], "m", "x")


def test_ignores_stanzas_without_a_required_field() -> None:
    full = "Package: a\nVersion: 1\nArchitecture: amd64\nFilename: f\nSHA256: s\nSize: 3\n"
    assert packages_table([lzma.compress(f"{full}\nPackage: b\nVersion: 1\n\n\n".encode())], "x") == b"a\t1\tamd64\tf\ts\t3\t\t\t\t\t\t\n"


def test_a_row_has_the_first_of_each_field_in_one_line() -> None:
    stanza = "Size: 3\nDepends: x,\ty\r\nDescription: b\n Version: 9\nX-Version: 8\nPackage: a\nVersion: 1\nVersion: 2\n"
    data = lzma.compress(f"\n\n{stanza}Architecture: amd64\nFilename: \xe9\nSHA256: s\nMulti-Arch: same".encode("latin-1"))
    assert packages_table([data], "x").decode() == "a\t1\tamd64\t\ufffd\ts\t3\t\t\tx, y \t\t\tsame\n"
