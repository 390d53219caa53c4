"""Wheels as sources: the files that installer would install, and hostile archives."""

import base64
import csv
import hashlib
import io
import posixpath
import stat
import subprocess
import sys
import tarfile
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from support.digests import ANY

from shipwheel.container.venv import PYTHON, VENV, Paths
from shipwheel.digest import digest_of
from shipwheel.errors import ArchiveError, DamagedBlob, ShipwheelError
from shipwheel.files.compress import Deflated, deflated
from shipwheel.files.entry import EntryType
from shipwheel.files.file_part import FilePart
from shipwheel.files.segment import Segment, make_segment, uncompressed_chunks
from shipwheel.store.store import Store
from shipwheel.testing.wheels import Member, SmallWheel, zip_bytes
from shipwheel.wheels import zip_archive as ziparchive
from shipwheel.wheels.bytecode import Compiler
from shipwheel.wheels.wheel import WheelSource

PATHS = Paths("3.11")
SITE = PATHS.site_packages
LARGE = b"".join(b"%d," % (number * 7919 % 10007) for number in range(1300))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def source_of(wheel: SmallWheel | bytes, store: Store, compiler: Compiler | None = None, *, spliced: bool = True) -> WheelSource:
    data = wheel if isinstance(wheel, bytes) else wheel.content()
    filename = SmallWheel().filename if isinstance(wheel, bytes) else wheel.filename
    return WheelSource("small 1.0", filename, store.add(data), store, PATHS, compiler, spliced)


def tree_of(segment: Segment, store: Store) -> dict[str, tuple[int, bytes]]:
    """Return path -> (mode, content) of a segment's files, read with the standard library."""
    data = b"".join(uncompressed_chunks(segment, store)) + bytes(1024)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        members = archive.getmembers()
        assert len({member.name for member in members}) == len(members)
        assert all(member.isreg() and (member.uid, member.gid) == (0, 0) for member in members)
        return {member.name: (member.mode, archive.extractfile(member).read()) for member in members}  # type: ignore[union-attr]


def installed(wheel: SmallWheel | bytes, store: Store, compiler: Compiler | None = None) -> dict[str, tuple[int, bytes]]:
    return tree_of(make_segment(source_of(wheel, store, compiler), store), store)


def by_installer(wheel: SmallWheel, root: Path) -> dict[str, tuple[int, bytes]]:
    """Return path -> (mode, content) of the files that installer's own destination writes."""
    from installer import install
    from installer.destinations import SchemeDictionaryDestination
    from installer.sources import WheelFile

    schemes = {name: str(root / PATHS.scheme(name, wheel.name)) for name in ("purelib", "platlib", "scripts", "data", "headers")}
    there = root / wheel.filename
    root.mkdir()
    there.write_bytes(wheel.content())
    with WheelFile.open(there) as source, warnings.catch_warnings(action="ignore"):
        install(source, SchemeDictionaryDestination(schemes, PYTHON, "posix"), {"INSTALLER": b"shipwheel\n"})
    there.unlink()
    found = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): (path.stat().st_mode, path.read_bytes()) for path in found}


def rows_of(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode())))


def check_record(tree: Mapping[str, tuple[int, bytes]], wheel: SmallWheel) -> None:
    """Check that RECORD lists every file once, with its hash and size."""
    path = f"{SITE}/{wheel.dist_info}/RECORD"
    rows = rows_of(tree[path][1])
    site = Path("/") / SITE
    listed = {str(Path(*_normal((site / row[0]).parts)))[1:]: row for row in rows}
    assert len(listed) == len(rows)
    assert set(listed) == set(tree)
    for name, (_, value, size) in listed.items():
        if name == path or name.endswith(".pyc"):
            assert (value, size) == ("", "")
        else:
            data = tree[name][1]
            assert value == "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            assert size == str(len(data))


def _normal(parts: Sequence[str]) -> list[str]:
    out: list[str] = []
    for part in parts:
        if part == "..":
            out.pop()
        else:
            out.append(part)
    return out


