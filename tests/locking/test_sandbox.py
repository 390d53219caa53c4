"""The sandbox of bubblewrap: the user in it, and what it may do with the files of an archive."""

import io
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from support.programs import needs

from shipwheel.errors import BuildError
from shipwheel.locking import sandbox
from shipwheel.locking.sandbox import SANDBOX_USER, bubblewrap_user, confined, interpreter_paths, is_available

EXTRACT = "import os, sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2]); print(os.getuid(), os.getgid())"


@needs("bwrap")
def test_the_files_of_an_archive_stay_executable_whoever_owned_them(tmp_path: Path) -> None:
    """A source may hold an archive with a configure script; as root, tarfile gives a file no mode if it cannot give it an owner."""
    archive, out = tmp_path / "inner.tar", tmp_path / "out"
    out.mkdir()
    with tarfile.open(archive, "w") as inner:
        info = tarfile.TarInfo("configure")
        info.uid, info.gid, info.mode, info.size = 1001, 118, 0o755, 2
        inner.addfile(info, io.BytesIO(b"#!"))
    command = [str(interpreter_paths(sys.executable)[0]), "-I", "-c", EXTRACT, str(archive), str(out)]
    words = confined(command, writable=(out,), readable=(*interpreter_paths(sys.executable), archive), network=False)
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(SANDBOX_USER)] * 2
    assert (out / "configure").stat().st_mode & 0o111 == 0o111


def test_without_user_namespaces_the_user_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = tmp_path / "max_user_namespaces"
    limit.write_text("0\n")
    monkeypatch.setattr(sandbox, "_MAX_NAMESPACES", limit)
    assert bubblewrap_user() != (SANDBOX_USER, SANDBOX_USER)
    assert "--uid" not in confined(["true"], writable=(), readable=(), network=False)


@needs("bwrap")
def test_each_path_has_its_own_bubblewrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_available()
    stub = tmp_path / "bwrap"
    stub.write_text("#!/bin/sh\nexit 1\n")
    stub.chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        assert not is_available()
    assert is_available()


def test_another_interpreter_at_the_same_path_has_its_own_directories(tmp_path: Path) -> None:
    link = tmp_path / "python"
    for name in ("first", "second"):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\nprintf '%s\\n' /{name}/bin/python /{name}\n")
        program.chmod(0o755)
        link.unlink(missing_ok=True)
        link.symlink_to(program)
        assert interpreter_paths(str(link)) == tuple(map(Path, (f"/{name}/bin/python", f"/{name}/bin", f"/{name}")))
    program.unlink()
    with pytest.raises(BuildError, match="does not start"):
        interpreter_paths(str(link))
