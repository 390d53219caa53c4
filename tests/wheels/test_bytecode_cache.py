"""The cache of compiled files: damage, missing files and concurrent use."""

import multiprocessing
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.compiling import compile_all, compiler_of, many
from support.process import HANG_S

from shipwheel.files.compress import Deflated, deflated
from shipwheel.wheels.bytecode_cache import BytecodeCache


def fill(path: Path, count: int = 200) -> list[tuple[bytes, Deflated]]:
    rows = [(number.to_bytes(32, "big"), deflated(bytes([number % 256]) * 500)) for number in range(count)]
    cache = BytecodeCache(path)
    cache.put(rows)
    cache.close()
    return rows


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: b"this is no database" * 100,
        lambda data: data[: len(data) // 2],
        lambda data: b"\0" * 100 + data[100:],
        lambda data: data[:100] + b"\xff" * 4000 + data[4100:],
        lambda data: data[:5000] + bytes(len(data) - 5000),
    ],
)
def test_a_damaged_file_counts_as_missing(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "cache"
    rows = fill(path)
    path.write_bytes(damage(path.read_bytes()))
    cache = BytecodeCache(path)
    found = cache.get([key for key, _ in rows])
    assert all(found[key] == item for key, item in rows if key in found)
    cache.put(rows)
    if len(cache.get([key for key, _ in rows])) < len(rows):
        cache.put(rows)
    assert cache.get([key for key, _ in rows]) == dict(rows), "the file is intact again"
    cache.close()


@pytest.mark.parametrize(
    "change",
    [
        "raw = X'00'",
        "raw = NULL",
        "raw = 'text'",
        "size = size + 1",
        "size = 'many'",
        "size = -1",
        "crc = NULL",
        "crc = crc + 1",
        "packed = packed + 1",
        "packed = NULL",
    ],
)
def test_a_damaged_row_is_compiled_again(tmp_path: Path, change: str) -> None:
    sources = [(f"/{number}.py", b"x = %d\n" % number) for number in range(3)]
    compiler = compiler_of(tmp_path)
    expected = compile_all(compiler, sources)
    compiler.close()
    with sqlite3.connect(tmp_path / "cache") as connection:
        connection.execute(f"UPDATE bytecode SET {change}")
    connection.close()
    compiler = compiler_of(tmp_path)
    assert compile_all(compiler, sources) == expected
    assert len(compiler._started) == 1
    compiler.close()
    compiler = compiler_of(tmp_path)
    assert compile_all(compiler, sources) == expected
    assert not compiler._started
    compiler.close()


def test_replaces_a_cache_with_another_table(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "cache") as connection:
        connection.execute("CREATE TABLE bytecode (name TEXT)")
    connection.close()
    rows = fill(tmp_path / "cache", 3)
    cache = BytecodeCache(tmp_path / "cache")
    assert cache.get([key for key, _ in rows]) == dict(rows)
    cache.close()


def test_keeps_entries_in_memory_where_no_file_can_be_written(tmp_path: Path) -> None:
    for path in (tmp_path / "absent" / "cache", tmp_path, Path("/proc/cache")):
        cache = BytecodeCache(path)
        row = (b"key", deflated(b"value"))
        cache.put([row])
        assert cache.get([b"key"]) == dict([row])
        cache.close()
    assert tmp_path.is_dir()


def test_removes_an_old_log(tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"damaged" * 1000)
    (tmp_path / "cache-wal").write_bytes(b"\x37\x7f\x06\x82" + b"damaged" * 1000)
    rows = fill(tmp_path / "cache", 5)
    cache = BytecodeCache(tmp_path / "cache")
    assert cache.get([key for key, _ in rows]) == dict(rows)
    cache.close()


def test_reads_more_keys_than_fit_into_one_query(tmp_path: Path) -> None:
    rows = fill(tmp_path / "cache", 1200)
    cache = BytecodeCache(tmp_path / "cache")
    assert cache.get([key for key, _ in rows] + [b"absent"]) == dict(rows)
    assert cache.get([]) == {}
    cache.close()


def _compile_in_process(folder: str, done: "multiprocessing.Queue[list[bytes | None]]") -> None:
    compiler = compiler_of(Path(folder))
    done.put(compile_all(compiler, many(10)))
    compiler.close()


def test_two_processes_share_a_cache(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    done: multiprocessing.Queue[list[bytes | None]] = context.Queue()
    jobs = [context.Process(target=_compile_in_process, args=(str(tmp_path), done)) for _ in range(2)]
    for job in jobs:
        job.start()
    first, second = done.get(timeout=HANG_S), done.get(timeout=HANG_S)
    for job in jobs:
        job.join()
        assert job.exitcode == 0
    assert first == second
    assert None not in first


def test_many_threads_share_a_cache(tmp_path: Path) -> None:
    cache = BytecodeCache(tmp_path / "cache")
    barrier = threading.Barrier(4)

    def work(number: int) -> bool:
        rows = [(b"%d-%d" % (number, item), deflated(b"x" * item)) for item in range(100)]
        barrier.wait()
        for row in rows:
            cache.put([row])
        return cache.get([key for key, _ in rows]) == dict(rows)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4)))
    cache.close()
