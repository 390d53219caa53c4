"""The store: a blob is complete or absent, whatever happens."""

import errno
import hashlib
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, BinaryIO

import pytest
from support.canary import strays, untouched
from support.disk import small_disk
from support.programs import needs_root

from shipwheel.digest import digest_of
from shipwheel.errors import DamagedBlob, IntegrityError, StoreError
from shipwheel.store.store import Store, default_root

if TYPE_CHECKING:
    from _typeshed import TraceFunction


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def leftovers(store: Store) -> list[Path]:
    return list((store.root / "tmp").iterdir())


def test_a_blob_appears_when_its_block_ends(store: Store) -> None:
    with store.writer() as blob:
        blob.write(b"one ")
        blob.write(memoryview(b"two"))
        assert not store.has(digest_of(b"one two"))
    assert blob.digest == digest_of(b"one two")
    assert (blob.size, store.read(blob.digest)) == (7, b"one two")
    assert store.path(blob.digest).stat().st_mode & 0o777 == 0o644
    assert leftovers(store) == []


@pytest.mark.parametrize("error", [RuntimeError("stop"), KeyboardInterrupt()])
def test_a_failed_block_leaves_nothing(store: Store, error: BaseException) -> None:
    with pytest.raises(type(error)), store.writer() as blob:
        blob.write(b"half")
        raise error
    assert not store.has(digest_of(b"half"))
    assert leftovers(store) == []


def test_rejects_another_digest_than_expected(store: Store) -> None:
    with pytest.raises(IntegrityError) as caught, store.writer(digest_of(b"promised")) as blob:
        blob.write(b"given")
    assert digest_of(b"promised") in caught.value.message
    assert digest_of(b"given") in caught.value.message
    assert not store.has(digest_of(b"given"))
    assert leftovers(store) == []


@pytest.mark.parametrize("damage", [b"", b"rubbish", b"contenT"], ids=["emptied", "other size", "one bit"])
def test_discards_a_damaged_blob(store: Store, damage: bytes) -> None:
    digest = store.add(b"content")
    store.path(digest).write_bytes(damage)
    # A file system may give two writes within some milliseconds the same time.
    os.utime(store.path(digest), (1, 1))
    with pytest.raises(DamagedBlob) as caught:
        store.read(digest)
    assert caught.value.digest == digest
    assert not store.has(digest)
    assert store.add(b"content") == digest
    assert store.read(digest) == b"content"


