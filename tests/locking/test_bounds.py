"""Bounds of programs of others: what is over them is killed, what is below them is not."""

import sys
import threading
from collections import namedtuple
from pathlib import Path

import pytest

from shipwheel.locking import process
from shipwheel.locking.bounds import Bounds, OverBounds, disk_usage
from shipwheel.locking.process import Finished, run_bounded
from shipwheel.settings.build import BuildSettings


def run(folder: Path, code: str, limits: Bounds) -> Finished:
    return run_bounded([sys.executable, "-S", "-c", code], env={}, cwd=folder, stop=threading.Event(), bounds=limits, directories=(folder,))


def test_bounds_are_those_of_the_settings() -> None:
    settings = BuildSettings()
    assert Bounds() == Bounds.of(settings.max_minutes, settings.max_gigabytes)


def test_a_program_below_its_bounds_ends_as_it_does(tmp_path: Path) -> None:
    assert run(tmp_path, "print('done'); raise SystemExit(3)", Bounds()) == Finished(3, "done\n", "")


def test_a_program_that_never_ends_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(OverBounds, match="minutes"):
        run(tmp_path, "while True: pass", Bounds(seconds=0))


def test_a_program_that_leaves_too_little_for_others_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "free")
    free = iter([1000])
    monkeypatch.setattr("shutil.disk_usage", lambda _path: usage(next(free, 99)))
    with pytest.raises(OverBounds, match="the disk is nearly full"):
        run(tmp_path, "while True: pass", Bounds())


def test_output_without_an_end_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_PIECE", 100)
    monkeypatch.setattr(process, "_MAX_PIECES", 3)
    finished = run(tmp_path, "print('x' * 5000 + 'end')", Bounds())
    assert finished.stdout.endswith("xend\n") and len(finished.stdout) <= 300


def test_the_size_of_a_directory_is_that_of_its_files_and_not_of_links(tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    (inside / "deep").mkdir(parents=True)
    outside.write_bytes(b"1" * (1 << 20))
    (inside / "link").symlink_to(outside)
    before = disk_usage([inside, tmp_path / "missing"])
    (inside / "deep" / "file").write_bytes(b"1" * (1 << 18))
    assert before < 1 << 18 <= disk_usage([inside]) - before
