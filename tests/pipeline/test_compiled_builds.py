"""What is compiled: for which bases, and which builds in pure Python are given up for one by the image's own Python."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.digests import ANY

from shipwheel.builder.image_workshop import ImageWorkshop
from shipwheel.errors import BuildError, FetchError, IntegrityError, ProjectWheelError, ShipwheelError
from shipwheel.events import silent
from shipwheel.locking.target import Target
from shipwheel.pipeline import compiled_builds
from shipwheel.pipeline.compiled_builds import CompiledBuilds
from shipwheel.platform import Platform
from shipwheel.project.source_copy import read_source_tree
from shipwheel.user.files import UserFiles
from shipwheel.wheels.isolated_build import BackendFailed, BuildOptions


@pytest.mark.parametrize(
    ("minor", "here", "sandbox", "again"),
    [
        ("3.9", None, "bwrap", True),
        ("3.9", Path("/usr/bin/python3.9"), "bwrap", False),
        ("3.99", None, "bwrap", False),
        ("3.9", None, None, False),
    ],
    ids=["a newer Python failed", "the image's version failed", "an older Python failed", "nothing confines the image's"],
)
def test_an_old_source_is_built_by_the_python_of_the_image(
    monkeypatch: pytest.MonkeyPatch, minor: str, here: Path | None, sandbox: str | None, again: bool
) -> None:
    monkeypatch.setattr(compiled_builds, "local_python", lambda _minor: here)
    monkeypatch.setattr(compiled_builds, "find_sandbox", lambda: sandbox)
    resolution: Any = SimpleNamespace(lock=SimpleNamespace(compiled={}), platforms=())
    unused: Any = None
    options: Any = SimpleNamespace(minor=minor)
    builds = CompiledBuilds(resolution, unused, unused, silent, options, need_bytes=True)
    source: Any = SimpleNamespace(name="old")

    def pure() -> Any:
        raise BackendFailed("old 1.0 cannot be built: global flags not at the start of the expression", hint="")

    if again:
        assert builds._pure_or_compiled(source, (), "old", pure) is None
    else:
        with pytest.raises(BuildError, match="global flags"):
            builds._pure_or_compiled(source, (), "old", pure)


def builds_on(codename: str, *, musl: bool, monkeypatch: pytest.MonkeyPatch) -> tuple[CompiledBuilds, Any]:
    """Return builds and the platform of a base that is an image with the Python 3.13 of a suite; empty if it is of none."""
    monkeypatch.setattr(compiled_builds, "find_sandbox", lambda: "bwrap")
    target = Target(Platform("linux", "arm64"), "3.13.5", (1, 2) if musl else (2, 41), musl=musl)
    image = SimpleNamespace(facts=SimpleNamespace(codename=codename))
    platform: Any = SimpleNamespace(
        base=SimpleNamespace(
            image=image, suite=None, label="team/python:1", parent=SimpleNamespace(digest=ANY), interpreter="/usr/bin/python3"
        ),
        target=target,
    )
    downloads: Any = SimpleNamespace(archive=None, packages=None)
    resolution: Any = SimpleNamespace(lock=SimpleNamespace(builder=()))
    unused: Any = None
    return CompiledBuilds(resolution, downloads, unused, silent, unused, need_bytes=True), platform


def test_an_image_as_a_base_is_compiled_for_by_its_own_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    builds, platform = builds_on("trixie", musl=False, monkeypatch=monkeypatch)
    assert builds._workshop("made 1.0", platform).label.startswith("gcc of Debian trixie")


def test_a_base_of_no_suite_is_compiled_for_by_its_own_compilers(monkeypatch: pytest.MonkeyPatch) -> None:
    builds, platform = builds_on("", musl=False, monkeypatch=monkeypatch)
    workshop = builds._workshop("made 1.0", platform)
    assert isinstance(workshop, ImageWorkshop)
    assert workshop.label.startswith("gcc of team/python:1") and workshop.identity == ANY


@pytest.mark.parametrize("codename", ["", "trixie"])
def test_musl_is_not_compiled_for(monkeypatch: pytest.MonkeyPatch, codename: str) -> None:
    builds, platform = builds_on(codename, musl=True, monkeypatch=monkeypatch)
    with pytest.raises(BuildError, match=r"made 1\.0 must be compiled for linux/arm64, and team/python:1 has musl") as error:
        builds._workshop("made 1.0", platform)
    assert "Choose a base with glibc" in error.value.hint


@pytest.mark.parametrize(("error", "raised"), [(FetchError, ProjectWheelError), (IntegrityError, IntegrityError)])
def test_a_project_does_not_go_into_the_image_as_it_is_for_a_package_that_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[FetchError], raised: type[ShipwheelError]
) -> None:
    builds, _ = builds_on("trixie", musl=False, monkeypatch=monkeypatch)
    builds._resolution = SimpleNamespace(project=SimpleNamespace(name="own"), platforms=(), lock=SimpleNamespace(compiled={}))  # type: ignore[assignment]
    builds._options = BuildOptions("3.13", "")

    def pure() -> Any:
        raise error("gcc-14 has another digest", hint="")

    with pytest.raises(ShipwheelError) as caught:
        builds.project(read_source_tree(tmp_path, UserFiles()), pure)
    assert type(caught.value) is raised