def test_hashes_no_blob_again_whose_file_is_unchanged(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    digest, other = store.add(b"content"), Store(store.root)
    assert other.read(digest) == b"content"
    with monkeypatch.context() as patch:
        patch.delattr(hashlib, "sha256")
        assert store.read(digest) == other.read(digest) == b"content"
        with pytest.raises(AttributeError):
            Store(store.root).read(digest)
    assert store.sweep() == ()


def test_verify_returns_false_for_a_damaged_blob(store: Store) -> None:
    digest = store.add(b"content")
    assert store.verify(digest)
    store.path(digest).write_bytes(b"x")
    assert not store.verify(digest)
    assert not store.verify(digest)


def test_a_missing_blob_is_a_damaged_blob(store: Store) -> None:
    with pytest.raises(DamagedBlob):
        store.open(digest_of(b"never"))
    store.discard(digest_of(b"never"))


def test_records_can_be_read_and_replaced(store: Store) -> None:
    assert store.get("kind", "a" * 64) is None
    store.put("kind", "a" * 64, b"first\nline")
    store.put("kind", "a" * 64, b"second\n\nline")
    assert store.get("kind", "a" * 64) == b"second\n\nline"
    assert store.get("other", "a" * 64) is None
    assert leftovers(store) == []


@pytest.mark.parametrize(
    "key",
    ["", ".", "..", "../../.profile", "/home/u/.profile", "a/b", "a\0b", "a\nb", "-", "\u00e9", "k" * 300, ".hidden", "a" * 64 + "/.."],
)
def test_a_record_of_any_key_stays_in_the_store(store: Store, key: str) -> None:
    with untouched(store.root.parent, store.root):
        store.put("kind", key, b"data")
        assert store.get("kind", key) == b"data"
    assert strays(store.root) == []
    assert store.get("kind", hashlib.sha256(key.encode()).hexdigest()) is None, "a key that is a hash names another record"


@pytest.mark.parametrize("damage", [b"", b"\n", b"no checksum", b"0" * 64 + b"\nsecond"])
def test_a_damaged_record_reads_as_absent(store: Store, damage: bytes) -> None:
    store.put("kind", "k" * 64, b"data")
    (path,) = (store.root / "records" / "kind").rglob("k" * 64)
    path.write_bytes(damage)
    assert store.get("kind", "k" * 64) is None


def test_a_cut_off_record_reads_as_absent(store: Store) -> None:
    store.put("kind", "k" * 64, b"data")
    (path,) = (store.root / "records" / "kind").rglob("k" * 64)
    path.write_bytes(path.read_bytes()[:-1])
    assert store.get("kind", "k" * 64) is None


def no_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def full(handle: int, *_: object, **__: object) -> BinaryIO:
    """On /dev/full, every write that leaves the buffer fails with ENOSPC."""
    os.close(handle)
    return Path("/dev/full").open("wb")


@pytest.mark.parametrize("where", ["fsync", "fdopen"])
def test_reports_a_full_disk_wherever_the_system_does(store: Store, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    if where == "fsync":
        monkeypatch.setattr(os, "fsync", no_space)
    else:
        monkeypatch.setattr(os, "fdopen", full)
    with pytest.raises(StoreError) as caught:
        store.add(b"x" * 100_000)
    assert "no space left" in caught.value.message
    assert "SHIPWHEEL_CACHE" in caught.value.hint
    assert leftovers(store) == []
    monkeypatch.undo()
    assert not store.has(digest_of(b"x" * 100_000))


@needs_root
def test_reports_a_disk_that_is_really_full(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", "256k") as disk:
        store = Store(disk)
        kept = store.add(b"k" * 50_000)
        for size in (300_000, 5 << 20):
            with pytest.raises(StoreError, match="no space left"):
                store.add(os.urandom(size))
        with pytest.raises(StoreError, match="no space left"):
            store.put("kind", "k" * 64, bytes(400_000))
        assert leftovers(store) == []
        assert store.get("kind", "k" * 64) is None
        assert store.read(kept) == b"k" * 50_000
        assert store.read(store.add(b"room again" * 100)) == b"room again" * 100
        store.close()


def test_does_not_blame_the_store_for_errors_of_the_block(store: Store) -> None:
    with pytest.raises(PermissionError), store.writer() as blob:
        blob.write(b"x")
        raise PermissionError(errno.EACCES, "Permission denied", "/somewhere/else")


def test_rejects_a_root_that_cannot_be_a_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="cannot be used") as caught:
        Store(tmp_path / "file" / "store")
    assert "SHIPWHEEL_CACHE" in caught.value.hint


def test_readers_see_complete_blobs_between_many_writers(store: Store) -> None:
    blobs = [bytes([number]) * (1 << 16) for number in range(4)]
    stop = threading.Event()
    wrong: list[str] = []

    def read() -> None:
        while not stop.is_set():
            wrong.extend(digest_of(data) for data in blobs if store.has(digest_of(data)) and store.read(digest_of(data)) != data)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        with ThreadPoolExecutor(8) as pool:
            digests = list(pool.map(store.add, blobs * 10))
    finally:
        stop.set()
        reader.join()
    assert wrong == []
    assert digests == [digest_of(data) for data in blobs * 10]
    assert leftovers(store) == []


def test_a_killed_writer_leaves_no_partial_blob(store: Store) -> None:
    program = (
        "import os, sys; from pathlib import Path; from shipwheel.store.store import Store\n"
        "with Store(Path(sys.argv[1])).writer() as blob:\n"
        "    blob.write(b'x' * 3000000); os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(store.root)], check=False)
    assert done.returncode == -9
    assert [path for path in (store.root / "blobs").rglob("*") if path.is_file()] == []
    assert store.read(store.add(b"x" * 3000000)) == b"x" * 3000000


def test_the_root_is_configurable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SHIPWHEEL_CACHE", str(tmp_path))
    assert default_root() == tmp_path
    monkeypatch.delenv("SHIPWHEEL_CACHE")
    assert default_root().name == "shipwheel"


def test_sweep_discards_damaged_blobs(tmp_path: Path) -> None:
    store = Store(tmp_path)
    kept, gone, short = (store.add(data) for data in (b"kept", b"gone", b"short"))
    store.path(gone).write_bytes(b"gonE")
    store.path(short).write_bytes(b"")
    assert store.sweep() == tuple(sorted([gone, short]))
    assert [store.has(digest) for digest in (kept, gone, short)] == [True, False, False]
    assert store.sweep() == ()


def test_unreadable_blobs_are_errors_and_unreadable_records_absent(tmp_path: Path) -> None:
    store = Store(tmp_path)
    digest = store.add(b"data")
    store.path(digest).unlink()
    store.path(digest).mkdir()
    with pytest.raises(StoreError, match="cannot be read"):
        store.read(digest)
    store.put("kind", "key", b"data")
    record = tmp_path / "records" / "kind" / "ke" / "key"
    record.unlink()
    record.mkdir()
    assert store.get("kind", "key") is None


def test_close_ends_reads_and_writes(store: Store) -> None:
    digest = store.add(b"data")
    with pytest.raises(StoreError, match="interrupted"), store.writer() as blob:
        blob.write(b"half")
        store.close()
        assert not list((store.root / "tmp").iterdir()), "gone at once: the thread may never come to it"
        blob.write(b"more")
    with pytest.raises(StoreError, match="interrupted"):
        store.read(digest)
    with pytest.raises(StoreError, match="interrupted"):
        store.put("kind", "key", b"data")
    assert store.has(digest)
    assert not list((store.root / "tmp").iterdir())


def test_close_removes_unfinished_files(store: Store) -> None:
    with pytest.raises(StoreError), store.writer() as blob:
        blob.write(b"all of it")
        store.close()
    assert not store.has(blob.digest)
    assert not list((store.root / "tmp").iterdir())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a stream that was opened, and not yet noted, closes itself
def test_a_signal_between_any_two_steps_leaves_no_file(tmp_path: Path) -> None:
    steps = left = 0
    store = Store(tmp_path / "0")

    def signal_arrives(frame: FrameType, event: str, _argument: object) -> "TraceFunction":
        nonlocal left
        if frame.f_code.co_name == "_temporary":
            frame.f_trace_opcodes = True
            left -= event == "opcode"
            if not left:
                sys.settrace(None)
                store.close()
                raise KeyboardInterrupt
        return signal_arrives

    while store.get("kind", "key") is None:
        left = steps = steps + 1
        store = Store(tmp_path / str(steps))
        before = sys.gettrace()
        sys.settrace(signal_arrives)
        try:
            with suppress(KeyboardInterrupt):
                store.put("kind", "key", b"data")
        finally:
            sys.settrace(before)
        assert not leftovers(store), f"after {steps} instructions"
    assert steps > 50


def test_using_a_store_lists_none_of_its_objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So its cost does not depend on how much others have left there."""
    before = Store(tmp_path)
    known = before.add(b"known")
    before.put("segment", "key", b"{}")
    before.close()
    listed: list[str] = []
    scandir, listdir = os.scandir, os.listdir

    def noted(path: str) -> str:
        listed.append(str(path))
        return path

    monkeypatch.setattr(os, "scandir", lambda path=".": scandir(noted(path)))
    monkeypatch.setattr(os, "listdir", lambda path=".": listdir(noted(path)))
    store = Store(tmp_path)
    assert store.has(known)
    assert store.read(known) == b"known"
    assert store.get("segment", "key") == b"{}"
    assert not store.has(digest_of(b"absent"))
    store.put("segment", "other", b"{}")
    store.discard(store.add(b"new"))
    store.close()
    assert str(tmp_path / "tmp") in listed, "leftovers are looked for"
    assert not [path for path in listed if "blobs" in path or "records" in path]
