"""Sessions: what killed processes leave is removed, and what running ones may have found is kept."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shipwheel.digest import Digest
from shipwheel.store.sessions import open_session, used_since
from shipwheel.store.store import Store

DAY_S = 86400

WRITER = """
import sys; from pathlib import Path; from shipwheel.store.store import Store
with Store(Path(sys.argv[1])).writer() as blob:
    blob.write(b"x" * 3000000); print("writing", flush=True); sys.stdin.read()
"""


@contextmanager
def writing(root: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a process that is in the middle of writing a blob."""
    with subprocess.Popen([sys.executable, "-c", WRITER, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"writing\n"
        yield process


def names(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def test_removes_what_a_killed_process_left_and_nothing_of_a_running_one(tmp_path: Path) -> None:
    with writing(tmp_path) as running:
        kept = names(tmp_path)
        assert len(kept) == 2, "the session and the temporary file"
        with writing(tmp_path) as killed:
            killed.send_signal(signal.SIGKILL)
            killed.wait()
        assert len(names(tmp_path)) == 4
        store = Store(tmp_path)
        assert names(tmp_path) >= kept
        assert len(names(tmp_path)) == 3
        del store
        running.communicate()
        assert running.returncode == 0
    assert [name.partition("/")[0] for name in names(tmp_path)] == ["blobs"]


def test_a_store_that_is_closed_leaves_no_session(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert used_since(tmp_path) is not None
    store.close()
    assert used_since(tmp_path) is None
    assert names(tmp_path) == set()


@pytest.mark.parametrize("age_s", [3600, 2 * DAY_S])
def test_removes_temporary_files_of_earlier_versions_by_their_age(tmp_path: Path, age_s: int) -> None:
    (tmp_path / "tmp").mkdir()
    left = tmp_path / "tmp" / "tmpa1b2c3d4"
    left.touch()
    os.utime(left, (time.time() - age_s,) * 2)
    Store(tmp_path)
    assert left.exists() == (age_s < DAY_S)


def test_removes_only_files_with_the_names_of_temporary_files(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("mine")
    folder = tmp_path / "tmp"
    (folder / "session-00000000.folder").mkdir(parents=True)
    (folder / "thesis.tex").write_text("mine")
    (folder / "session-00000000.a1").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "sessions").mkdir()
    (tmp_path / "sessions" / "session-link").symlink_to(tmp_path / "elsewhere")
    store = Store(tmp_path)
    assert used_since(tmp_path) is not None
    store.close()
    assert {path.name for path in folder.iterdir()} == {"session-00000000.folder", "thesis.tex", "session-00000000.a1"}
    assert (tmp_path / "elsewhere").read_text() == "mine"


def test_a_store_where_no_session_can_be_written_still_works(tmp_path: Path) -> None:
    digest = Store(tmp_path).add(b"data")
    (tmp_path / "sessions").rmdir()
    (tmp_path / "sessions").write_text("in the way")
    assert open_session(tmp_path) is None
    assert Store(tmp_path).read(digest) == b"data"
    assert Store(tmp_path).add(b"more")


@pytest.mark.parametrize("use", ["has", "open", "read"])
def test_every_use_of_a_blob_is_noted(tmp_path: Path, use: str) -> None:
    store = Store(tmp_path)
    digest = store.add(b"data")
    path = store.path(digest)
    os.utime(path, (1000, 1000))
    uses = {"has": store.has, "open": lambda digest: store.open(digest).close(), "read": store.read}
    uses[use](Digest(digest))
    assert path.stat().st_mtime > time.time() - DAY_S


def test_a_use_of_a_record_is_noted(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put("kind", "key", b"data")
    (path,) = (path for path in (tmp_path / "records").rglob("key"))
    os.utime(path, (1000, 1000))
    assert store.get("kind", "key") == b"data"
    assert path.stat().st_mtime > time.time() - DAY_S
