"""The compilers in a lock: recorded by the first build, kept like the base, and missed where the lock must not change."""

from pathlib import Path

import pytest

from shipwheel.errors import LockError
from shipwheel.locking.pylock import Lock
from shipwheel.pipeline.resolve import with_build_packages
from shipwheel.request import LockMode, Request
from shipwheel.settings import Settings
from shipwheel.store import Store

OLD, NEW = ("gcc-14 14.2.0-19", "libc6-dev 2.41-11"), ("gcc-14 14.2.0-19", "libc6-dev 2.41-12")
LOCK = Lock(Path("/project/pylock.toml"), {"lock-version": "1.0", "tool": {"shipwheel": {"base": {"amd64": {"suite": "trixie"}}}}})


def request(folder: Path, mode: LockMode = LockMode.UPDATE) -> Request:
    return Request(folder, Settings(), Store(folder / "store"), lock_mode=mode)


def test_the_first_build_records_the_compilers_of_each_platform(tmp_path: Path) -> None:
    lock = with_build_packages(LOCK, {"far": ("libfar-dev",)}, {"arm64": NEW, "amd64": OLD}, request(tmp_path))
    assert (lock.compiled, lock.compilers) == ({"far": ("libfar-dev",)}, {"amd64": OLD, "arm64": NEW})
    assert list(lock.data["tool"]["shipwheel"]) == ["compiled", "compilers", "base"]


def test_a_build_with_other_compilers_keeps_those_of_the_lock(tmp_path: Path) -> None:
    lock = LOCK.with_compiled({"far": ()}).with_compilers({"amd64": OLD})
    for mode in LockMode:
        assert with_build_packages(lock, {"far": ()}, {"amd64": NEW}, request(tmp_path, mode)) is lock
    more = with_build_packages(lock, {"far": ()}, {"amd64": NEW, "arm64": NEW}, request(tmp_path))
    assert more.compilers == {"amd64": OLD, "arm64": NEW}


def test_a_package_of_a_later_build_is_added(tmp_path: Path) -> None:
    lock = LOCK.with_compiled({"far": ("libfar-dev",)}).with_compilers({"amd64": (*OLD, "libfar-dev 1.0-1")})
    used = (*NEW, "libfar-dev 1.0-2", "rustc-web 1.96.0-1")
    more = with_build_packages(lock, {"far": ("libfar-dev",), "rusty": ("rustc-web",)}, {"amd64": used}, request(tmp_path))
    assert more.compilers == {"amd64": (*OLD, "libfar-dev 1.0-1", "rustc-web 1.96.0-1")}
    assert more.compiled == {"far": ("libfar-dev",), "rusty": ("rustc-web",)}


def test_a_lock_without_compilers_is_not_complete(tmp_path: Path) -> None:
    with pytest.raises(LockError, match="does not say what is compiled, and with what: far"):
        with_build_packages(LOCK.with_compiled({"far": ()}), {"far": ()}, {"amd64": NEW}, request(tmp_path, LockMode.LOCKED))