# All characters that a name may contain, except those that end a line (RECORD is read by lines) or a path component.
PART = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters="/\\"), min_size=1, max_size=12).filter(
    lambda text: text not in (".", "..") and not text.endswith((".data", ".dist-info", ".pyc"))
)
PYTHONIC = st.sampled_from(
    ["pkg/__init__.py", "pkg/mod.py", "ns/sub/mod.py", "mod.py", "pkg/__pycache__/mod.cpython-311.pyc", "pkg/lib.so"]
)
NAMES = PYTHONIC | st.lists(PART, min_size=1, max_size=3).map("/".join)
CONTENT = (
    st.binary(max_size=80)
    | st.sampled_from([b"", b"#!python\nprint(1)\n", b"#!pythonw -x\nrest", b"#!/bin/sh\n", b"#!python", LARGE, LARGE[:2048], LARGE[:2047]])
    | st.builds(lambda data, times: data * times, st.binary(min_size=1, max_size=4), st.integers(500, 3000))
)
FILES = st.dictionaries(NAMES, CONTENT, max_size=5)
WORD = st.from_regex(r"[a-z][a-z_0-9]{0,5}", fullmatch=True)
ENTRY = st.builds("{}:{}{}".format, WORD, WORD, st.sampled_from(["", ".b.c", " [extra]", "[a,b]"]))
SCRIPTS = st.dictionaries(WORD.map("e-{}".format), ENTRY, max_size=2)
SCHEMES = ("purelib", "platlib", "scripts", "data", "headers")


def free_of_clashes(wheel: SmallWheel) -> bool:
    """Return whether no two files have the same path, and none has the path of a directory."""
    places = [f"{SITE}/{path}" for path in wheel.files]
    places += [f"{PATHS.scheme(scheme, wheel.name)}/{path}" for scheme, files in wheel.data.items() for path in files]
    places += [f"{VENV}/bin/{name}" for name in (*wheel.console_scripts, *wheel.gui_scripts)]
    places += [f"{SITE}/{wheel.dist_info}/METADATA"]
    folders = {str(parent) for place in places for parent in Path(place).parents}
    return len(set(places)) == len(places) and not folders & set(places)


@st.composite
def wheels(draw: st.DrawFn) -> SmallWheel:
    files = draw(FILES)
    return SmallWheel(
        files=files,
        data=draw(st.dictionaries(st.sampled_from(SCHEMES), FILES, max_size=3)),
        console_scripts=draw(SCRIPTS),
        gui_scripts={f"g{name}": value for name, value in draw(SCRIPTS).items()},
        executable=frozenset(draw(st.sets(st.sampled_from(sorted(files))))) if files else frozenset(),
        purelib=draw(st.booleans()),
        stored=draw(st.booleans()),
        zip64=draw(st.booleans()),
        descriptors=draw(st.booleans()),
        directories=draw(st.booleans()),
        record=draw(st.sampled_from(["true", "partial", "wrong size"])),
    )


EVERYTHING = SmallWheel(
    files={
        "small/__init__.py": "VALUE = 1\n",
        "small/empty.py": "",
        "small/large.bin": LARGE,
        "small/__pycache__/x.cpython-311.pyc": b"x",
        "space/no_init/ö.py": "x = 'ü'\n",
    },
    data={
        "purelib": {"pure.py": "1\n"},
        "platlib": {"plat.so": LARGE},
        "scripts": {"s.py": "#!python\nprint(1)\n", "s.sh": "#!/bin/sh\n", "w": "#!pythonw\n"},
        "data": {"share/man/man1/x.1": "man\n"},
        "headers": {"x.h": "#pragma once\n"},
    },
    console_scripts={"con": "small:main", "extra": "small.sub:a.b [x]"},
    gui_scripts={"gui": "small:gui"},
    executable=frozenset({"small/large.bin"}),
    directories=True,
)


@example(EVERYTHING)
@example(replace(EVERYTHING, stored=True, zip64=True, descriptors=True, record="partial"))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(wheels().filter(free_of_clashes))
def test_matches_what_installer_installs(wheel: SmallWheel) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "store")
        ours = installed(wheel, store)
        theirs = by_installer(wheel, Path(folder) / "root")
        assert set(ours) == set(theirs)
        record = f"{SITE}/{wheel.dist_info}/RECORD"
        for path, (mode, data) in theirs.items():
            if path == record:
                # installer writes `./x` for files of the other one of purelib and platlib.
                rows = [[posixpath.normpath(row[0]), *row[1:]] for row in rows_of(data)]
                assert sorted(rows) == rows_of(ours[path][1])
            else:
                assert ours[path][1] == data, path
            # Every file in bin is executable, even if the zip does not say so.
            assert ours[path][0] == (0o755 if mode & 0o111 or path.startswith(f"{VENV}/bin/") else 0o644), path
        check_record(ours, wheel)


