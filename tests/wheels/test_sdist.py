"""Unpacking source distributions: whatever is in one, nothing is written outside the directory, and only named errors come."""

import io
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.sdist import sdist

from shipwheel.errors import ArchiveError
from shipwheel.wheels.sdist import unpack_sdist


def _tar(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size) if member.isreg() else None)
    return path


def _member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", size: int = 1) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.size = kind, target, size if kind == tarfile.REGTYPE else 0
    return member


def _unpack(path: Path) -> Path:
    out = path.parent / "out"
    out.mkdir()
    return unpack_sdist(path, out, "made 1.0")


def test_returns_the_directory_of_the_source(tmp_path: Path) -> None:
    path = tmp_path / "made-1.0.tar.gz"
    path.write_bytes(sdist("made"))
    assert _unpack(path) == tmp_path / "out" / "made-1.0"
    assert (tmp_path / "out" / "made-1.0" / "pyproject.toml").is_file()


def test_keeps_modes_and_links_inside_the_source(tmp_path: Path) -> None:
    program = _member("m/run.sh")
    program.mode = 0o755
    _unpack(
        _tar(tmp_path / "m.tar.gz", program, _member("m/link", tarfile.SYMTYPE, "run.sh"), _member("m/hard", tarfile.LNKTYPE, "m/run.sh"))
    )
    assert (tmp_path / "out/m/run.sh").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "out/m/link").readlink() == Path("run.sh")
    assert (tmp_path / "out/m/hard").read_text() == "x"


def test_reads_a_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        archive.writestr("m/setup.py", "setup")
    assert (_unpack(tmp_path / "m.zip") / "setup.py").read_text() == "setup"


@pytest.mark.parametrize(
    "members",
    [
        [_member("../evil")],
        [_member("/evil")],
        [_member("m/../../evil")],
        [_member("m/link", tarfile.SYMTYPE, "../../evil")],
        [_member("m/link", tarfile.SYMTYPE, "/etc/passwd")],
        [_member("m/hard", tarfile.LNKTYPE, "../evil")],
        [_member("m/pipe", tarfile.FIFOTYPE)],
        [_member("m/device", tarfile.CHRTYPE)],
        [_member("a/x"), _member("b/x")],
        [],
    ],
)
def test_rejects_what_no_source_has(tmp_path: Path, members: list[tarfile.TarInfo]) -> None:
    with pytest.raises(ArchiveError, match=r"made 1\.0"):
        _unpack(_tar(tmp_path / "m.tar.gz", *members))
    assert not (tmp_path / "evil").exists()


def test_rejects_a_zip_that_leads_outside(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        archive.writestr("../evil", "x")
    with pytest.raises(ArchiveError, match=r"made 1\.0"):
        _unpack(tmp_path / "m.zip")
    assert not (tmp_path / "evil").exists()


@given(st.data())
def test_mutated_archives_are_unpacked_or_refused(data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from([sdist("made"), _plain_tar(), _plain_zip()])))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, data.draw(st.sampled_from(["m.tar.gz", "m.zip"])))
        path.write_bytes(content)
        try:
            _unpack(path)
        except ArchiveError as error:
            assert "made 1.0" in error.message
        assert {entry.name for entry in Path(name).iterdir()} == {path.name, "out"}


def _plain_tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for member in (_member("m/a"), _member("m/l", tarfile.SYMTYPE, "a"), _member("m/h", tarfile.LNKTYPE, "m/a")):
            archive.addfile(member, io.BytesIO(b"x"))
    return out.getvalue()


def _plain_zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("m/a", "x" * 20)
    return out.getvalue()
