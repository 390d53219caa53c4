"""Selecting files for a target: the best one, packages of a frozen list that are left out, and errors that report everything at once."""

import platform
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipwheel.errors import LockError
from shipwheel.locking.no_compatible_file import NoCompatibleFile
from shipwheel.locking.pylock import Lock
from shipwheel.locking.selection import LeftOut, Selection, select, select_all
from shipwheel.locking.target import Target
from shipwheel.platform import Platform

AMD64 = Target(Platform("linux", "amd64"), "3.11.2", (2, 36))
ARM64 = Target(Platform("linux", "arm64"), "3.11.2", (2, 36))


def file(name: str) -> dict[str, Any]:
    return {"url": f"https://files.invalid/{name}", "size": 7, "hashes": {"sha256": "CD" * 32}}


def package(name: str, *tags: str, sdist: bool = False, needs: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"name": name, "version": "1.0", **more}
    if needs:
        made["dependencies"] = [dict(zip(("name", "marker"), need.split(" ; "), strict=False)) for need in needs]
    if tags:
        made["wheels"] = [file(f"{name.replace('-', '_')}-1.0-{tag}.whl") for tag in tags]
    if sdist:
        made["sdist"] = file(f"{name.replace('-', '_')}-1.0.tar.gz")
    return made


def lock(*packages: dict[str, Any], frozen: bool = False, roots: dict[str, str] | None = None) -> Lock:
    tool = {"frozen": frozen, "origin": "requirements.txt", "roots": roots or {}}
    return Lock(
        Path("/project/pylock.toml"),
        {"lock-version": "1.0", "created-by": "shipwheel", "packages": list(packages), "tool": {"shipwheel": tool}},
    )


def names(found: Selection) -> list[str]:
    return [item.filename or item.name for item in found.distributions]


@pytest.mark.parametrize(
    ("tags", "best"),
    [
        (["py3-none-any", "cp311-cp311-manylinux_2_17_x86_64"], "cp311-cp311-manylinux_2_17_x86_64"),
        (["cp311-cp311-manylinux_2_17_x86_64", "cp311-cp311-manylinux_2_28_x86_64"], "cp311-cp311-manylinux_2_28_x86_64"),
        (["cp311-cp311-manylinux_2_37_x86_64", "cp39-abi3-manylinux2014_x86_64"], "cp39-abi3-manylinux2014_x86_64"),
        (["cp311-cp311-musllinux_1_2_x86_64", "py2.py3-none-any"], "py2.py3-none-any"),
        (
            ["cp312-cp312-manylinux_2_17_x86_64", "cp311-cp311-manylinux1_x86_64.manylinux_2_5_x86_64"],
            "cp311-cp311-manylinux1_x86_64.manylinux_2_5_x86_64",
        ),
        (["1-py3-none-any", "2-py3-none-any", "py3-none-any"], "2-py3-none-any"),
        (["2-py3-none-any", "10-py3-none-any"], "10-py3-none-any"),
        (["cp311-cp311t-manylinux_2_17_x86_64", "py3-none-any"], "py3-none-any"),
        (["cp39-abi3-linux_x86_64", "cp39-abi3-manylinux1_x86_64"], "cp39-abi3-manylinux1_x86_64"),
        (["py3-none-manylinux2010_x86_64", "py3-none-manylinux_2_16_x86_64"], "py3-none-manylinux_2_16_x86_64"),
        (["cp38-abi3-manylinux_2_28_x86_64", "cp310.cp311-abi3-manylinux1_x86_64"], "cp310.cp311-abi3-manylinux1_x86_64"),
        (["cp311-none-any", "py311-none-manylinux_2_17_x86_64"], "py311-none-manylinux_2_17_x86_64"),
    ],
)
def test_selects_the_best_wheel_in_any_order(tags: list[str], best: str) -> None:
    for order in (tags, tags[::-1]):
        found = select(lock(package("a", *order)), AMD64)
        assert names(found) == [f"a-1.0-{best}.whl"]
    item = found.distributions[0]
    assert (item.kind, item.digest, item.size, item.urls) == (
        "wheel",
        f"sha256:{'cd' * 32}",
        7,
        (f"https://files.invalid/a-1.0-{best}.whl",),
    )


