"""Choosing the interpreter that compiles bytecode."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from shipwheel.base.compile_interpreter import needs_image_interpreter, sandboxed_interpreter, unpacked_interpreter
from shipwheel.directory_cache import CachedDirectory
from shipwheel.events import silent
from shipwheel.files.entry import FileEntry, file, symlink
from shipwheel.platform import Platform
from shipwheel.store import Store
from shipwheel.testing.images import AMD64, small_image


@dataclass(frozen=True)
class _Base:
    """A base whose loader is a script, so that any machine can run it."""

    program: str
    key: str = "base"
    label: str = "base"

    def entries(self) -> Iterator[FileEntry]:
        yield file("usr/bin/python3.9", "")
        yield symlink("usr/lib64/ld-linux-x86-64.so.2", "/usr/lib/x86_64-linux-gnu/ld-2.31.so")
        yield file("usr/lib/x86_64-linux-gnu/ld-2.31.so", self.program, 0o755)
        yield symlink("usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", "ld-2.31.so")


def test_starts_through_the_base_s_own_loader(tmp_path: Path) -> None:
    # In bullseye and bookworm, the loader's path in programs is an absolute link: it would lead to the host's loader, or nowhere.
    base = _Base("#!/bin/sh\nexit 0\n")
    interpreter = unpacked_interpreter([base], Platform.parse("linux/amd64"), "/usr/bin/python3.9", Store(tmp_path))
    assert Path(interpreter.command[0]).resolve().is_relative_to(tmp_path.resolve())


@pytest.mark.engines
def test_an_image_s_interpreter_has_no_capabilities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By default, bubblewrap leaves all capabilities to a program if root starts it."""
    store = Store(tmp_path / "store")
    monkeypatch.setattr("shipwheel.oci.read.rootfs_cache.unpack_image", lambda *_: CachedDirectory(Path("/"), os.open("/", os.O_RDONLY)))
    monkeypatch.setattr("shipwheel.base.compile_interpreter.runnable_platform", lambda: AMD64)
    found = sandboxed_interpreter(small_image(store, AMD64), "/bin/grep", store, silent)
    lines = subprocess.run([*found.command, "^Cap", "/proc/self/status"], capture_output=True, text=True, check=True).stdout.splitlines()
    assert {int(line.split()[1], 16) for line in lines} == {0}


def test_an_image_s_interpreter_is_only_used_if_there_is_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shipwheel.base.compile_interpreter.runnable_platform", lambda: AMD64)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    assert not needs_image_interpreter("3.12.4", "3.12.4")
    assert needs_image_interpreter("3.12.4", "3.12.7")
    assert needs_image_interpreter("3.12.4", None)
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert not needs_image_interpreter("3.12.4", None)
