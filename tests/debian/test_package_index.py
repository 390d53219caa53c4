"""The index of a suite's packages."""

import pytest
from support.debian_packages import index_of


@pytest.mark.parametrize(
    ("soname", "packages", "first"),
    [
        ("libGL.so.1", "libgl1,libgl-dev", "libgl1"),
        ("libjpeg.so.62", "libjpeg62,libjpeg62-turbo", "libjpeg62-turbo"),
        ("libopenblas.so.0", "libopenblas0-openmp,libopenblas0-pthread,libopenblas0-serial", "libopenblas0-pthread"),
        ("libomp.so.5", "libomp5-13,libomp5-16,libomp5-9", "libomp5-16"),
        ("libavcodec.so.59", "libavcodec-extra59,libavcodec59", "libavcodec59"),
        ("libQt5Gui.so.5", "libqt5gui5-gles,libqt5gui5", "libqt5gui5"),
        ("libfoo.so", "libfoo-dev,libfoo-runtime-with-a-long-name", "libfoo-runtime-with-a-long-name"),
    ],
)
def test_ranks_providers(soname: str, packages: str, first: str) -> None:
    index = index_of(*packages.split(","), contents=f"{soname}\t{packages}\n".encode())
    assert index.providers(soname)[0] == first
    assert sorted(index.providers(soname)) == sorted(packages.split(","))


def test_ignores_providers_that_the_suite_does_not_have() -> None:
    assert index_of("libb", contents=b"liba.so.1\tlibgone,libb\n").providers("liba.so.1") == ("libb",)


def test_suggests_similar_names() -> None:
    assert index_of("libgl1", "libglx0", "zlib1g").similar_names("libglx")[:2] == ("libglx0", "libgl1")


def test_the_shortest_soname_comes_first() -> None:
    contents = b"libmagic.so.1\tlibmagic1\nlibmagic.so.1.0.0\tlibmagic1\nlibmagician.so.9\tlibmagician9\n"
    index = index_of(contents=contents)
    assert index.sonames("magic") == ("libmagic.so.1", "libmagic.so.1.0.0")
