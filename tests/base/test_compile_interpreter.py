"""Choosing the interpreter that compiles bytecode."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.command import TEST_CACHE
from support.programs import needs_mirror
from support.real_archive import real_archive

from shipwheel.base.compile_interpreter import (
    interpreter_packages,
    needs_image_interpreter,
    sandboxed_interpreter,
    unpacked_interpreter,
)
from shipwheel.debian.downloads import fetch_packages
from shipwheel.debian.package import DebSource
from shipwheel.debian.seed import resolve_seed
from shipwheel.events import silent
from shipwheel.files.compress import Deflated
from shipwheel.files.entry import FileEntry, file, symlink
from shipwheel.platform import Platform, host_platform
from shipwheel.store.directory_cache import CachedDirectory
from shipwheel.store.store import Store
from shipwheel.suites import suite_by_name
from shipwheel.testing.images import AMD64, small_image
from shipwheel.wheels.bytecode import BytecodeCompiler
from shipwheel.wheels.bytecode_cache import BytecodeCache


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


@pytest.mark.online
@needs_mirror
def test_compiles_alike_whatever_it_has_compiled_before(tmp_path: Path) -> None:
    """In bookworm's interpreter, which is older than this machine's, the text "*" is interned only by a module that has it as a name."""
    store, suite, host = Store(TEST_CACHE), suite_by_name("bookworm"), host_platform()
    archive = real_archive()
    packages = interpreter_packages(resolve_seed(archive.package_index(suite, host), suite))
    fetch_packages([package for package in packages if not store.has(package.digest)], archive.choose_mirror(), store)
    sources = [DebSource(package, store) for package in packages]
    found = replace(unpacked_interpreter(sources, host, f"/usr/bin/python{suite.python}", store), identity="bookworm's")
    constants, names = ("/a.py", b"ALL = ['*', '', '.', ' ', 'x']\n"), ("/b.py", b"from m import *\nfrom . import n\n")
    compiled: list[dict[tuple[str, bytes], Deflated | None]] = []
    for order in ([constants, names], [names, constants]):
        compiler = BytecodeCompiler(lambda: found, found.identity, BytecodeCache(tmp_path / str(len(compiled))), 1)
        compiled.append(dict(zip(order, compiler.compile(order), strict=True)))
        compiler.close()
    assert compiled[0] == compiled[1]
    assert None not in compiled[0].values()


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
