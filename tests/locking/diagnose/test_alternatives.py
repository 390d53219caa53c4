"""Alternatives to missing files: what uv finds in an index on the loopback interface, and the hints that name it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.lock_requests import lock_request
from support.uv_cache import new_uv_cache

from shipwheel.events import silent
from shipwheel.locking import uv
from shipwheel.locking.diagnose.alternatives import find_alternatives, siblings_for, version_of_day
from shipwheel.locking.no_compatible_file import Alternatives, Mismatch, MissingFile, NoCompatibleFile, OtherPython
from shipwheel.locking.target import Target
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
        monkeypatch.setenv("UV_CACHE_DIR", new_uv_cache(tmp_path_factory))
        monkeypatch.setenv("UV_DEFAULT_INDEX", served.simple)
        monkeypatch.setenv("UV_NO_CONFIG", "1")
        yield served


def add(index: PackageIndex, version: str, *tags: str, uploaded: str = "2024-01-01T00:00:00Z") -> None:
    for tag in tags:
        wheel = SmallWheel("far", version=version, files={"far.py": ""}, tag=tag)
        index.add(wheel.filename, wheel.content(), uploaded=uploaded)


def alternatives(folder: Path, version: str, *targets: Target, as_of: str = "", pythons: tuple[OtherPython, ...] = ()) -> Alternatives:
    (folder / "requirements.txt").write_text(f"far=={version}\n")
    request = lock_request(folder, "3.13", (folder / "requirements.txt",), as_of=as_of)
    missing = MissingFile("far", version, Mismatch.PYTHON, "no wheel is for Python 3.13", (), "", "requirements.txt, line 1")
    return find_alternatives({missing: targets}, request, pythons, silent).get(missing, Alternatives())


def test_finds_the_nearest_version_in_both_directions(index: PackageIndex, tmp_path: Path) -> None:
    for version in ("1.0", "2.0", "4.0", "5.0"):
        add(index, version, f"cp313-cp313-{X86}")
    add(index, "3.0", f"cp311-cp311-{X86}")
    found = alternatives(tmp_path, "3.0", AMD64)
    assert (found.older, found.newer, found.by_platform) == ("2.0", "4.0", ())
    assert found.lines[0] == "nearest versions with files: 2.0 (older), 4.0 (newer)"


def test_finds_the_version_of_a_day(index: PackageIndex, tmp_path: Path) -> None:
    for version in ("1.0", "2.0", "3.0"):
        add(index, version, "py3-none-any", uploaded=f"202{version[0]}-01-01T00:00:00Z")
    (tmp_path / "requirements.txt").write_text("far==3.0\n")
    request = lock_request(tmp_path, "3.13", (tmp_path / "requirements.txt",), as_of="2022-06-01")
    assert version_of_day("far", request) == "2.0"
    assert version_of_day("absent", request) == ""


def test_finds_the_versions_that_a_version_of_another_package_requires(
    index: PackageIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels = [
        SmallWheel("far", version="2.0", files={"far.py": ""}, requires=("near>=1.2", "kept>=1"), tag=f"cp313-cp313-{X86}"),
        *(SmallWheel("near", version=version, files={"near.py": ""}) for version in ("1.0", "1.1", "1.2", "1.3")),
        SmallWheel("kept", version="1.0", files={"kept.py": ""}),
        SmallWheel("kept", version="2.0", files={"kept.py": ""}),
    ]
    for wheel in wheels:
        index.add(wheel.filename, wheel.content())
    (tmp_path / "requirements.txt").write_text("far==1.0\nnear==1.1\nkept==1.0\n")
    request = lock_request(tmp_path, "3.13", (tmp_path / "requirements.txt",))
    locked = {"far": "1.0", "near": "1.1", "kept": "1.0"}
    assert siblings_for("far", "2.0", locked, request, AMD64) == {"near": "1.2"}
    assert siblings_for("far", "3.0", locked, request, AMD64) == {}
    asked: list[Path] = []
    list_files = uv.list_files

    def counted(folder: Path, *given: Any, **named: Any) -> str:
        asked.append(folder)
        return list_files(folder, *given, **named)

    monkeypatch.setattr(uv, "list_files", counted)
    assert siblings_for("far", "2.0", {**locked, "near": "1.2"}, request, AMD64) == {}
    assert len(asked) == 2, "one more for each package would take as long as a lock"


def test_finds_one_version_for_all_platforms(index: PackageIndex, tmp_path: Path) -> None:
    add(index, "1.0", f"cp311-cp311-{X86}")
    add(index, "2.0", f"cp313-cp313-{X86}")
    add(index, "3.0", f"cp313-cp313-{ARM}")
    add(index, "4.0", f"cp313-cp313-{X86}", f"cp313-cp313-{ARM}")
    assert alternatives(tmp_path, "1.0", AMD64, ARM64).newer == "4.0"
    assert alternatives(tmp_path, "1.0", AMD64).newer == "2.0"


def test_finds_the_nearest_version_of_each_platform(index: PackageIndex, tmp_path: Path) -> None:
    add(index, "1.0", f"cp311-cp311-{X86}")
    add(index, "2.0", f"cp313-cp313-{X86}")
    found = alternatives(tmp_path, "1.0", AMD64, ARM64)
    assert (found.older, found.newer) == ("", "")
    assert found.lines == ("no other version has files", "for linux/amd64 alone: 2.0 (newer)")


def test_ignores_wheels_for_a_newer_libc(index: PackageIndex, tmp_path: Path) -> None:
    add(index, "1.0", "cp313-cp313-manylinux_2_42_x86_64")
    add(index, "2.0", "cp313-cp313-manylinux_2_36_x86_64")
    add(index, "3.0", "cp313-cp313-manylinux_2_28_x86_64", "cp313-cp313-musllinux_1_2_x86_64")
    older = Target(AMD64.platform, "3.13.0", (2, 34))
    assert alternatives(tmp_path, "1.0", AMD64).newer == "2.0"
    assert alternatives(tmp_path, "1.0", older).newer == "3.0"
    assert alternatives(tmp_path, "1.0", MUSL).newer == "3.0"


def test_finds_a_sibling_with_files_for_all_platforms(index: PackageIndex, tmp_path: Path) -> None:
    add(index, "1.0", "cp311-cp311-win_amd64")
    for version, tags in (("0.9", (X86, ARM)), ("1.0", (X86,)), ("1.1", (X86, ARM))):
        for tag in tags:
            wheel = SmallWheel("far_binary", version=version, files={"far.py": ""}, tag=f"cp313-cp313-{tag}")
            index.add(wheel.filename, wheel.content())
    found = alternatives(tmp_path, "1.0", AMD64, ARM64)
    assert found.sibling == "far-binary 1.1"
    assert found.lines[-1] == "far-binary 1.1 has files; it is a package of its own: see who publishes it"
    assert alternatives(tmp_path, "1.0", AMD64).sibling == "far-binary 1.0"
    assert alternatives(tmp_path, "1.2", AMD64).sibling == ""
    wheels = MissingFile("far", "1.0", Mismatch.SYSTEM, "its wheels are for Windows only", ("far-1.0-cp311-cp311-win_amd64.whl",), "", "")
    request = lock_request(tmp_path, "3.13", (tmp_path / "requirements.txt",))
    assert find_alternatives({wheels: [AMD64]}, request, (), silent)[wheels].sibling == "far-binary 1.0"


def test_does_not_suggest_a_version_with_only_a_source(index: PackageIndex, tmp_path: Path) -> None:
    add(index, "1.0", f"cp311-cp311-{X86}")
    index.add("far-2.0.tar.gz", b"not looked into")
    found = alternatives(tmp_path, "1.0", AMD64)
    assert found.known and not found.newer and found.lines[0] == "no other version has files"


def test_ignores_versions_uploaded_after_the_projects_day(index: PackageIndex, tmp_path: Path) -> None:
    add(index, "1.0", f"cp311-cp311-{X86}", uploaded="2023-01-01T00:00:00Z")
    add(index, "2.0", f"cp313-cp313-{X86}", uploaded="2025-01-01T00:00:00Z")
    assert alternatives(tmp_path, "1.0", AMD64, as_of="2024-06-01").newer == ""
    assert alternatives(tmp_path, "1.0", AMD64, as_of="2025-06-01").newer == "2.0"


def test_finds_the_pythons_for_which_the_version_has_files(index: PackageIndex, tmp_path: Path) -> None:
    add(index, "1.0", f"cp39-cp39-{X86}")
    python = OtherPython("Python 3.9 (Debian bullseye)", "--python 3.9", OLD)
    assert alternatives(tmp_path, "1.0", AMD64, pythons=(python,)).pythons == (python,)
    (limited,) = alternatives(tmp_path, "1.0", AMD64, ARM64, pythons=(python,)).pythons
    assert (limited.name, limited.flags) == ("Python 3.9 (Debian bullseye) on linux/amd64", "--python 3.9 --platform linux/amd64")


def test_asks_for_pythons_alone_where_no_other_version_is_wanted(index: PackageIndex, tmp_path: Path) -> None:
    add(index, "1.0", f"cp39-cp39-{X86}")
    add(index, "2.0", f"cp313-cp313-{X86}")
    python = OtherPython("Python 3.9 (Debian bullseye)", "--python 3.9", OLD)
    (tmp_path / "requirements.txt").write_text("far==1.0\n")
    request = lock_request(tmp_path, "3.13", (tmp_path / "requirements.txt",))
    file = missing()
    assert find_alternatives({file: [AMD64]}, request, (python,), silent)[file].newer == "2.0"
    found = find_alternatives({file: [AMD64]}, request, (python,), silent, versions=False)[file]
    assert (found.known, found.newer, found.pythons) == (True, "", (python,))


def test_knows_no_alternatives_if_the_index_has_no_such_package(index: PackageIndex, tmp_path: Path) -> None:
    found = alternatives(tmp_path, "1.0", AMD64)
    assert not found.known and found.lines == ()


def test_ignores_the_constraints_of_the_project(index: PackageIndex, tmp_path: Path) -> None:
    add(index, "1.0", f"cp311-cp311-{X86}")
    add(index, "2.0", f"cp313-cp313-{X86}")
    (tmp_path / "constraints.txt").write_text("far<2\n")
    (tmp_path / "requirements.txt").write_text("-c constraints.txt\nfar\n")
    request = lock_request(tmp_path, "3.13", (tmp_path / "requirements.txt",))
    missing = MissingFile("far", "1.0", Mismatch.PYTHON, "no wheel is for Python 3.13", (), "", "requirements.txt, line 2")
    assert find_alternatives({missing: [AMD64]}, request, (), silent)[missing].newer == "2.0"


def missing(mismatch: Mismatch = Mismatch.PYTHON, sdist: str = "", name: str = "far") -> MissingFile:
    return MissingFile(name, "1.0", mismatch, "no wheel fits", (f"{name}-1.0-cp38-cp38-win32.whl",), sdist, "pyproject.toml")


def error(*files: MissingFile, on: tuple[Target, ...] = (AMD64,), targets: tuple[Target, ...] = (), **more: Any) -> NoCompatibleFile:
    return NoCompatibleFile(dict.fromkeys(files, on), targets or on, **more)


def test_hints_at_a_marker_for_other_systems() -> None:
    raised = error(missing(Mismatch.SYSTEM))
    assert "far ; sys_platform == 'win32'" in raised.hint
    assert not raised.another_python_may_help


def test_a_marker_for_more_than_windows_names_linux() -> None:
    files = tuple(f"far-1.0-cp38-cp38-{system}.whl" for system in ("win32", "macosx_11_0_arm64"))
    assert "far ; sys_platform != 'linux'" in error(msgspec.structs.replace(missing(Mismatch.SYSTEM), wheels=files)).hint


def test_hints_at_a_sibling_and_how_to_take_it() -> None:
    file = missing(Mismatch.OTHER)
    raised = error(file, alternatives={file: Alternatives(known=True, sibling="far-binary 1.1")})
    assert raised.hint == 'Choose far-binary 1.1 ([tool.shipwheel.replace] far = "far-binary==1.1").'


def test_hints_at_a_sibling_of_a_package_with_wheels_for_windows_alone() -> None:
    file = missing(Mismatch.SYSTEM)
    hint = error(file, alternatives={file: Alternatives(known=True, sibling="far-binary 1.1")}).hint
    assert "sys_platform == 'win32'" in hint and "or take far-binary 1.1 ([tool.shipwheel.replace]" in hint


def test_hints_at_another_python_before_one_was_tried() -> None:
    raised = error(missing())
    assert raised.hint == "Choose another Python version (--python; a newer one brings a newer glibc), or another version of these."
    assert raised.another_python_may_help


def test_hints_at_the_other_platforms_and_a_marker() -> None:
    raised = error(missing(Mismatch.MACHINE), on=(ARM64,), targets=(AMD64, ARM64))
    assert "--platform linux/amd64" in raised.hint and "far ; platform_machine != 'aarch64'" in raised.hint
    assert not raised.another_python_may_help


def test_hints_at_a_build_of_the_source() -> None:
    assert "build from its source" in error(missing(sdist="far-1.0.tar.gz")).hint


def test_hints_at_other_packages_when_nothing_else_is_left() -> None:
    file = missing(Mismatch.OTHER)
    raised = error(file, alternatives={file: Alternatives(known=True)})
    assert raised.hint == "Choose other packages: no version or Python has these files."


def test_hints_at_the_alternatives_that_were_found() -> None:
    file = missing()
    python = OtherPython("Python 3.9 (Debian bullseye)", "--python 3.9", OLD)
    found = Alternatives(known=True, older="0.9", newer="1.1", pythons=(python,))
    assert error(file, alternatives={file: found}).hint == "Choose Python 3.9 (Debian bullseye) (--python 3.9), or far 1.1."


def test_hints_at_no_python_that_was_tried() -> None:
    file = missing()
    raised = error(file, alternatives={file: Alternatives(known=True, older="0.9")}, tried=("3.11", "3.9"))
    assert raised.hint == "Python 3.11, 3.9 does not have them either. Choose far 0.9."
    assert not raised.another_python_may_help


def test_hints_at_the_python_that_has_all_missing_files() -> None:
    far, near = missing(), missing(name="near")
    here, there = (OtherPython(f"Python 3.{minor}", f"--python 3.{minor}", OLD) for minor in (9, 11))
    alternatives = {
        far: Alternatives(known=True, newer="2.0", pythons=(here, there)),
        near: Alternatives(known=True, newer="3.0", pythons=(there,)),
    }
    assert error(far, near, alternatives=alternatives).hint == "Choose Python 3.11 (--python 3.11), or far 2.0, near 3.0."
