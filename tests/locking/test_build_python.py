"""The program that stands for an interpreter: it is in the cache of the moment, which may be another one, or be emptied."""

import shutil
import sys
from pathlib import Path

import pytest

from shipwheel.locking.build_python import build_python


def test_each_cache_has_its_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = []
    for name in ("first", "second"):
        monkeypatch.setenv("SHIPWHEEL_CACHE", str(tmp_path / name))
        programs.append(build_python(sys.executable))
    assert [program.relative_to(tmp_path).parts[0] for program in programs] == ["first", "second"]
    assert all(program.is_file() for program in programs)


def test_a_program_that_was_removed_is_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHIPWHEEL_CACHE", str(tmp_path))
    program = build_python(sys.executable)
    assert program.is_relative_to(tmp_path)
    shutil.rmtree(tmp_path)
    assert build_python(sys.executable) == program
    assert program.is_file()