def test_the_way_of_packing_does_not_change_the_tree(store: Store) -> None:
    ways: tuple[dict[str, Any], ...] = (
        {},
        {"stored": True},
        {"zip64": True},
        {"descriptors": True},
        {"directories": False},
        {"record": "partial"},
        {"record": "wrong size"},
    )
    trees = [installed(replace(EVERYTHING, **way), store) for way in ways]
    assert all(tree == trees[0] for tree in trees)


def test_without_splicing_the_tree_is_the_same(store: Store) -> None:
    spliced, plain = (make_segment(source_of(EVERYTHING, store, spliced=way), store) for way in (True, False))
    assert tree_of(spliced, store) == tree_of(plain, store)
    assert spliced.digest != plain.digest
    assert spliced.key != plain.key


def test_splices_large_files_without_holding_them(store: Store) -> None:
    entries = {entry.path: entry for entry in source_of(EVERYTHING, store).entries()}
    content = entries[f"{SITE}/small/large.bin"].content
    assert isinstance(content, Deflated)
    assert isinstance(content.raw, FilePart)


def test_sorts_entries_and_puts_directories_first(store: Store) -> None:
    entries = list(source_of(EVERYTHING, store).entries())
    kinds = [entry.type for entry in entries]
    cut = kinds.index(EntryType.FILE)
    assert set(kinds[:cut]) == {EntryType.DIRECTORY}
    assert set(kinds[cut:]) == {EntryType.FILE}
    for part in (entries[:cut], entries[cut:]):
        assert [entry.path for entry in part] == sorted(entry.path for entry in part)
    assert {entry.mode for entry in entries[:cut]} == {0o755}
    assert {"opt", VENV, SITE, f"{SITE}/space/no_init"} <= {entry.path for entry in entries[:cut]}


