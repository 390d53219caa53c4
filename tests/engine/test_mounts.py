"""Mounts and variables, as users write them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipwheel.container.path import ContainerPath as At
from shipwheel.engine.interface import Mount
from shipwheel.engine.run_options import add_image_volumes, parse_env, parse_mount, read_env_file, slug, unwritable_directories
from shipwheel.errors import UsageError


def test_parses_a_mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dir").mkdir()
    monkeypatch.chdir(tmp_path)
    assert parse_mount("data:/data") == Mount("data", At("/data"))
    assert parse_mount("data:/data/:ro") == Mount("data", At("/data"), read_only=True)
    assert parse_mount("/data") == Mount("", At("/data"))
    assert parse_mount("./dir:/data:rw") == Mount(str(tmp_path / "dir"), At("/data"))
    assert parse_mount(f"{tmp_path}/dir:/data") == Mount(f"{tmp_path}/dir", At("/data"))


@pytest.mark.parametrize("text", ["", "x", "x:y", "data:/", "a:/b:c", "a:/b:ro:rw", "a:/x/../y", ":/x", "-x:/y", "a b:/y"])
def test_rejects_a_malformed_mount(text: str) -> None:
    with pytest.raises(UsageError):
        parse_mount(text)


def test_rejects_a_directory_that_does_not_exist(tmp_path: Path) -> None:
    # docker would create one that belongs to root.
    with pytest.raises(UsageError, match="does not exist"):
        parse_mount(f"{tmp_path}/nope:/data")


@given(st.text(max_size=30))
def test_parses_or_rejects_any_text(text: str) -> None:
    try:
        mount = parse_mount(text)
    except UsageError:
        return
    assert mount.target.startswith("/")
    assert ".." not in mount.target.split("/")


def test_names_an_image_s_volumes_after_the_project() -> None:
    requested = (Mount("mine", At("/cache")),)
    assert add_image_volumes([At("/data"), At("/cache"), At("/var/lib/x")], requested, "My.App", ephemeral=False) == (
        *requested,
        Mount("my-app-data", At("/data")),
        Mount("my-app-var-lib-x", At("/var/lib/x")),
    )
    assert add_image_volumes([At("/data")], (), "app", ephemeral=True) == (Mount("", At("/data")),)


@given(st.text(max_size=30))
def test_a_slug_is_a_valid_name(text: str) -> None:
    name = slug(text)
    assert name
    assert name[0].isalnum()
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_finds_directories_that_the_user_cannot_write_to(tmp_path: Path) -> None:
    open_, closed = tmp_path / "open", tmp_path / "closed"
    open_.mkdir()
    closed.mkdir()
    open_.chmod(0o777)
    closed.chmod(0o755)
    mounts = (
        Mount(str(open_), At("/a")),
        Mount(str(closed), At("/b")),
        Mount(str(closed), At("/c"), read_only=True),
        Mount("named", At("/d")),
    )
    assert unwritable_directories(mounts, "65532:65532") == (str(closed),)
    assert unwritable_directories(mounts, "0") == ()
    assert unwritable_directories(mounts, f"{closed.stat().st_uid or 65533}:1") == (() if closed.stat().st_uid else (str(closed),))


def test_parses_variables() -> None:
    assert parse_env(["A=1", "B=x=y", "C=", "HERE", "NOT_HERE"], {"HERE": "h"}) == {"A": "1", "B": "x=y", "C": "", "HERE": "h"}
    for text in ("=x", "", "A B=1"):
        with pytest.raises(UsageError):
            parse_env([text], {})


def test_reads_a_file_of_variables(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text('\ufeff# comment\n\nA=1\n  B=  kept \nC="quotes stay"\nHERE\nNOT_HERE\n', encoding="utf-8")
    assert read_env_file(file, {"HERE": "h"}) == {"A": "1", "B": "  kept ", "C": '"quotes stay"', "HERE": "h"}


def test_names_the_line_of_a_broken_variable_without_showing_it(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("A=1\nsecret words here\n")
    with pytest.raises(UsageError, match="line 2") as caught:
        read_env_file(file, {})
    assert "secret" not in caught.value.message + caught.value.hint
    file.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(UsageError, match="UTF-8"):
        read_env_file(file, {})
    with pytest.raises(UsageError, match="cannot read"):
        read_env_file(tmp_path / "nope", {})
