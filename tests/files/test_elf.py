"""Reading ELF files: compared with readelf, with generated objects of every class and byte order, and with damaged ones."""

import io
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.programs import needs, skip_unless_complete

from shipwheel.errors import ArchiveError
from shipwheel.files.elf import MACHINES, ElfObject, is_elf, read_elf


def facts(data: bytes) -> ElfObject | None:
    return read_elf(io.BytesIO(data), "lib/x.so", "pkg 1.0")


def real_files() -> list[Path]:
    """Return ELF files that most machines have: programs, shared objects, extension modules."""
    found = [Path(sys.executable).resolve(), Path("/bin/true").resolve()]
    for folder in ("/lib", "/usr/lib", "/lib64", f"{sys.base_prefix}/lib"):
        for name in ("libc.so.6", "libm.so.6", "libz.so.1", "libstdc++.so.6", "ld-linux-x86-64.so.2", "libssl.so.3"):
            found += [path.resolve() for path in (*Path(folder).glob(name), *Path(folder).glob(f"*-linux-gnu/{name}"))]
    import _ctypes

    found += [Path(str(getattr(_ctypes, "__file__", sys.executable)))]
    return [path for path in sorted(set(found)) if path.is_file() and is_elf(path.read_bytes()[:4])]


def by_readelf(path: Path, *flags: str) -> str:
    done = subprocess.run(["readelf", "-W", *flags, str(path)], capture_output=True, text=True, check=True, env={"LC_ALL": "C"})
    return done.stdout


@needs("readelf")
@pytest.mark.parametrize("path", real_files(), ids=str)
def test_agrees_with_readelf(path: Path) -> None:
    found = facts(path.read_bytes())
    assert found is not None
    dynamic = by_readelf(path, "-d")
    assert list(found.needed) == re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)
    assert [found.soname] == (re.findall(r"\(SONAME\).*\[(.*)\]", dynamic) or [""])
    search = re.findall(r"\(RUNPATH\).*\[(.*)\]", dynamic) or re.findall(r"\(RPATH\).*\[(.*)\]", dynamic) or [""]
    assert list(found.runpath) == [part for part in dict.fromkeys(search[0].split(":")) if part]
    programs = by_readelf(path, "-l")
    assert [found.interpreter] == (re.findall(r"program interpreter: (.*)\]", programs) or [""])
    versions = by_readelf(path, "-V")
    defined, _, needed = versions.partition("Version needs section")
    wants, library = [], ""
    for line in needed.splitlines():
        if match := re.search(r"Version: 1  File: (\S+)", line):
            library = match[1]
        elif (match := re.search(r"Name: (\S+)  Flags: (.*?)  Version", line)) and "WEAK" not in match[2]:
            wants.append((library, match[1]))
    assert list(found.wants) == wants
    assert list(found.defines) == re.findall(r"Rev: .*Cnt: .*Name: (\S+)", defined)


def test_reads_the_c_library_of_this_machine() -> None:
    paths = [path for path in real_files() if path.name.startswith("libc.so") or path.name.startswith("libc-2")]
    if not paths:
        skip_unless_complete("there is no GNU C library")
    found = facts(paths[0].read_bytes())
    assert found is not None
    assert found.soname == "libc.so.6"
    assert {"GLIBC_2.17", "GLIBC_2.28"} <= set(found.defines)
    assert found.machine in MACHINES.values()


@needs("gcc")
@pytest.mark.parametrize(("flags", "interpreted"), [(["-static"], False), (["-static-pie"], False), (["-no-pie"], True), (["-c"], None)])
def test_reads_what_a_compiler_makes(tmp_path: Path, flags: list[str], interpreted: bool | None) -> None:
    (tmp_path / "x.c").write_text("int main(void) { return 0; }\n")
    out = tmp_path / "out"
    if subprocess.run(["gcc", *flags, "-o", str(out), str(tmp_path / "x.c")], capture_output=True, check=False).returncode:
        skip_unless_complete("there are no static libraries")
    found = facts(out.read_bytes())
    if interpreted is None:
        assert found is None, "a relocatable object is not loaded"
        return
    assert found is not None
    assert bool(found.interpreter) == interpreted
    assert bool(found.needed) == interpreted
    if shutil.which("strip") and shutil.which("objcopy"):
        subprocess.run(["objcopy", "--strip-section-headers", str(out), str(out)], capture_output=True, check=False)
        assert facts(out.read_bytes()) == found


