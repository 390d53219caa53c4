"""The interpreter that compiles a build's bytecode: the base's own wherever it starts, and nothing of another in its place."""

import shlex
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.disk import small_disk
from support.programs import needs_root

from shipwheel.base.compile_interpreter import runnable_platform
from shipwheel.testing.debian import FakeArchive, make_deb
from shipwheel.testing.world import SUITE, CommandResult, World, add_base, fill

PLATFORM = runnable_platform()
LOADERS = {"amd64": "ld-linux-x86-64.so.2", "arm64": "ld-linux-aarch64.so.1"}


def loader() -> tuple[tarfile.TarInfo, bytes]:
    """Return a loader that starts the interpreter of these tests, whatever it is asked to start."""
    assert PLATFORM is not None
    info = tarfile.TarInfo(f"./usr/lib/{PLATFORM.multiarch}/{LOADERS[PLATFORM.architecture]}")
    info.mode = 0o755
    return info, f'#!/bin/sh\nshift 3\nunset PYTHONHOME\nexec {shlex.quote(sys.executable)} "$@"\n'.encode()


@pytest.fixture(scope="module")
def runnable_archive(tmp_path_factory: pytest.TempPathFactory) -> FakeArchive:
    """An archive with a base whose interpreter starts on this machine."""
    assert PLATFORM is not None
    archive = FakeArchive(tmp_path_factory.mktemp("archive"), SUITE.codename)
    add_base(archive)
    package = ("libc6", "2.41-2", PLATFORM.architecture)
    archive.add(make_deb(*package[:2], architecture=package[2], members=[loader()]), package)
    archive.publish()
    return archive


@pytest.fixture
def own(tmp_path: Path, runnable_archive: FakeArchive) -> Iterator[World]:
    """A world with that archive."""
    with World(tmp_path) as made:
        yield fill(made, runnable_archive)


def build(world: World, cache: Path) -> CommandResult:
    flags = ("--bytecode", "--json", "--platform", str(PLATFORM), "-o", world.root / f"{cache.name}.oci")
    done = world.run("build", world.root / "shop", *flags, env={"SHIPWHEEL_CACHE": str(cache)})
    assert done.code == 0, done.err
    return done


@needs_root
def test_bytecode_of_another_interpreter_is_kept_apart_and_said(own: World) -> None:
    own.app("small\n")
    right = build(own, own.root / "good")
    assert "compiles the bytecode" not in right.err
    with small_disk(own.root / "cache", "60m", "noexec") as cache:
        other = build(own, cache)
        assert "a Python of this machine compiles the bytecode" in other.err and "mounted with noexec" in other.err
        assert "Set SHIPWHEEL_CACHE to a directory" in other.err and other.err.count("compiles the bytecode") == 1
        assert other.digest != right.digest
        again = build(own, cache)
        assert again.digest == other.digest and "compiles the bytecode" in again.err
        subprocess.run(["mount", "-o", "remount,exec", str(cache)], check=True)
        mended = build(own, cache)
        assert mended.digest == right.digest and "compiles the bytecode" not in mended.err


def test_a_damaged_interpreter_is_unpacked_again(own: World) -> None:
    app = own.app("small\n")
    build(own, own.root / "cache")
    (tree,) = (own.root / "cache" / "interpreters").iterdir()
    (started,) = tree.rglob("ld-linux*")
    started.write_text(started.read_text()[:20])
    (app / "main.py").write_text("import small\n\nprint(small.VALUE, 'edited')\n")
    edited = build(own, own.root / "cache")
    assert "compiles the bytecode" not in edited.err
    assert edited.digest == build(own, own.root / "fresh").digest
