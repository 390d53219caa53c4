"""The devices that a program in bubblewrap sees."""

import os
import stat
import subprocess
from pathlib import Path

import pytest
from support.programs import needs

from shipwheel.container import devices
from shipwheel.container.devices import device_flags
from shipwheel.locking.sandbox import confined

PROGRAM = "chmod 600 /dev/null; echo gone > /dev/null; head -c 4 /dev/zero | wc -c; test -c /dev/tty && echo tty"


@needs("bwrap")
def test_a_program_that_changes_the_mode_of_a_device_changes_nothing_here() -> None:
    before = stat.S_IMODE(Path("/dev/null").stat().st_mode)
    try:
        done = subprocess.run(
            confined(["sh", "-c", PROGRAM], writable=(), readable=(), network=False), capture_output=True, text=True, check=True
        )
        assert stat.S_IMODE(Path("/dev/null").stat().st_mode) == before
    finally:
        if os.geteuid() == 0:
            Path("/dev/null").chmod(before)
    assert done.stdout.split() == ["4", "tty"]


@needs("bwrap")
def test_the_next_program_finds_the_devices_mended() -> None:
    def mode() -> str:
        command = ["sh", "-c", "stat -c %a /dev/zero; chmod 600 /dev/zero"]
        done = subprocess.run(confined(command, writable=(), readable=(), network=False), capture_output=True, text=True, check=False)
        return done.stdout.strip()

    assert [mode(), mode()] == ["666", "666"]


def test_without_a_place_for_devices_they_are_the_machine_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(devices, "_COPIES", tmp_path / "file" / "devices")
    assert device_flags("/x/dev") == ("--dev", "/x/dev")


def test_what_stands_in_place_of_a_copy_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_COPIES", tmp_path)
    (tmp_path / "zero").write_text("a file")
    assert device_flags() == ("--dev", "/dev")
