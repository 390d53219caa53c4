"""Libraries that Python modules open by name."""

import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import shipwheel
from shipwheel.files.ctypes_libraries import ctypes_libraries, library_stem

SITE = "opt/venv/lib/python3.11/site-packages"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("lib = ctypes.CDLL(find_library('magic'))", ("magic",)),
        ('ctypes.util.find_library( "usb-1.0" )', ("usb-1.0",)),
        ("ffi.dlopen('libpango-1.0.so.0')", ("libpango-1.0.so.0",)),
        ("import ctypes\nfor name in ['libmagic.so.1', 'libmagic.dylib', 'magic1.dll']: pass", ("libmagic.so.1",)),
        ("from ctypes.util import find_library\nNAMES = {'libmagic.so.1': 1}", ("libmagic.so.1",)),
        ("NAMES = ('libmagic.so.1', 'libz.so.1')\nprint(frozenset(NAMES))", ()),
        ("KNOWN = frozenset({'libmagic.so.1'})", ()),
        ("from .loader import load\nlib = load('libmagic.so.1')", ("libmagic.so.1",)),
        ("from .loader import load\nlib = load(['libmagic.so.1', 'libmagic.so.2'])", ("libmagic.so.1", "libmagic.so.2")),
        ("from .loader import load\nlib = load(name=b'libmagic.so.1')", ("libmagic.so.1",)),
        ("from ctypes.util import find_library as _find_library\nname = _find_library('sndfile')", ("sndfile",)),
        ("ctypes.util.find_library('zbar' if posix else path or 'libzbar-64')", ("libzbar-64", "zbar")),
        (f"find_library({'1 if a else ' * 2000}'magic')", ("magic",)),
        ('def a():\n    """See find_library(\'magic\') and "libmagic.so.1"."""\n    import ctypes', ()),
        ("find_library(name) or 'libgdal.so'", ()),
        ("# see libfoo.so.1 and find_library", ()),
        ("import cffi\n'liba.so.1', \"libb.so.2.3\", find_library('c')", ("c", "liba.so.1", "libb.so.2.3")),
        ("type of a newer Python = 'liba.so.1', find_library('c')", ("c", "liba.so.1")),
    ],
)
def test_finds_the_usual_forms(source: str, found: tuple[str, ...]) -> None:
    assert ctypes_libraries(f"{SITE}/demo/ffi.py", source.encode()) == found


@pytest.mark.parametrize("folder", ["tests", "test", "plugins", "contrib/gis", "examples", "tools"])
def test_ignores_tests_tools_and_examples(folder: str) -> None:
    assert ctypes_libraries(f"{SITE}/demo/{folder}/ffi.py", b"find_library('magic')") == ()
    assert ctypes_libraries(f"{SITE}/{folder.replace('/', '')}x/ffi.py", b"find_library('magic')") == ("magic",)


@pytest.mark.parametrize("name", ["magic", "libmagic.so.1", "libmagic.so", "libmagic-1a2b3c4d.so.1.0.0"])
def test_names_of_a_library_share_a_stem(name: str) -> None:
    assert library_stem(name) == "magic"


def test_stems_of_unusual_names() -> None:
    assert (library_stem("pango-1.0"), library_stem("libpango-1.0.so.0"), library_stem("libx11"), library_stem("liblib.so.1")) == (
        "pango-1.0",
        "pango-1.0",
        "libx11",
        "lib",
    )


def test_this_package_has_names_in_tables_and_opens_few() -> None:
    folder = Path(shipwheel.__file__).parent
    found = {path.name: ctypes_libraries(path.relative_to(folder).as_posix(), path.read_bytes()) for path in folder.rglob("*.py")}
    assert {name: libraries for name, libraries in found.items() if libraries} == {"deflate_blocks.py": ("libz.so.1",)}


def test_several_threads_leave_the_warnings_as_they_were() -> None:
    source = b"import ctypes\nx = '\\d'\nname = 'liba.so.1'\n" * 20
    before, interval = [*warnings.filters], sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with warnings.catch_warnings(), ThreadPoolExecutor(8) as pool:
            found = [*pool.map(lambda _: ctypes_libraries("a.py", source), range(1000))]
            assert [*warnings.filters] == before
    finally:
        sys.setswitchinterval(interval)
    assert {*found} == {("liba.so.1",)}


@given(st.binary(max_size=200), st.sampled_from([b"", b"find_library(", b"'libx.so.", b".so.1'"]))
def test_accepts_any_bytes(data: bytes, sign: bytes) -> None:
    for name in ctypes_libraries("a.py", data[:100] + sign + data[100:]):
        assert library_stem(name) in name
