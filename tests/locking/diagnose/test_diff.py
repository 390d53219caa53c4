"""The differences between two locks."""

from pathlib import Path
from typing import Any

from shipwheel.locking.diagnose.diff import Changes, lock_diff
from shipwheel.locking.pylock import Lock
from shipwheel.locking.selection import LockedDistribution, Selection
from shipwheel.locking.target import Target
from shipwheel.platform import Platform

AMD64 = Target(Platform("linux", "amd64"), "3.11.2", (2, 36))


def package(name: str, version: str, *files: str) -> dict[str, Any]:
    return {"name": name, "version": version, "wheels": [{"name": file, "hashes": {"sha256": file[0] * 64}} for file in files]}


def lock(*packages: dict[str, Any], python: str = "3.11", base: dict[str, str] | None = None) -> Lock:
    table = {"linux": 0} if base is None else {"packages": [{"name": name, "version": version} for name, version in base.items()]}
    tool = {"python": python, "as-of": "2024-01-01", "base": {"amd64": table}}
    return Lock(Path("pylock.toml"), {"packages": list(packages), "tool": {"shipwheel": tool}})


def selection(**sizes: int) -> Selection:
    return Selection(AMD64, tuple(LockedDistribution(name, "1", "wheel", size=size) for name, size in sizes.items()))


def test_finds_no_difference_between_equal_locks() -> None:
    one = lock(package("a", "1", "a.whl"), base={"libc6": "1"})
    found = lock_diff(one, one, {"linux/amd64": (selection(a=1), selection(a=1))})
    assert not found
    assert found.platforms[0].before == found.platforms[0].after == 1


def test_finds_every_kind_of_difference() -> None:
    old = lock(package("a", "1", "a.whl"), package("b", "1", "b.whl"), package("c", "1", "c.whl", "d.whl"), base={"libc6": "1", "x": "1"})
    new = lock(
        package("a", "2", "e.whl"),
        package("c", "1", "c.whl", "f.whl"),
        package("z", "1", "z.whl"),
        python="3.13",
        base={"libc6": "2", "y": "1"},
    )
    served = {
        "linux/amd64": (selection(a=5, b=1), selection(a=7)),
        "linux/arm64": (None, selection(a=1)),
        "linux/riscv64": (selection(a=1), None),
    }
    found = lock_diff(old, new, served)
    assert found
    assert found.distributions == Changes((("z", "1"),), (("b", "1"),), (("a", "1", "2"),))
    assert found.files == {"c 1": ("-d.whl", "+f.whl")}
    assert found.facts == (("Python", "3.11", "3.13"),)
    amd64, arm64, riscv64 = found.platforms
    assert (amd64.before, amd64.after) == (6, 7)
    assert amd64.base == Changes((("y", "1"),), (("x", "1"),), (("libc6", "1", "2"),))
    assert (arm64.gained, arm64.lost) == (True, False)
    assert (riscv64.gained, riscv64.lost) == (False, True)


def test_compares_repositories_by_their_commits() -> None:
    one = {"name": "a", "vcs": {"type": "git", "commit-id": "1" * 40}}
    two = {"name": "a", "vcs": {"type": "git", "commit-id": "2" * 40}}
    assert lock_diff(lock(one), lock(two), {}).distributions.moved == (("a", "1" * 12, "2" * 12),)


def test_compares_base_images_with_their_python() -> None:
    def upon(digest: str, python: str) -> Lock:
        facts = {"python": python, "libc": [2, 41], "musl": False}
        image = {"name": "python:3.13-slim", "digest": f"sha256:{digest * 64}", "facts": facts}
        tool = {"python": "3.13", "as-of": "2024-01-01", "base": {"amd64": {"packages": [], "image": image}}}
        return Lock(Path("pylock.toml"), {"packages": [], "tool": {"shipwheel": tool}})

    found = lock_diff(upon("1", "3.13.5"), upon("2", "3.13.7"), {"linux/amd64": (selection(), selection())})
    assert found.platforms[0].base.moved == (
        ("its Python", "3.13.5", "3.13.7"),
        ("the image python:3.13-slim", f"sha256:{'1' * 12}", f"sha256:{'2' * 12}"),
    )