def made(
    order: str = "<",
    wide: bool = True,
    *,
    kind: int = 3,
    machine: int = 62,
    soname: str = "",
    interpreter: str = "",
    needed: tuple[str, ...] = (),
    rpath: str = "",
    runpath: str = "",
    wants: tuple[tuple[str, tuple[tuple[str, int], ...]], ...] = (),
    defines: tuple[str, ...] = (),
    dynamic: bool = True,
) -> bytes:
    """Return an ELF file with headers and a dynamic section in one segment, whose address differs from its offset."""
    base = 0x10000
    names = bytearray(b"\0")

    def name(text: str) -> int:
        names.extend(text.encode() + b"\0")
        return len(names) - len(text.encode()) - 1

    need = b""
    for number, (library, versions) in enumerate(wants):
        size = 16 + 16 * len(versions)
        need += struct.pack(f"{order}HHIII", 1, len(versions), name(library), 16, size if number + 1 < len(wants) else 0)
        for at, (version, flags) in enumerate(versions):
            need += struct.pack(f"{order}IHHII", 0, flags, 2, name(version), 16 if at + 1 < len(versions) else 0)
    define = b""
    for number, version in enumerate(defines):
        define += struct.pack(f"{order}HHHHIII", 1, 0, number + 1, 1, 0, 20, 28 if number + 1 < len(defines) else 0)
        define += struct.pack(f"{order}II", name(version), 0)
    tags = [(1, name(item)) for item in needed]
    tags += [(tag, name(text)) for tag, text in ((14, soname), (15, rpath), (29, runpath)) if text]
    place = name(interpreter) if interpreter else 0
    head = (64 + 56 * 3) if wide else (52 + 32 * 3)
    at_need, at_define, at_names = head, head + len(need), head + len(need) + len(define)
    tags += [(0x6FFFFFFE, base + at_need), (0x6FFFFFFF, len(wants))] if wants else []
    tags += [(0x6FFFFFFC, base + at_define), (0x6FFFFFFD, len(defines))] if defines else []
    tags += [(5, base + at_names), (0, 0), (1, 1)]
    body = need + define + bytes(names)
    table = b"".join(struct.pack(order + ("qQ" if wide else "iI"), *tag) for tag in tags)
    at_dynamic = head + len(body)
    segments = [(1, 0, base, at_dynamic + len(table)), (2, at_dynamic, base + at_dynamic, len(table)), (3, at_names + place, 0, 1)]
    used = [segments[0], *([segments[1]] if dynamic else []), *([segments[2]] if interpreter else [])]
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    sizes = (64, 56, len(used), 64, 0, 0) if wide else (52, 32, len(used), 40, 0, 0)
    header = struct.pack(order + ("HHIQQQI6H" if wide else "HHIIIII6H"), kind, machine, 1, 0, 64 if wide else 52, 0, 0, *sizes)
    programs = b"".join(
        struct.pack(f"{order}IIQQQQQQ", kind, 4, offset, address, address, size, size, 0)
        if wide
        else struct.pack(f"{order}8I", kind, offset, address, address, size, size, 4, 0)
        for kind, offset, address, size in used
    )
    return (ident + header + programs).ljust(head, b"\0") + body + table


NAME = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
PATH = NAME.filter(lambda text: ":" not in text)
VERSIONS = st.lists(st.tuples(NAME, st.sampled_from([0, 2])), min_size=1, max_size=3).map(tuple)


@settings(max_examples=50, deadline=None)
@given(
    st.sampled_from("<>"),
    st.booleans(),
    st.sampled_from([2, 3]),
    NAME | st.just(""),
    NAME | st.just(""),
    st.lists(NAME, max_size=3).map(tuple),
    st.lists(PATH, max_size=3),
    st.lists(PATH, max_size=3),
    st.lists(st.tuples(NAME, VERSIONS), max_size=3).map(tuple),
    st.lists(NAME, max_size=3).map(tuple),
)
def test_reads_generated_objects(
    order: str,
    wide: bool,
    kind: int,
    soname: str,
    interpreter: str,
    needed: tuple[str, ...],
    rpath: list[str],
    runpath: list[str],
    wants: tuple[tuple[str, tuple[tuple[str, int], ...]], ...],
    defines: tuple[str, ...],
) -> None:
    data = made(
        order,
        wide,
        kind=kind,
        soname=soname,
        interpreter=interpreter,
        needed=needed,
        rpath=":".join(rpath),
        runpath=":".join(runpath),
        wants=wants,
        defines=defines,
    )
    assert facts(data) == ElfObject(
        "lib/x.so",
        "EM_X86_64",
        soname=soname,
        interpreter=interpreter,
        needed=needed,
        runpath=tuple(dict.fromkeys(runpath or rpath)),
        wants=tuple((library, version) for library, versions in wants for version, flags in versions if not flags),
        defines=defines,
    )


