"""The lock's file: a canonical text with the same data, written atomically, and validated when it is read."""

import re
import tomllib
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.lock_requests import lock_path

from shipwheel.errors import LockError
from shipwheel.locking.pylock import Lock, read_lock

SUM = "ab" * 32


def wheel(name: str, **more: Any) -> dict[str, Any]:
    return {"url": f"https://files.invalid/{name}", "size": 3, "hashes": {"sha256": SUM}, **more}


def document(*packages: dict[str, Any], **tool: Any) -> dict[str, Any]:
    return {
        "lock-version": "1.0",
        "created-by": "shipwheel",
        "packages": list(packages),
        "tool": {"shipwheel": {"inputs": "sha256:1", **tool}},
    }


SIX = {"name": "six", "version": "1.0", "wheels": [wheel("six-1.0-py3-none-any.whl", **{"upload-time": datetime(2024, 1, 2, tzinfo=UTC)})]}

VALUES = st.recursive(
    st.one_of(st.text(), st.booleans(), st.integers(-(2**62), 2**62), st.dates(min_value=date(1000, 1, 1))),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(), VALUES, max_size=5))
def test_the_text_has_the_same_data(base: dict[str, Any]) -> None:
    lock = Lock(Path("pylock.toml"), document(SIX)).with_base("amd64", base)
    assert tomllib.loads(lock.text()) == lock.data
    assert Lock(lock.path, tomllib.loads(lock.text())).text() == lock.text()


def test_the_text_does_not_depend_on_the_order_of_the_data() -> None:
    two = {"name": "a", "version": "1", "wheels": [wheel("a-1-cp311-abi3-linux_x86_64.whl"), wheel("a-1-py3-none-any.whl")]}
    turned = {**two, "wheels": list(reversed(two["wheels"]))}
    assert Lock(Path("p"), document(SIX, two)).text() == Lock(Path("p"), document(turned, SIX)).text()


@pytest.mark.parametrize("ending", ["tar.gz", "zip", "tar.bz2", "tgz"])
def test_reads_the_sources_of_before_pep_625(ending: str) -> None:
    url = f"https://files.invalid/Twisted-20.3.0.{ending}"
    package = {"name": "twisted", "version": "20.3.0", "sdist": {"url": url, "hashes": {"sha256": SUM}}}
    found = Lock(Path("p"), document(package)).packages[0].sdist
    assert found is not None
    assert found.url == url
    assert found.filename.endswith((".tar.gz", ".zip"))


def test_writes_one_wheel_per_line() -> None:
    text = Lock(Path("p"), document(SIX)).text()
    assert '    { url = "https://files.invalid/six-1.0-py3-none-any.whl", size = 3, hashes = { sha256 = "' in text
    assert "upload-time = 2024-01-02T00:00:00Z" in text


def test_reads_back_what_it_wrote(tmp_path: Path) -> None:
    lock = Lock(
        lock_path(tmp_path), document(SIX, python="3.11", frozen=True, roots={"six": "requirements.txt, line 1"}, **{"as-of": "2024-09-15"})
    )
    lock = lock.with_base("arm64", {"suite": "bookworm", "packages": [{"name": "libc6", "size": 1}]})
    lock.write()
    found = read_lock(tmp_path / "pylock.toml")
    assert found is not None
    assert (found.as_of, found.python, found.frozen) == ("2024-09-15", "3.11", True)
    assert found.roots == {"six": "requirements.txt, line 1"}
    assert found.base == {"arm64": {"suite": "bookworm", "packages": [{"name": "libc6", "size": 1}]}}
    assert found.is_current("sha256:1") and not found.is_current("sha256:2")
    assert [package.name for package in found.packages] == ["six"]


def test_reads_a_lock_without_packages(tmp_path: Path) -> None:
    Lock(lock_path(tmp_path), document()).write()
    found = read_lock(tmp_path / "pylock.toml")
    assert found is not None
    assert found.packages == ()
    assert found.is_current("sha256:1")


def test_does_not_write_an_unchanged_lock(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "pylock.toml", document(SIX))
    lock.write()
    before = lock.path.stat()
    lock.write()
    after = lock.path.stat()
    assert (after.st_ino, after.st_mtime_ns, after.st_size) == (before.st_ino, before.st_mtime_ns, before.st_size)
    assert [path.name for path in tmp_path.iterdir()] == ["pylock.toml"]


def test_reports_a_lock_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(LockError, match="cannot be written"):
        Lock(tmp_path / "gone" / "pylock.toml", document(SIX)).write()


