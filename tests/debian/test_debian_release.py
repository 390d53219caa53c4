"""Signatures and fields of releases."""

import subprocess
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.programs import needs

from shipwheel.debian.release import MAX_STALE, Release, archive_keyring, check_age, parse_release, verify_release
from shipwheel.errors import SignatureError
from shipwheel.testing.debian import FakeArchive

TEXT = b"Origin: Debian\nCodename: bookworm\nSHA256:\n 00 1 main/a\n"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> FakeArchive:
    return FakeArchive(tmp_path_factory.mktemp("archive"))


def test_returns_the_signed_text(archive: FakeArchive) -> None:
    assert verify_release(archive.sign(TEXT), "x", archive.keyring).rstrip() == TEXT.rstrip()


def test_returns_text_with_escaped_dashes(archive: FakeArchive) -> None:
    text = b"Codename: bookworm\n-----BEGIN PGP SIGNATURE-----\n- x\nFrom y\n"
    assert verify_release(archive.sign(text), "x", archive.keyring).rstrip() == text.rstrip()


def test_rejects_an_unknown_key(archive: FakeArchive, tmp_path: Path) -> None:
    other = FakeArchive(tmp_path)
    with pytest.raises(SignatureError, match="InRelease"):
        verify_release(other.sign(TEXT), "InRelease", archive.keyring)
    with pytest.raises(SignatureError):
        verify_release(archive.sign(TEXT), "InRelease")


def test_rejects_changed_text(archive: FakeArchive) -> None:
    with pytest.raises(SignatureError):
        verify_release(archive.sign(TEXT).replace(b"main/a", b"main/b"), "x", archive.keyring)


@pytest.mark.parametrize(
    "signed", [b"", TEXT, b"-----BEGIN PGP SIGNED MESSAGE-----\n", b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n" + TEXT]
)
def test_rejects_a_missing_signature(archive: FakeArchive, signed: bytes) -> None:
    with pytest.raises(SignatureError):
        verify_release(signed, "x", archive.keyring)


def test_ignores_text_outside_the_signature(archive: FakeArchive) -> None:
    signed = archive.sign(TEXT)
    for changed in (b"Codename: evil\n" + signed, b"\n" + signed):
        with pytest.raises(SignatureError):
            verify_release(changed, "x", archive.keyring)
    try:
        text = verify_release(signed + b"\nCodename: evil\n", "x", archive.keyring)
    except SignatureError:
        return
    assert b"evil" not in text


def test_ignores_armor_headers(archive: FakeArchive) -> None:
    signed = archive.sign(TEXT).replace(b"MESSAGE-----\n", b"MESSAGE-----\nCodename: evil\n", 1)
    try:
        text = verify_release(signed, "x", archive.keyring)
    except SignatureError:
        return
    assert b"evil" not in text


@given(position=st.integers(0, 4000), value=st.integers(0, 255))
def test_a_changed_byte_is_harmless_or_rejected(archive: FakeArchive, position: int, value: int) -> None:
    signed = bytearray(archive.sign(TEXT))
    signed[position % len(signed)] = value
    try:
        text = verify_release(bytes(signed), "x", archive.keyring)
    except SignatureError:
        return
    # White space at the ends of lines is not signed (RFC 9580, 7.2).
    assert [line.rstrip() for line in text.rstrip().splitlines()] == TEXT.rstrip().splitlines()


def test_ships_debian_s_keys() -> None:
    import pysequoia

    assert len(pysequoia.Cert.split_bytes(archive_keyring())) >= 9


def test_parses_the_fields() -> None:
    text = (
        b"Codename: bookworm-updates\nDate: Mon, 23 Nov 2026 02:09:33 UTC\nValid-Until: Mon, 30 Nov 2026 02:09:33 UTC\n"
        b"Acquire-By-Hash: yes\n"
        b"Architectures: all amd64\nMD5Sum:\n 11 2 main/a\nSHA256:\n %b  22 main/a\n %b 3 main/b\n" % (b"aa" * 32, b"bb" * 32)
    )
    release = parse_release(text, "x", "bookworm-updates")
    assert release.files == {"main/a": ("aa" * 32, 22), "main/b": ("bb" * 32, 3)}
    assert release.valid_until == datetime(2026, 11, 30, 2, 9, 33, tzinfo=UTC)
    assert (release.by_hash, release.separate_all) == (True, True)
    assert not parse_release(
        text.replace(b"MD5Sum", b"No-Support-for-Architecture-all: Packages\nMD5Sum"), "x", "bookworm-updates"
    ).separate_all


@pytest.mark.parametrize("text", [b"", b"Codename: trixie\n", b"Suite: bookworm\n", b"Codename: bookworm-updates\n"])
def test_rejects_another_release(text: bytes) -> None:
    with pytest.raises(SignatureError, match="'bookworm'"):
        parse_release(text, "x", "bookworm")


@pytest.mark.parametrize(
    "line",
    [
        b"Date: soon\n",
        b"SHA256:\n %b x main/a\n" % (b"aa" * 32),
        b"SHA256:\n ../aa 1 main/a\n",
        b"SHA256:\n aa 1\n",
        b"Valid-Until: never\n",
    ],
)
def test_rejects_a_malformed_release(line: bytes) -> None:
    with pytest.raises(SignatureError, match="malformed"):
        parse_release(b"Codename: bookworm\n" + line, "x", "bookworm")


@needs("gpg")
def test_accepts_a_key_that_expired_later_and_rejects_weak_hashes() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as home:  # short: gpg's agent has a socket in it

        def gpg(day: str, *arguments: str) -> bytes:
            command = ["gpg", "--homedir", home, "--batch", "--quiet", "--faked-system-time", f"{day}T000000!", "--passphrase", ""]
            return subprocess.run([*command, *arguments], input=TEXT, capture_output=True, check=True).stdout

        try:
            gpg("20200101", "--quick-generate-key", "Test <test@example.com>", "rsa3072", "sign", "1y")
            keyring = gpg("20200101", "--export")
            in_time = gpg("20200601", "--clearsign")
            weak = gpg("20200601", "--digest-algo", "SHA1", "--allow-weak-digest-algos", "--clearsign")
        finally:
            subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=False, capture_output=True)
    assert verify_release(in_time, "x", keyring).rstrip() == TEXT.rstrip()
    with pytest.raises(SignatureError):
        verify_release(weak, "x", keyring)


def _until(moment: datetime | None) -> Release:
    return Release("forky", None, moment, by_hash=True, separate_all=False, files={})


def test_warns_of_a_stale_release_and_rejects_an_old_one() -> None:
    now = datetime(2026, 11, 24, tzinfo=UTC)
    assert check_age(_until(None), "x", now) is None
    assert check_age(_until(now), "x", now) is None
    warning = check_age(_until(now - timedelta(days=18)), "forky InRelease", now)
    assert warning is not None
    assert "18 days" in warning.message
    assert check_age(_until(now - MAX_STALE), "x", now) is not None
    too_old = _until(now - MAX_STALE - timedelta(hours=1))
    with pytest.raises(SignatureError, match="60 days"):
        check_age(too_old, "x", now)
    assert check_age(too_old, "x", now, allow_stale=True) is not None
