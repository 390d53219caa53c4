"""A base image as its own builder: it says what it lacks, before a build is tried."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from support.digests import ANY

from shipwheel.builder import image_workshop
from shipwheel.builder.image_workshop import ImageWorkshop
from shipwheel.builder.sandbox_run import SandboxRun
from shipwheel.errors import BuildError
from shipwheel.events import silent
from shipwheel.locking.bounds import OverBounds
from shipwheel.locking.process import Finished
from shipwheel.locking.target import Target
from shipwheel.platform import DEBIAN_ARCHITECTURES, Platform, host_platform
from shipwheel.store.store import Store

HOST = host_platform()
OTHER = next(Platform("linux", name) for name in DEBIAN_ARCHITECTURES if name != HOST.architecture)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An image's files, with a compiler that starts on this machine's processor alone."""
    monkeypatch.setattr(image_workshop, "unpack_image", lambda *_facts: SimpleNamespace(path=tmp_path, close=lambda: None))
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/gcc").symlink_to("x86_64-linux-gnu-gcc-14")
    return tmp_path


def workshop(folder: Path, platform: Platform, monkeypatch: pytest.MonkeyPatch, ran: list[SandboxRun] | None = None) -> ImageWorkshop:
    def run(run: SandboxRun, **_limits: object) -> Finished:
        if ran is not None:
            ran.append(run)
        return Finished(0, "gcc 14", "") if platform == HOST else Finished(1, "", "gcc: Exec format error")

    monkeypatch.setattr(image_workshop, "run_in_sandbox", run)
    image: Any = SimpleNamespace(digest=ANY)
    return ImageWorkshop(image, "team/base:1", Target(platform, "3.12.1", (2, 39)), "/usr/bin/python3.12", Store(folder / "store"), silent)


def test_its_compilers_are_found_by_their_plain_names(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[SandboxRun] = []
    made = workshop(root, HOST, monkeypatch, ran)
    assert made.root(("libyaml-dev",)).path == made.root(()).path == root
    assert [tuple(each.command) for each in ran] == [("gcc", "--version"), ("/usr/bin/python3.12", "--version")], "once is enough"
    surroundings = made.surroundings({"PATH_TO": "x"})
    variables = surroundings.variables()
    assert not {"CC", "LDSHARED", "_PYTHON_SYSCONFIGDATA_NAME"} & set(variables)
    assert not any("linux-gnu-gcc" in value for value in variables.values())
    assert (
        variables["PATH"].endswith(":/build/compilers:/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin")
        and variables["PATH_TO"] == "x"
        and variables["CFLAGS"].startswith("-O2")
    )
    assert (surroundings.strip, surroundings.is_cross) == ("/usr/bin/strip", False)


def test_an_image_without_a_compiler_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "usr/bin/gcc").unlink()
    with pytest.raises(BuildError, match="team/base:1 is of no Debian suite that shipwheel knows, and has no gcc") as error:
        workshop(root, HOST, monkeypatch).root(())
    assert "Install a C compiler and Python's headers in the base image" in error.value.hint


@pytest.mark.parametrize("name", ["usr", "opt", "etc"])
def test_an_image_does_not_lead_its_sandbox_to_a_directory_of_this_machine(root: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    if (root / name).exists():
        (root / name).rename(root / "before")
    (root / name).symlink_to("/usr")
    ran: list[SandboxRun] = []
    with pytest.raises(BuildError, match=f"team/base:1 has a link in place of /{name}"):
        workshop(root, HOST, monkeypatch, ran).root(())
    assert ran == []


def test_a_compiler_that_does_not_end_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = workshop(root, HOST, monkeypatch)
    monkeypatch.setattr(image_workshop, "run_in_sandbox", Mock(side_effect=OverBounds("its build was stopped after 180 minutes")))
    with pytest.raises(BuildError, match="the gcc of team/base:1 does not run here: its build was stopped"):
        made.root(())


def test_a_python_that_a_build_does_not_see_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = workshop(root, HOST, monkeypatch)
    monkeypatch.setattr(image_workshop, "run_in_sandbox", lambda run, **_: Finished(int(run.command[0] != "gcc"), "", "No such file"))
    with pytest.raises(BuildError, match=r"the /usr/bin/python3\.12 of team/base:1 does not run here: No such file") as error:
        made.root(())
    assert "A build sees /usr, /opt and /etc of the image" in error.value.hint


def test_a_compiler_for_another_processor_needs_an_emulator(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = workshop(root, OTHER, monkeypatch)
    assert "emulates" in made.label
    with pytest.raises(BuildError, match="the gcc of team/base:1 does not run here: gcc: Exec format error") as error:
        made.root(())
    assert "qemu-user-binfmt" in error.value.hint


def test_what_a_build_misses_is_to_be_in_the_image(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Python.h): install them in the base image" in workshop(root, HOST, monkeypatch).advice("files", "Python.h")
