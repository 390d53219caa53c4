"""What would do where a distribution has no file for a target, asked of an index on the loopback interface by uv."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from shipwheel.errors import LockError
from shipwheel.events import silent
from shipwheel.lock.diagnose.alternatives import instead_of
from shipwheel.lock.inputs import LockRequest
from shipwheel.lock.no_compatible_file import Another, Instead, Missing, Unserved
from shipwheel.lock.target import Target
from shipwheel.platform import Platform
from shipwheel.testing.package_index import PackageIndex
from shipwheel.testing.wheels import SmallWheel

AMD64 = Target(Platform("linux", "amd64"), "3.13.5", (2, 41))
ARM64 = Target(Platform("linux", "arm64"), "3.13.5", (2, 41))
OLD = Target(Platform("linux", "amd64"), "3.9.2", (2, 31))
MUSL = Target(Platform("linux", "amd64"), "3.13.5", (1, 2), musl=True)
X86, ARM = "manylinux_2_17_x86_64", "manylinux_2_17_aarch64"


@pytest.fixture
def index(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[PackageIndex]:
    with PackageIndex() as served:
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path_factory.mktemp("uv")))
        monkeypatch.setenv("UV_DEFAULT_INDEX", served.simple)
        monkeypatch.setenv("UV_NO_CONFIG", "1")
        yield served


def add(index: PackageIndex, version: str, *tags: str, uploaded: str = "2024-01-01T00:00:00Z") -> None:
    for tag in tags:
        wheel = SmallWheel("far", version=version, files={"far.py": ""}, tag=tag)
        index.add(wheel.filename, wheel.content(), uploaded=uploaded)


def asked(folder: Path, version: str, *targets: Target, as_of: str = "", others: tuple[Another, ...] = ()) -> Instead:
    (folder / "requirements.txt").write_text(f"far=={version}\n")
    request = LockRequest(folder, "3.13", (folder / "requirements.txt",), as_of=as_of)
    missing = Missing("far", version, "python", "no wheel is for Python 3.13", (), "", "requirements.txt, line 1")
    return instead_of({missing: targets}, request, others, silent).get(missing, Instead())


def test_the_nearest_on_either_side(index: PackageIndex, tmp_path: Path) -> None:
    for version in ("1.0", "2.0", "4.0", "5.0"):
        add(index, version, f"cp313-cp313-{X86}")
    add(index, "3.0", f"cp311-cp311-{X86}")
    found = asked(tmp_path, "3.0", AMD64)
    assert (found.older, found.newer, found.partly) == ("2.0", "4.0", ())
    assert found.lines[0] == "nearest versions that would do: 2.0 (older), 4.0 (newer)"


def test_one_version_for_all_platforms(index: PackageIndex, tmp_path: Path) -> None:
    add(index, "1.0", f"cp311-cp311-{X86}")
    add(index, "2.0", f"cp313-cp313-{X86}")
    add(index, "3.0", f"cp313-cp313-{ARM}")
    add(index, "4.0", f"cp313-cp313-{X86}", f"cp313-cp313-{ARM}")
    assert asked(tmp_path, "1.0", AMD64, ARM64).newer == "4.0"
    assert asked(tmp_path, "1.0", AMD64).newer == "2.0"


def test_what_one_platform_alone_can_have(index: PackageIndex, tmp_path: Path) -> None:
    add(index, "1.0", f"cp311-cp311-{X86}")
    add(index, "2.0", f"cp313-cp313-{X86}")
    found = asked(tmp_path, "1.0", AMD64, ARM64)
    assert (found.older, found.newer) == ("", "")
    assert found.lines == ("no other version would do", "for linux/amd64 alone: 2.0 (newer)")


def test_the_libc_counts(index: PackageIndex, tmp_path: Path) -> None:
    add(index, "1.0", "cp313-cp313-manylinux_2_42_x86_64")
    add(index, "2.0", "cp313-cp313-manylinux_2_36_x86_64")
    add(index, "3.0", "cp313-cp313-manylinux_2_28_x86_64", "cp313-cp313-musllinux_1_2_x86_64")
    older = Target(AMD64.platform, "3.13.0", (2, 34))
    assert asked(tmp_path, "1.0", AMD64).newer == "2.0"
    assert asked(tmp_path, "1.0", older).newer == "3.0"
    assert asked(tmp_path, "1.0", MUSL).newer == "3.0"


def test_a_source_is_no_file_for_a_platform(index: PackageIndex, tmp_path: Path) -> None:
    add(index, "1.0", f"cp311-cp311-{X86}")
    index.add("far-2.0.tar.gz", b"not looked into")
    found = asked(tmp_path, "1.0", AMD64)
    assert found.asked and not found.newer and found.lines[0] == "no other version would do"


def test_the_projects_day_counts(index: PackageIndex, tmp_path: Path) -> None:
    add(index, "1.0", f"cp311-cp311-{X86}", uploaded="2023-01-01T00:00:00Z")
    add(index, "2.0", f"cp313-cp313-{X86}", uploaded="2025-01-01T00:00:00Z")
    assert asked(tmp_path, "1.0", AMD64, as_of="2024-06-01").newer == ""
    assert asked(tmp_path, "1.0", AMD64, as_of="2025-06-01").newer == "2.0"


def test_pythons_that_the_version_is_there_for(index: PackageIndex, tmp_path: Path) -> None:
    add(index, "1.0", f"cp39-cp39-{X86}")
    other = Another("Python 3.9 (Debian bullseye)", "--python 3.9", OLD)
    assert asked(tmp_path, "1.0", AMD64, others=(other,)).pythons == (other,)
    (limited,) = asked(tmp_path, "1.0", AMD64, ARM64, others=(other,)).pythons
    assert (limited.name, limited.flags) == ("Python 3.9 (Debian bullseye) on linux/amd64", "--python 3.9 --platform linux/amd64")


def test_an_index_that_cannot_be_asked_says_nothing(index: PackageIndex, tmp_path: Path) -> None:
    found = asked(tmp_path, "1.0", AMD64)
    assert not found.asked and found.lines == ()


def test_a_list_pinned_to_other_versions_does_not_hold_it_back(index: PackageIndex, tmp_path: Path) -> None:
    add(index, "1.0", f"cp311-cp311-{X86}")
    add(index, "2.0", f"cp313-cp313-{X86}")
    (tmp_path / "constraints.txt").write_text("far<2\n")
    (tmp_path / "requirements.txt").write_text("-c constraints.txt\nfar\n")
    request = LockRequest(tmp_path, "3.13", (tmp_path / "requirements.txt",))
    missing = Missing("far", "1.0", "python", "no wheel is for Python 3.13", (), "", "requirements.txt, line 2")
    assert instead_of({missing: [AMD64]}, request, (), silent)[missing].newer == "2.0"


def missing(why: str = "python", source: str = "") -> Missing:
    return Missing("far", "1.0", why, "no wheel fits", ("far-1.0-cp38-cp38-win32.whl",), source, "pyproject.toml → far 1.0")  # type: ignore[arg-type]


def hint(problem: Missing, *targets: Target, everywhere: tuple[Target, ...] = (), **more: object) -> str:
    error = Unserved({problem: targets}, everywhere or targets, **more)  # type: ignore[arg-type]
    assert isinstance(error, LockError)
    return error.hint


def test_the_choices_that_there_are() -> None:
    assert "sys_platform == 'win32'" in hint(missing("system"), AMD64)
    assert hint(missing(), AMD64) == (
        "Choose another Python version (--python; a newer one brings a newer glibc), or another version of these."
    )
    lonely = hint(missing("machine"), ARM64, everywhere=(AMD64, ARM64))
    assert "--platform linux/amd64" in lonely and "far ; platform_machine != 'aarch64'" in lonely
    assert "build of its source" in hint(missing(source="far-1.0.tar.gz"), AMD64)
    nothing = missing("other")
    assert hint(nothing, AMD64, instead={nothing: Instead(asked=True)}) == "Choose to do without them."


def test_what_was_found_is_what_is_advised() -> None:
    problem = missing()
    other = Another("Python 3.9 (Debian bullseye)", "--python 3.9", OLD)
    found = Instead(asked=True, older="0.9", newer="1.1", pythons=(other,))
    assert hint(problem, AMD64, instead={problem: found}) == "Choose Python 3.9 (Debian bullseye) (--python 3.9), or far 1.1."
    tried = hint(problem, AMD64, instead={problem: Instead(asked=True, older="0.9")}, tried=("3.11", "3.9"))
    assert tried == "They cannot be had for Python 3.11, 3.9 either. Choose far 0.9."


def test_a_python_that_has_all_of_them_comes_first() -> None:
    one, two = missing(), Missing("near", "1.0", "python", "no wheel fits", (), "", "pyproject.toml → near 1.0")
    here, there = (Another(f"Python 3.{minor}", f"--python 3.{minor}", OLD) for minor in (9, 11))
    instead = {one: Instead(asked=True, newer="2.0", pythons=(here, there)), two: Instead(asked=True, newer="3.0", pythons=(there,))}
    error = Unserved({one: [AMD64], two: [AMD64]}, [AMD64], instead)
    assert error.hint == "Choose Python 3.11 (--python 3.11), or far 2.0, near 3.0."
