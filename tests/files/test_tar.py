"""Tar headers, checked with Python's reader and GNU tar."""

import io
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.programs import needs

from shipwheel.errors import ArchiveError
from shipwheel.files import tar
from shipwheel.files.entry import EntryType, FileEntry, symlink

TYPES = {
    EntryType.FILE: tarfile.REGTYPE,
    EntryType.HARDLINK: tarfile.LNKTYPE,
    EntryType.SYMLINK: tarfile.SYMTYPE,
    EntryType.DIRECTORY: tarfile.DIRTYPE,
}

ascii_names = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="/\\"), min_size=1, max_size=120)
any_names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=60)
names = st.one_of(ascii_names, any_names).filter(lambda name: name not in (".", ".."))
paths = st.lists(names, min_size=1, max_size=5).map("/".join)
ids = st.one_of(st.integers(0, 70000), st.sampled_from([0o7777777, 0o10000000, 4294967295]))
entries = st.builds(
    FileEntry,
    path=paths,
    type=st.sampled_from(EntryType),
    mode=st.integers(0, 0o7777),
    target=paths,
    uid=ids,
    gid=ids,
)


def read_one(data: bytes) -> tarfile.TarInfo:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        found = archive.next()
    assert found is not None
    return found


def with_target(entry: FileEntry) -> bool:
    return entry.type in (EntryType.HARDLINK, EntryType.SYMLINK)


@given(entry=entries, content=st.binary(max_size=1100), mtime=st.integers(0, 0o77777777777))
def test_python_reads_every_field(entry: FileEntry, content: bytes, mtime: int) -> None:
    if not with_target(entry):
        entry = FileEntry(entry.path, entry.type, entry.mode, uid=entry.uid, gid=entry.gid)
    data = content if entry.type is EntryType.FILE else b""
    written = tar.header(entry, len(data), mtime) + data + tar.padding(len(data)) + tar.END_OF_ARCHIVE
    assert len(written) % tar.BLOCK == 0
    found = read_one(written)
    assert (found.name, found.type, found.linkname) == (entry.path, TYPES[entry.type], entry.target)
    assert (found.mode, found.uid, found.gid) == (entry.mode, entry.uid, entry.gid)
    assert (found.size, found.mtime) == (len(data), mtime)
    assert (found.uname, found.gname) == ("", "")
    with tarfile.open(fileobj=io.BytesIO(written), mode="r:") as archive:
        assert len(archive.getmembers()) == 1
        assert archive.offset == len(written) - 1024


@given(entry=entries)
def test_headers_are_reproducible_and_short_ascii_names_need_no_pax(entry: FileEntry) -> None:
    first = tar.header(entry, 0, 5)
    assert first == tar.header(entry, 0, 5)
    short = len(entry.path) < 100 and entry.path.isascii() and len(entry.target) <= 100 and entry.target.isascii()
    if short and max(entry.uid, entry.gid) <= 0o7777777:
        assert len(first) == tar.BLOCK


@pytest.mark.parametrize("length", [*range(98, 104), *range(154, 160), *range(250, 262)])
@pytest.mark.parametrize("kind", [EntryType.FILE, EntryType.DIRECTORY])
def test_uses_pax_for_names_beyond_the_limits_of_ustar(length: int, kind: EntryType) -> None:
    for cut in (3, length // 2, length - 3):
        path = "a" * cut + "/" + "b" * (length - cut - 1)
        assert read_one(tar.header(FileEntry(path, kind, 0o644), 0, 0) + tar.END_OF_ARCHIVE).name == path
    path = "c" * length
    assert read_one(tar.header(FileEntry(path, kind, 0o644), 0, 0) + tar.END_OF_ARCHIVE).name == path


@pytest.mark.parametrize("size", [0o77777777777, 0o77777777777 + 1, 1 << 40])
def test_uses_pax_for_sizes_beyond_eight_gigabytes(size: int) -> None:
    assert read_one(tar.header(FileEntry("big", EntryType.FILE, 0o644), size, 0)).size == size


@pytest.mark.parametrize("entry", [FileEntry("caf\udce9", EntryType.FILE, 0o644), symlink("a", "caf\udce9")])
def test_rejects_a_name_that_is_not_unicode(entry: FileEntry) -> None:
    with pytest.raises(ArchiveError, match="caf"):
        tar.header(entry, 0, 0)


@needs("tar")
def test_gnu_tar_lists_every_entry(tmp_path: Path) -> None:
    long = "/".join(["part" * 12] * 8)
    given_entries = [
        FileEntry("plain", EntryType.FILE, 0o4755, uid=1, gid=2),
        FileEntry(long, EntryType.FILE, 0o644),
        FileEntry("x" * 240, EntryType.DIRECTORY, 0o1777),
        FileEntry("naïve/文件", EntryType.FILE, 0o644),
        symlink("link", "t" * 200),
        FileEntry("hard", EntryType.HARDLINK, 0o644, target=long),
        FileEntry("owner", EntryType.FILE, 0o644, uid=4000000000, gid=4000000001),
    ]
    archive = tmp_path / "small.tar"
    archive.write_bytes(b"".join(tar.header(entry, 0, 86400) for entry in given_entries) + tar.END_OF_ARCHIVE)
    command = ["tar", "--numeric-owner", "--utc", "--quoting-style=literal", "-tvf", str(archive)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"})
    assert done.stderr == ""
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert lines == [
        "-rwsr-xr-x 1/2 0 1970-01-02 00:00 plain",
        f"-rw-r--r-- 0/0 0 1970-01-02 00:00 {long}",
        f"drwxrwxrwt 0/0 0 1970-01-02 00:00 {'x' * 240}/",
        "-rw-r--r-- 0/0 0 1970-01-02 00:00 naïve/文件",
        f"lrwxrwxrwx 0/0 0 1970-01-02 00:00 link -> {'t' * 200}",
        f"hrw-r--r-- 0/0 0 1970-01-02 00:00 hard link to {long}",
        "-rw-r--r-- 4000000000/4000000001 0 1970-01-02 00:00 owner",
    ]


@needs("tar")
def test_gnu_tar_finds_the_entry_after_nine_gigabytes(tmp_path: Path) -> None:
    size = 9 << 30
    archive = tmp_path / "sparse.tar"
    with archive.open("wb") as stream:
        header = tar.header(FileEntry("big", EntryType.FILE, 0o644), size, 0)
        stream.write(header)
        stream.seek(len(header) + size)
        stream.write(tar.header(FileEntry("after", EntryType.FILE, 0o644), 0, 0) + tar.END_OF_ARCHIVE)
    done = subprocess.run(["tar", "-tvf", str(archive)], capture_output=True, text=True, check=True)
    assert [(line.split()[2], line.split()[-1]) for line in done.stdout.splitlines()] == [(str(size), "big"), ("0", "after")]
