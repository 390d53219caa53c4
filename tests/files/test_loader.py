"""The rules of the dynamic loader."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.digests import ANY

from shipwheel.files.elf import ElfObject
from shipwheel.files.loader import Loader
from shipwheel.files.segment import Segment

MULTIARCH = "x86_64-linux-gnu"
LIB = f"usr/lib/{MULTIARCH}"


def _object(path: str, *needed: str, soname: str = "", runpath: tuple[str, ...] = (), machine: str = "EM_X86_64") -> ElfObject:
    return ElfObject(path, machine, soname, needed=needed, runpath=runpath)


def _loader(*objects: ElfObject, links: dict[str, str] | None = None) -> Loader:
    return Loader([item.path for item in objects], links or {}, objects, MULTIARCH)


@pytest.mark.parametrize(
    "folder", ["usr/local/lib", f"usr/local/lib/{MULTIARCH}", LIB, "usr/lib", "usr/lib64", "lib64", f"lib/{MULTIARCH}"]
)
def test_searches_the_default_directories(folder: str) -> None:
    dependent = _object("x/y.so", "liba.so.1")
    assert _loader(dependent, _object(f"{folder}/liba.so.1")).resolve(dependent, "liba.so.1") == f"{folder}/liba.so.1"


def test_the_first_directory_wins() -> None:
    dependent = _object("x/y.so", "liba.so.1")
    loader = _loader(dependent, _object("usr/lib/liba.so.1"), _object(f"{LIB}/liba.so.1"))
    assert loader.resolve(dependent, "liba.so.1") == f"{LIB}/liba.so.1"


def test_follows_links() -> None:
    dependent = _object("x/y.so", "libc.so.6")
    links = {"lib": "usr/lib", f"{LIB}/libc.so.6": "libc-2.31.so", "lib64": "usr/lib64"}
    assert _loader(dependent, _object(f"{LIB}/libc-2.31.so"), links=links).resolve(dependent, "libc.so.6") == f"{LIB}/libc-2.31.so"


def test_follows_absolute_and_upward_links() -> None:
    dependent = _object("x/y.so")
    links = {f"{LIB}/liba.so.1": "/opt/a/liba.so", f"{LIB}/libb.so.1": "../../../opt/now/libb.so", "opt/now": "b/../c"}
    loader = _loader(dependent, _object("opt/a/liba.so"), _object("opt/c/libb.so"), links=links)
    assert loader.resolve(dependent, "liba.so.1") == "opt/a/liba.so"
    assert loader.resolve(dependent, "libb.so.1") == "opt/c/libb.so"


def test_follows_hard_links() -> None:
    dependent = _object("x/y.so")
    loader = _loader(dependent, _object(f"{LIB}/liba.so.1.0"), links={f"{LIB}/liba.so.1": f"{LIB}/liba.so.1.0"})
    assert loader.resolve(dependent, "liba.so.1") == f"{LIB}/liba.so.1.0"


def test_ignores_links_in_a_circle() -> None:
    dependent = _object("x/y.so", "liba.so.1")
    loader = _loader(dependent, links={f"{LIB}/liba.so.1": "liba.so.1", "lib": "lib", "usr/local": "/usr/local/local"})
    assert loader.resolve(dependent, "liba.so.1") is None


@pytest.mark.parametrize(
    "runpath", ["$ORIGIN/../a.libs", "${ORIGIN}/../a.libs", "/opt/venv/a.libs", "$ORIGIN/./../pkg/../a.libs", "/opt/venv/lib/../a.libs"]
)
def test_expands_origin_in_a_runpath(runpath: str) -> None:
    dependent = _object("opt/venv/pkg/x.so", "liba-123.so.1", runpath=("", "relative", runpath))
    loader = _loader(dependent, _object("opt/venv/a.libs/liba-123.so.1"))
    assert loader.resolve(dependent, "liba-123.so.1") == "opt/venv/a.libs/liba-123.so.1"


def test_a_runpath_precedes_the_default_directories() -> None:
    dependent = _object("p/x.so", runpath=("$ORIGIN",))
    loader = _loader(dependent, _object("p/liba.so.1"), _object(f"{LIB}/liba.so.1"))
    assert loader.resolve(dependent, "liba.so.1") == "p/liba.so.1"
    assert loader.resolve(_object("p/y.so"), "liba.so.1") == f"{LIB}/liba.so.1"


def test_expands_lib_and_platform() -> None:
    dependent = _object("p/x.so", runpath=("/opt/$LIB", "/srv/${PLATFORM}"))
    loader = _loader(dependent, _object(f"opt/lib/{MULTIARCH}/liba.so.1"), _object("srv/x86_64/libb.so.1"))
    assert loader.resolve(dependent, "liba.so.1") == f"opt/lib/{MULTIARCH}/liba.so.1"
    assert loader.resolve(dependent, "libb.so.1") == "srv/x86_64/libb.so.1"


def test_skips_a_library_for_another_machine() -> None:
    dependent = _object("p/x.so", "liba.so.1", runpath=("$ORIGIN",))
    loader = _loader(dependent, _object("p/liba.so.1", machine="EM_AARCH64"), _object(f"{LIB}/liba.so.1"))
    assert loader.resolve(dependent, "liba.so.1") == f"{LIB}/liba.so.1"
    assert _loader(dependent, _object("p/liba.so.1", machine="EM_AARCH64")).unresolved([dependent]) == {"liba.so.1": (dependent,)}


def test_skips_a_file_that_is_not_an_object() -> None:
    dependent = _object("p/x.so", "liba.so")
    assert Loader(["p/x.so", "usr/lib/liba.so"], {}, [dependent], MULTIARCH).resolve(dependent, "liba.so") is None


def test_resolves_an_absolute_path_only() -> None:
    dependent = _object("p/x.so")
    loader = _loader(dependent, _object("opt/liba.so"))
    assert loader.resolve(dependent, "/opt/liba.so") == "opt/liba.so"
    assert loader.resolve(dependent, "./liba.so") is None


def test_a_sibling_provides_a_library() -> None:
    core = _object("site/torch/lib/libc10.so", soname="libc10.so")
    named = _object("site/other/libd.so.1.5", soname="libd.so.1")
    dependent = _object("site/vision/_C.so", "libc10.so", "libd.so.1", "libe.so.1")
    loader = _loader(core, named, dependent)
    assert loader.resolve(dependent, "libc10.so") is None
    assert loader.unresolved() == {"libe.so.1": (dependent,)}


def test_unresolved_is_sorted_and_names_every_dependent() -> None:
    one, two = _object("b.so", "libz.so.1", "liba.so.1"), _object("a.so", "libz.so.1")
    assert list(_loader(one, two).unresolved().items()) == [("liba.so.1", (one,)), ("libz.so.1", (two, one))]


def test_a_loader_of_segments_follows_their_links() -> None:
    library, dependent = _object(f"{LIB}/liba.so.1.0", soname="liba.so.1"), _object("x.so", "liba.so.1")
    first = Segment("k", "l", ANY, 0, 0, {library.path: 0}, {f"{LIB}/liba.so.1": "liba.so.1.0"}, {}, (library,))
    second = Segment("k2", "l", ANY, 0, 0, {"x.so": 0}, {"lib": "usr/lib"}, {}, (dependent,))
    loader = Loader.of([first, second], MULTIARCH)
    assert loader.resolve(dependent, "liba.so.1") == library.path
    assert loader.unresolved() == {}


def test_links_that_multiply_end_soon() -> None:
    dependent = _object("x/y.so", "liba.so.1")
    links = {f"l{number}": f"l{number + 1}/../l{number + 1}" for number in range(60)}
    assert _loader(dependent, links={**links, "usr/lib": "/l0"}).resolve(dependent, "liba.so.1") is None


_PATH = st.lists(st.sampled_from(["a", "b", "lib", "usr"]), min_size=1, max_size=4).map("/".join)
_TEXT = st.lists(st.sampled_from(["a", "b", "lib", "usr", "..", ".", ""]), min_size=1, max_size=5).map("/".join)


@given(links=st.dictionaries(_PATH, _TEXT, max_size=6), files=st.sets(_PATH, max_size=4), need=st.sampled_from(["a", "b", "lib"]))
def test_following_any_links_ends(links: dict[str, str], files: set[str], need: str) -> None:
    objects = [_object(path) for path in files]
    loader = Loader(files, links, objects, MULTIARCH)
    found = loader.resolve(_object("a/b", need, runpath=("$ORIGIN/..", "/usr", "/lib")), need)
    assert found is None or found in files


def _segment(label: str, *objects: ElfObject) -> Segment:
    return Segment(label, label, ANY, 0, 0, {item.path: 0 for item in objects}, {}, {}, objects)


def test_wheels_provide_nothing_for_the_base() -> None:
    # The interpreter needs its libz.so.1 before any wheel is there; one wheel has a library of that name for itself.
    interpreter, own, user = _object("usr/bin/python3", "libz.so.1"), _object("p/.libs/libz.so.1"), _object("p/a.so", "libz.so.1")
    loader = Loader.of([_segment("python", interpreter)], MULTIARCH, [_segment("wheel", own, user)])
    assert loader.unresolved() == {"libz.so.1": (interpreter,)}
    assert (loader.in_base(interpreter), loader.in_base(own)) == (True, False)
    assert loader.sibling(user, "libz.so.1") == own


def test_another_wheel_provides_nothing_for_an_isolated_one() -> None:
    first, second = _object("a/a.so", "libb.so.1", "libq.so"), _object("b/libb.so.1")
    private = _object(f"{LIB}/private/libq.so")
    loader = Loader.of([_segment("base", private)], MULTIARCH, [_segment("a", first), _segment("b", second)])
    assert loader.unresolved() == {}
    assert loader.unresolved(isolated=True) == {"libb.so.1": (first,)}
    assert loader.sibling(first, "libb.so.1") is None


MUSL = "lib/ld-musl-x86_64.so.1"


@pytest.mark.parametrize("name", ["libc.so", "libm.so", "libdl.so", "libpthread.so", "librt.so", "libutil.so", "libxnet.so"])
def test_musl_s_loader_is_its_c_library_under_every_name(name: str) -> None:
    dependent = _object("x/y.so", name)
    assert _loader(dependent, _object(MUSL)).resolve(dependent, name) == MUSL
    # Debian's musl has the library elsewhere, and the loader as a link to it.
    elsewhere = _object("usr/lib/x86_64-linux-musl/libc.so")
    links = {"lib": "usr/lib", "usr/lib/ld-musl-x86_64.so.1": "x86_64-linux-musl/libc.so"}
    assert _loader(dependent, elsewhere, links=links).resolve(dependent, name) == elsewhere.path


def test_musl_does_not_provide_the_names_of_glibc() -> None:
    dependent = _object("x/y.so", "libc.so.6", "libm.so.6", "libcrypt.so")
    assert set(_loader(dependent, _object(MUSL)).unresolved()) == {"libc.so.6", "libm.so.6", "libcrypt.so"}


def test_ignores_musl_next_to_glibc_or_for_another_machine() -> None:
    dependent = _object("x/y.so", "libc.so")
    assert "libc.so" in _loader(dependent, _object(MUSL), _object(f"{LIB}/libc.so.6")).unresolved()
    assert "libc.so" in _loader(dependent, _object(MUSL, machine="EM_AARCH64")).unresolved()