def test_evaluates_markers_for_the_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    made = lock(
        package("only-amd64", "py3-none-any", marker="platform_machine == 'x86_64' and sys_platform == 'linux'"),
        package("only-windows", "cp311-cp311-win32", marker="sys_platform == 'win32'"),
        package("old", "py3-none-any", marker="python_full_version < '3.11.3'"),
        package("some-extra", "py3-none-any", marker="'x' in extras"),
    )
    assert names(select(made, AMD64)) == ["only_amd64-1.0-py3-none-any.whl", "old-1.0-py3-none-any.whl"]
    assert names(select(made, ARM64)) == ["old-1.0-py3-none-any.whl"]


def test_evaluates_the_chosen_extras_and_default_groups() -> None:
    made = lock(package("e", "py3-none-any", marker="'x' in extras"), package("g", "py3-none-any", marker="'main' in dependency_groups"))
    data = {**made.data, "default-groups": ["main"], "tool": {"shipwheel": {"extras": ["x"]}}}
    assert len(select(Lock(made.path, data), AMD64).distributions) == 2


def test_selects_an_sdist_only_if_there_are_no_wheels() -> None:
    assert [
        item.kind for item in select(lock(package("a", sdist=True), package("b", "py3-none-any", sdist=True)), AMD64).distributions
    ] == [
        "sdist",
        "wheel",
    ]
    with pytest.raises(LockError, match=r"a-1\.0\.tar\.gz is not used"):
        select(lock(package("a", "cp311-cp311-win_amd64", sdist=True)), AMD64)


FREEZE = (
    package("pywin32", "cp311-cp311-win32", "cp311-cp311-win_amd64"),
    package("pywinpty", "cp311-none-win_amd64", sdist=True),
    package("colorama", "py2.py3-none-any", sdist=True),
    package("click", "py3-none-any", needs=("colorama ; sys_platform == 'win32'",)),
    package("terminado", "py3-none-any", needs=("pywinpty ; os_name == 'nt'",)),
)


def test_leaves_out_windows_packages_of_a_frozen_list() -> None:
    found = select(lock(*FREEZE, frozen=True, roots={"pywin32": "requirements.txt, line 1"}), AMD64)
    assert names(found) == ["colorama-1.0-py2.py3-none-any.whl", "click-1.0-py3-none-any.whl", "terminado-1.0-py3-none-any.whl"]
    assert found.left_out == (
        LeftOut("pywin32", "1.0", "its files are for Windows only, and no selected package needs it", ("requirements.txt, line 1",)),
        LeftOut("pywinpty", "1.0", "its files are for Windows only, and no selected package needs it", ()),
    )


def test_leaves_out_packages_that_only_another_machine_needs() -> None:
    engine = package("engine", "py3-none-any", needs=("native ; platform_machine == 'x86_64'",))
    native = package("native", "py3-none-manylinux1_x86_64", needs=("deeper",))
    deeper = package("deeper", "cp311-cp311-manylinux2014_x86_64")
    frozen = lock(engine, native, deeper, frozen=True, roots=dict.fromkeys(("engine", "native", "deeper"), "requirements.txt"))
    on_amd64, on_arm64 = select_all(frozen, [AMD64, ARM64])
    assert [item.name for item in on_amd64.distributions] == ["engine", "native", "deeper"] and not on_amd64.left_out
    assert [item.name for item in on_arm64.distributions] == ["engine"]
    assert [item.name for item in on_arm64.left_out] == ["native", "deeper"]
    assert on_arm64.left_out[0].reason == "it has no file for aarch64, and no selected package needs it"


