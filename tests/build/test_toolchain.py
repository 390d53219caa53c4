"""The interpreter that compiles bytecode, unpacked from a base."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from shipwheel.build.toolchain import unpacked_interpreter
from shipwheel.files.entry import FileEntry, file, symlink
from shipwheel.platform import Platform
from shipwheel.store import Store


@dataclass(frozen=True)
class _Base:
    """A loader that is a script, so that any machine runs it, where a suite has it."""

    program: str
    key: str = "base"
    label: str = "base"

    def entries(self) -> Iterator[FileEntry]:
        yield file("usr/bin/python3.9", "")
        yield symlink("usr/lib64/ld-linux-x86-64.so.2", "/usr/lib/x86_64-linux-gnu/ld-2.31.so")
        yield file("usr/lib/x86_64-linux-gnu/ld-2.31.so", self.program, 0o755)
        yield symlink("usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", "ld-2.31.so")


def test_the_loader_is_the_base_s_own(tmp_path: Path) -> None:
    # The path that programs name is an absolute link in bullseye and bookworm: to the host's loader, or to nothing.
    base = _Base("#!/bin/sh\nexit 0\n")
    interpreter = unpacked_interpreter([base], Platform.parse("linux/amd64"), "/usr/bin/python3.9", Store(tmp_path))
    assert interpreter is not None
    assert Path(interpreter.command[0]).resolve().is_relative_to(tmp_path.resolve())


@pytest.mark.parametrize("program", ["#!/bin/sh\nexit 1\n", "not a program"])
def test_one_that_does_not_start_here_is_not_taken(tmp_path: Path, program: str) -> None:
    assert unpacked_interpreter([_Base(program)], Platform.parse("linux/amd64"), "/usr/bin/python3.9", Store(tmp_path)) is None
