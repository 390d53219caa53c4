"""Removing from a store: the least recently used first, nothing that may be in use, and nothing that is not the store's."""

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from support.canary import plant, untouched

from shipwheel.digest import Digest, digest_of
from shipwheel.files.entry import file
from shipwheel.oci.layer import LayerSpec, layer_chunks, make_layer
from shipwheel.store.contents import BUILD_LOGS, BUILD_PACKAGES, BUILDERS, BYTECODE, IMAGES, INTERPRETERS, LAYER_FILES, Kind, stored_items
from shipwheel.store.directory_cache import DirectoryCache
from shipwheel.store.prune import clean, prune
from shipwheel.store.store import Store
from shipwheel.testing.images import EntriesSource
from shipwheel.wheels.built_wheels import BuiltWheel, record_built_wheel

DAY_S = 86400
BLOCK = 4096

USER = """
import sys; from pathlib import Path; from shipwheel.store.store import Store
store = Store(Path(sys.argv[1]))
print(all(map(store.has, sys.argv[2:])), flush=True); sys.stdin.read()
"""


@contextmanager
def using(root: Path, *digests: Digest) -> Iterator[None]:
    """Run a process that has found these blobs, and goes on."""
    with subprocess.Popen([sys.executable, "-c", USER, root, *digests], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"True\n"
        yield
        process.communicate()


def aged(root: Path, path: Path, days: float) -> None:
    """Set the time of the last use of a file or directory."""
    assert path.is_relative_to(root)
    os.utime(path, (time.time() - days * DAY_S,) * 2)


def blobs(root: Path, *days: float) -> list[Digest]:
    """Add a blob of one block for each age."""
    store = Store(root)
    digests = [store.add(bytes([number]) * BLOCK) for number in range(len(days))]
    for digest, age in zip(digests, days, strict=True):
        aged(root, store.path(digest), age)
    store.close()
    return digests


def held(root: Path, digests: list[Digest]) -> list[bool]:
    store = Store(root)
    return [store.path(digest).exists() for digest in digests]


def everything(root: Path) -> set[Kind]:
    """Put something of every kind into a store, and return the kinds."""
    store = Store(root)
    layer = make_layer(LayerSpec("layer", (EntriesSource((file("a", b"a"),)),)), store)
    assert b"".join(layer_chunks(layer, store))
    store.add(b"download")
    record_built_wheel(BuiltWheel("a-1-py3-none-any.whl", store.add(b"built"), 5, key="k"), store)
    store.partial(digest_of(b"half")).write_bytes(b"ha")
    (root / BUILD_LOGS).mkdir()
    (root / BUILD_LOGS / "a-amd64.log").write_text("error")
    for name in (IMAGES, LAYER_FILES, INTERPRETERS, BUILDERS, BUILD_PACKAGES):
        DirectoryCache(root / name).fill("a" * 64, lambda folder: (folder / "file").touch(), keep=1).close()
        (root / name / ".0a1b2c3d").mkdir()
    with sqlite3.connect(root / BYTECODE) as database:
        database.execute("CREATE TABLE t (c)")
    database.close()
    store.close()
    (root / "tmp" / "session-00000000.a1b2").write_bytes(b"x" * BLOCK)
    return set(Kind)


def test_finds_every_kind(tmp_path: Path) -> None:
    kinds = everything(tmp_path)
    items = stored_items(tmp_path)
    assert {item.kind for item in items} == kinds
    assert {item.path.name for item in items if item.leftover} == {"session-00000000.a1b2", ".0a1b2c3d"}
    sizes = {kind: sum(item.size for item in items if item.kind is kind) for kind in kinds}
    assert (sizes[Kind.DOWNLOADS], sizes[Kind.WHEELS], sizes[Kind.TEMPORARY]) == (BLOCK, BLOCK, BLOCK)


def test_a_directory_that_is_no_store_holds_nothing(tmp_path: Path) -> None:
    assert stored_items(tmp_path / "missing") == []
    assert clean(tmp_path / "missing").removed == []
    plant(tmp_path)
    with untouched(tmp_path):
        assert clean(tmp_path).removed == []


def test_removes_what_was_not_used_for_so_long(tmp_path: Path) -> None:
    digests = blobs(tmp_path, 40, 10, 31)
    pruned = prune(tmp_path, older_than=30 * DAY_S)
    assert held(tmp_path, digests) == [False, True, False]
    assert (len(pruned.removed), pruned.left) == (2, BLOCK)


@pytest.mark.parametrize(("size", "expected"), [(3 * BLOCK, [True] * 3), (2 * BLOCK, [False, True, True]), (BLOCK, [False, True, False])])
def test_removes_the_least_recently_used_down_to_a_size(tmp_path: Path, size: int, expected: list[bool]) -> None:
    digests = blobs(tmp_path, 3, 1, 2)
    assert prune(tmp_path, max_size=size).left == size
    assert held(tmp_path, digests) == expected


def test_a_dry_run_names_what_would_be_removed(tmp_path: Path) -> None:
    digests = blobs(tmp_path, 3, 1, 2)
    expected = prune(tmp_path, max_size=BLOCK, dry_run=True)
    assert held(tmp_path, digests) == [True] * 3
    done = prune(tmp_path, max_size=BLOCK)
    assert (expected.removed, expected.left) == (done.removed, done.left)


def test_clean_removes_everything(tmp_path: Path) -> None:
    everything(tmp_path)
    pruned = clean(tmp_path)
    assert {item.kind for item in pruned.removed} == set(Kind)
    assert (pruned.left, pruned.in_use, pruned.failures) == (0, [], [])
    assert list(tmp_path.iterdir()) == []
    store = Store(tmp_path)
    assert store.read(store.add(b"again")) == b"again"


@pytest.mark.parametrize("remove", [clean, lambda root: prune(root, older_than=0), lambda root: prune(root, max_size=0)])
def test_keeps_what_a_running_build_has_found(tmp_path: Path, remove: Callable[[Path], object]) -> None:
    digests = blobs(tmp_path, 40, 40, 40)
    with using(tmp_path, digests[1]):
        remove(tmp_path)
        assert held(tmp_path, digests) == [False, True, False]
        assert (tmp_path / "blobs" / "sha256").is_dir(), "the build may be about to write into it"
    assert len(clean(tmp_path).removed) == 1


def test_keeps_what_a_running_build_writes(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.writer() as blob:
        blob.write(b"half ")
        assert clean(tmp_path).removed == []
        blob.write(b"done")
    assert store.read(blob.digest) == b"half done"


def test_says_what_is_kept_because_it_may_be_in_use(tmp_path: Path) -> None:
    digests = blobs(tmp_path, 40)
    with using(tmp_path, *digests):
        pruned = clean(tmp_path)
    assert [item.size for item in pruned.in_use] == [BLOCK]
    assert pruned.left == BLOCK


def test_a_locked_directory_stays(tmp_path: Path) -> None:
    cache = DirectoryCache(tmp_path / IMAGES)
    used = cache.fill("a" * 64, lambda folder: (folder / "file").touch(), keep=2)
    cache.fill("b" * 64, lambda folder: (folder / "file").touch(), keep=2).close()
    pruned = clean(tmp_path)
    assert [item.path for item in pruned.in_use] == [used.path]
    assert (used.path / "file").exists()
    assert {path.name for path in (tmp_path / IMAGES).iterdir()} == {"a" * 64}


@pytest.mark.parametrize("name", ["blobs", "blobs/sha256", "records", "partial", "tmp", IMAGES, INTERPRETERS, BYTECODE, "sessions"])
def test_nothing_behind_a_symbolic_link_is_removed(tmp_path: Path, name: str) -> None:
    root, outside = tmp_path / "store", tmp_path / "outside"
    everything(outside)
    everything(root)
    clean(root)
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).symlink_to(outside / name)
    with untouched(outside):
        clean(root)
    assert (root / name).is_symlink()


def test_files_of_others_in_the_directory_stay(tmp_path: Path) -> None:
    everything(tmp_path)
    plant(tmp_path)
    mine = ["tmp/notes.txt", "partial/readme", f"rootfs/{'c' * 63}/file", "interpreters/python3/bin/python", "records/list", "mirrors.json"]
    links = ["blobs/sha256/aa/" + "d" * 64, "rootfs/" + "e" * 64, "partial/" + "f" * 64, "records/kind/ke/key"]
    for name in mine:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("mine")
    for name in links:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).symlink_to(tmp_path / "documents")
    clean(tmp_path)
    assert (tmp_path / "documents" / "thesis.tex").exists() and (tmp_path / "blobs/sha256/aa/file").exists()
    assert all((tmp_path / name).read_text() == "mine" for name in mine)
    assert all((tmp_path / name).is_symlink() for name in links)


