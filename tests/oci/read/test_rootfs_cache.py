"""The cache of unpacked images: each created once, a bounded number kept, none removed while it is used."""

import fcntl
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shipwheel.errors import DamagedBlob, ImageError, StoreError
from shipwheel.events import silent
from shipwheel.files.entry import file
from shipwheel.oci.image import Image
from shipwheel.oci.layer import LayerSpec, make_layer
from shipwheel.oci.model import ContainerConfig
from shipwheel.oci.read.rootfs_cache import KEPT, unpack_image, unpack_layers
from shipwheel.store.directory_cache import CachedDirectory
from shipwheel.store.store import Store
from shipwheel.testing.images import EntriesSource, small_image

HOLD = """
import fcntl, os, sys
fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_SH)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def image(store: Store, number: int) -> Image:
    return small_image(store, config=ContainerConfig(cmd=(str(number),)))


def use(store: Store, *numbers: int) -> list[Path]:
    """Unpack images one after the other, and release each."""
    found = []
    for number in numbers:
        made = unpack_image(image(store, number), store, silent)
        found.append(made.path)
        made.close()
    return found


def kept(store: Store) -> set[Path]:
    return set((store.root / "rootfs").iterdir())


def test_unpacks_an_image_once(store: Store) -> None:
    first = unpack_image(image(store, 1), store, silent)
    assert (first.path / "opt/app/main.py").read_text() == "print('hello')\n"
    inode = first.path.stat().st_ino
    assert unpack_image(image(store, 1), store, silent).path.stat().st_ino == inode


@pytest.mark.parametrize(("package", "names"), [("nltk", 1), ("other", 2)])
def test_data_has_one_name_where_a_program_refuses_more(store: Store, package: str, names: int) -> None:
    """New versions of nltk open no data that is a hard link."""
    files = [file("data/words", b"a"), file(f"opt/venv/lib/python3.13/site-packages/{package}/data.py", b"")]
    layers = [make_layer(LayerSpec(each.path, (EntriesSource((each,)),)), store) for each in files]
    made = unpack_layers("a" * 64, layers, store, silent)
    assert (made.path / "data/words").stat().st_nlink == names


def test_a_damaged_layer_leaves_nothing(store: Store) -> None:
    again = image(store, 1)
    for path in (store.root / "blobs").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises((DamagedBlob, ImageError)):
        unpack_image(again, store, silent)
    assert kept(store) == set()


def test_keeps_the_most_recently_used_images(store: Store) -> None:
    paths = use(store, *range(KEPT))
    assert kept(store) == set(paths)
    use(store, 0)
    (new,) = use(store, 100)
    assert kept(store) == {paths[0], *paths[2:], new}, "the one that was used last longest ago is gone"


def test_keeps_images_in_use(store: Store) -> None:
    held = unpack_image(image(store, 0), store, silent)
    use(store, *range(1, KEPT + 3))
    assert held.path in kept(store)
    assert (held.path / "opt/app/main.py").is_file()
    held.close()
    use(store, 100)
    assert held.path not in kept(store)
    assert len(kept(store)) == KEPT


def test_a_deleted_object_releases_its_image(store: Store) -> None:
    path = unpack_image(image(store, 0), store, silent).path
    use(store, *range(1, KEPT + 1))
    assert path not in kept(store)


def test_keeps_images_that_another_process_uses(store: Store) -> None:
    (path,) = use(store, 0)
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"held\n"
        use(store, *range(1, KEPT + 3))
        assert path in kept(store)
        process.stdin.close()
        process.wait()
    use(store, 100)
    assert path not in kept(store)


def test_removes_leftovers_but_not_unfinished_work(store: Store) -> None:
    use(store, 0)
    left, doing = store.root / "rootfs/.left", store.root / "rootfs/.doing"
    for folder in (left, doing):
        (folder / "usr").mkdir(parents=True)
        (folder / "usr/file").write_text("half")
    lock = os.open(doing, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
        use(store, 1)
        assert left not in kept(store)
        assert (doing / "usr/file").is_file()
    finally:
        os.close(lock)
    use(store, 2)
    assert doing not in kept(store)


def test_concurrent_users_keep_their_files(store: Store) -> None:
    images = [image(store, number) for number in range(KEPT * 2)]

    def work(number: int) -> bool:
        found: CachedDirectory = unpack_image(images[number % len(images)], store, silent)
        files = sorted(path.relative_to(found.path).as_posix() for path in found.path.rglob("*") if path.is_file())
        found.close()
        return files == ["etc/platform", "opt/app/main.py", "opt/shared/data.txt"]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(200)))
    use(store, 100)
    assert len(kept(store)) == KEPT


def test_reports_an_unwritable_store(store: Store) -> None:
    (store.root / "rootfs").write_text("in the way")
    with pytest.raises(StoreError, match="cannot be unpacked"):
        unpack_image(image(store, 0), store, silent)
