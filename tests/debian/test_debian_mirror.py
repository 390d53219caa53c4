"""Choosing a Debian mirror."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from shipwheel.debian.mirror import MIRROR_VARIABLE, PUBLIC_MIRRORS, DebianMirror, apt_mirror, choose_mirror, fastest_mirror, parse_mirror
from shipwheel.errors import FetchError, UsageError

DEB822 = """# a comment
Types: deb deb-src
URIs: http://one.example/debian/
 http://two.example/debian
Suites: trixie trixie-updates
Components: main

Types: deb
URIs: http://one.example/debian-security
Suites: trixie-security
Components: main
"""


def test_parses_one_url() -> None:
    assert parse_mirror("https://m.example/x/debian/") == DebianMirror("https://m.example/x/debian", "https://m.example/x/debian-security")


@pytest.mark.parametrize("text", ["http://a.example/debian http://b.example/sec", "http://a.example/debian,http://b.example/sec/"])
def test_parses_two_urls(text: str) -> None:
    assert parse_mirror(text) == DebianMirror("http://a.example/debian", "http://b.example/sec")


@pytest.mark.parametrize(
    "text", ["", " ", "m.example/debian", "ftp://m.example/debian", "http:///debian", "http://a/x http://b/x http://c/x"]
)
def test_rejects_other_settings(text: str) -> None:
    with pytest.raises(UsageError):
        parse_mirror(text)


def test_errors_show_no_credentials() -> None:
    with pytest.raises(UsageError) as caught:
        parse_mirror("ftp://user:secret@m.example/debian")
    assert "secret" not in caught.value.message + caught.value.hint


def test_prefers_the_setting_then_the_variable_then_apt(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text("deb http://apt.example/debian bookworm main\n")
    environ = {MIRROR_VARIABLE: "http://env.example/debian"}
    assert choose_mirror("http://set.example/debian", environ=environ, apt=tmp_path).debian == "http://set.example/debian"
    assert choose_mirror(environ=environ, apt=tmp_path).debian == "http://env.example/debian"
    assert choose_mirror(environ={}, apt=tmp_path).debian == "http://apt.example/debian"


def test_reads_deb822_sources(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "debian.sources").write_text(DEB822)
    assert apt_mirror(tmp_path) == DebianMirror("http://one.example/debian", "http://one.example/debian-security")


def test_ignores_disabled_and_source_only_stanzas(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    text = DEB822.replace("Types: deb\n", "Types: deb\nEnabled: no\n").replace("deb deb-src", "deb-src")
    (tmp_path / "sources.list.d" / "debian.sources").write_text(text)
    assert apt_mirror(tmp_path) is None


@pytest.mark.parametrize(
    "line",
    [
        "deb [signed-by=/a.gpg arch=amd64] https://m.example/debian-security/ bookworm-security main # x",
        "  deb https://m.example/debian-security bookworm-security main",
    ],
)
def test_reads_one_line_sources(tmp_path: Path, line: str) -> None:
    (tmp_path / "sources.list").write_text(f"# deb http://no.example/debian x main\ndeb-src http://no.example/debian x main\n{line}\n")
    assert apt_mirror(tmp_path) == DebianMirror("https://m.example/debian", "https://m.example/debian-security")


@pytest.mark.parametrize(
    "uri", ["http://m.example/ubuntu", "mirror+file:/etc/apt/mirrors/debian", "file:/srv/debian", "cdrom:[Debian]/debian"]
)
def test_ignores_other_archives(tmp_path: Path, uri: str) -> None:
    (tmp_path / "sources.list").write_text(f"deb {uri} noble main\n")
    assert apt_mirror(tmp_path) is None


def test_ignores_files_with_other_names(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "debian.sources.save").write_text(DEB822)
    assert apt_mirror(tmp_path) is None


def test_public_mirrors_have_both_archives_side_by_side() -> None:
    assert all(parse_mirror(url).security.endswith("/debian-security") for url in PUBLIC_MIRRORS)


@contextmanager
def _server(answer: bytes, wait: threading.Event | None = None, status: int = 200) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if wait is not None:
                wait.wait(5)
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/debian"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_first_mirror_with_a_signed_release_wins() -> None:
    good, hold = b"-----BEGIN PGP SIGNED MESSAGE-----\n" + b"x" * 100, threading.Event()
    with (
        _server(b"<html>portal</html>" * 10) as portal,
        _server(good, hold) as slow,
        _server(good) as quick,
        _server(b"", status=404) as none,
    ):
        assert fastest_mirror([portal, none, slow, quick]).debian == quick
        hold.set()


def test_reports_that_no_mirror_answers() -> None:
    with _server(b"", status=500) as broken, pytest.raises(FetchError) as caught:
        fastest_mirror([broken])
    assert MIRROR_VARIABLE in caught.value.hint