def test_an_interruption_leaves_a_sound_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = blobs(tmp_path, 4, 3, 2, 1)
    unlink = Path.unlink

    def interrupt(path: Path, missing_ok: bool = False) -> None:
        if path.name in digests[2]:
            raise KeyboardInterrupt
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", interrupt)
    with pytest.raises(KeyboardInterrupt):
        clean(tmp_path)
    monkeypatch.undo()
    assert held(tmp_path, digests) == [False, False, True, True]
    assert Store(tmp_path).sweep() == ()


def test_goes_on_after_a_file_that_cannot_be_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = blobs(tmp_path, 3, 2, 1)
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path.name in digests[1]:
            raise PermissionError(1, "Operation not permitted", str(path))
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    pruned = clean(tmp_path)
    assert held(tmp_path, digests) == [False, True, False]
    assert [error.filename for error in pruned.failures] == [str(Store(tmp_path).path(digests[1]))]


def test_a_build_makes_again_what_was_removed(tmp_path: Path) -> None:
    spec = LayerSpec("layer", (EntriesSource((file("a", b"a" * 9000),)),))
    layer = make_layer(spec, Store(tmp_path))
    for item in stored_items(tmp_path):
        aged(tmp_path, item.path, 40)
    prune(tmp_path, older_than=30 * DAY_S)
    assert msgspec.structs.asdict(make_layer(spec, Store(tmp_path))) == msgspec.structs.asdict(layer)
