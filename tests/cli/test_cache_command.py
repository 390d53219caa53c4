"""`shipwheel cache`, and the limit that a build keeps."""

import json
import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.disk import small_disk
from support.programs import needs_root

from shipwheel.cli.amounts import parse_age, parse_size
from shipwheel.cli.cache_limit import keep_limit
from shipwheel.cli.command import Session
from shipwheel.cli.commands import cli
from shipwheel.cli.interruption import Interruption
from shipwheel.cli.system_errors import from_system
from shipwheel.cli.terminal import Terminal
from shipwheel.digest import Digest
from shipwheel.errors import ShipwheelError, StoreError, UsageError
from shipwheel.store.store import NO_SPACE, Store

MONTH_S = 31 * 86400


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with a blob of this minute and one of last month."""
    folder = tmp_path / "cache"
    store = Store(folder)
    store.add(b"new" * 2000)
    os.utime(store.path(store.add(b"old" * 2000)), (time.time() - MONTH_S,) * 2)
    store.close()
    monkeypatch.setenv("SHIPWHEEL_CACHE", str(folder))
    monkeypatch.delenv("SHIPWHEEL_CACHE_LIMIT", raising=False)
    return folder


def run(*arguments: str) -> Result:
    terminal = Terminal()
    return CliRunner().invoke(cli, ["cache", *arguments], obj=Session(terminal, Interruption(terminal.interrupted)))


def size(root: Path) -> int:
    return sum(path.stat().st_size for path in root.rglob("*") if path.is_file())


def test_dir_prints_the_directory(root: Path) -> None:
    assert run("dir").output == f"{root}\n"


def test_info_shows_what_the_cache_holds(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = run().output
    assert text == run("info").output
    assert str(root) in text and "downloads  2  16.4 kB" in text
    monkeypatch.setenv("SHIPWHEEL_CACHE_LIMIT", "2GB")
    document = json.loads(run("info", "--json").output)
    assert document == {
        "directory": str(root),
        "kinds": {"downloads": {"count": 2, "size": 16384}},
        "count": 2,
        "size": 16384,
        "limit": 2_000_000_000,
    }


@pytest.mark.parametrize("arguments", [(), ("--older-than", "2w"), ("--max-size", "9kB")])
def test_prune_removes_what_was_not_used_lately(root: Path, arguments: tuple[str, ...]) -> None:
    done = run("prune", *arguments)
    assert "removed 8.2 kB, 8.2 kB are left" in done.output
    assert size(root) == 6000
    assert "prune --max-size SIZE" in run("prune").output


def test_prune_without_options_keeps_the_limit_if_there_is_one(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHIPWHEEL_CACHE_LIMIT", "1GB")
    assert "removed 0.0 MB" in run("prune").output
    monkeypatch.setenv("SHIPWHEEL_CACHE_LIMIT", "1kB")
    assert "16.4 kB" in run("prune", "--dry-run").output
    assert size(root) == 12000
    assert json.loads(run("prune", "--json").output)["removed"]["count"] == 2


def test_clean_asks_on_a_terminal_only(root: Path) -> None:
    done = run("clean")
    assert isinstance(done.exception, UsageError) and done.exception.hint == "Add --yes."
    assert size(root) == 12000
    assert "would remove 16.4 kB" in run("clean", "--dry-run").output
    assert size(root) == 12000
    assert "removed 16.4 kB" in run("clean", "--yes").output
    assert list(root.iterdir()) == []


@pytest.mark.parametrize(("answer", "left"), [("n", 12000), ("", 12000), ("y", 0)])
def test_clean_does_what_is_answered(root: Path, answer: str, left: int) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "shipwheel", "cache", "clean"]
    with subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        asked = os.read(ours, 1000)
        os.write(ours, f"{answer}\n".encode())
        process.communicate()
    os.close(ours)
    assert f"Remove everything in {root}?" in asked.decode()
    assert size(root) == left


@pytest.mark.parametrize("arguments", [("dir", "--yes"), ("info", "--dry-run"), ("clean", "--max-size", "1GB"), ("prune", "--yes")])
def test_rejects_options_of_other_actions(root: Path, arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert isinstance(done.exception, UsageError) and f"has no option {arguments[1]}" in done.exception.message
    assert size(root) == 12000


@pytest.mark.parametrize(
    ("text", "size"), [("5GB", 5 * 10**9), ("1.5 gib", 3 << 29), ("700", 700), ("20m", 20_000_000), ("3KB", 3000), ("8b", 8)]
)
def test_reads_sizes(text: str, size: int) -> None:
    assert parse_size(text, "x") == size


@pytest.mark.parametrize(("text", "seconds"), [("30d", 30 * 86400), ("2w", 14 * 86400), ("12 H", 43200), ("90s", 90), ("1.5m", 90)])
def test_reads_times(text: str, seconds: float) -> None:
    assert parse_age(text, "x") == seconds


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "5 apples", "1e9", "5GB5", "5bb", "\u0665GB", "inf"])
def test_rejects_what_is_no_size_or_time(text: str) -> None:
    for parse in (parse_size, parse_age):
        with pytest.raises(UsageError, match="--max-size: "):
            parse(text, "--max-size")
    with pytest.raises(UsageError):
        parse_age("5", "--older-than")


def test_a_build_that_wrote_keeps_the_limit(root: Path) -> None:
    for path in (root / "blobs").rglob("*"):
        os.utime(path, (time.time() - 3600,) * 2)
    store = Store(root)
    keep_limit(store, 1)
    assert size(root) == 12000, "a build that wrote nothing does not look"
    made = store.add(b"made" * 2000)
    keep_limit(store, None)
    assert size(root) == 20000
    keep_limit(store, 1)
    assert store.read(made) == b"made" * 2000
    assert [path.name for path in (root / "blobs").rglob("*") if path.is_file()] == [Digest(made).partition(":")[2]]


def full(path: Path | None = None) -> ShipwheelError:
    return from_system(OSError(NO_SPACE[0], os.strerror(NO_SPACE[0]), *([str(path)] if path else [])))


def test_a_full_disk_is_named_with_its_remedy(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    error = full(root / "rootfs" / "file")
    assert isinstance(error, StoreError) and str(root) in error.message
    assert "`shipwheel cache prune`" in error.hint and "SHIPWHEEL_CACHE" in error.hint and "TMPDIR" not in error.hint
    error = full(tmp_path / "temporary" / "shipwheel-x" / "file")
    assert str(tmp_path / "temporary") in error.message and "TMPDIR" in error.hint and "cache" not in error.hint
    error = full(tmp_path / "pylock.toml")
    assert str(tmp_path / "pylock.toml") in error.message and "TMPDIR" not in error.hint


@needs_root
@pytest.mark.parametrize("is_cache", [True, False])
def test_a_full_disk_without_a_name_is_the_one_with_the_least_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_cache: bool
) -> None:
    with small_disk(tmp_path / "small", "64k") as disk:
        (disk / "file").write_bytes(bytes(60_000))
        monkeypatch.setenv("SHIPWHEEL_CACHE", str(disk / "cache" if is_cache else tmp_path / "cache"))
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path if is_cache else disk))
        error = full()
    assert str(disk) in error.message
    assert ("`shipwheel cache prune`" in error.hint) == is_cache
    assert ("TMPDIR" in error.hint) != is_cache