@pytest.mark.parametrize(
    "made",
    [
        [package("native", "py3-none-manylinux1_x86_64")],
        [package("engine", "py3-none-any", needs=("native",)), package("native", "py3-none-manylinux1_x86_64")],
        [
            package("engine", "py3-none-any", needs=("native ; platform_machine == 'x86_64'",)),
            package("native", "cp312-cp312-manylinux1_x86_64", "cp311-cp311-musllinux_1_1_aarch64"),
        ],
    ],
    ids=["required by the project", "required by a package", "for this machine, with another libc"],
)
def test_misses_a_file_that_the_machine_may_need(made: list[dict[str, Any]]) -> None:
    with pytest.raises(LockError, match=r"native 1\.0 has no file for linux/arm64"):
        select(lock(*made, frozen=True), ARM64)


def test_leaves_out_nothing_of_a_list_that_is_not_frozen() -> None:
    with pytest.raises(LockError) as raised:
        select(lock(*FREEZE, roots={"pywin32": "pyproject.toml"}), AMD64)
    assert "pywin32 1.0 has no file" in raised.value.message and "pywinpty 1.0 has no file" in raised.value.message


def test_leaves_out_nothing_that_a_selected_package_needs() -> None:
    dependent = package("service", "py3-none-any", needs=("pywin32",))
    with pytest.raises(LockError) as raised:
        select(lock(*FREEZE, dependent, frozen=True, roots={"service": "requirements.txt, line 9"}), AMD64)
    assert "required by: requirements.txt, line 9 → service 1.0 → pywin32 1.0" in raised.value.message
    assert "pywinpty" not in raised.value.message


def test_leaves_out_what_only_left_out_packages_need() -> None:
    parent = package("parent", "cp311-cp311-macosx_11_0_arm64", needs=("child",))
    child = package("child", "cp311-cp311-macosx_11_0_universal2")
    found = select(lock(parent, child, frozen=True), AMD64)
    assert [(item.name, item.wanted_by) for item in found.left_out] == [("parent", ()), ("child", ("parent 1.0",))]


def test_leaves_out_nothing_whose_metadata_names_linux() -> None:
    made = package("db", "cp311-cp311-win_amd64", sdist=True, tool={"shipwheel": {"serves-linux": True}})
    with pytest.raises(LockError, match=r"db 1\.0 has no file"):
        select(lock(made, frozen=True), AMD64)


def test_compiles_what_an_open_list_requires_although_its_wheels_are_for_windows() -> None:
    made = package("db", "cp311-cp311-win_amd64", sdist=True)
    with pytest.raises(NoCompatibleFile) as raised:
        select(lock(made, roots={"db": "pyproject.toml"}), AMD64)
    assert raised.value.to_compile == {"db"}


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        (["cp311-cp311-manylinux_2_39_x86_64", "cp311-cp311-manylinux_2_40_x86_64"], "its wheels need glibc 2.39 or newer"),
        (["cp311-cp311-manylinux_2_17_aarch64"], "no wheel is for x86_64"),
        (["cp312-cp312-manylinux_2_17_x86_64", "cp312-cp312-win32"], "no wheel is for Python 3.11"),
        (["cp311-cp311-musllinux_1_2_x86_64"], "its wheels are for musl only"),
        (["cp311-cp311-win32", "cp311-cp311-macosx_11_0_arm64"], "its wheels are for Windows, macOS only"),
    ],
)
def test_tells_why_no_wheel_fits(tags: list[str], reason: str) -> None:
    with pytest.raises(LockError) as raised:
        select(lock(package("a", *tags), frozen=reason.endswith("older")), AMD64)
    assert f"a 1.0 has no file for {AMD64}: {reason}" in raised.value.message
    assert all(tag in raised.value.message for tag in tags)


def test_rejects_a_package_for_another_python() -> None:
    made = lock({**package("a", "py3-none-any"), "requires-python": ">=3.12"})
    with pytest.raises(LockError, match=r"it needs Python >=3\.12"):
        select(made, AMD64)