@pytest.mark.parametrize(
    ("number", "name"), [(62, "EM_X86_64"), (183, "EM_AARCH64"), (3, "EM_386"), (40, "EM_ARM"), (243, "EM_RISCV"), (999, "EM_999")]
)
def test_names_the_machine(number: int, name: str) -> None:
    found = facts(made(machine=number))
    assert found is not None
    assert found.machine == name


@pytest.mark.parametrize("kind", [0, 1, 4, 0xFE00])
def test_ignores_other_kinds_of_elf_files(kind: int) -> None:
    assert facts(made(kind=kind)) is None


def test_reads_a_static_program() -> None:
    assert facts(made(kind=2, machine=183, dynamic=False)) == ElfObject("lib/x.so", "EM_AARCH64")


def test_escapes_names_that_are_not_utf_8() -> None:
    data = made(needed=("libé.so",)).replace("é".encode(), b"\xff\xfe")
    found = facts(data)
    assert found is not None
    assert found.needed == ("lib\\xff\\xfe.so",)


DAMAGED: dict[str, bytes] = {
    "nothing": b"",
    "magic alone": b"\x7fELF",
    "no class": b"\x7fELF\x00\x01" + bytes(100),
    "no order": b"\x7fELF\x02\x00" + bytes(100),
    "half a header": made()[:40],
    "half the programs": made()[:100],
    "no dynamic section": made(needed=("libc.so.6",))[:-10],
    "programs far away": made()[:32] + b"\xff" * 8 + made()[40:],
    "programs of another size": made()[:54] + b"\x37\x00" + made()[56:],
    "the strings are nowhere": made(needed=("x",)).replace(struct.pack("<qQ", 5, 0x10000 + 232), struct.pack("<qQ", 5, 1 << 63)),
    "no strings": made(needed=("x",)).replace(struct.pack("<q", 5), struct.pack("<q", 77)),
    "a name without end": made(interpreter="x" * 5000),
    "a chain that leaves the file": made(wants=(("libc.so.6", (("A", 0),)),)).replace(
        struct.pack("<HHI", 1, 1, 1), struct.pack("<HHI", 1, 60000, 1)
    )[:-2],
    "a library without versions": made(wants=(("libc.so.6", ()),)),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_rejects_damaged_files(name: str) -> None:
    with pytest.raises(ArchiveError, match=r"pkg 1\.0: lib/x\.so is a damaged ELF file") as caught:
        facts(DAMAGED[name])
    assert caught.value.hint


def test_reads_a_bounded_number_of_versions() -> None:
    """A thousand libraries that share sixty thousand versions are sixty million records in one megabyte."""
    outer, inner = 1000, 60_000
    number = struct.pack("<qQ", 0x6FFFFFFF, 1)
    data = bytearray(made(wants=(("libc.so.6", (("A", 0),)),)).replace(number, struct.pack("<qQ", 0x6FFFFFFF, outer)))
    first, at = 64 + 56 * 3, len(data)
    struct.pack_into("<I", data, first + 12, at - first)
    data += b"".join(struct.pack("<HHIII", 1, inner, 1, 16 * (outer - each), 16) for each in range(outer))
    data += struct.pack("<IHHII", 0, 0, 2, 1, 16) * inner
    found = facts(bytes(data))
    assert found is not None
    assert len(found.wants) == 20_000


EXAMPLE = made(
    soname="libx.so.1",
    interpreter="/lib64/ld.so",
    needed=("libc.so.6", "libm.so.6"),
    runpath="$ORIGIN/../lib",
    wants=(("libc.so.6", (("GLIBC_2.17", 0), ("GLIBC_2.34", 2))), ("libm.so.6", (("GLIBC_2.29", 0),))),
    defines=("libx.so.1", "X_1"),
)
REAL = Path("/bin/true").read_bytes() if Path("/bin/true").exists() else EXAMPLE


@settings(max_examples=50, deadline=None)
@given(
    st.sampled_from([EXAMPLE, made(">", False, needed=("a",), soname="b", wants=(("a", (("c", 0),)),)), REAL]),
    st.lists(st.tuples(st.integers(0, 700) | st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6),
    st.floats(0, 2),
)
def test_damage_raises_only_archive_errors(data: bytes, changes: list[tuple[int | float, int]], length: float) -> None:
    damaged = bytearray(data)
    for place, value in changes:
        damaged[place % len(damaged) if isinstance(place, int) else int(place * len(damaged))] = value
    if length < 1:
        del damaged[int(length * len(damaged)) :]
    try:
        found = facts(bytes(damaged))
    except ArchiveError:
        return
    assert found is None or found.path == "lib/x.so"