def test_streams_large_stored_files(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = installed(EVERYTHING, store)
    monkeypatch.setattr(ziparchive, "_SMALL_BYTES", 100)
    monkeypatch.setattr(ziparchive, "_MAX_RATIO", 10_000)
    assert installed(replace(EVERYTHING, stored=True), store) == expected


def test_rewrites_shebangs(store: Store) -> None:
    tree = installed(EVERYTHING, store)
    assert tree[f"{VENV}/bin/s.py"] == (0o755, b"#!/opt/venv/bin/python\nprint(1)\n")
    assert tree[f"{VENV}/bin/s.sh"] == (0o755, b"#!/bin/sh\n")
    assert tree[f"{VENV}/bin/con"][1].startswith(b"#!/opt/venv/bin/python\n")


def test_scripts_run_and_metadata_is_readable(store: Store, tmp_path: Path) -> None:
    wheel = SmallWheel(
        files={"small/__init__.py": "class A:\n    @staticmethod\n    def run():\n        print('it runs')\n        return 7\n"},
        console_scripts={"go": "small:A.run [extra]"},
        requires=["other>=1"],
    )
    for path, (_, data) in installed(wheel, store).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    script = [sys.executable, "-S", str(tmp_path / VENV / "bin/go")]
    done = subprocess.run(script, env={"PYTHONPATH": str(tmp_path / SITE)}, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode, done.stderr) == ("it runs\n", 7, "")
    from importlib.metadata import Distribution

    found = next(iter(Distribution.discover(name="small", path=[str(tmp_path / SITE)])))
    assert (found.version, found.requires) == ("1.0", ["other>=1"])
    assert found.files
    assert all(Path(str(path.locate())).is_file() for path in found.files)


class FakeCompiler:
    """A compiler whose output is its input."""

    identity = "fake-1"

    def compile(self, sources: Sequence[tuple[str, bytes]]) -> list[Deflated | None]:
        return [None if b"syntax" in source else deflated(b"pyc of " + path.encode() + source) for path, source in sources]


def test_adds_bytecode(store: Store) -> None:
    files: dict[str, bytes | str] = {
        "small/__init__.py": "1\n",
        "small/bad.py": "syntax error\n",
        "small/__pycache__/__init__.cpython-311.pyc": b"theirs",
    }
    wheel = SmallWheel(files=files, data={"scripts": {"run.py": "1\n"}, "data": {"share/x.py": "1\n"}, "platlib": {"é.py": LARGE}})
    tree = installed(wheel, store, FakeCompiler())
    compiled = {path: data for path, (mode, data) in tree.items() if path.endswith(".pyc") and mode == 0o644}
    assert compiled == {
        f"{SITE}/small/__pycache__/__init__.cpython-311.pyc": b"pyc of /" + f"{SITE}/small/__init__.py".encode() + b"1\n",
        f"{SITE}/__pycache__/é.cpython-311.pyc": b"pyc of /" + f"{SITE}/é.py".encode() + LARGE,
    }
    check_record(tree, wheel)


def test_tests_get_no_bytecode(store: Store) -> None:
    """They are half of the modules of large packages, and start with their sources if somebody runs them."""
    files: dict[str, bytes | str] = {
        "small/tests.py": "1\n",
        "small/testing/api.py": "1\n",
        "small/tests/test_a.py": "1\n",
        "small/io/tests/deep/test_b.py": "1\n",
    }
    tree = installed(SmallWheel(files=files), store, FakeCompiler())
    compiled = {path.removeprefix(f"{SITE}/") for path in tree if path.endswith(".pyc")}
    assert compiled == {"small/__pycache__/tests.cpython-311.pyc", "small/testing/__pycache__/api.cpython-311.pyc"}
    assert f"{SITE}/small/tests/test_a.py" in tree


def test_replaces_the_files_that_an_installer_writes(store: Store) -> None:
    wheel = SmallWheel()
    wheel = replace(wheel, files={**wheel.files, f"{wheel.dist_info}/INSTALLER": "conda\n"})
    tree = installed(wheel, store)
    assert tree[f"{SITE}/{wheel.dist_info}/INSTALLER"][1] == b"shipwheel\n"
    check_record(tree, wheel)


def test_accepts_metadata_spelled_differently_from_the_file_name(store: Store) -> None:
    inner = SmallWheel(name="Small.Thing", files={"x.py": ""}, data={"scripts": {"x": "#!python\n"}, "headers": {"x.h": ""}})
    source = WheelSource("small-thing 1.0", "small_thing-1.0-py3-none-any.whl", store.add(inner.content()), store, PATHS)
    tree = tree_of(make_segment(source, store), store)
    assert f"{VENV}/bin/x" in tree
    assert f"{VENV}/include/site/python3.11/small_thing/x.h" in tree
    check_record(tree, inner)


@pytest.mark.parametrize(
    ("wheel", "path", "start"),
    [
        (
            SmallWheel(data={"scripts": {"con": "#!python\n1\n"}}, console_scripts={"con": "small:main"}),
            "bin/con",
            b"from small import main",
        ),
        (SmallWheel(console_scripts={"con": "small:main"}, gui_scripts={"con": "small:main"}), "bin/con", b"from small import main"),
        (SmallWheel(data={"purelib": {"small/__init__.py": "X = 'data'\n"}}), "small/__init__.py", b"X = 'data'"),
        (SmallWheel(data={"purelib": {"a.py": "1\n"}, "platlib": {"a.py": "2\n"}}), "a.py", b"2\n"),
    ],
    ids=["script and entry point", "two entry points", "package and data", "two kinds of data"],
)
def test_of_two_files_at_one_path_the_one_that_pip_keeps_is_installed(store: Store, wheel: SmallWheel, path: str, start: bytes) -> None:
    """As pip 23 and uv 0.13 do with the same wheels."""
    tree = installed(wheel, store)
    assert [start in content for name, (_, content) in tree.items() if name.endswith(f"/{path}")] == [True]
    check_record(tree, wheel)


def test_changes_no_global_state(store: Store) -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        before = list(warnings.filters)
        installed(EVERYTHING, store)
        assert warnings.filters == before
    assert not seen


def test_the_key_does_not_need_the_wheel(tmp_path: Path) -> None:
    store = Store(tmp_path / "other")
    source = WheelSource("small 1.0", "small-1.0-py3-none-any.whl", ANY, store, PATHS)
    keys = {
        source.key,
        replace(source, digest=digest_of(b"other")).key,
        replace(source, paths=Paths("3.12")).key,
        replace(source, compiler=FakeCompiler()).key,
        replace(source, spliced=False).key,
        replace(source, filename="Small-1.0-py3-none-any.whl").key,
    }
    assert len(keys) == 6
    assert replace(source, label="another").key == source.key
    with pytest.raises(DamagedBlob):
        list(source.entries())


def test_rejects_a_damaged_blob(store: Store) -> None:
    source = source_of(EVERYTHING, store)
    path = store.path(source.digest)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedBlob):
        make_segment(source, store)
    assert not store.has(source.digest)