def test_reports_missing_files_of_all_targets_in_one_error() -> None:
    made = lock(
        package("both", "cp312-cp312-manylinux_2_17_x86_64"),
        package("one", "cp311-cp311-manylinux_2_17_x86_64"),
        package("fine", "py3-none-any", needs=("one", "both")),
        roots={"fine": "pyproject.toml"},
    )
    with pytest.raises(LockError) as raised:
        select_all(made, [AMD64, ARM64])
    message = raised.value.message
    assert f"both 1.0 has no file for {AMD64}; {ARM64}: no wheel is for Python 3.11" in message
    assert f"one 1.0 has no file for {ARM64}: no wheel is for aarch64" in message
    assert "required by: pyproject.toml → fine 1.0 → one 1.0" in message
    assert "--python" in raised.value.hint


def test_suggests_the_platform_that_has_all_files() -> None:
    made = lock(package("one", "cp311-cp311-manylinux_2_17_x86_64"))
    with pytest.raises(LockError) as raised:
        select_all(made, [AMD64, ARM64])
    assert "--platform linux/amd64" in raised.value.hint and "--python" not in raised.value.hint


def test_rejects_two_versions_for_one_target() -> None:
    twice = {**package("a", "py3-none-any"), "version": "1.0"}
    with pytest.raises(LockError, match="two versions of a"):
        select(lock(twice, twice), AMD64)


def test_selects_directories_repositories_and_archives() -> None:
    made = lock(
        {"name": "d", "directory": {"path": "../d", "subdirectory": "py"}},
        {
            "name": "v",
            "version": "2",
            "vcs": {"type": "git", "url": "https://x.invalid/v.git", "commit-id": "c0ffee", "subdirectory": "py"},
        },
        {"name": "w", "version": "1.0", "archive": file("w-1.0-py3-none-any.whl")},
        {"name": "s", "version": "1.0", "archive": {"path": "dist/s.zip", "hashes": {"sha256": "cd" * 32}}},
    )
    d, v, w, s = select(made, AMD64).distributions
    assert (d.kind, d.path, d.subdirectory, d.sha256) == ("directory", Path("/d"), "py", None)
    assert d.digest is None and v.digest is None, "what is fetched are files"
    assert (v.kind, v.urls, v.commit, v.subdirectory, v.label) == ("vcs", ("https://x.invalid/v.git",), "c0ffee", "py", "v 2")
    assert (w.kind, w.filename) == ("wheel", "w-1.0-py3-none-any.whl")
    assert (s.kind, s.urls, s.path) == ("sdist", ("file:///project/dist/s.zip",), Path("/project/dist/s.zip"))


def test_rejects_an_archive_that_is_a_wheel_for_another_platform() -> None:
    with pytest.raises(LockError, match="no file for"):
        select(lock({"name": "w", "archive": file("w-1.0-cp311-cp311-win32.whl")}), AMD64)


TAGS = st.sampled_from(
    [f"cp3{n}-cp3{n}-{p}" for n in (10, 11, 12) for p in ("win32", "macosx_11_0_arm64", "manylinux_2_17_x86_64", "manylinux_2_17_aarch64")]
    + ["py3-none-any", "cp39-abi3-manylinux_2_28_x86_64", "cp311-cp311-musllinux_1_2_aarch64"]
)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from("abcdef"), st.tuples(st.lists(TAGS, min_size=1, max_size=4, unique=True), st.sets(st.sampled_from("abcdef")))
    ),
    st.booleans(),
)
def test_every_package_is_selected_left_out_or_reported(content: dict[str, tuple[list[str], set[str]]], frozen: bool) -> None:
    made = lock(*(package(name, *tags, needs=tuple(sorted(needs))) for name, (tags, needs) in content.items()), frozen=frozen)
    try:
        found = select(made, AMD64)
    except LockError as error:
        missing = {line.split(" ", 1)[0] for line in error.message.splitlines() if "has no file for" in line}
        assert missing and missing <= set(content)
        return
    selected, left_out = {item.name for item in found.distributions}, {item.name for item in found.left_out}
    assert selected | left_out == set(content) and not selected & left_out
    assert frozen or not left_out
    assert not any(content[name][1] & left_out for name in selected)
