"""The files of a lock as requirements for pip."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from shipwheel.digest import Sha256
from shipwheel.errors import UsageError
from shipwheel.locking.requirements_file import requirements_file, unhashed_requirements
from shipwheel.locking.selection import LockedDistribution, Selection
from shipwheel.locking.target import Target
from shipwheel.platform import Platform

URL = "https://files.example/torch-2.4+cpu.whl"


def wheel(name: str, version: str, digit: str) -> LockedDistribution:
    return LockedDistribution(name, version, "wheel", urls=(URL,), sha256=Sha256(digit * 64))


def lines(amd64: list[LockedDistribution], arm64: list[LockedDistribution]) -> list[str]:
    return requirements_file(selections(amd64, arm64)).splitlines()[1:]


def selections(amd64: list[LockedDistribution], arm64: list[LockedDistribution]) -> list[Selection]:
    both = (("amd64", amd64), ("arm64", arm64))
    return [Selection(Target(Platform("linux", name), "3.13.5", (2, 41)), tuple(items)) for name, items in both]


def test_a_package_has_the_hashes_of_the_files_of_all_platforms() -> None:
    assert lines([wheel("numpy", "1", "b")], [wheel("numpy", "1", "a")]) == [f"numpy==1 --hash=sha256:{'a' * 64} --hash=sha256:{'b' * 64}"]


def test_what_differs_by_platform_has_a_marker() -> None:
    found = lines([wheel("b", "1", "b"), wheel("a", "1", "a")], [wheel("b", "2", "c")])
    assert found == [
        f'a==1 ; platform_machine == "x86_64" --hash=sha256:{"a" * 64}',
        f'b==1 ; platform_machine == "x86_64" --hash=sha256:{"b" * 64}',
        f'b==2 ; platform_machine == "aarch64" --hash=sha256:{"c" * 64}',
    ]


def test_a_file_that_the_index_may_lack_has_its_url() -> None:
    both = [wheel("torch", "2.4+cpu", "a"), replace(wheel("x", "1", "b"), is_direct=True)]
    assert [line.partition(" --hash")[0] for line in lines(both, both)] == [f"torch @ {URL}", f"x @ {URL}"]


def test_repositories_and_directories_have_no_hash(tmp_path: Path) -> None:
    repository = LockedDistribution("one", "1", "vcs", urls=("https://git.example/one",), commit="01", subdirectory="sub")
    folder = LockedDistribution("two", "1", "directory", path=tmp_path / "vendor/two")
    both = selections([repository, folder], [repository, folder])
    assert requirements_file(both) == ""
    assert unhashed_requirements(both, tmp_path) == ("one @ git+https://git.example/one@01#subdirectory=sub", "./vendor/two")
    with pytest.raises(UsageError, match=r"two is in .*vendor/two, outside of"):
        unhashed_requirements(both, tmp_path / "other")