LINK = stat.S_IFLNK | 0o777
DEVICE = stat.S_IFCHR | 0o666
GOOD = SmallWheel()
TEXT = b"text\n" * 1000


def tricky(*members: Member) -> SmallWheel:
    return SmallWheel(extra=members)


def overlapping() -> bytes:
    """Return a zip with a file whose bytes are another member, header included, to which the directory points."""
    inner = zip_bytes([Member("b.py", TEXT)])
    inner = inner[: inner.index(b"PK\1\2")]
    return zip_bytes([Member("a.py", inner, stored=True), Member("b.py", TEXT, offset=30 + len("a.py"))])


def hidden() -> bytes:
    """Return a member without its entry in the central directory."""
    whole = zip_bytes([Member("hidden.py", TEXT)])
    return whole[: whole.index(b"PK\1\2")]


def odd_metadata(name: str, text: str) -> SmallWheel:
    return SmallWheel(files={"x.py": "", f"{GOOD.dist_info}/{name}": text}, omitted=frozenset({name}))


HOSTILE: dict[str, SmallWheel | bytes] = {
    "parent": tricky(Member("../evil.py", TEXT)),
    "parent inside": tricky(Member("a/../../evil.py", TEXT)),
    "absolute": tricky(Member("/etc/passwd", TEXT)),
    "backslash": tricky(Member("..\\evil.py", TEXT)),
    "drive": tricky(Member("a\\b.py", TEXT)),
    "dot": tricky(Member("./a.py", TEXT)),
    "dot in data": tricky(Member("./small-1.0.data/scripts/x", TEXT)),
    "two slashes": tricky(Member("a//b.py", TEXT)),
    "no name": tricky(Member("", TEXT)),
    "zero byte": tricky(Member("a.py\0.txt", TEXT)),
    "parent in data": SmallWheel(data={"scripts": {"../../../evil": "x"}}),
    "absolute in data": SmallWheel(data={"data": {"/etc/passwd": "x"}}),
    "parent in entry point": SmallWheel(console_scripts={"../evil": "a:b"}),
    "absolute entry point": SmallWheel(console_scripts={"/etc/evil": "a:b"}),
    "code in entry point": SmallWheel(console_scripts={"x": "a:b;import os"}),
    "entry point without function": SmallWheel(console_scripts={"x": "a"}),
    "entry points that are no settings": odd_metadata("entry_points.txt", "x = a:b\n"),
    "entry point twice": odd_metadata("entry_points.txt", "[console_scripts]\nx = a:b\nx = a:c\n"),
    "symlink": tricky(Member("link", b"/etc/passwd", LINK)),
    "device": tricky(Member("null", b"", DEVICE)),
    "encrypted": tricky(Member("a.py", TEXT, flags=1)),
    "bzip2": tricky(Member("a.py", TEXT, method=12)),
    "lzma": tricky(Member("a.py", TEXT, method=14)),
    "no such method": tricky(Member("a.py", TEXT, method=77)),
    "twice": tricky(Member("a.py", TEXT), Member("a.py", b"other")),
    "file and directory": tricky(Member("a", TEXT), Member("a/b.py", TEXT)),
    "file and directory entry": tricky(Member("a", TEXT), Member("a/", b"", stat.S_IFDIR | 0o755, stored=True)),
    "file and directory across schemes": SmallWheel(files={"a/b.py": "1"}, data={"purelib": {"a": "2"}}),
    "data is a file": tricky(Member("small-1.0.data", TEXT)),
    "scheme is a file": tricky(Member("small-1.0.data/scripts", TEXT)),
    "no such scheme": SmallWheel(data={"etc": {"passwd": "x"}}),
    "other local name": tricky(Member("a.py", TEXT, local_name="b.py")),
    "other local size": tricky(Member("a.py", TEXT, local_size=len(TEXT) - 1)),
    "other local checksum": tricky(Member("a.py", TEXT, local_crc=1)),
    "offset outside": tricky(Member("a.py", TEXT, offset=1 << 30)),
    "offset at the end": tricky(Member("a.py", TEXT, offset=len(GOOD.content()))),
    "offset into nothing": tricky(Member("a.py", TEXT, offset=7)),
    "overlapping": overlapping(),
    "hidden before": replace(GOOD, prefix=hidden()),
    "something before": replace(GOOD, prefix=b"MZ"),
    "hidden between": tricky(Member("a.py", TEXT, before=hidden())),
    "something between": tricky(Member("a.py", TEXT, before=bytes(7))),
    "hidden at the end": tricky(Member("a.py", TEXT, packed=bytes(deflated(TEXT).raw) + hidden(), packed_size=len(deflated(TEXT).raw))),
    "something after": GOOD.content() + b"more",
    "hidden after": GOOD.content() + zip_bytes([Member("b.py", TEXT)]),
    "an end in the comment": zip_bytes([Member("a.py", TEXT)], comment=b"PK\5\6" + bytes(18)),
    "a wrong descriptor": replace(GOOD, descriptors=True).content().replace(b"PK\7\x08", b"PK\7\x09", 1),
    "no descriptor": tricky(Member("a.py", TEXT, flags=8, stored=True, local_crc=0)),
    "longer than the archive": tricky(Member("a.py", TEXT, packed_size=1 << 20)),
    "wrong checksum": tricky(Member("a.py", TEXT, crc=1)),
    "wrong checksum, stored": tricky(Member("a.py", TEXT, crc=1, stored=True)),
    "size too small": tricky(Member("a.py", TEXT, size=10)),
    "size too large": tricky(Member("a.py", TEXT, size=len(TEXT) + 10)),
    "two sizes, stored": tricky(Member("a.py", TEXT, size=10, stored=True)),
    "a bomb by its size": tricky(Member("a.py", TEXT, size=100 << 20)),
    "a bomb": tricky(Member("a.py", bytes(65 << 20))),
    "not deflate": tricky(Member("a.py", TEXT, packed=b"\xff" * 100)),
    "deflate cut off": tricky(Member("a.py", TEXT, packed=deflated(TEXT).raw[:-4])),  # type: ignore[arg-type]
    "deflate and more": tricky(Member("a.py", TEXT, packed=bytes(deflated(TEXT).raw) + b"more")),
    "cut off": GOOD.content()[:-30],
    "half": GOOD.content()[: len(GOOD.content()) // 2],
    "no zip": b"this is no zip file",
    "nothing": b"",
    "an empty zip": zip_bytes([]),
    "no RECORD": SmallWheel(record="missing"),
    "no WHEEL": SmallWheel(omitted=frozenset({"WHEEL"})),
    "a WHEEL of another time": odd_metadata("WHEEL", "Wheel-Version: 2.0\nRoot-Is-Purelib: true\n"),
    "an empty WHEEL": odd_metadata("WHEEL", "\n"),
    "RECORD with too few fields": odd_metadata("RECORD", "x.py\n"),
    "RECORD with a size that is none": odd_metadata("RECORD", "x.py,,many\n"),
    "RECORD with a hash that is none": odd_metadata("RECORD", "x.py,abc,0\n"),
    "RECORD with a field without end": odd_metadata("RECORD", f'"{"x" * 200_000}'),
    "two dist-info": tricky(Member("other-1.0.dist-info/METADATA", TEXT)),
    "another's dist-info": zip_bytes([Member(f"other-1.0.dist-info/{name}", b"") for name in ("METADATA", "WHEEL", "RECORD")]),
    "no dist-info": zip_bytes([Member("a.py", TEXT)]),
    "METADATA that is no text": tricky(Member(f"{GOOD.dist_info}/entry_points.txt", b"\xff\xfe")),
}


def in_store(store: Store) -> set[Path]:
    return {path.relative_to(store.root) for path in store.root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", HOSTILE)
def test_rejects_hostile_wheels(name: str, store: Store) -> None:
    source = source_of(HOSTILE[name], store)
    before = in_store(store)
    with pytest.raises(ArchiveError) as caught:
        make_segment(source, store)
    assert "small-1.0" in caught.value.message or "small 1.0" in caught.value.message
    assert caught.value.hint
    assert in_store(store) == before


def test_says_that_a_wheel_was_made_with_backslashes(store: Store) -> None:
    with pytest.raises(ArchiveError, match="backslash") as caught:
        make_segment(source_of(tricky(Member("small\\data.py", TEXT)), store), store)
    assert "made on Windows" in caught.value.hint


@pytest.mark.parametrize("way", [{}, {"stored": True}, {"zip64": True}, {"zip64": True, "stored": True}], ids=str)
def test_accepts_data_descriptors(store: Store, way: dict[str, bool]) -> None:
    wheel = replace(EVERYTHING, descriptors=True, **way)
    assert installed(wheel, store) == installed(EVERYTHING, store)


def test_accepts_a_data_descriptor_without_signature(store: Store) -> None:
    wheel = zip_bytes([Member(path, data, descriptor=True, signed=False) for path, data in GOOD._all()])
    assert installed(wheel, store) == installed(GOOD, store)


def test_rejects_many_small_bombs(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ziparchive, "_SMALL_BYTES", 1 << 20)
    source = source_of(tricky(*(Member(f"{number}.py", bytes(1 << 20)) for number in range(8))), store)
    with pytest.raises(ArchiveError, match="a zip bomb"):
        make_segment(source, store)


def test_rejects_a_wheel_with_another_name(store: Store) -> None:
    for filename in ("small.whl", "small-1.0.zip", "other-1.0-py3-none-any.whl", "x"):
        source = WheelSource("small 1.0", filename, store.add(GOOD.content()), store, PATHS)
        with pytest.raises(ArchiveError, match=filename):
            make_segment(source, store)


FUZZED = replace(EVERYTHING, zip64=True).content()
FUZZED_STORED = replace(EVERYTHING, stored=True, descriptors=True).content()


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([FUZZED, FUZZED_STORED, EVERYTHING.content()]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=4),
    st.floats(0.5, 2),
)
def test_damaged_wheels_raise_only_our_errors(wheel: bytes, flips: list[tuple[float, int]], length: float) -> None:
    data = bytearray(wheel)
    for place, value in flips:
        data[int(place * len(data))] ^= value
    if length < 1:
        del data[int(length * len(data)) :]
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        try:
            segment = make_segment(source_of(bytes(data), store), store)
        except ShipwheelError as error:
            assert isinstance(error, ArchiveError)
        else:
            # What is accepted is a valid tar in valid gzip members.
            tree_of(segment, store)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 200), st.integers(1, 255))