def test_ignores_the_lock_of_another_tool(tmp_path: Path) -> None:
    assert lock_path(tmp_path).name == "pylock.toml"
    (tmp_path / "pylock.toml").write_text('lock-version = "1.0"\ncreated-by = "other"\npackages = []\n')
    assert lock_path(tmp_path).name == "pylock.shipwheel.toml"
    assert read_lock(tmp_path / "pylock.toml") is None


@pytest.mark.parametrize(
    "text",
    [
        "[tool.shipwheel]\n= broken",
        f'[[packages]]\nname = "a"\nsdist = {{ url = "x/a-1.tar.gz", hashes = {{ md5 = "{SUM}" }} }}\n[tool.shipwheel]\n',
    ],
)
def test_rejects_a_damaged_lock(tmp_path: Path, text: str) -> None:
    (tmp_path / "pylock.toml").write_text(text)
    assert lock_path(tmp_path).name == "pylock.toml"
    with pytest.raises(LockError, match=r"cannot be read|a-1\.tar\.gz"):
        read_lock(tmp_path / "pylock.toml")


def test_rejects_a_lock_that_violates_the_specification() -> None:
    lock = Lock(Path("pylock.toml"), document({"name": "six", "version": "1.0"}))
    with pytest.raises(LockError, match="not a valid lock"):
        _ = lock.packages


@pytest.mark.parametrize(
    "change",
    [
        ("format = 2", 'format = "two"'),
        ('{ name = "six" }', '{ name = ["q"] }'),
        ('{ name = "six" }', '{ version = "1.0" }'),
        ('six = "setup"', "six = 1"),
        ('hashes = { sha256 = "', 'hashes = "'),
        ("[tool.shipwheel]", "[[tool.shipwheel]]"),
        ('"1.0"', "[" * 5000),
    ],
)
def test_rejects_a_lock_of_another_shape(tmp_path: Path, change: tuple[str, str]) -> None:
    text = whole()
    assert change[0] in text
    (tmp_path / "pylock.toml").write_text(text.replace(*change))
    with pytest.raises(LockError, match=r"not a valid lock|cannot be read") as caught:
        read_lock(tmp_path / "pylock.toml")
    assert "Restore pylock.toml" in caught.value.hint


def whole() -> str:
    asking = {"name": "asking", "version": "2", "dependencies": [{"name": "six"}], "wheels": [wheel("asking-2-py3-none-any.whl")]}
    tool = {"format": 2, "roots": {"six": "setup"}, "parts": {"a": "b"}, "extras": ["x"], "groups": ["y"], "frozen": True, "python": "3.11"}
    return Lock(Path("p"), document(SIX, asking, **tool, base={"amd64": {"suite": "z"}})).text()


TOKENS = re.compile(r'"[^"\n]*"|\b\d+\b|[\w.-]+(?= =)|[][{},=\n]')
OTHERS = ['"two"', '["q"]', "{}", "1", "-1", "1.5", "true", "{ a = 1 }", '""', "[]", "name", "2024-01-02", '[{ name = "six" }]', "nan", ","]


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_survives_any_change_with_a_hint(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    text = whole()
    for _ in range(data.draw(st.integers(1, 3))):
        chosen = data.draw(st.sampled_from([*TOKENS.finditer(text)]))
        text = text[: chosen.start()] + data.draw(st.sampled_from(OTHERS)) + text[chosen.end() :]
    path = tmp_path_factory.getbasetemp() / "pylock.toml"
    path.write_text(text)
    try:
        lock = read_lock(path)
        if lock is not None:
            _ = (lock.format, lock.parts, lock.roots, lock.chosen, lock.accelerator, lock.base, lock.names, lock.text(), lock.packages)
    except LockError as error:
        assert error.hint


def test_reads_nothing_without_a_file(tmp_path: Path) -> None:
    assert read_lock(tmp_path / "pylock.toml") is None


def test_imports_of_packages_that_are_gone_are_dropped(tmp_path: Path) -> None:
    lock = Lock(lock_path(tmp_path), document(SIX)).with_base("amd64", {"suite": "bookworm"})
    assert lock.imports is None
    lock = lock.with_imports({"six": ["six.moves", "six"], "gone": ["gone"]})
    lock.write()
    found = read_lock(tmp_path / "pylock.toml")
    assert found is not None
    assert found.imports == {"six": ("six", "six.moves")}
    assert found.base == lock.base
    assert found.text().index("imports]") < found.text().index("base.amd64]")
