"""The devices that a program in bubblewrap sees."""

import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.programs import needs

from shipwheel.container import devices
from shipwheel.container.devices import device_flags
from shipwheel.locking.sandbox import confined


@pytest.fixture
def modes() -> Iterator[dict[Path, int]]:
    """The modes of this machine's devices, which are put back."""
    before = {path: stat.S_IMODE(path.stat().st_mode) for path in (Path("/dev/null"), Path("/dev/zero"))}
    yield before
    for path, mode in before.items():
        if stat.S_IMODE(path.stat().st_mode) != mode:
            path.chmod(mode)


def run(program: str) -> list[str]:
    command = confined(["sh", "-c", program], writable=(), readable=(), network=False)
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


@needs("bwrap")
def test_a_program_that_changes_the_mode_of_a_device_changes_nothing_here(modes: dict[Path, int]) -> None:
    done = run("chmod 600 /dev/null; echo gone > /dev/null; head -c 4 /dev/zero | wc -c; test -c /dev/tty && echo tty")
    assert {path: stat.S_IMODE(path.stat().st_mode) for path in modes} == modes
    assert done == ["4", "tty"]


@needs("bwrap")
@pytest.mark.usefixtures("modes")
def test_the_next_program_finds_the_devices_mended() -> None:
    program = "stat -c %a /dev/zero; chmod 600 /dev/zero || true"
    assert run(program) + run(program) == ["666", "666"]


def test_without_a_place_for_devices_they_are_the_machine_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(devices, "_COPIES", tmp_path / "file" / "devices")
    assert device_flags("/x/dev") == ("--dev", "/x/dev")


def test_what_stands_in_place_of_a_copy_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_COPIES", tmp_path)
    (tmp_path / "zero").write_text("a file")
    assert device_flags() == ("--dev", "/dev")