def test_damaged_central_directories_raise_only_our_errors(place: int, value: int) -> None:
    """The same for the end of the file, which has the central directory."""
    data = bytearray(GOOD.content())
    data[-1 - place] ^= value
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        try:
            tree_of(make_segment(source_of(bytes(data), store), store), store)
        except ShipwheelError as error:
            assert isinstance(error, ArchiveError)


def test_the_wheels_of_these_tests_are_valid() -> None:
    """The standard library reads what SmallWheel writes, in every way of packing."""
    import zipfile

    ways: tuple[dict[str, Any], ...] = ({}, {"stored": True}, {"zip64": True}, {"descriptors": True}, {"prefix": b"MZ"})
    for way in (*ways, {"zip64": True, "descriptors": True, "stored": True}):
        wheel = replace(EVERYTHING, **way)
        with zipfile.ZipFile(io.BytesIO(wheel.content())) as archive:
            assert archive.testzip() is None
            assert archive.read("small/large.bin") == LARGE
            assert zlib.crc32(LARGE) == archive.getinfo("small/large.bin").CRC
        assert wheel.content() == wheel.content()


def test_contents_that_are_taken_as_they_are_are_not_opened(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    real = zipfile.ZipFile.open

    def counted(self: zipfile.ZipFile, name: str | zipfile.ZipInfo, *rest: Any, **more: Any) -> Any:
        opened.append(name if isinstance(name, str) else name.filename)
        return real(self, name, *rest, **more)

    monkeypatch.setattr(zipfile.ZipFile, "open", counted)
    wheel = SmallWheel(files={"small/__init__.py": "x = 1\n" * 1000})
    segment = make_segment(WheelSource("small 1.0", wheel.filename, store.add(wheel.content()), store, PATHS), store)
    assert any(path.endswith("small/__init__.py") for path in segment.files)
    assert opened
    assert "small/__init__.py" not in opened
