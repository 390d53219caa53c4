"""The compilers in a lock: recorded by the first build, kept like the base, and missed where the lock must not change."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace
from support.digests import ANY

from shipwheel.base.model import Base, lock_table
from shipwheel.digest import Sha256
from shipwheel.errors import LockError, NewerAtRunTime
from shipwheel.events import silent
from shipwheel.locking.pylock import Lock, LockedDeb, read_lock
from shipwheel.pipeline.local_builds import LocalBuilds
from shipwheel.pipeline.resolve import with_build_packages, without_other_compilers
from shipwheel.platform import Platform
from shipwheel.request import LockMode, Request
from shipwheel.settings.settings import Settings
from shipwheel.store.store import Store
from shipwheel.suites import suite_by_name
from shipwheel.wheels.built_wheels import BuiltWheel

OLD, NEW = ("gcc-14 14.2.0-19", "libc6-dev 2.41-11"), ("gcc-14 14.2.0-19", "libc6-dev 2.41-12")
DEBS = (LockedDeb("gcc-14", "14.2.0-19", "amd64", Sha256("ab" * 32)), LockedDeb("gcc-14", "14.2.0-19", "arm64", Sha256("cd" * 32)))
PIN, NEWER_PIN = f"cython==3.0.11 --hash=sha256:{'ab' * 32}", f"cython==3.1.0 --hash=sha256:{'cd' * 32} --hash=sha256:{'ef' * 32}"
NEEDS = {"far": ("numbers<2",), "near": ("numbers<3", "other<1")}
LOCK = Lock(Path("/project/pylock.toml"), {"lock-version": "1.0", "tool": {"shipwheel": {"base": {"amd64": {"suite": "trixie"}}}}})


def request(folder: Path, mode: LockMode = LockMode.UPDATE) -> Request:
    return Request(folder, Settings(), Store(folder / "store"), lock_mode=mode)


def test_the_first_build_records_the_compilers_of_each_platform(tmp_path: Path) -> None:
    lock = with_build_packages(LOCK, {"far": ("libfar-dev",)}, {"arm64": NEW, "amd64": OLD}, DEBS, request(tmp_path))
    assert (lock.compiled, lock.compilers) == ({"far": ("libfar-dev",)}, {"amd64": OLD, "arm64": NEW})
    assert list(lock.data["tool"]["shipwheel"]) == ["compiled", "compilers", "builder", "base"]
    assert lock.builder == DEBS
    assert f'{{ name = "gcc-14", version = "14.2.0-19", architecture = "amd64", sha256 = "{"ab" * 32}" }},\n' in lock.text()
    path = tmp_path / "pylock.toml"
    replace(lock, path=path).write()
    again = read_lock(path)
    assert again is not None and (again.builder, again.text()) == (DEBS, lock.text())


def test_a_build_with_other_compilers_keeps_those_of_the_lock(tmp_path: Path) -> None:
    lock = LOCK.with_compiled({"far": ()}).with_compilers({"amd64": OLD})
    for mode in LockMode:
        assert with_build_packages(lock, {"far": ()}, {"amd64": NEW}, (), request(tmp_path, mode)) is lock
    more = with_build_packages(lock, {"far": ()}, {"amd64": NEW, "arm64": NEW}, (), request(tmp_path))
    assert more.compilers == {"amd64": OLD, "arm64": NEW}


def test_a_package_of_a_later_build_is_added(tmp_path: Path) -> None:
    lock = LOCK.with_compiled({"far": ("libfar-dev",)}).with_compilers({"amd64": (*OLD, "libfar-dev 1.0-1")})
    used = (*NEW, "libfar-dev 1.0-2", "rustc-web 1.96.0-1")
    more = with_build_packages(lock, {"far": ("libfar-dev",), "rusty": ("rustc-web",)}, {"amd64": used}, (), request(tmp_path))
    assert more.compilers == {"amd64": (*OLD, "libfar-dev 1.0-1", "rustc-web 1.96.0-1")}
    assert more.compiled == {"far": ("libfar-dev",), "rusty": ("rustc-web",)}


def test_a_lock_without_compilers_is_not_complete(tmp_path: Path) -> None:
    with pytest.raises(LockError, match="does not say what is compiled, and with what: far"):
        with_build_packages(LOCK.with_compiled({"far": ()}), {"far": ()}, {"amd64": NEW}, (), request(tmp_path, LockMode.LOCKED))


def test_another_processor_adds_its_own_files_and_an_older_lock_gets_them(tmp_path: Path) -> None:
    older = LOCK.with_compiled({"far": ()}).with_compilers({"amd64": OLD})
    for mode in (LockMode.LOCKED, LockMode.FROZEN):
        assert with_build_packages(older, {"far": ()}, {"amd64": OLD}, DEBS, request(tmp_path, mode)) is older
    first = with_build_packages(older, {"far": ()}, {"amd64": OLD}, DEBS[:1], request(tmp_path))
    assert first.builder == DEBS[:1]
    rebuilt = replace(DEBS[0], version="14.2.0-19+b1")
    assert with_build_packages(first, {"far": ()}, {"amd64": OLD}, (rebuilt,), request(tmp_path)) is first
    assert with_build_packages(first, {"far": ()}, {"amd64": OLD}, DEBS, request(tmp_path)).builder == DEBS
    assert older.with_compilers({}).builder == ()


@pytest.mark.parametrize(("suite", "kept"), [("trixie", True), ("bookworm", False), (None, False)])
def test_compilers_of_another_suite_are_not_those_of_the_lock(suite: str | None, *, kept: bool) -> None:
    trixie = lock_table(Base(suite_by_name("trixie"), (), locked=False), ())
    lock = LOCK.with_base("amd64", trixie).with_compiled({"far": ()}).with_compilers({"amd64": OLD}, DEBS)
    base = Base(suite_by_name(suite) if suite else None, (), locked=False)
    after = without_other_compilers(lock, {Platform("linux", "amd64"): base, Platform("linux", "arm64"): base})
    assert (after is lock, after.compilers, after.builder) == ((True, {"amd64": OLD}, DEBS) if kept else (False, {}, ()))


def test_a_damaged_digest_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pylock.toml"
    replace(LOCK.with_compilers({}, DEBS), path=path).write()
    path.write_text(path.read_text().replace("ab" * 32, "ab" * 31))
    with pytest.raises(LockError, match=r"is not a valid lock: .*sha256"):
        read_lock(path)


def test_a_wheel_for_older_packages_than_the_lock_has_is_refused(tmp_path: Path) -> None:
    package = {
        "name": "numbers",
        "version": "2.0",
        "wheels": [{"url": "https://files.invalid/numbers-2.0-py3-none-any.whl", "hashes": {"sha256": "ab" * 32}}],
    }
    resolution: Any = SimpleNamespace(lock=replace(LOCK, data={**LOCK.data, "created-by": "shipwheel", "packages": [package]}))
    builds = LocalBuilds(resolution, SimpleNamespace(), Store(tmp_path), silent, 1)  # type: ignore[arg-type]
    wheels = [BuiltWheel(f"{name}-1.0-cp313-cp313-linux_x86_64.whl", ANY, 1, bounds=bounds) for name, bounds in NEEDS.items()]
    builds.check_bounds(wheels[1:])
    with pytest.raises(NewerAtRunTime, match=r"far is compiled for numbers<2, and pylock.toml has numbers 2\.0") as error:
        builds.check_bounds(wheels)
    assert error.value.bounds == ("numbers<2",)


def test_build_requirements_are_locked_with_the_hashes_of_their_wheels(tmp_path: Path) -> None:
    lock = with_build_packages(LOCK, {"far": ()}, {"amd64": OLD}, (), request(tmp_path), {"amd64": {"far": (PIN,)}})
    path = tmp_path / "pylock.toml"
    replace(lock, path=path).write()
    again = read_lock(path)
    assert again is not None and (again.build_wheels, again.text()) == ({"amd64": {"far": (PIN,)}}, lock.text())
    more = {"amd64": {"near": (PIN,)}, "arm64": {"far": (NEWER_PIN,)}}
    for mode in (LockMode.LOCKED, LockMode.FROZEN):
        assert with_build_packages(lock, {"far": ()}, {"amd64": OLD}, (), request(tmp_path, mode), more) is lock
    updated = with_build_packages(lock, {"far": ()}, {"amd64": OLD}, (), request(tmp_path), more)
    assert updated.build_wheels == {"amd64": {"far": (PIN,), "near": (PIN,)}, "arm64": {"far": (NEWER_PIN,)}}
    assert updated.with_compilers({}).build_wheels == {}, "another suite may have another Python"


@pytest.mark.parametrize("pin", ["--index-url=http://127.0.0.1:1/", "cython==3.0", f"{PIN}\n-r /etc/passwd", f"{PIN} ; x"])
def test_a_build_requirement_that_is_no_pin_is_refused(tmp_path: Path, pin: str) -> None:
    path = tmp_path / "pylock.toml"
    replace(LOCK.with_compilers({}, (), {"amd64": {"far": (pin,)}}), path=path).write()
    with pytest.raises(LockError, match="is not a valid lock"):
        read_lock(path)
